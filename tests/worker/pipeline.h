/* A task on the tiny golden BERT and data of its own, in a folder of its own, for the tests of whole trainings. */
#ifndef TESTS_WORKER_PIPELINE_H
#define TESTS_WORKER_PIPELINE_H

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
#include "base/json.h"
#include "worker/pipeline.h"

static char root[] = "/tmp/reflectd-test-XXXXXX";

static inline void put(const char *name, const char *text) {
  char path[300];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", root, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

/* The golden model has 99 words and no tokenizer: w0 .. w93 and the five special tokens. */
static inline int setup(void **state) {
  (void)state;
  struct error err;
  char path[300], *bytes;
  size_t length;
  struct str vocabulary;
  log_setup("reflect-worker", LOG_WARN);
  assert_non_null(mkdtemp(root));
  snprintf(path, sizeof path, "%s/model", root);
  assert_int_equal(file_mkdirs(path, &err), STATUS_OK);
  const char *const files[] = {"config.json", "model.safetensors"};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    snprintf(path, sizeof path, "tests/golden/cases/bert-hra/model/%s", files[i]);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 20, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/model/%s", root, files[i]);
    assert_int_equal(file_put(path, bytes, length, &err), STATUS_OK);
    free(bytes);
  }
  str_init(&vocabulary, 1 << 16);
  str_puts(&vocabulary, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
  for (int i = 0; i < 94; i++)
    str_printf(&vocabulary, "w%d\n", i);
  put("model/vocab.txt", vocabulary.text);
  str_done(&vocabulary);
  struct str csv, jsonl;
  str_init(&csv, 1 << 16);
  str_init(&jsonl, 1 << 16);
  str_puts(&csv, "text,label\n");
  for (int i = 0; i < 60; i++) {
    str_printf(&csv, "w%d w%d,%s\n", i % 7, 20 + i % 3, i % 3 ? "yes" : "no");
    str_printf(&jsonl, "{\"text\": \"w%d w%d\", \"label\": %d.5}\n", i % 7, 20 + i % 3, i % 3);
  }
  put("classes.csv", csv.text);
  put("numbers.jsonl", jsonl.text);
  str_done(&csv);
  str_done(&jsonl);
  return 0;
}

static inline int teardown(void **state) {
  (void)state;
  struct error err;
  return file_remove_tree(root, &err) != STATUS_OK;
}

struct outcome {
  enum status status;
  struct error err;
  json_t *events;
  char output[300];
};

static const char usual[] = "\"n_epochs\":4,\"batch_size\":8,\"learning_rate\":0.02";
static const char *hyperparameters = usual;
static const char *more = "";   /* members of the spec */
static const char *resume = ""; /* states, quoted */
static const char *encoders = ""; /* "clip_dir" and "dino_dir", each with a comma */
static const char *objective = "supervised";
static const char *adapter_members = "\"target_modules\":\"all-linear\",\"r\":4";
static int threads = 2;

/* Runs a task on data files of the root; events are read back from a file. */
static inline void run_task(struct outcome *o, const char *name, const char *training, const char *validation,
                     const char *control) {
  char document[4000], path[300], data[2][300];
  struct arena arena;
  struct task task;
  struct report report;
  json_t *json;
  int pipes[2];
  *o = (struct outcome){.events = json_array()};
  arena_init(&arena, 1 << 20);
  snprintf(o->output, sizeof o->output, "%s/%s", root, name);
  assert_int_equal(file_mkdirs(o->output, &o->err), STATUS_OK);
  snprintf(data[0], sizeof data[0], "%s/%s", root, training);
  snprintf(data[1], sizeof data[1], "%s/%s", root, validation ? validation : "");
  snprintf(document, sizeof document,
           "{\"kind\":\"train\",\"job_id\":\"ftjob-1\",\"fine_tuned_model\":\"ft:tiny\",\"model_dir\":\"%s/model\","
           "\"output_dir\":\"%s\",\"resume\":[%s],%s\"threads\":%d,\"training\":{\"id\":\"file-1\",\"path\":\"%s\","
           "\"filename\":\"%s\"},%s%s%s%s%s"
           "\"spec\":{\"model\":\"tiny\",\"training_file\":\"file-1\",%s%s\"seed\":3,\"method\":{\"type\":\"%s\","
           "\"%s\":{\"hyperparameters\":{%s}}},"
           "\"adapter\":{%s}}}",
           root, o->output, resume, encoders, threads, data[0], training,
           validation ? "\"validation\":{\"id\":\"file-2\",\"path\":\"" : "", validation ? data[1] : "",
           validation ? "\",\"filename\":\"" : "", validation ? validation : "", validation ? "\"}," : "",
           validation ? "\"validation_file\":\"file-2\"," : "", more, objective, objective, hyperparameters,
           adapter_members);
  if (json_parse(&json, document, strlen(document), NULL, &o->err) || task_parse(&task, json, &arena, &o->err))
    fail_msg("%s", o->err.text);
  snprintf(path, sizeof path, "%s/%s.events", root, name);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0 && pipe(pipes) == 0);
  assert_true(write(pipes[1], control, strlen(control)) == (ssize_t)strlen(control));
  report_init(&report, fd, pipes[0]);
  o->status = pipeline_run(&task, &report, &o->err);
  close(pipes[0]);
  close(pipes[1]);
  close(fd);
  char *text, *line;
  size_t length;
  assert_int_equal(file_read(&text, &length, path, 1 << 22, &(struct error){0}), STATUS_OK);
  for (line = text; *line;) {
    struct event event;
    struct error err;
    size_t n = strcspn(line, "\n");
    assert_int_equal(event_parse(&event, line, n, &arena, &err), STATUS_OK);
    json_t *one = json_loadb(line, n, 0, NULL);
    json_array_append_new(o->events, one);
    json_decref(event.data);
    line += n + 1;
  }
  free(text);
  json_decref(json);
  arena_done(&arena);
}

