/* sources: base worker/text */
/* The bytes up to the first NUL are a tokenizer.json, those up to the next a text, the rest its pair. No
   input crashes, and what is encoded keeps to max_length and to the vocabulary. */
#include <string.h>

#include "base/attr.h"
#include "worker/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The part up to a NUL; *bytes and *length become what follows it. */
static size_t part(const uint8_t **bytes, size_t *length) {
  const uint8_t *end = *length ? memchr(*bytes, 0, *length) : NULL;
  size_t used = end ? (size_t)(end - *bytes) : *length, skip = end ? used + 1 : used;
  *bytes += skip;
  *length -= skip;
  return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static const size_t limits[] = {0, 1, 3, 8};
  struct tokenizer *tokenizer;
  struct encoding out;
  struct error err = {0};
  const char *json = (const char *)bytes;
  size_t json_length = part(&bytes, &length);
  const char *text = (const char *)bytes;
  size_t text_length = part(&bytes, &length);
  enum status status = tokenizer_parse(&tokenizer, json, json_length, &err);
  CHECK(status == STATUS_OK || (err.text[0] && !tokenizer));
  if (status)
    return 0;
  encoding_init(&out);
  for (size_t k = 0; k < 2 * COUNT_OF(limits); k++) {
    size_t limit = limits[k / 2];
    status = tokenizer_encode(tokenizer, &out, text, text_length, k % 2 ? (const char *)bytes : NULL, length, limit,
        &err);
    if (status)
      continue;
    CHECK(limit == 0 || out.count <= limit);
    for (size_t i = 0; i < out.count; i++)
      CHECK(out.ids[i] >= 0 && out.ids[i] < tokenizer_vocab_size(tokenizer) && out.types[i] >= 0);
  }
  encoding_done(&out);
  tokenizer_free(tokenizer);
  return 0;
}
