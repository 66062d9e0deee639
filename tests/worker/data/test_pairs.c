/* Files of pairs are what their first line has, whatever of the usual names its columns have, and every fault is told
   at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "worker/data/pairs.h"

static struct job_spec spec = {
    .columns = {.text = "text", .text_pair = "text_pair", .label = "label", .negative = "negative"}};

static enum status load(struct dataset *out, const char *text, enum job_output output, const struct dataset *like,
                        struct error *err) {
  *err = (struct error){0};
  put_data(text);
  return pairs_load(out, data_file, *text == '{' ? "x.jsonl" : "x.csv", &spec, output, like, err);
}

/* "texts[ scored]: text/pair[/negative][=target][@group] ..." */
static void describe(struct str *out, const struct dataset *d, enum job_output output) {
  str_clear(out);
  str_printf(out, "%zu%s:", d->texts, d->scored ? " scored" : "");
  for (size_t i = 0; i < d->count; i++) {
    const struct example *e = &d->examples[i];
    assert_true(e->text_length == strlen(e->text) && e->pair_length == strlen(e->pair));
    str_printf(out, " %s/%s", e->text, e->pair);
    if (e->negative)
      str_printf(out, "/%s", e->negative);
    if (d->scored || output == OUTPUT_RELEVANCE)
      str_printf(out, "=%g", (double)e->target);
    if (d->grouped)
      str_printf(out, "@%u", e->group);
  }
}

static const struct {
  const char *text;
  enum job_output output;
  const char *want;
} good[] = {
    {"{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"c\",\"positive\":\"d\",\"note\":1}\n", OUTPUT_EMBEDDING,
     "2: a/b c/d"},
    {"{\"query\":\"a\",\"positive\":\"b\",\"negative\":\"n\"}\n", OUTPUT_EMBEDDING, "3: a/b/n"},
    {"anchor,positive,negative\na,b,c\n", OUTPUT_EMBEDDING, "3: a/b/c"},
    {"sentence1,sentence2,score\na,b,0.5\nc,d,-1\n", OUTPUT_EMBEDDING, "2 scored: a/b=0.5 c/d=-1"},
    {"text,text_pair,label\na,b,0\nc,d,1\n", OUTPUT_EMBEDDING, "2 scored: a/b=0 c/d=1"},
    {"query,passage,label\nq,b,0\nr,d,1\nq,c,1\n", OUTPUT_RELEVANCE, "1: q/b=0@0 r/d=1@1 q/c=1@0"},
    {"{\"query\":\"q\",\"document\":\"d\",\"score\":0.25}\n{\"query\":\"q\",\"document\":\"e\",\"score\":\"1\"}\n",
     OUTPUT_RELEVANCE, "1: q/d=0.25@0 q/e=1@0"},
};

static void reads_pairs(void **state) {
  (void)state;
  AUTO(str_done) struct str got;
  str_init(&got, 4096);
  for (size_t i = 0; i < COUNT_OF(good); i++) {
    struct dataset d;
    struct error err;
    if (load(&d, good[i].text, good[i].output, NULL, &err))
      fail_msg("%s: %s", good[i].text, err.text);
    describe(&got, &d, good[i].output);
    assert_string_equal(got.text, good[i].want);
    dataset_done(&d);
  }
}

static void faults_have_places(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum job_output output;
    const char *says;
  } cases[] = {
      {"{\"anchor\":\"a\"}\n", OUTPUT_EMBEDDING,
       "line 1, column 1: no column is named positive, sentence2, passage, document, answer or text_pair; "
       "dataset.text_pair names it"},
      {"{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"a\",\"positive\":3}\n", OUTPUT_EMBEDDING,
       "line 2, column 26: positive must be a string, not an integer"},
      {"{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"a\",\"positive\":\"\"}\n", OUTPUT_EMBEDDING,
       "line 2, column 26: positive is empty"},
      {"{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"a\",\"positive\":\"c\",\"negative\":\"d\"}\n",
       OUTPUT_EMBEDDING, "line 2, column 41: this line has negative, but the first has not"},
      {"anchor,positive,negative\na,b,c\nd,e,\n", OUTPUT_EMBEDDING, "line 3, column 5: negative is empty"},
      {"anchor,query,positive\na,b,c\n", OUTPUT_EMBEDDING,
       "line 2, column 1: there are both anchor and query; dataset.text names the one to use"},
      {"sentence1,sentence2,score\na,b,1\nc,d,5\n", OUTPUT_EMBEDDING,
       "line 3, column 5: score is 5; it must be from -1 to 1"},
      {"sentence1,sentence2,score\na,b,1\nc,d,high\n", OUTPUT_EMBEDDING,
       "line 3, column 5: score must be a number from -1 to 1"},
      {"sentence1,sentence2,score\na,b,1\nc,d,1\n", OUTPUT_EMBEDDING,
       "line 2, column 5: every example has the score 1; at least two are needed"},
      {"query,passage,label\nq,b,1\nr,d,-1\n", OUTPUT_RELEVANCE,
       "line 3, column 5: label is -1; it must be from 0 to 1"},
      {"query,passage\nq,b\n", OUTPUT_RELEVANCE, "no column is named score or label; dataset.label names it"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset d;
    struct error err;
    assert_int_equal(load(&d, cases[i].text, cases[i].output, NULL, &err), STATUS_DATASET_INVALID);
    if (!strstr(err.text, cases[i].says))
      fail_msg("%s: %s", cases[i].text, err.text);
  }
}

/* A job names its columns; a validation file is of the training file's kind. */
static void names_and_kinds(void **state) {
  (void)state;
  struct dataset training, validation;
  struct error err;
  spec.columns.text = "q";
  spec.columns.text_pair = "good";
  spec.columns.negative = "bad";
  assert_int_equal(load(&training, "anchor,q,good,bad\nx,a,b,c\n", OUTPUT_EMBEDDING, NULL, &err), STATUS_OK);
  assert_string_equal(training.examples[0].text, "a");
  assert_string_equal(training.examples[0].negative, "c");
  assert_int_equal(load(&validation, "q,good\na,b\n", OUTPUT_EMBEDDING, &training, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 1, column 1: no column is named bad");
  assert_int_equal(load(&validation, "q,good,bad\na,b,c\n", OUTPUT_EMBEDDING, &training, &err), STATUS_OK);
  dataset_done(&validation);
  spec.columns.negative = "negative";
  assert_int_equal(load(&validation, "q,good\na,b\n", OUTPUT_EMBEDDING, &training, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "this file has no scores and no negatives, the training file negatives"));
  dataset_done(&training);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(reads_pairs), cmocka_unit_test(faults_have_places),
                                     cmocka_unit_test(names_and_kinds)};
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
