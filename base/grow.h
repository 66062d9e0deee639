/* Growing arrays. */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include <stdlib.h>

#include "base/checked.h"

/* `array`, which has room for *size elements, moved where it has room for `need` (at least 1). NULL,
   and nothing changed, when memory runs out. */
NODISCARD static inline void *grow(void *array, size_t *size, size_t need, size_t bytes_each) {
  size_t want = *size ? *size : 64, bytes;
  if (need <= *size)
    return array;
  while (want < need)
    if (!checked_mul(&want, want, 2))
      return NULL;
  if (!checked_mul(&bytes, want, bytes_each))
    return NULL;
  void *bigger = realloc(array, bytes);
  if (bigger)
    *size = want;
  return bigger;
}

#endif