/* The data of the newest event of that kind which has the member. */
static inline const json_t *newest(const struct outcome *o, const char *kind, const char *member) {
  for (size_t i = json_array_size(o->events); i-- > 0;) {
    const json_t *event = json_array_get(o->events, i), *data = json_object_get(event, "data");
    if (strcmp(json_string_value(json_object_get(event, "event")), kind) == 0 && json_object_get(data, member))
      return data;
  }
  return NULL;
}

/* Every announced file is there with its size and hash; returns how many. */
static inline size_t artifacts(const struct outcome *o) {
  size_t index, count = 0;
  json_t *event;
  json_array_foreach(o->events, index, event) {
    const json_t *data = json_object_get(event, "data");
    if (strcmp(json_string_value(json_object_get(event, "event")), "artifact") != 0)
      continue;
    char path[700], sha256[HASH_HEX];
    uint64_t bytes;
    struct error err;
    snprintf(path, sizeof path, "%s/%s", o->output, json_string_value(json_object_get(data, "path")));
    assert_int_equal(file_hash(sha256, &bytes, path, &err), STATUS_OK);
    assert_string_equal(sha256, json_string_value(json_object_get(data, "sha256")));
    assert_int_equal(bytes, json_integer_value(json_object_get(data, "bytes")));
    count++;
  }
  return count;
}

static inline bool said(const struct outcome *o, const char *what) {
  for (size_t i = 0; i < json_array_size(o->events); i++) {
    const char *text = json_string_value(json_object_get(json_array_get(o->events, i), "message"));
    if (text && strstr(text, what))
      return true;
  }
  return false;
}

/* A file of the output as text; the caller frees it. */
static char *file_of(const struct outcome *o, const char *name) {
  char path[700], *text;
  size_t length;
  struct error err;
  snprintf(path, sizeof path, "%s/%s", o->output, name);
  assert_int_equal(file_read(&text, &length, path, 1 << 22, &err), STATUS_OK);
  return text;
}

static inline void same_file(const struct outcome *a, const struct outcome *b, const char *name) {
  char *x = file_of(a, name), *y = file_of(b, name);
  assert_string_equal(x, y);
  free(x);
  free(y);
}

#endif
