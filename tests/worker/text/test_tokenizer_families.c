/* Each family of tokenizers gives the ids, types, ends and decoded texts that the reference gives, from
   tokenizer.json, from a SentencePiece model and from GGUF (make_family_cases.py). Damaged models are
   refused, long and hostile texts take linear time. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "worker/text/tokenizer.h"

#define DIRECTORY "tests/worker/text/families/"

static void assert_ints(const char *what, const char *shown, const json_t *want, const int32_t *got, size_t count) {
  bool same = json_array_size(want) == count;
  for (size_t i = 0; same && i < count; i++)
    same = json_integer_value(json_array_get(want, i)) == got[i];
  if (!same)
    fail_msg("%s: other %s (%zu)", shown, what, count);
}

static void assert_decoded(const struct tokenizer *t, const char *shown, const json_t *want,
                           const struct encoding *from, bool skip_special) {
  struct str text;
  str_init(&text, 1 << 20);
  assert_true(tokenizer_decode(t, &text, from->ids, from->count, skip_special));
  if (text.length != json_string_length(want) || memcmp(text.text, json_string_value(want), text.length) != 0)
    fail_msg("%s: decoded to \"%s\"", shown, text.text);
  str_done(&text);
}

/* What is left out of a case is the text itself, or zeros; ends that are left out are not looked at. */
static void check_case(const struct tokenizer *t, struct encoding *out, const json_t *c) {
  const json_t *text = json_object_get(c, "text"), *pair = json_object_get(c, "pair");
  const json_t *types = json_object_get(c, "types"), *decoded = json_object_get(c, "decoded");
  const json_t *skipped = json_object_get(c, "skipped");
  struct error err = {0};
  char *shown = json_dumps(c, JSON_ENSURE_ASCII);
  if (tokenizer_encode(t, out, json_string_value(text), json_string_length(text), json_string_value(pair),
                       json_string_length(pair), 0, &err))
    fail_msg("%s: %s", shown, err.text);
  assert_null(out->ends);
  assert_ints("ids", shown, json_object_get(c, "ids"), out->ids, out->count);
  if (types)
    assert_ints("types", shown, types, out->type_ids, out->count);
  for (size_t i = 0; !types && i < out->count; i++)
    assert_int_equal(out->type_ids[i], 0);
  assert_decoded(t, shown, decoded ? decoded : text, out, false);
  assert_decoded(t, shown, skipped ? skipped : text, out, true);
  assert_int_equal(tokenizer_encode_plain(t, out, json_string_value(text), json_string_length(text), &err), STATUS_OK);
  if (json_object_get(c, "ends"))
    assert_ints("ends", shown, json_object_get(c, "ends"), (const int32_t *)out->ends, out->count);
  free(shown);
}

static void check_cases(const struct tokenizer *t, const char *cases) {
  char path[256], line[65536];
  struct encoding out;
  size_t count = 0;
  snprintf(path, sizeof path, DIRECTORY "%s/cases.jsonl", cases);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  encoding_init(&out);
  for (; fgets(line, sizeof line, file); count++) {
    json_t *c = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(c);
    check_case(t, &out, c);
    check_case(t, &out, c); /* with its words remembered */
    json_decref(c);
  }
  fclose(file);
  encoding_done(&out);
  assert_true(count >= 35);
}

static struct tokenizer *open_directory(const char *name) {
  char path[256];
  struct tokenizer *t;
  struct error err = {0};
  snprintf(path, sizeof path, DIRECTORY "%s", name);
  if (tokenizer_open(&t, path, &err))
    fail_msg("%s: %s", name, err.text);
  return t;
}

static struct tokenizer *open_gguf(const char *name) {
  char path[256];
  struct gguf gguf;
  struct tokenizer *t;
  struct error err = {0};
  snprintf(path, sizeof path, DIRECTORY "%s/model.gguf", name);
  if (gguf_open(&gguf, path, &err) || tokenizer_from_gguf(&t, &gguf, &err))
    fail_msg("%s: %s", name, err.text);
  gguf_close(&gguf);
  return t;
}

