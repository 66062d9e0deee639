/* The wire format of protocol buffers, read field by field within bounds. */
#ifndef WORKER_TEXT_PROTOBUF_H
#define WORKER_TEXT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct protobuf {
  const unsigned char *at, *end;
  bool broken; /* the bytes are no message */
};

struct protobuf_field {
  uint32_t number;
  bool is_bytes;
  uint64_t value;             /* of an integer; the bits of a float */
  const unsigned char *bytes; /* of a string or a message */
  size_t length;
};

/* The next field; false at the end, and when the bytes are broken. */
bool protobuf_next(struct protobuf *message, struct protobuf_field *out);

#endif
