#include "worker/text/protobuf.h"

static uint64_t read_varint(struct protobuf *message) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && message->at < message->end; shift += 7) {
    unsigned char byte = *message->at++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80)
      return value;
  }
  message->broken = true;
  return 0;
}

static uint64_t read_fixed(struct protobuf *message, size_t bytes) {
  uint64_t value = 0;
  if ((size_t)(message->end - message->at) < bytes) {
    message->broken = true;
    return 0;
  }
  for (size_t i = 0; i < bytes; i++)
    value |= (uint64_t)message->at[i] << (8 * i);
  message->at += bytes;
  return value;
}

bool protobuf_next(struct protobuf *message, struct protobuf_field *out) {
  enum wire { VARINT, FIXED64, LENGTH, FIXED32 = 5 };
  if (message->broken || message->at >= message->end)
    return false;
  uint64_t tag = read_varint(message);
  *out = (struct protobuf_field){.number = (uint32_t)(tag >> 3), .is_bytes = (tag & 7) == LENGTH};
  switch (tag & 7) {
  case VARINT: out->value = read_varint(message); break;
  case FIXED64: out->value = read_fixed(message, 8); break;
  case FIXED32: out->value = read_fixed(message, 4); break;
  case LENGTH: {
    uint64_t length = read_varint(message);
    if (message->broken || length > (uint64_t)(message->end - message->at)) {
      message->broken = true;
      return false;
    }
    out->bytes = message->at;
    out->length = (size_t)length;
    message->at += length;
    break;
  }
  default: message->broken = true;
  }
  return !message->broken && tag >> 3 != 0 && tag >> 35 == 0;
}