static void files_equal_the_reference(void **state) {
  (void)state;
  static const char *const names[] = {"gpt2",   "roberta",          "smollm", "llama3", "qwen2", "clip",
                                      "llama2", "llama2_metaspace", "gemma",  "t5",     "odd",   "deberta_spm",
                                      "tekken", "o200k", "deepseek3", "deepseek_coder", "qwen35", "bloom", "bailing",
                                      "superbpe", "falcon"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    struct tokenizer *t = open_directory(names[i]);
    check_cases(t, names[i]);
    tokenizer_free(t);
  }
}

static void gguf_equals_the_reference(void **state) {
  (void)state;
  static const char *const names[][2] = {
      {"smollm_gguf", "smollm_gguf"}, {"llama_gguf", "llama2"}, {"t5_gguf", "t5"}, {"bert_gguf", "bert_gguf"},
      {"tekken", "tekken"}, {"o200k", "o200k"}, {"deepseek3", "deepseek3"}, {"deepseek_coder", "deepseek_coder"},
      {"qwen35", "qwen35"}, {"bloom", "bloom"}, {"bailing", "bailing"}, {"superbpe", "superbpe"}};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    struct tokenizer *t = open_gguf(names[i][0]);
    check_cases(t, names[i][1]);
    tokenizer_free(t);
  }
}

static void answers_questions(void **state) {
  (void)state;
  struct tokenizer_template template;
  struct tokenizer *t = open_directory("smollm");
  tokenizer_get_template(t, &template);
  assert_int_equal(template.before_count + template.after_count, 0);
  assert_int_equal(tokenizer_id(t, "<|im_end|>"), 2);
  assert_true(tokenizer_is_special(t, 2));
  assert_false(tokenizer_is_special(t, 100));
  assert_false(tokenizer_is_special(t, tokenizer_id(t, "<tool>")));
  assert_true(tokenizer_is_added(t, 2));
  assert_true(tokenizer_is_added(t, tokenizer_id(t, "<tool>")));
  assert_false(tokenizer_is_added(t, 100));
  assert_false(tokenizer_is_added(t, -1));
  assert_int_equal(tokenizer_id(t, "<sp>"), tokenizer_vocab_size(t) - 1);
  assert_false(tokenizer_is_special(t, -1));
  assert_false(tokenizer_is_special(t, tokenizer_vocab_size(t)));
  assert_true(tokenizer_id(t, "\xC4\xA0" "c") > 0);  /* as the file writes " c" */
  tokenizer_free(t);
  t = open_directory("roberta");
  tokenizer_get_template(t, &template);
  assert_int_equal(template.before_count, 1);
  assert_int_equal(template.before[0], 0);
  assert_int_equal(template.after_count, 1);
  assert_int_equal(template.after[0], 2);
  assert_int_equal(tokenizer_pad_id(t), 1);
  tokenizer_free(t);
}

/* A character whose bytes are several tokens ends them all; ids beyond the vocabulary decode to nothing. */
static void ends_share_characters(void **state) {
  (void)state;
  struct tokenizer *t = open_directory("gpt2");
  struct encoding out;
  struct error err;
  struct str text;
  encoding_init(&out);
  assert_int_equal(tokenizer_encode_plain(t, &out, "\xF0\x9F\x99\x82z", 5, &err), STATUS_OK);
  assert_int_equal(out.count, 5);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(out.ends[i], 4);
  assert_int_equal(out.ends[4], 5);
  str_init(&text, 100);
  static const int32_t wild[] = {-1, 1 << 20, INT32_MAX, INT32_MIN};
  assert_true(tokenizer_decode(t, &text, wild, COUNT_OF(wild), false));
  assert_string_equal(text.text, "");
  assert_true(tokenizer_decode(t, &text, out.ids, 2, false));  /* half a character */
  assert_string_equal(text.text, "\xEF\xBF\xBD");
  str_done(&text);
  encoding_done(&out);
  tokenizer_free(t);
}

