/* sources: base server/http/multipart.c */
/* Any bytes, in pieces whose sizes the first byte chooses, with the boundary "b". The parser must give the same
   parts as for the whole body at once, and no more data than it got. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "server/http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct seen {
  struct hash hash;
  size_t bytes;
};

static enum status on_part(void *context, const char *name, const char *filename, struct error *err) {
  struct seen *seen = context;
  (void)err;
  hash_add(&seen->hash, name, strlen(name) + 1);
  hash_add(&seen->hash, filename ? filename : "-", filename ? strlen(filename) + 1 : 1);
  return STATUS_OK;
}

static enum status on_data(void *context, const char *bytes, size_t length, struct error *err) {
  struct seen *seen = context;
  (void)err;
  CHECK(length > 0);
  hash_add(&seen->hash, bytes, length);
  seen->bytes += length;
  return STATUS_OK;
}

static enum status on_end(void *context, struct error *err) {
  struct seen *seen = context;
  (void)err;
  hash_add(&seen->hash, "|", 1);
  return STATUS_OK;
}

static enum status parse(char out[HASH_HEX], const char *body, size_t length, size_t piece) {
  static const struct multipart_calls calls = {on_part, on_data, on_end};
  struct multipart parser;
  struct error err;
  struct seen seen = {.bytes = 0};
  hash_init(&seen.hash);
  CHECK(multipart_init(&parser, "multipart/form-data; boundary=b", &calls, &seen, &err) == STATUS_OK);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < length; i += piece)
    status = multipart_feed(&parser, body + i, length - i < piece ? length - i : piece, &err);
  if (!status)
    status = multipart_end(&parser, &err);
  CHECK(seen.bytes <= length);
  hash_hex(&seen.hash, out);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char whole[HASH_HEX], pieces[HASH_HEX];
  if (size == 0)
    return 0;
  const char *body = (const char *)bytes + 1;
  enum status a = parse(whole, body, size - 1, size);
  enum status b = parse(pieces, body, size - 1, (size_t)bytes[0] % 17 + 1);
  CHECK(a == b);
  if (a == STATUS_OK)
    CHECK(strcmp(whole, pieces) == 0);
  return 0;
}
