/* Text becomes the ids that the Hugging Face library gives: every case that make_tokenizer_cases.py
   recorded, for three tokenizers. Files with anything else in them are refused by name; long and
   hostile texts take linear time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/worker/text/family.h"
#include "worker/text/tokenizer.h"

#define DIRECTORY "tests/worker/text/tokenizers/"

static int32_t item(const json_t *list, size_t i) {
  return (int32_t)json_integer_value(json_array_get(list, i));
}

static void check_case(const struct tokenizer *tokenizer, struct encoding *out, const json_t *c) {
  const json_t *text = json_object_get(c, "text"), *pair = json_object_get(c, "pair");
  const json_t *ids = json_object_get(c, "ids"), *types = json_object_get(c, "types");
  struct error err = {0};
  char *shown = json_dumps(c, JSON_ENSURE_ASCII);
  if (tokenizer_encode(tokenizer, out, json_string_value(text), json_string_length(text), json_string_value(pair),
                       json_string_length(pair), (size_t)json_integer_value(json_object_get(c, "max_length")), &err))
    fail_msg("%s: %s", shown, err.text);
  bool same = out->count == json_array_size(ids) && out->truncated == json_is_true(json_object_get(c, "truncated"));
  for (size_t i = 0; same && i < out->count; i++)
    same = out->ids[i] == item(ids, i) && out->type_ids[i] == item(types, i);
  if (!same)
    fail_msg("%s: got %zu tokens, truncated %d", shown, out->count, out->truncated);
  free(shown);
}

static void equals_the_reference(const char *directory) {
  assert_true(each_case(directory, check_case) >= 90);
}

static void uncased_equals_the_reference(void **state) {
  (void)state;
  equals_the_reference(DIRECTORY "uncased");
}

static void cased_equals_the_reference(void **state) {
  (void)state;
  equals_the_reference(DIRECTORY "cased");
}

static void added_tokens_and_odd_settings_equal_the_reference(void **state) {
  (void)state;
  equals_the_reference(DIRECTORY "odd");
}

static const char minimal[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"[PAD]\",\"normalized\":false}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\","
    "\"single\":[{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
    "\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
    "\"special_tokens\":{\"[CLS]\":{\"ids\":[2]}}},"
    "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"ab\":3,\"##c\":4}}}";

/* `minimal` with the first `from` replaced by `to`. */
static enum status parse_with(const char *from, const char *to, struct tokenizer **out, struct error *err) {
  char text[2048];
  const char *at = strstr(minimal, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - minimal), minimal, to, at + strlen(from));
  return tokenizer_parse(out, text, strlen(text), err);
}

static void reads_a_minimal_file(void **state) {
  (void)state;
  struct tokenizer *t;
  struct encoding out;
  struct error err;
  assert_int_equal(tokenizer_parse(&t, minimal, strlen(minimal), &err), STATUS_OK);
  assert_int_equal(tokenizer_vocab_size(t), 5);
  assert_int_equal(tokenizer_pad_id(t), 0);
  assert_int_equal(tokenizer_id(t, "##c"), 4);
  assert_int_equal(tokenizer_id(t, "nothing"), -1);
  encoding_init(&out);
  assert_int_equal(tokenizer_encode(t, &out, "ABC x", 5, NULL, 0, 0, &err), STATUS_OK);
  static const int32_t want[] = {2, 3, 4, 1};
  assert_int_equal(out.count, 4);
  assert_memory_equal(out.ids, want, sizeof want);
  encoding_done(&out);
  tokenizer_free(t);
  tokenizer_free(NULL);
}

/* Each word is a text of its own. */
static void encodes_words(void **state) {
  (void)state;
  static const struct word_text words[] = {{"ABC", 3}, {" ", 1}, {"x", 1}, {"ab", 2}};
  static const int32_t ids[] = {2, 3, 4, 1, 3};
  static const uint32_t firsts[] = {WORD_NONE, 0, WORD_NONE, 2, 3};
  struct tokenizer *t;
  struct encoding out;
  struct error err;
  assert_int_equal(tokenizer_parse(&t, minimal, strlen(minimal), &err), STATUS_OK);
  encoding_init(&out);
  assert_int_equal(tokenizer_encode_words(t, &out, words, 4, 0, &err), STATUS_OK);
  assert_int_equal(out.count, 5);
  assert_memory_equal(out.ids, ids, sizeof ids);
  assert_memory_equal(out.words, firsts, sizeof firsts);
  assert_int_equal(tokenizer_encode_words(t, &out, words, 4, 4, &err), STATUS_OK);
  assert_true(out.count == 4 && out.truncated);
  assert_memory_equal(out.words, firsts, 4 * sizeof *firsts);
  assert_int_equal(tokenizer_encode(t, &out, "abc", 3, NULL, 0, 0, &err), STATUS_OK);
  assert_null(out.words);
  encoding_done(&out);
  tokenizer_free(t);
}

