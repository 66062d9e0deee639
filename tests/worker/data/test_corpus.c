/* A corpus is made in parts by several threads: it is the same on any number of them, and of several faults the first
   one in the file is told, as if one thread had read it line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "tests/worker/text/family.h"
#include "worker/data/corpus.h"
#include "worker/data/tags.h"

enum { LINES = 4000, DATA_MAX = 8 << 20, NEVER = LINES + 1 };

static struct pool *open_pool(int threads) {
  struct pool *pool;
  struct error err = {0};
  assert_int_equal(pool_new(&pool, threads, &err), STATUS_OK);
  return pool;
}

/* Prompts and completions of many lengths; empty lines in between. The completions of lines `bad` and behind are
   empty. */
static void put_completions(bool csv, size_t bad, const char *end) {
  struct str text;
  str_init(&text, DATA_MAX);
  str_puts(&text, csv ? "prompt,completion\n" : "");
  for (size_t line = 1 + csv; line <= LINES; line++) {
    if (line % 97 == 0) {
      str_puts(&text, "\n");
      continue;
    }
    str_puts(&text, csv ? "\"" : "{\"prompt\":\"");
    for (size_t i = 0; i < line % 23; i++)
      str_printf(&text, csv ? "the clips, \"\"%zu\"\" " : "the clips, %zu ", line * i);
    str_printf(&text, csv ? "\",%s" : "\",\"completion\":\"%s", line >= bad ? "" : "and 42");
    str_puts(&text, csv ? "\n" : "\"}\n");
  }
  str_puts(&text, end);
  assert_false(text.failed);
  put_data(text.text);
  str_done(&text);
}

static enum status read_with(struct corpus *out, int threads, const char *name, const struct tokenizer *tokenizer,
                             struct error *err) {
  struct language_options options = {.text = "text",
                                     .messages = "messages",
                                     .prompt = "prompt",
                                     .completion = "completion",
                                     .eos = {.id = 0, .count = 1, .ids = {0}},
                                     .max_length = 120,
                                     .vocabulary = 100000};
  struct pool *pool = open_pool(threads);
  *err = (struct error){0};
  enum status status = corpus_read(out, data_file, name, tokenizer, &options, FAMILIES "smollm", NULL, pool, NULL, err);
  pool_free(pool);
  return status;
}

static void assert_same(const struct corpus *a, const struct corpus *b) {
  size_t tokens = a->cu_seqlens[a->count];
  assert_int_equal(a->count, b->count);
  assert_memory_equal(a->cu_seqlens, b->cu_seqlens, (a->count + 1) * sizeof *a->cu_seqlens);
  assert_memory_equal(a->token_ids, b->token_ids, tokens * sizeof *a->token_ids);
  assert_memory_equal(a->token_type_ids, b->token_type_ids, tokens);
  assert_int_equal(a->loss_mask != NULL, b->loss_mask != NULL);
  if (a->loss_mask)
    assert_memory_equal(a->loss_mask, b->loss_mask, tokens);
  assert_int_equal(a->longest, b->longest);
  assert_int_equal(a->truncated, b->truncated);
  assert_memory_equal(a->notes, b->notes, sizeof a->notes);
}

static void any_number_of_threads(void **state) {
  (void)state;
  struct tokenizer *tokenizer = open_family("smollm");
  for (int csv = 0; csv < 2; csv++) {
    const char *name = csv ? "x.csv" : "x.jsonl";
    struct corpus one, three;
    struct error err;
    put_completions(csv, NEVER, "");
    assert_int_equal(read_with(&one, 1, name, tokenizer, &err), STATUS_OK);
    assert_int_equal(read_with(&three, 3, name, tokenizer, &err), STATUS_OK);
    assert_int_equal(one.count + one.notes[NOTE_CUT_OFF].count, LINES - csv - LINES / 97);
    assert_true(one.notes[NOTE_CUT_OFF].count > 0 && one.notes[NOTE_CUT_OFF].line > 1);
    assert_same(&one, &three);
    corpus_done(&one);
    corpus_done(&three);
  }
  tokenizer_free(tokenizer);
}

