/* Arithmetic on sizes that come from files or requests: checked_* return false, and leave *out
   unspecified, when the result does not fit. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

NODISCARD static inline bool checked_add(size_t *out, size_t a, size_t b) {
  return !__builtin_add_overflow(a, b, out);
}

NODISCARD static inline bool checked_mul(size_t *out, size_t a, size_t b) {
  return !__builtin_mul_overflow(a, b, out);
}

/* Rounds `n` up to a multiple of `align`, a power of two. */
NODISCARD static inline bool checked_align(size_t *out, size_t n, size_t align) {
  if (__builtin_add_overflow(n, align - 1, out))
    return false;
  *out &= ~(align - 1);
  return true;
}

static inline size_t size_min(size_t a, size_t b) {
  return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b) {
  return a > b ? a : b;
}

#endif
