#include "base/base64.h"

#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

enum status base64_read(unsigned char **out, size_t *length, const char *text, struct error *err) {
  struct base64_decode_ctx context;
  size_t text_length = strlen(text);
  *length = 0;
  *out = malloc(BASE64_DECODE_LENGTH(text_length) + 1);
  if (!*out)
    return error_no_memory(err, "text in base64");
  base64_decode_init(&context);
  if (base64_decode_update(&context, length, *out, text_length, text) && base64_decode_final(&context))
    return STATUS_OK;
  free(*out);
  *out = NULL;
  return error_set(err, STATUS_INVALID_VALUE, NULL, "the text is no base64");
}

bool base64_add(struct str *out, const void *bytes, size_t length) {
  enum { PART = 768 };
  char text[BASE64_ENCODE_RAW_LENGTH(PART)];
  const uint8_t *from = bytes;
  for (size_t done = 0; done < length; done += PART) {
    size_t part = length - done < PART ? length - done : PART;
    base64_encode_raw(text, part, from + done);
    if (!str_add(out, text, BASE64_ENCODE_RAW_LENGTH(part)))
      return false;
  }
  return true;
}