static void refuses_other_components_by_name(void **state) {
  (void)state;
  static const struct {
    const char *from, *to, *says;
  } cases[] = {
      {"BertNormalizer", "Nmt", "normalizer: the type Nmt is not supported"},
      {"{\"type\":\"BertNormalizer\"}", "{}", "normalizer: a normalizer with a type is needed"},
      {"BertNormalizer", "Sequence", "normalizer: a Sequence needs an array normalizers"},
      {"{\"type\":\"BertNormalizer\"}", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a)\\\\1\"},\"content\":\"\"}",
       "normalizer: the regular expression (a)\\1 is not supported: an escape that is not supported (byte 5)"},
      {"{\"type\":\"BertNormalizer\"}", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}",
       "normalizer: pattern is empty"},
      {"{\"type\":\"BertNormalizer\"}", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////////AAAA\"}",
       "precompiled_charsmap is damaged"},
      {"BertPreTokenizer", "UnicodeScripts", "pre_tokenizer: the type UnicodeScripts is not supported"},
      {"BertPreTokenizer", "ByteLevel", "model: WordPiece cannot follow the pre-tokenizer ByteLevel"},
      {"{\"type\":\"BertPreTokenizer\"}",
       "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[[:alpha:]]\"},\"behavior\":\"Isolated\"}",
       "pre_tokenizer: the regular expression [[:alpha:]] is not supported: a class like [:alpha:]"},
      {"{\"type\":\"BertPreTokenizer\"}", "{\"type\":\"Metaspace\",\"prepend_scheme\":\"last\"}",
       "the prepend_scheme last is not supported"},
      {"{\"type\":\"BertPreTokenizer\"}",
       "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Metaspace\"}]}",
       "pre_tokenizer: Metaspace after ByteLevel is not supported"},
      {"TemplateProcessing", "RobertaProcessing", "RobertaProcessing: sep and cls need a token and its id"},
      {"TemplateProcessing", "Other", "post_processor: the type Other is not supported"},
      {"WordPiece", "WordLevel", "model: the type WordLevel is not supported"},
      {"WordPiece", "BPE", "model: merges must be an array"},
      {"\"type\":\"WordPiece\"", "\"type\":\"BPE\",\"merges\":[\"ab\"]", "merges: item 0 must be two tokens"},
      {"\"type\":\"WordPiece\"", "\"type\":\"BPE\",\"merges\":[[\"ab\",\"c\"]]",
       "merges: item 0 ends with a token that is not in the vocabulary"},
      {"\"type\":\"WordPiece\"", "\"type\":\"BPE\",\"merges\":[\"ab ab\"]",
       "merges: item 0 makes a token that is not in the vocabulary"},
      {"\"type\":\"WordPiece\"", "\"type\":\"BPE\",\"dropout\":0.1,\"merges\":[]", "dropout is not supported"},
      {"WordPiece", "Unigram", "vocab must be an array of tokens with scores"},
      {"{\"added", "{\"decoder\":{\"type\":\"CTC\"},\"added", "decoder: the type CTC is not supported"},
      {"\"vocab\":{", "\"vocab\":{\"x\":-1,", "has the id -1"},
      {"\"vocab\":{", "\"vocab\":{\"x\":16777216,", "has the id 16777216"},
      {"\"vocab\":{", "\"vocab\":{\"x\":\"1\",", "vocab: \"x\" has a string for an id"},
      {"\"[UNK]\":1,", "", "the unknown token \"[UNK]\" is not in it"},
      {"\"type\":\"WordPiece\",", "\"type\":\"WordPiece\",\"max_input_chars_per_word\":0,", "max_input_chars_per_word"},
      {"\"type\":\"BertNormalizer\"", "\"type\":\"BertNormalizer\",\"lowercase\":1", "lowercase must be true or false"},
      {"\"id\":0,\"content\"", "\"id\":3,\"content\"", "\"[PAD]\" has the id 3; the vocabulary makes it 0"},
      {"\"id\":0,\"content\":\"[PAD]\"", "\"id\":5,\"content\":\"\"", "the token of id 5 has 0 bytes"},
      {"{\"id\":0,\"content\":\"[PAD]\",\"normalized\":false}",
       "{\"id\":5,\"content\":\"\\u0301\",\"normalized\":true}", "is empty once normalized"},
      {"\"id\":\"A\"", "\"id\":\"C\"", "a Sequence must be A or B"},
      {"\"id\":\"B\"", "\"id\":\"A\"", "pair: each text must occur exactly once"},
      {"\"id\":\"[CLS]\"", "\"id\":\"[SEP]\"", "a SpecialToken is not listed"},
      {"\"ids\":[2]", "\"ids\":[9]", "an id beyond the vocabulary"},
      {"{\"added", "[{\"added", "line 1"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct tokenizer *t;
    struct error err = {0};
    enum status status = parse_with(cases[i].from, cases[i].to, &t, &err);
    if (status != STATUS_MODEL_INVALID || t || !strstr(err.text, cases[i].says))
      fail_msg("%s -> %s: status %d, \"%s\" should say \"%s\"", cases[i].from, cases[i].to, (int)status, err.text,
               cases[i].says);
  }
}