static void expect_fault(bool csv, size_t bad, const char *end, const char *want) {
  struct tokenizer *tokenizer = open_family("smollm");
  for (int threads = 1; threads <= 3; threads += 2) {
    struct corpus c;
    struct error err;
    put_completions(csv, bad, end);
    assert_int_equal(read_with(&c, threads, csv ? "x.csv" : "x.jsonl", tokenizer, &err), STATUS_DATASET_INVALID);
    if (!strstr(err.text, want))
      fail_msg("%s, but not: %s", err.text, want);
  }
  tokenizer_free(tokenizer);
}

static void the_first_fault(void **state) {
  (void)state;
  expect_fault(false, 1000, "", "line 1000, column ");
  expect_fault(false, 3999, "", "line 3999, column ");
  expect_fault(true, 1500, "\"never closed", "line 1500, column ");
  expect_fault(true, NEVER, "\"never closed", "line 4001, column 1: a quote is opened here and ");
  expect_fault(false, NEVER, "{\"prompt\":\"a\"", "line 4001, column ");
  expect_fault(false, NEVER, "{\"text\":\"another kind\"}\n", "line 1 has");
  expect_fault(false, NEVER, "\xFF", "line 4001, column 1: the byte 0xFF");
}

/* Examples of a classifier: their labels stay beside their tokens. */
static void classifiers(void **state) {
  (void)state;
  struct tokenizer *tokenizer;
  struct pool *pools[2] = {open_pool(1), open_pool(3)};
  struct dataset_columns columns = {"text", "text_pair", "label", PROBLEM_AUTO, false, NULL};
  struct dataset d;
  struct corpus c[2];
  struct error err = {0};
  struct str text;
  str_init(&text, DATA_MAX);
  str_puts(&text, "text,label\n");
  for (size_t i = 0; i < LINES; i++)
    str_printf(&text, "the %zu clips of a %zu,%s\n", i * i, i % 7, i % 3 ? "b" : "a");
  put_data(text.text);
  str_done(&text);
  assert_int_equal(tokenizer_open(&tokenizer, "tests/worker/text/tokenizers/uncased", &err), STATUS_OK);
  assert_int_equal(dataset_load(&d, data_file, "x.csv", &columns, NULL, &err), STATUS_OK);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(corpus_make(&c[i], &d, tokenizer, 12, 100000, 2, pools[i], NULL, &err), STATUS_OK);
    assert_int_equal(c[i].count, LINES);
    for (size_t k = 0; k < LINES; k++)
      assert_int_equal(c[i].labels[k], k % 3 ? 1 : 0);
  }
  assert_same(&c[0], &c[1]);
  assert_true(c[0].truncated > 0);
  for (size_t i = 0; i < 2; i++) {
    corpus_done(&c[i]);
    assert_int_equal(corpus_make(&c[i], &d, tokenizer, 1, 100000, 2, pools[i], NULL, &err), STATUS_INVALID_VALUE);
    assert_non_null(strstr(err.text, "line 2: "));
    pool_free(pools[i]);
  }
  dataset_done(&d);
  tokenizer_free(tokenizer);
}

/* The first token of each word is its row; what is cut off, or makes no token, has none. */
static void words(void **state) {
  (void)state;
  static const struct job_spec spec = {.columns = {.tokens = "tokens", .tags = "tags"}};
  struct tokenizer *tokenizer;
  struct pool *pool = open_pool(2);
  struct dataset d;
  struct corpus c;
  struct error err = {0};
  put_data("{\"tokens\":[\"the\",\"clips\",\"\\u200b\",\"of\",\"a\"],\"tags\":[\"a\",\"b\",\"a\",\"b\",\"a\"]}\n"
           "{\"tokens\":[\"of\"],\"tags\":[\"b\"]}\n");
  assert_int_equal(tokenizer_open(&tokenizer, "tests/worker/text/tokenizers/uncased", &err), STATUS_OK);
  assert_int_equal(tags_load(&d, data_file, "x.jsonl", &spec, NULL, &err), STATUS_OK);
  assert_int_equal(corpus_make(&c, &d, tokenizer, 100, 100000, 2, pool, NULL, &err), STATUS_OK);
  assert_true(c.count == 2 && c.truncated == 0 && !c.labels && c.cu_marks[1] == 5 && c.cu_marks[2] == 6);
  const uint32_t *rows = c.mark_rows, tokens = (uint32_t)c.cu_seqlens[1];
  assert_true(rows[0] == 1 && rows[1] == 2 && rows[2] == WORD_NONE && rows[3] > rows[1] && rows[4] == rows[3] + 1);
  assert_true(rows[4] + 2 == tokens && rows[5] == 1); /* one token, then [SEP] */
  assert_true(corpus_words(&c, 0) == 4 && corpus_words(&c, 1) == 1);
  uint32_t cut = rows[3] + 1; /* [SEP] in the place of "of" */
  corpus_done(&c);
  assert_int_equal(corpus_make(&c, &d, tokenizer, cut, 100000, 2, pool, NULL, &err), STATUS_OK);
  assert_true(c.truncated == 1 && c.mark_rows[1] == 2 && c.mark_rows[3] == WORD_NONE && c.mark_rows[4] == WORD_NONE);
  corpus_done(&c);
  assert_int_equal(corpus_make(&c, &d, tokenizer, 2, 100000, 2, pool, NULL, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "line 1: the model's tokenizer makes nothing of its words that fits into 2 tokens"));
  dataset_done(&d);
  tokenizer_free(tokenizer);
  pool_free(pool);
}

