/* sources: base worker/text worker/file */
/* A tokenizer.json up to the first NUL, then a text up to the next, then its pair; or, by their first byte, a
   GGUF file or a SentencePiece model, which encode their own last bytes. No input crashes, and what is encoded
   keeps to max_length, to the vocabulary and to the text; ids can be decoded. */
#include <string.h>

#include "base/attr.h"
#include "worker/text/tokenizer_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

struct input {
  const char *text, *pair;
  size_t text_length, pair_length;
};

/* The part up to a NUL; *bytes and *length become what follows it. */
static size_t part(const uint8_t **bytes, size_t *length) {
  const uint8_t *end = *length ? memchr(*bytes, 0, *length) : NULL;
  size_t used = end ? (size_t)(end - *bytes) : *length, skip = end ? used + 1 : used;
  *bytes += skip;
  *length -= skip;
  return used;
}

static void check_ids(const struct tokenizer *t, const struct encoding *out) {
  struct str text;
  for (size_t i = 0; i < out->count; i++)
    CHECK(out->ids[i] >= 0 && out->ids[i] < tokenizer_vocab_size(t) && out->type_ids[i] >= 0);
  str_init(&text, 1 << 24);
  if (tokenizer_decode(t, &text, out->ids, out->count, out->count % 2))
    CHECK(utf8_valid(text.text, text.length, NULL));
  str_done(&text);
}

static void encode(const struct tokenizer *t, const struct input *in) {
  static const size_t limits[] = {0, 1, 3, 8};
  struct tokenizer_template template;
  struct encoding out;
  struct error err = {0};
  encoding_init(&out);
  tokenizer_get_template(t, &template);
  for (size_t k = 0; k < 2 * COUNT_OF(limits); k++) {
    size_t limit = limits[k / 2];
    if (tokenizer_encode(t, &out, in->text, in->text_length, k % 2 ? in->pair : NULL, in->pair_length, limit, &err))
      continue;
    CHECK(limit == 0 || out.count <= limit);
    check_ids(t, &out);
  }
  if (!tokenizer_encode_plain(t, &out, in->text, in->text_length, &err)) {
    for (size_t i = 0; i < out.count; i++)
      CHECK(out.ends[i] <= in->text_length);
    check_ids(t, &out);
  }
  encoding_done(&out);
}

static enum status open_gguf(struct tokenizer **out, const uint8_t *bytes, size_t length, struct error *err) {
  struct gguf gguf;
  *out = NULL;
  enum status status = gguf_parse(&gguf, bytes, length, err);
  if (status)
    return status;
  status = tokenizer_from_gguf(out, &gguf, err);
  gguf_close(&gguf);
  return status;
}

static enum status open_spm(struct tokenizer **out, const uint8_t *bytes, size_t length, struct error *err) {
  static const char *const architectures[] = {"deberta-v2", "t5", "llama"};
  struct tokenizer *t = tokenizer_new();
  CHECK(t);
  enum status status = tokenizer_build_spm(t, (const char *)bytes, length, architectures[length % 3], NULL, err);
  return tokenizer_finish(out, t, status);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  enum { TAIL = 64 };
  struct tokenizer *t;
  struct error err = {0};
  size_t tail = length < TAIL ? length : TAIL;
  struct input in = {(const char *)bytes + length - tail, "a b", tail, 3};
  enum status status;
  while (in.text_length && !utf8_valid(in.text, in.text_length, NULL))
    in.text_length--;
  if (length && *bytes == 'G') {
    status = open_gguf(&t, bytes, length, &err);
  } else if (length && *bytes == '\n') {
    status = open_spm(&t, bytes, length, &err);
  } else {
    const char *json = (const char *)bytes;
    size_t json_length = part(&bytes, &length);
    in.text = (const char *)bytes;
    in.text_length = part(&bytes, &length);
    in.pair = (const char *)bytes;
    in.pair_length = length;
    status = tokenizer_parse(&t, json, json_length, &err);
  }
  CHECK(status == STATUS_OK || (err.text[0] && !t));
  if (!status)
    encode(t, &in);
  tokenizer_free(t);
  return 0;
}
