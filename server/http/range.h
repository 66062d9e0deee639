/* The Range header of RFC 9110, one range of bytes. Pure. */
#ifndef SERVER_HTTP_RANGE_H
#define SERVER_HTTP_RANGE_H

#include <stdint.h>

enum range_kind {
  RANGE_WHOLE,  /* none, not in bytes, several, or not well formed: the whole file (200) */
  RANGE_PART,   /* 206 */
  RANGE_BEYOND, /* 416 */
};

struct range {
  uint64_t first, length;  /* of the bytes to send */
};

/* `header` may be NULL. For RANGE_WHOLE *out is everything; for RANGE_BEYOND it is empty. */
enum range_kind range_parse(struct range *out, const char *header, uint64_t size);

#endif
