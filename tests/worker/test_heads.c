/* Proves that rows of a head and names of classes stay together: the data take the order of a base's head or of the
   adapter a job starts from, whatever the order of their names; names that differ in case, heads without names and
   classes without examples are told; a base's head of other classes is replaced, an adapter's refused, both lists
   named. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/data/tags.h"
#include "worker/heads.h"

static const char golden[] = "tests/golden/cases/bert-hra"; /* its head and its adapter's have 3 outputs */
static char root[] = "/tmp/test_heads.XXXXXX";
static struct error err;

static void put(const char *name, const char *text, size_t length) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", root, name);
  assert_int_equal(file_put(path, text, length, &err), STATUS_OK);
}

static void copy(const char *from, const char *to) {
  char path[300], *bytes;
  size_t length;
  snprintf(path, sizeof path, "%s/%s", golden, from);
  assert_int_equal(file_read(&bytes, &length, path, 1 << 22, &err), STATUS_OK);
  put(to, bytes, length);
  free(bytes);
}

static int set_up(void **state) {
  (void)state;
  char path[300];
  static const char *const folders[] = {"base", "job/adapter"};
  assert_non_null(mkdtemp(root));
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    snprintf(path, sizeof path, "%s/%s", root, folders[i]);
    assert_int_equal(file_mkdirs(path, &err), STATUS_OK);
  }
  copy("model/model.safetensors", "base/model.safetensors");
  copy("adapter/adapter_config.json", "job/adapter/adapter_config.json");
  copy("adapter/adapter_model.safetensors", "job/adapter/adapter_model.safetensors");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return file_remove_tree(root, NULL) != STATUS_OK;
}

struct outcome {
  enum status status;
  bool fresh;
  struct dataset training;
  char said[2000]; /* event lines */
};