static void refuses_what_cannot_be_encoded(void **state) {
  (void)state;
  struct tokenizer *t;
  struct encoding out;
  struct error err;
  assert_int_equal(tokenizer_open(&t, DIRECTORY "uncased", &err), STATUS_OK);
  encoding_init(&out);
  assert_int_equal(tokenizer_encode(t, &out, "ab\xC3", 3, NULL, 0, 0, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.param, "text");
  assert_string_equal(err.text, "byte 3 (0xC3) is not UTF-8");
  assert_int_equal(tokenizer_encode(t, &out, "ab", 2, "\xED\xA0\x80", 3, 0, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.param, "text_pair");
  assert_int_equal(tokenizer_encode(t, &out, "ab", 2, NULL, 0, 1, &err), STATUS_INVALID_VALUE);
  assert_int_equal(tokenizer_encode(t, &out, "ab", 2, "c", 1, 2, &err), STATUS_INVALID_VALUE);
  assert_int_equal(tokenizer_encode(t, &out, "ab", 2, "c", 1, 3, &err), STATUS_OK);
  assert_int_equal(out.count, 3);
  encoding_done(&out);
  tokenizer_free(t);
}

/* 20 steps, each of which makes a thousand letters of one. */
static void a_text_grows_within_bounds(void **state) {
  (void)state;
  static const char replaced[] = "{\"type\":\"BertNormalizer\"}";
  const char *at = strstr(minimal, replaced);
  char many[1001];
  struct str file;
  struct tokenizer *t;
  struct encoding out;
  struct error err = {0};
  memset(many, 'o', sizeof many - 1);
  many[sizeof many - 1] = '\0';
  str_init(&file, 1 << 16);
  str_add(&file, minimal, (size_t)(at - minimal));
  str_puts(&file, "{\"type\":\"Sequence\",\"normalizers\":[");
  for (size_t i = 0; i < 20; i++)
    str_printf(&file, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"o\"},\"content\":\"%s\"}", i ? "," : "", many);
  str_puts(&file, "]}");
  str_puts(&file, at + strlen(replaced));
  assert_int_equal(tokenizer_parse(&t, file.text, file.length, &err), STATUS_OK);
  encoding_init(&out);
  assert_int_equal(tokenizer_encode(t, &out, "foo", 3, NULL, 0, 0, &err), STATUS_MODEL_INVALID);
  assert_string_equal(err.text, "the tokenizer's normalizer makes more than 64 times as much of a text of 3 bytes");
  assert_int_equal(tokenizer_encode(t, &out, "f", 1, NULL, 0, 0, &err), STATUS_OK);
  encoding_done(&out);
  tokenizer_free(t);
  str_done(&file);
}

static void reads_vocab_txt(void **state) {
  (void)state;
  static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\r\nhe\n##llo\n\xC3\xA9\n";
  char dir[] = "/tmp/test_tokenizer.XXXXXX", path[128];
  struct tokenizer *t;
  struct encoding out;
  struct error err = {0};
  assert_non_null(mkdtemp(dir));
  assert_int_equal(tokenizer_open(&t, dir, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "neither tokenizer.json nor vocab.txt"));
  snprintf(path, sizeof path, "%s/vocab.txt", dir);
  assert_int_equal(file_put(path, vocab, strlen(vocab), &err), STATUS_OK);
  encoding_init(&out);
  assert_int_equal(tokenizer_open(&t, dir, &err), STATUS_OK);
  assert_int_equal(tokenizer_encode(t, &out, "Hello \xC3\xA9", 8, "x", 1, 0, &err), STATUS_OK);
  static const int32_t plain[] = {2, 4, 5, 1, 3, 1, 3}; /* without its accent, e is unknown */
  assert_int_equal(out.count, 7);
  assert_memory_equal(out.ids, plain, sizeof plain);
  assert_int_equal(out.type_ids[4], 0);
  assert_int_equal(out.type_ids[5], 1);
  tokenizer_free(t);
  char config[160];
  snprintf(config, sizeof config, "%s/tokenizer_config.json", dir);
  static const char cased[] = "{\"do_lower_case\":false,\"cls_token\":{\"content\":\"[PAD]\"}}";
  assert_int_equal(file_put(config, cased, strlen(cased), &err), STATUS_OK);
  assert_int_equal(tokenizer_open(&t, dir, &err), STATUS_OK);
  assert_int_equal(tokenizer_encode(t, &out, "Hello \xC3\xA9", 8, NULL, 0, 0, &err), STATUS_OK);
  static const int32_t kept[] = {0, 1, 6, 3};
  assert_int_equal(out.count, 4);
  assert_memory_equal(out.ids, kept, sizeof kept);
  tokenizer_free(t);
  static const char other[] = "{\"tokenizer_class\":\"DebertaV2Tokenizer\"}";
  assert_int_equal(file_put(config, other, strlen(other), &err), STATUS_OK);
  assert_int_equal(tokenizer_open(&t, dir, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "DebertaV2Tokenizer"));
  encoding_done(&out);
  assert_int_equal(file_remove_tree(dir, &err), STATUS_OK);
}

/* One megabyte of each: quadratic work would take minutes. */
static void takes_linear_time(void **state) {
  (void)state;
  static const char *const units[] = {"a",
                                      " ",
                                      "^",
                                      "a ",
                                      "\xCC\x81",
                                      "\xCC\x95\xCC\x81",
                                      "\xF0\x9F\x91\xA9\xE2\x80\x8D",
                                      "\xE6\x97\xA5",
                                      "[MASK",
                                      "[MASK]",
                                      "\xE0\xBD\xB2\xE0\xBD\xB1"};
  enum { BYTES = 1 << 20 };
  struct tokenizer *t;
  struct encoding out;
  struct error err;
  char *text = malloc(BYTES);
  assert_non_null(text);
  assert_int_equal(tokenizer_open(&t, DIRECTORY "uncased", &err), STATUS_OK);
  encoding_init(&out);
  for (size_t i = 0; i < COUNT_OF(units); i++) {
    size_t unit = strlen(units[i]), length = 0;
    for (; length + unit <= BYTES; length += unit)
      memcpy(text + length, units[i], unit);
    double start = clock_seconds();
    assert_int_equal(tokenizer_encode(t, &out, text, length, NULL, 0, 128, &err), STATUS_OK);
    assert_true(out.count <= 128);
    if (clock_seconds() - start > 10)
      fail_msg("unit %zu: %.1f s for a megabyte", i, clock_seconds() - start);
  }
  free(text);
  encoding_done(&out);
  tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uncased_equals_the_reference),
      cmocka_unit_test(cased_equals_the_reference),
      cmocka_unit_test(added_tokens_and_odd_settings_equal_the_reference),
      cmocka_unit_test(reads_a_minimal_file),
      cmocka_unit_test(encodes_words),
      cmocka_unit_test(refuses_other_components_by_name),
      cmocka_unit_test(refuses_what_cannot_be_encoded),
      cmocka_unit_test(a_text_grows_within_bounds),
      cmocka_unit_test(reads_vocab_txt),
      cmocka_unit_test(takes_linear_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
