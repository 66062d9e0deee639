/* A directory is read as AutoTokenizer reads it: added tokens of every file, and the classes that build their pipeline
   themselves, whatever tokenizer.json says (make_class_cases.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "tests/worker/text/family.h"
#include "worker/text/tokenizer.h"

#define DIRECTORY "tests/worker/text/classes/"

static void check_ids(const struct tokenizer *tokenizer, struct encoding *out, const json_t *c) {
  const json_t *text = json_object_get(c, "text"), *ids = json_object_get(c, "ids");
  struct error err = {0};
  assert_int_equal(
      tokenizer_encode(tokenizer, out, json_string_value(text), json_string_length(text), NULL, 0, 0, &err), STATUS_OK);
  bool same = out->count == json_array_size(ids);
  for (size_t i = 0; same && i < out->count; i++)
    same = out->ids[i] == json_integer_value(json_array_get(ids, i));
  if (!same)
    fail_msg("%s", json_dumps(c, 0));
}

static void check_directory(const char *name) {
  char path[256];
  snprintf(path, sizeof path, DIRECTORY "%s", name);
  print_message("%s\n", path);
  assert_int_equal(each_case(path, check_ids), 5);
}

static void directories_equal_the_reference(void **state) {
  (void)state;
  static const char *const names[] = {"decoder", "added_json", "specials", "map",          "named",      "gpt2",
                                      "qwen2",   "merges",     "bert",     "bert_accents", "bert_words", "bert_fast",
                                      "clip",    "clip_merges"};
  for (size_t i = 0; i < COUNT_OF(names); i++)
    check_directory(names[i]);
}

static void put(const char *dir, const char *name, const char *text) {
  char path[128];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

static void what_cannot_be_read_is_named(void **state) {
  (void)state;
  static const char file[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
  static const struct {
    const char *name, *text, *config, *says;
  } cases[] = {
      {"tokenizer.json", file, "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<x>\"}}}",
       "\"<x>\" has the id 7; the vocabulary makes it 1"},
      {"tokenizer.json", file, "{\"added_tokens_decoder\":{\"x\":{\"content\":\"<x>\"}}}",
       "added_tokens_decoder: \"x\""},
      {"tokenizer.json", file, "{\"added_tokens_decoder\":{\"1\":{}}}", "added_tokens_decoder: \"1\""},
      {"tokenizer.json", file, "{\"additional_special_tokens\":[3]}", "extra_special_tokens: it must be a token"},
      {"tokenizer.json", file, "{\"tokenizer_class\":\"BertTokenizer\"}", "the type BPE does not go with"},
      {"tokenizer.json", file, "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_prefix_space\":3}", "add_prefix_space"},
      {"vocab.json", "{}", "{}", "vocab.json and merges.txt without a tokenizer.json need the tokenizer_class"},
      {"vocab.json", "{", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "vocab.json"},
      {"tokenizer.model", "x", "{}", "tokenizer.model: the SentencePiece model is damaged"},
      {"tekken.json", "{}", "{}", "tekken.json: a tokenizer of this kind is not supported"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char dir[] = "/tmp/test_tokenizer_class.XXXXXX";
    struct tokenizer *t;
    struct error err = {0}, ignored;
    assert_non_null(mkdtemp(dir));
    put(dir, cases[i].name, cases[i].text);
    put(dir, "tokenizer_config.json", cases[i].config);
    enum status status = tokenizer_open(&t, dir, &err);
    if (status != STATUS_MODEL_INVALID || t || !strstr(err.text, cases[i].says))
      fail_msg("case %zu: status %d, \"%s\"", i, (int)status, err.text);
    assert_int_equal(file_remove_tree(dir, &ignored), STATUS_OK);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(directories_equal_the_reference),
      cmocka_unit_test(what_cannot_be_read_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
