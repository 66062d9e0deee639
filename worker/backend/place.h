/* Where numbers lie: an offset in a buffer of a backend's memory. */
#ifndef WORKER_BACKEND_PLACE_H
#define WORKER_BACKEND_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Memory of a backend; what it is is the backend's affair. */
struct buffer;

struct place {
  struct buffer *buffer; /* NULL: nowhere */
  size_t offset;         /* bytes */
};

/* All memory of this process as one buffer, whose offsets are addresses: the CPU backend's. */
extern struct buffer *const place_host_memory;

/* NULL is nowhere. */
static inline struct place place_host(const void *address) {
  return (struct place){address ? place_host_memory : NULL, (size_t)(uintptr_t)address};
}

/* The address of a place of host memory; NULL for nowhere. Another backend's place is a mistake of ours. */
static inline void *place_address(struct place place) {
  CHECK(!place.buffer || place.buffer == place_host_memory);
  return (void *)(uintptr_t)place.offset;
}

static inline float *place_floats(struct place place) {
  return place_address(place);
}

/* What a kernel of a device is given begins at a multiple of so many bytes in its buffer: no device asks for more. */
enum { PLACE_ALIGN = 512 };

static inline struct place place_at(struct place place, size_t bytes) {
  place.offset += bytes;
  return place;
}

#endif