/* Every beginning of the file, and the file with each byte changed, is read or refused. */
static void damaged_spm_models_are_refused(void **state) {
  (void)state;
  char dir[] = "/tmp/test_spm.XXXXXX", path[128], *bytes;
  size_t length, refused = 0;
  struct tokenizer *t;
  struct error err = {0};
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/config.json", dir);
  assert_int_equal(file_put(path, "{\"model_type\":\"deberta-v2\"}", 27, &err), STATUS_OK);
  assert_int_equal(file_read(&bytes, &length, DIRECTORY "deberta_spm/spm.model", 1 << 20, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/spm.model", dir);
  for (size_t i = 0; i < length; i += 7) {
    char kept = bytes[i];
    for (int change = 0; change < 2; change++) {
      bytes[i] = (char)(kept ^ (change ? 0x80 : 0));
      FILE *file = fopen(path, "w");
      assert_non_null(file);
      assert_int_equal(fwrite(bytes, 1, change ? length : i, file), change ? length : i);
      fclose(file);
      enum status status = tokenizer_open(&t, dir, &err);
      assert_true(status == STATUS_OK || (status == STATUS_MODEL_INVALID && !t && strstr(err.text, "spm.model")));
      refused += status != STATUS_OK;
      tokenizer_free(t);
    }
    bytes[i] = kept;
  }
  assert_true(refused > length / 14);
  snprintf(path, sizeof path, "%s/config.json", dir);
  assert_int_equal(file_put(path, "{\"model_type\":\"bart\"}", 21, &err), STATUS_OK);
  assert_int_equal(tokenizer_open(&t, dir, &err), STATUS_MODEL_INVALID);
  free(bytes);
  assert_int_equal(file_remove_tree(dir, &err), STATUS_OK);
}

/* A small GGUF tokenizer with one thing wrong. */
struct gguf_case {
  const char *model, *pre, *merge, *says;
  bool no_tokens, short_scores, wrong_scores, infinite_score, wrong_type, far_id;
};

static void write_case(const char *path, const struct gguf_case *c) {
  static const struct gguf_string tokens[] = {{"<unk>", 5}, {"a", 1}, {"b", 1}, {"ab", 2}};
  static const float scores[] = {0, -1, -2, -3}, infinite[] = {0, -1, (float)INFINITY, -3};
  static const int32_t types[] = {2, 1, 1, 1}, wild[] = {2, 1, 1, 99};
  const struct gguf_string merge = {c->merge, c->merge ? strlen(c->merge) : 0};
  struct gguf_writer *writer;
  struct error err = {0};
  assert_int_equal(gguf_writer_open(&writer, path, &err), STATUS_OK);
  gguf_writer_string(writer, "tokenizer.ggml.model", c->model, strlen(c->model));
  if (c->pre)
    gguf_writer_string(writer, "tokenizer.ggml.pre", c->pre, strlen(c->pre));
  if (!c->no_tokens)
    gguf_writer_strings(writer, "tokenizer.ggml.tokens", tokens, 4);
  if (c->wrong_scores)
    gguf_writer_i32s(writer, "tokenizer.ggml.scores", types, 4);
  else
    gguf_writer_f32s(writer, "tokenizer.ggml.scores", c->infinite_score ? infinite : scores, c->short_scores ? 3 : 4);
  gguf_writer_i32s(writer, "tokenizer.ggml.token_type", c->wrong_type ? wild : types, 4);
  if (c->merge)
    gguf_writer_strings(writer, "tokenizer.ggml.merges", &merge, 1);
  gguf_writer_u32(writer, "tokenizer.ggml.bos_token_id", c->far_id ? 4 : 1);
  gguf_writer_u32(writer, "tokenizer.ggml.eos_token_id", 2);
  gguf_writer_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
  gguf_writer_u32(writer, "tokenizer.ggml.seperator_token_id", 2);
  if (gguf_writer_finish(writer, NULL, NULL, &err))
    fail_msg("%s", err.text);
}

static void damaged_gguf_is_refused(void **state) {
  (void)state;
  static const struct gguf_case cases[] = {
      {.model = "gpt2", .pre = "gpt-2", .merge = "a b", .says = NULL},
      {.model = "llama", .says = NULL},
      {.model = "t5", .says = NULL},
      {.model = "bert", .says = NULL},
      {.model = "rwkv", .says = "the tokenizer \"rwkv\" is not supported"},
      {.model = "gpt2", .pre = "kimi-k2", .merge = "a b", .says = "the pre-tokenizer kimi-k2 is not supported"},
      {.model = "gpt2", .says = "tokenizer.ggml.merges is missing"},
      {.model = "gpt2", .merge = "b a", .says = "merges: item 0 is not two tokens that make a third"},
      {.model = "gpt2", .merge = "ab", .says = "merges: item 0 is not two tokens that make a third"},
      {.model = "gpt2", .merge = "", .says = "merges: item 0 is not two tokens that make a third"},
      {.model = "llama", .no_tokens = true, .says = "tokenizer.ggml.tokens is missing"},
      {.model = "llama", .short_scores = true, .says = "tokenizer.ggml.scores has 3 items for 4 tokens"},
      {.model = "llama", .wrong_scores = true, .says = "tokenizer.ggml.scores"},
      {.model = "t5", .infinite_score = true, .says = "tokenizer.ggml.scores: item 2 is not finite"},
      {.model = "t5", .wrong_type = true, .says = "tokenizer.ggml.token_type: item 3 is not a type"},
      {.model = "llama", .far_id = true, .says = "tokenizer.ggml.bos_token_id is beyond the vocabulary"},
  };
  char path[] = "/tmp/test_gguf_tokenizer.XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct gguf gguf;
    struct tokenizer *t;
    struct error err = {0};
    write_case(path, &cases[i]);
    assert_int_equal(gguf_open(&gguf, path, &err), STATUS_OK);
    enum status status = tokenizer_from_gguf(&t, &gguf, &err);
    bool good = cases[i].says ? status == STATUS_MODEL_INVALID && !t && strstr(err.text, cases[i].says)
                              : status == STATUS_OK && tokenizer_vocab_size(t) == 4;
    if (!good)
      fail_msg("case %zu: status %d, \"%s\"", i, (int)status, err.text);
    tokenizer_free(t);
    gguf_close(&gguf);
  }
  unlink(path);
}

/* One megabyte of each: quadratic work would take minutes. */
static void takes_linear_time(void **state) {
  (void)state;
  static const char *const names[] = {"gpt2", "llama3", "clip", "llama2", "t5", "odd"};
  static const char *const units[] = {"a", " ", "ab", "1", "-", "\n ", "\xCC\x81", "\xE6\x97\xA5", "<s", "<s>", "'"};
  enum { BYTES = 1 << 20 };
  struct encoding out;
  struct error err;
  char *text = malloc(BYTES);
  assert_non_null(text);
  encoding_init(&out);
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    struct tokenizer *t = open_directory(names[k]);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
      size_t unit = strlen(units[i]), length = 0;
      for (; length + unit <= BYTES; length += unit)
        memcpy(text + length, units[i], unit);
      double start = clock_seconds();
      assert_int_equal(tokenizer_encode(t, &out, text, length, NULL, 0, 128, &err), STATUS_OK);
      if (clock_seconds() - start > 20)
        fail_msg("%s, unit %zu: %.1f s for a megabyte", names[k], i, clock_seconds() - start);
    }
    tokenizer_free(t);
  }
  free(text);
  encoding_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_equal_the_reference), cmocka_unit_test(gguf_equals_the_reference),
      cmocka_unit_test(answers_questions),         cmocka_unit_test(ends_share_characters),
      cmocka_unit_test(damaged_spm_models_are_refused), cmocka_unit_test(damaged_gguf_is_refused),
      cmocka_unit_test(takes_linear_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
