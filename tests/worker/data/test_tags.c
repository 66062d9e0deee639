/* Words and their tags: every line fits, or is refused at its place; a validation file has no other tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker/data/data_file.h"
#include "worker/data/tags.h"

static const struct job_spec plain = {.columns = {.tokens = "tokens", .tags = "tags"}};

static enum status load(struct dataset *out, const struct job_spec *spec, const char *text, const struct dataset *like,
                        struct error *err) {
  *err = (struct error){0};
  put_data(text);
  return tags_load(out, data_file, "x.jsonl", spec, like, err);
}

static void reads_words(void **state) {
  (void)state;
  static const char training[] =
      "{\"id\":0,\"tokens\":[\"Ada\",\"met\",\"Bo\"],\"ner_tags\":[\"B-PER\",\"O\",\"B-PER\"]}\n"
      "{\"tokens\":[\"a b\"],\"ner_tags\":[\"I-LOC\"]}\n";
  struct dataset d, v;
  struct error err;
  assert_int_equal(load(&d, &plain, training, NULL, &err), STATUS_OK);
  assert_int_equal(d.count, 2);
  assert_int_equal(d.num_labels, 3);
  assert_string_equal(d.label_names[0], "B-PER");
  assert_string_equal(d.label_names[1], "I-LOC");
  assert_string_equal(d.label_names[2], "O");
  static const uint32_t classes[] = {0, 2, 0, 1};
  assert_memory_equal(d.marks, classes, sizeof classes);
  assert_true(d.examples[0].mark_count == 3 && d.examples[1].first_mark == 3 && d.examples[1].mark_count == 1);
  assert_string_equal(d.words[3].text, "a b");
  assert_int_equal(d.words[2].length, 2);
  assert_int_equal(d.examples[1].line, 2);
  assert_int_equal(load(&v, &plain, "{\"tokens\":[\"x\",\"y\"],\"labels\":[\"O\",\"I-LOC\"]}\n", &d, &err), STATUS_OK);
  assert_true(v.num_labels == 3 && v.marks[0] == 2 && v.marks[1] == 1);
  dataset_done(&v);
  assert_int_equal(load(&v, &plain, "{\"tokens\":[\"x\",\"y\"],\"tags\":[\"O\",\"B-LOC\"]}\n", &d, &err),
                   STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "line 1, column 28: the tag B-LOC does not occur in the training file"));
  assert_string_equal(err.param, "tags");
  dataset_done(&d);
}

static void the_job_names_them(void **state) {
  (void)state;
  static const struct job_spec own = {.columns = {.tokens = "words", .tags = "pos"}};
  struct dataset d;
  struct error err;
  assert_int_equal(load(&d, &own, "{\"words\":[\"x\",\"y\"],\"pos\":[\"A\",\"B\"],\"tags\":[1]}\n", NULL, &err),
                   STATUS_OK);
  assert_int_equal(d.num_labels, 2);
  dataset_done(&d);
}

static void refuses_what_does_not_fit(void **state) {
  (void)state;
#define GOOD "{\"tokens\":[\"a\",\"b\"],\"tags\":[\"X\",\"O\"]}\n"
  static const struct {
    const char *text, *param, *says;
  } cases[] = {
      {GOOD "{\"tokens\":[\"a\",\"b\"],\"tags\":[\"O\"]}\n", "tags",
       "line 2, column 28: tags has 1 entries, tokens has 2"},
      {GOOD "{\"tokens\":[],\"tags\":[]}\n", "tokens", "line 2, column 11: tokens has no words"},
      {GOOD "{\"tokens\":[\"a\",\"\"],\"tags\":[\"O\",\"O\"]}\n", "tokens", "tokens has an empty word as its entry 2"},
      {GOOD "{\"tokens\":[\"a\"],\"tags\":[\"\"]}\n", "tags", "tags has a label of 0 bytes as its entry 1"},
      {GOOD "{\"tokens\":[\"a\"],\"tags\":[3]}\n", "tags",
       "tags has an integer as its entry 1; each label must be a string, the name of a class"},
      {GOOD "{\"tokens\":[\"a\"]}\n", "tags", "line 2, column 1: no member tags"},
      {GOOD "{\"tokens\":\"a\",\"tags\":[\"O\"]}\n", "tokens",
       "tokens must be a list of words, as [\"a\", \"b\"], not a string"},
      {GOOD "{\"tokens\":[7],\"tags\":[\"O\"]}\n", "tokens",
       "tokens has an integer as its entry 1; each word must be a string"},
      {"{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n", "tags", "every word has the tag O; at least two are needed"},
      {"{\"tokens\":[\"a\"],\"tags\":[\"O\"],\"ner_tags\":[\"O\"]}\n", "tags", "dataset.tags names the one to use"},
      {"{\"tokens\":[\"a\"]}\n", "", "no list of tags (tags, ner_tags or labels); dataset.tags names it"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset d;
    struct error err;
    if (load(&d, &plain, cases[i].text, NULL, &err) != STATUS_DATASET_INVALID || !strstr(err.text, cases[i].says) ||
        strcmp(err.param, cases[i].param) != 0)
      fail_msg("%s: %s: %s", cases[i].text, err.param, err.text);
  }
}

static void tables_have_no_lists(void **state) {
  (void)state;
  struct dataset d;
  struct error err = {0};
  put_data("tokens,tags\na b,O O\n");
  assert_int_equal(tags_load(&d, data_file, "x.csv", &plain, NULL, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "words with their tags are read of JSON Lines"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_words),
      cmocka_unit_test(the_job_names_them),
      cmocka_unit_test(refuses_what_does_not_fit),
      cmocka_unit_test(tables_have_no_lists),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
