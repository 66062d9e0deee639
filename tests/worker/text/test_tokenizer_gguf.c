/* Proves that tokenizers of Hugging Face folders come back from the keys of a GGUF file as they were: by name of the
   pre-tokenizer, by their merges, and by the ids of the reference's texts; and that what GGUF cannot say is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "tests/worker/text/family.h"

static char path[] = "/tmp/test_tokenizer_gguf.XXXXXX";

/* A file of nothing but the tokenizer, opened again; `vocabulary` rows. */
static enum status write_gguf(struct gguf *out, const struct tokenizer *t, const char *family, size_t vocabulary,
                              struct error *err) {
  struct gguf_writer *w;
  char dir[128];
  snprintf(dir, sizeof dir, FAMILIES "%s", family);
  assert_int_equal(gguf_writer_open(&w, path, err), STATUS_OK);
  enum status status = tokenizer_to_gguf(w, t, dir, NULL, vocabulary, err);
  if (status) {
    gguf_writer_discard(w);
    return status;
  }
  if (gguf_writer_finish(w, NULL, NULL, err) || gguf_open(out, path, err))
    fail_msg("%s: %s", family, err->text);
  return STATUS_OK;
}

static void check_text(const struct gguf *gguf, const char *key, const char *want, const char *family) {
  struct gguf_string text;
  struct error err = {0};
  assert_int_equal(gguf_get_string(&text, gguf, key, "", &err), STATUS_OK);
  if (text.length != strlen(want) || memcmp(text.text, want, text.length) != 0)
    fail_msg("%s: %s is %.*s, not %s", family, key, (int)text.length, text.text, want);
}

static const struct gguf *written;

/* The ids of a text of the reference, or of a pair. */
static void check_case(const struct tokenizer *t, struct encoding *out, const json_t *line) {
  const json_t *text = json_object_get(line, "text");
  struct tokenizer *again;
  struct encoding other;
  struct error err = {0};
  encoding_init(&other);
  assert_int_equal(tokenizer_from_gguf(&again, written, &err), STATUS_OK);
  const char *bytes = json_string_value(text);
  size_t length = json_string_length(text);
  if (tokenizer_encode(t, out, bytes, length, NULL, 0, 0, &err) ||
      tokenizer_encode(again, &other, bytes, length, NULL, 0, 0, &err))
    fail_msg("%s", err.text);
  if (out->count != other.count || memcmp(out->ids, other.ids, out->count * sizeof *out->ids) != 0)
    fail_msg("\"%s\" becomes other tokens", bytes);
  encoding_done(&other);
  tokenizer_free(again);
}

static void come_back_as_they_were(void **state) {
  (void)state;
  static const struct {
    const char *family, *model, *pre;
  } rows[] = {{"gpt2", "gpt2", "gpt-2"},       {"llama3", "gpt2", "llama-bpe"},
              {"qwen2", "gpt2", "qwen2"},      {"qwen35", "gpt2", "qwen35"},     {"tekken", "gpt2", "tekken"},
              {"o200k", "gpt2", "gpt-4o"},     {"bloom", "gpt2", "bloom"},
              {"llama2", "llama", "default"},  {"gemma", "llama", "default"},
              {"bailing", "gpt2", "stablelm2"}, {"superbpe", "gpt2", "superbpe"},
              {"deepseek3", "gpt2", "deepseek-v3"}, {"deepseek_coder", "gpt2", "deepseek-coder"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct tokenizer *t = open_family(rows[i].family);
    struct gguf gguf;
    struct error err = {0};
    char dir[128];
    size_t vocabulary = (size_t)tokenizer_vocab_size(t) + i % 3; /* embeddings may have more rows */
    if (write_gguf(&gguf, t, rows[i].family, vocabulary, &err))
      fail_msg("%s: %s", rows[i].family, err.text);
    check_text(&gguf, "tokenizer.ggml.model", rows[i].model, rows[i].family);
    check_text(&gguf, "tokenizer.ggml.pre", rows[i].pre, rows[i].family);
    if (tokenizer_check_gguf(t, &gguf, &err))
      fail_msg("%s: %s", rows[i].family, err.text);
    written = &gguf;
    snprintf(dir, sizeof dir, FAMILIES "%s", rows[i].family);
    assert_true(each_case(dir, check_case) > 0);
    gguf_close(&gguf);
    tokenizer_free(t);
  }
}

/* Another family's file is not taken for a tokenizer's own. */
static void differences_are_found(void **state) {
  (void)state;
  struct tokenizer *t = open_family("qwen2"), *other = open_family("gpt2");
  struct gguf gguf;
  struct error err = {0};
  assert_int_equal(write_gguf(&gguf, t, "qwen2", (size_t)tokenizer_vocab_size(t), &err), STATUS_OK);
  assert_int_equal(tokenizer_check_gguf(t, &gguf, &err), STATUS_OK);
  assert_int_equal(tokenizer_check_gguf(other, &gguf, &err), STATUS_UNSUPPORTED_VALUE);
  gguf_close(&gguf);
  tokenizer_free(t);
  tokenizer_free(other);
}

/* A token that is looked for in the normal form is found only where a space goes before it: llama.cpp finds it
   anywhere. */
static void what_stands_beside_added_tokens_is_compared(void **state) {
  (void)state;
  struct tokenizer *t;
  struct gguf gguf;
  struct error err = {0};
  json_t *file = json_load_file(FAMILIES "llama2/tokenizer.json", 0, NULL), *token;
  size_t i;
  assert_non_null(file);
  json_array_foreach(json_object_get(file, "added_tokens"), i, token)
    if (!json_is_true(json_object_get(token, "special")))
      assert_int_equal(json_object_set_new(token, "normalized", json_true()), 0);
  char *text = json_dumps(file, 0);
  assert_non_null(text);
  if (tokenizer_parse(&t, text, strlen(text), &err) ||
      write_gguf(&gguf, t, "llama2", (size_t)tokenizer_vocab_size(t), &err))
    fail_msg("%s", err.text);
  assert_int_equal(tokenizer_check_gguf(t, &gguf, &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "other tokens of the text that begins \"<user>"));
  gguf_close(&gguf);
  tokenizer_free(t);
  free(text);
  json_decref(file);
}

static void what_has_no_keys_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *family, *says;
  } rows[] = {{"t5", "is Unigram"}, {"clip", "marks where words begin or end"}, {"smollm", "has single_word"},
              {"llama2_metaspace", "prepend_scheme \"first\""}};
  struct gguf gguf;
  struct error err = {0};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct tokenizer *t = open_family(rows[i].family);
    assert_int_equal(write_gguf(&gguf, t, rows[i].family, (size_t)tokenizer_vocab_size(t), &err),
                     STATUS_UNSUPPORTED_VALUE);
    if (!strstr(err.text, rows[i].says))
      fail_msg("%s: %s", rows[i].family, err.text);
    tokenizer_free(t);
  }
  struct tokenizer *t = open_family("gpt2");
  assert_int_equal(write_gguf(&gguf, t, "gpt2", 5, &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "the embedding 5 rows"));
  tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(come_back_as_they_were),
      cmocka_unit_test(differences_are_found),
      cmocka_unit_test(what_stands_beside_added_tokens_is_compared),
      cmocka_unit_test(what_has_no_keys_is_refused),
  };
  int fd = mkstemp(path);
  if (fd < 0)
    return 1;
  close(fd);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