struct beats {
  size_t count, stop_at;
};

static enum status beat(void *with, struct error *err) {
  struct beats *beats = with;
  beats->count++;
  return beats->count >= beats->stop_at ? error_set(err, STATUS_CANCELLED, NULL, "told to stop") : STATUS_OK;
}

/* Many conversations of a template that takes its time. */
static enum status read_slowly(struct corpus_watch *watch, int threads, size_t lines, struct error *err) {
  static const char slow[] = "{% for i in range(60000) %}{% if i > 60000 %}{% endif %}{% endfor %}"
                             "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}";
  struct language_options options = {.text = "text",
                                     .messages = "messages",
                                     .prompt = "prompt",
                                     .completion = "completion",
                                     .chat_template = slow,
                                     .eos = {.id = -1},
                                     .max_length = 120,
                                     .vocabulary = 100000};
  struct tokenizer *tokenizer = open_family("smollm");
  struct pool *pool = open_pool(threads);
  struct corpus c;
  struct str text;
  str_init(&text, DATA_MAX);
  for (size_t i = 0; i < lines; i++)
    str_puts(&text, CHAT(USER("q") "," SAYS("a")));
  put_data(text.text);
  str_done(&text);
  *err = (struct error){0};
  enum status status =
      corpus_read(&c, data_file, "x.jsonl", tokenizer, &options, FAMILIES "smollm", NULL, pool, watch, err);
  if (!status)
    corpus_done(&c);
  pool_free(pool);
  tokenizer_free(tokenizer);
  return status;
}

/* A reading that takes long is heard of, and ends when it is told to: nothing waits for the end of the file. */
static void long_readings_are_watched(void **state) {
  (void)state;
  for (int threads = 1; threads <= 3; threads += 2) {
    struct beats beats = {.stop_at = 4};
    struct corpus_watch watch = {.beat = beat, .with = &beats};
    struct error err;
    double start = clock_seconds();
    assert_int_equal(read_slowly(&watch, threads, 20000, &err), STATUS_CANCELLED);
    assert_string_equal(err.text, "told to stop");
    assert_int_equal(beats.count, 4);
    assert_true(clock_seconds() - start < 30); /* all of it takes many minutes */
  }
  struct beats beats = {.stop_at = NEVER};
  struct corpus_watch watch = {.beat = beat, .with = &beats};
  struct error err;
  assert_int_equal(read_slowly(&watch, 2, 3, &err), STATUS_OK);
  assert_true(beats.count > 0);
}

static void refuses_foreign_ids(void **state) {
  (void)state;
  static const int32_t bad[] = {1000, -1};
  uint8_t trained = 1;
  for (size_t i = 0; i < 2; i++) {
    struct corpus c = {0};
    struct error err = {0};
    assert_int_equal(corpus_append(&c, &bad[i], NULL, &trained, 1, 1000, &err), STATUS_MODEL_INVALID);
    assert_non_null(strstr(err.text, "vocab_size is 1000"));
    corpus_done(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_number_of_threads),
      cmocka_unit_test(the_first_fault),
      cmocka_unit_test(classifiers),
      cmocka_unit_test(words),
      cmocka_unit_test(long_readings_are_watched),
      cmocka_unit_test(refuses_foreign_ids),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