/* The labels of a file of data, and then the head's names as `config` (base) or `labels` (the adapter) has them. */
static void settle(struct outcome *o, const char *data, const char *config, const char *labels) {
  char path[5][300];
  struct report report;
  struct dataset_columns columns = {"text", NULL, "label", PROBLEM_AUTO, false, NULL};
  struct dataset validation = {0};
  struct task task = {.model_dir = path[0], .start = labels ? path[1] : NULL};
  *o = (struct outcome){0};
  snprintf(path[0], sizeof path[0], "%s/base", root);
  snprintf(path[1], sizeof path[1], "%s/job/adapter", root);
  snprintf(path[2], sizeof path[2], "%s/data.jsonl", root);
  snprintf(path[3], sizeof path[3], "%s/events", root);
  snprintf(path[4], sizeof path[4], "%s/job/adapter/labels.json", root);
  put("data.jsonl", data, strlen(data));
  put("base/config.json", config, strlen(config));
  unlink(path[4]);
  if (labels && *labels)
    put("job/adapter/labels.json", labels, strlen(labels));
  static const struct job_spec words = {.columns = {.tokens = "tokens", .tags = "tags"}};
  if (strstr(data, "tokens")) {
    if (tags_load(&o->training, path[2], "data.jsonl", &words, NULL, &err) ||
        tags_load(&validation, path[2], "data.jsonl", &words, &o->training, &err))
      fail_msg("%s", err.text);
  } else if (dataset_load(&o->training, path[2], "data.jsonl", &columns, NULL, &err) ||
             dataset_load(&validation, path[2], "data.jsonl", &columns, &o->training, &err))
    fail_msg("%s", err.text);
  int fd = open(path[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
  report_init(&report, fd, -1);
  o->status = heads_settle(&o->fresh, &o->training, &validation, &task, &report, &err);
  assert_true(pread(fd, o->said, sizeof o->said - 1, 0) >= 0);
  close(fd);
  if (!o->status)
    for (size_t i = 0; i < validation.count; i++)
      assert_int_equal(validation.examples[i].label, o->training.examples[i].label);
  dataset_done(&validation);
}

static void done(struct outcome *o, const char *says) {
  if (*says ? !strstr(o->said, says) : *o->said)
    fail_msg("wanted \"%s\": %s", says, o->said);
  dataset_done(&o->training);
}

#define LINE(label) "{\"text\": \"a\", \"label\": " label "}\n"
#define THREE LINE("\"a\"") LINE("\"b\"") LINE("\"c\"")
#define BASE(members) "{\"model_type\": \"bert\"" members "}"
#define NAMES(a, b, c) "\"id2label\": {\"0\": \"" a "\", \"1\": \"" b "\", \"2\": \"" c "\"}"

static void has_names(const struct outcome *o, const char *a, const char *b, const char *c) {
  if (o->status)
    fail_msg("%s", err.text);
  assert_int_equal(o->training.num_labels, 3);
  assert_string_equal(o->training.label_names[0], a);
  assert_string_equal(o->training.label_names[1], b);
  assert_string_equal(o->training.label_names[2], c);
}

/* The classes of the examples, in the file's order. */
static void has_labels(const struct outcome *o, const uint32_t *labels) {
  for (size_t i = 0; i < o->training.count; i++)
    assert_int_equal(o->training.examples[i].label, labels[i]);
}

static void a_base_gives_its_order(void **state) {
  (void)state;
  struct outcome o;
  settle(&o, THREE, BASE(", " NAMES("c", "a", "b")), NULL);
  has_names(&o, "c", "a", "b");
  has_labels(&o, (const uint32_t[]){1, 2, 0});
  assert_false(o.fresh);
  done(&o, "");
  settle(&o, THREE, BASE(", " NAMES("C", "a", "b")), NULL);
  has_names(&o, "c", "a", "b");
  has_labels(&o, (const uint32_t[]){1, 2, 0});
  done(&o, "C, a, b (3) are taken as the training file's a, b, c (3), which are written in another case");
  settle(&o, THREE, BASE(""), NULL);
  has_names(&o, "a", "b", "c");
  assert_false(o.fresh);
  done(&o, "names none of its 3 outputs: they are taken, in their order, as a, b, c (3)");
  settle(&o, LINE("1") LINE("0") LINE("2"), BASE(", " NAMES("c", "a", "b")), NULL);
  has_names(&o, "c", "a", "b");
  has_labels(&o, (const uint32_t[]){1, 0, 2});
  done(&o, "the training file's labels 0 to 2 are the base's c, a, b (3)");
}

static void a_base_of_other_classes_gets_a_new_head(void **state) {
  (void)state;
  struct outcome o;
  settle(&o, THREE, BASE(", " NAMES("c", "a", "d")), NULL);
  has_names(&o, "a", "b", "c");
  assert_true(o.fresh);
  done(&o, "the base's head has the classes c, a, d (3), the training file the classes a, b, c (3): a new head");
  settle(&o, LINE("\"a\"") LINE("\"b\""), BASE(", " NAMES("c", "a", "b")), NULL); /* a part is not the whole */
  assert_true(o.fresh && o.training.num_labels == 2);
  done(&o, "a new head starts at random");
  settle(&o, LINE("0.5") LINE("1.5"), BASE(""), NULL);
  assert_true(o.fresh);
  done(&o, "the training file numbers: a new head");
  settle(&o, THREE, BASE(", \"architectures\": [\"BertForTokenClassification\"], " NAMES("a", "b", "c")), NULL);
  assert_true(o.fresh);
  done(&o, "that of a BertForTokenClassification");
  settle(&o, THREE, BASE(", \"problem_type\": \"multi_label_classification\", " NAMES("a", "b", "c")), NULL);
  assert_false(o.fresh);
  done(&o, "learns one class a text");
}

/* A head for tags is that of a token classifier, and no other is. */
static void tags_have_a_head_of_their_own(void **state) {
  (void)state;
#define TAGGED "{\"tokens\": [\"x\", \"y\", \"z\"], \"tags\": [\"a\", \"b\", \"c\"]}\n"
#define CLASS(name) ", \"architectures\": [\"" name "\"], "
  struct outcome o;
  settle(&o, TAGGED, BASE(CLASS("BertForTokenClassification") NAMES("c", "a", "b")), NULL);
  has_names(&o, "c", "a", "b");
  assert_false(o.fresh);
  static const uint32_t classes[] = {1, 2, 0};
  assert_memory_equal(o.training.marks, classes, sizeof classes);
  done(&o, "");
  settle(&o, TAGGED, BASE(CLASS("BertForSequenceClassification") NAMES("c", "a", "b")), NULL);
  has_names(&o, "a", "b", "c");
  assert_true(o.fresh);
  done(&o, "the base's head is that of a BertForSequenceClassification: a new one starts at random");
  settle(&o, TAGGED, BASE(""), NULL);
  assert_true(o.fresh);
  done(&o, "the base's head is that of a model that does not say what");
  settle(&o, TAGGED, BASE(""), "{" NAMES("a", "b", "c") "}");
  assert_int_equal(o.status, STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "has the classes a, b, c (3) for classification"));
  done(&o, "");
}

static void an_adapter_keeps_its_classes(void **state) {
  (void)state;
  struct outcome o;
  settle(&o, THREE, BASE(", " NAMES("a", "c", "b")), "{" NAMES("b", "c", "a") "}"); /* the base's do not matter */
  has_names(&o, "b", "c", "a");
  has_labels(&o, (const uint32_t[]){2, 0, 1});
  assert_false(o.fresh);
  done(&o, "");
  settle(&o, LINE("\"c\"") LINE("\"b\""), BASE(""), "{" NAMES("b", "c", "a") "}");
  has_names(&o, "b", "c", "a");
  has_labels(&o, (const uint32_t[]){1, 0});
  done(&o, "the others have no example");
  settle(&o, THREE, BASE(""), "");
  has_names(&o, "a", "b", "c");
  done(&o, "the adapter's head names none");
  static const char manifest[] = "{\"labels\": [\"c\", \"b\", \"a\"]}";
  put("job/training_manifest.json", manifest, sizeof manifest - 1); /* of a job before labels.json was */
  settle(&o, THREE, BASE(""), "");
  has_names(&o, "c", "b", "a");
  done(&o, "");
  char path[300];
  snprintf(path, sizeof path, "%s/job/training_manifest.json", root);
  assert_int_equal(unlink(path), 0);
}

static void refused(const char *data, const char *labels, const char *says) {
  struct outcome o;
  settle(&o, data, BASE(""), labels);
  assert_int_equal(o.status, STATUS_INVALID_VALUE);
  if (!strstr(err.text, says))
    fail_msg("wanted \"%s\": %s", says, err.text);
  done(&o, "");
}

static void an_adapter_of_other_classes_is_refused(void **state) {
  (void)state;
  refused(THREE, "{" NAMES("b", "c", "d") "}",
          "the classes a, b, c (3), but the adapter that the job starts from has "
          "the classes b, c, d (3)");
  refused(THREE LINE("\"d\""), "{" NAMES("a", "b", "c") "}", "a, b, c, d (4)");
  refused(LINE("\"a\"") LINE("\"A\""), "{" NAMES("a", "b", "c") "}", "A, a (2)"); /* no two are one */
  refused(LINE("0.5"), "{" NAMES("a", "b", "c") "}", "the training file has numbers");
  refused(LINE("3") LINE("2") LINE("1") LINE("0"), "", "LABEL_0, LABEL_1, LABEL_2 (3)");
  refused(THREE, "{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}}", "labels.json: id2label does not have as many names");
  refused(THREE, "{" NAMES("a", "b", "b") "}", "labels.json: id2label repeats a name at output 2");
  refused(THREE, "{\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"3\": \"c\"}}", "no name for output 2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_base_gives_its_order),
      cmocka_unit_test(a_base_of_other_classes_gets_a_new_head),
      cmocka_unit_test(tags_have_a_head_of_their_own),
      cmocka_unit_test(an_adapter_keeps_its_classes),
      cmocka_unit_test(an_adapter_of_other_classes_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
