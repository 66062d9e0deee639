/* Proves a whole task on the tiny golden BERT: classes and numbers, CSV and JSONL; the events and
   artifacts are those announced, with their sizes and hashes; the same task gives the same adapter
   byte by byte; a bad line, an unknown label and "cancel" end it as they should; the log tells when each part of
   the start and the first step ended. */
#include <fcntl.h>
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

#include "base/file.h"
#include "base/json.h"
#include "worker/pipeline.h"
#include "worker/state.h"

static char root[] = "/tmp/reflectd-test-XXXXXX";

static void put(const char *name, const char *text) {
  char path[300];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", root, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

/* The golden model has 99 words and no tokenizer: w0 .. w93 and the five special tokens. */
static int setup(void **state) {
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

static int teardown(void **state) {
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

/* Runs a task on data files of the root; events are read back from a file. */
static void run_task(struct outcome *o, const char *name, const char *training, const char *validation,
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
  snprintf(
      document, sizeof document,
      "{\"kind\":\"train\",\"job_id\":\"ftjob-1\",\"fine_tuned_model\":\"ft:tiny\",\"model_dir\":\"%s/model\","
      "\"output_dir\":\"%s\",\"resume\":[%s],\"threads\":2,\"training\":{\"id\":\"file-1\",\"path\":\"%s\","
      "\"filename\":\"%s\"},%s%s%s%s%s"
      "\"spec\":{\"model\":\"tiny\",\"training_file\":\"file-1\",%s%s\"seed\":3,\"method\":{\"type\":\"supervised\","
      "\"supervised\":{\"hyperparameters\":{%s}}},"
      "\"adapter\":{\"target_modules\":\"all-linear\",\"r\":4}}}",
      root, o->output, resume, data[0], training, validation ? "\"validation\":{\"id\":\"file-2\",\"path\":\"" : "",
      validation ? data[1] : "", validation ? "\",\"filename\":\"" : "", validation ? validation : "",
      validation ? "\"}," : "", validation ? "\"validation_file\":\"file-2\"," : "", more, hyperparameters);
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
static const json_t *newest(const struct outcome *o, const char *kind, const char *member) {
  for (size_t i = json_array_size(o->events); i-- > 0;) {
    const json_t *event = json_array_get(o->events, i), *data = json_object_get(event, "data");
    if (strcmp(json_string_value(json_object_get(event, "event")), kind) == 0 && json_object_get(data, member))
      return data;
  }
  return NULL;
}

/* Every announced file is there with its size and hash; returns how many. */
static size_t artifacts(const struct outcome *o) {
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

static void classes_are_learned_and_repeatable(void **state) {
  (void)state;
  struct outcome one, two;
  run_task(&one, "one", "classes.csv", "classes.csv", "");
  if (one.status)
    fail_msg("%s", one.err.text);
  const json_t *last = newest(&one, "metrics", "valid_accuracy");
  assert_non_null(last);
  assert_int_equal(json_integer_value(json_object_get(last, "step")), 32);
  assert_true(json_number_value(json_object_get(last, "valid_accuracy")) > 0.9);
  assert_non_null(json_object_get(last, "valid_matthews_correlation"));
  assert_int_equal(artifacts(&one), 9);
  assert_non_null(newest(&one, "checkpoint", "metrics"));
  run_task(&two, "two", "classes.csv", "classes.csv", "");
  char path[400], a[HASH_HEX], b[HASH_HEX];
  struct error err;
  snprintf(path, sizeof path, "%s/adapter.tar", one.output);
  assert_int_equal(file_hash(a, NULL, path, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/adapter.tar", two.output);
  assert_int_equal(file_hash(b, NULL, path, &err), STATUS_OK);
  assert_string_equal(a, b);
  json_decref(one.events);
  json_decref(two.events);
}

static void numbers_are_regressed(void **state) {
  (void)state;
  struct outcome o;
  run_task(&o, "numbers", "numbers.jsonl", "numbers.jsonl", "");
  if (o.status)
    fail_msg("%s", o.err.text);
  const json_t *last = newest(&o, "metrics", "valid_pearson");
  assert_non_null(last);
  assert_true(json_number_value(json_object_get(last, "valid_pearson")) > 0.8);
  assert_int_equal(artifacts(&o), 9);
  json_decref(o.events);
}

static void bad_data_is_named(void **state) {
  (void)state;
  struct outcome o;
  put("chats.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"w1\"}],\"text\":null}\n");
  run_task(&o, "chats", "chats.jsonl", NULL, "");
  assert_int_equal(o.status, STATUS_DATASET_INVALID);
  assert_string_equal(o.err.text, "training file chats.jsonl has messages, which language models learn from; tiny "
                                  "classifies texts and needs \"text\" with \"label\"");
  json_decref(o.events);
  put("other.csv", "text,label\nw1,yes\nw2,maybe\n");
  run_task(&o, "other", "classes.csv", "other.csv", "");
  assert_int_equal(o.status, STATUS_DATASET_INVALID);
  assert_non_null(strstr(o.err.text, "line 3"));
  assert_non_null(strstr(o.err.text, "maybe"));
  assert_int_equal(artifacts(&o), 0);
  json_decref(o.events);
}

static bool said(const struct outcome *o, const char *what) {
  for (size_t i = 0; i < json_array_size(o->events); i++) {
    const char *text = json_string_value(json_object_get(json_array_get(o->events, i), "message"));
    if (text && strstr(text, what))
      return true;
  }
  return false;
}

static double score(const json_t *metrics, const char *name) {
  return json_number_value(json_object_get(metrics, name));
}

/* A task of GLUE is measured as GLUE does: MNLI's two sets apart, two scores by their mean. The best is told beside the
   last. */
static void glue_is_measured(void **state) {
  (void)state;
  struct outcome o;
  put("mnli.tsv", "genre\tsentence1\tsentence2\tgold_label\nslate\tw1\tw2\tneutral\nslate\tw3\tw4\tentailment\n"
                  "oup\tw5\tw6\tneutral\nfiction\tw7\tw8\tcontradiction\n");
  more = "\"task\":\"glue/mnli\",";
  run_task(&o, "mnli", "mnli.tsv", "mnli.tsv", "");
  assert_int_equal(o.status, STATUS_OK);
  const json_t *m = newest(&o, "metrics", "valid_accuracy"), *p = newest(&o, "progress", "best");
  double whole = score(m, "valid_accuracy_matched") * 3 + score(m, "valid_accuracy_mismatched");
  assert_non_null(json_object_get(m, "valid_accuracy_mismatched"));
  assert_true(fabs(whole - score(m, "valid_accuracy") * 4) < 1e-9);
  assert_true(score(json_object_get(p, "last"), "valid_accuracy") == score(m, "valid_accuracy"));
  assert_int_equal(json_integer_value(json_object_get(json_object_get(p, "last"), "step")), 4);
  assert_true(score(json_object_get(p, "best"), "valid_accuracy") >= score(m, "valid_accuracy"));
  json_decref(o.events);
  put("stsb.tsv", "sentence1\tsentence2\tscore\nw1\tw2\t1.5\nw3\tw4\t5\nw5\tw6\t0.000\nw7\tw8\t2.2\n");
  more = "\"task\":\"glue/stsb\",";
  run_task(&o, "stsb", "stsb.tsv", "stsb.tsv", "");
  assert_int_equal(o.status, STATUS_OK);
  m = newest(&o, "metrics", "valid_combined_score");
  assert_non_null(m);
  assert_true(fabs(score(m, "valid_combined_score") - (score(m, "valid_pearson") + score(m, "valid_spearman")) / 2) <
              1e-9);
  json_decref(o.events);
  more = "";
}

/* What is doubtful of the column that the job uses is told by the job too. */
static void doubts_are_told(void **state) {
  (void)state;
  struct outcome o;
  put("doubtful.csv", "text,text_pair,label\nw1,w2,1\nw2,,2\nw3,,1\nw4,,2\nw5,,n/a\n");
  put("pairless.csv", "text,label\nw1,n/a\n");
  run_task(&o, "doubtful", "doubtful.csv", "pairless.csv", "");
  assert_int_equal(o.status, STATUS_OK);
  assert_true(said(&o, "training file: line 6, column 5: label is \"n/a\", but 4 others are numbers"));
  assert_true(said(&o, "only the training file has a second text (text_pair)"));
  json_decref(o.events);
}

/* A warm-up that does not end is told, and one that leaves nothing to learn with ends the job. */
static void schedules_are_judged(void **state) {
  (void)state;
  struct outcome o;
  hyperparameters = "\"n_epochs\":1,\"batch_size\":8,\"learning_rate\":0.02,\"warmup_steps\":100";
  run_task(&o, "slow", "classes.csv", NULL, "");
  assert_int_equal(o.status, STATUS_OK);
  assert_true(said(&o, "the warm-up of 100 steps is not over when the job ends, after 8: the learning rate rises to "
                       "0.0014, not to its peak of 0.02"));
  json_decref(o.events);
  hyperparameters = "\"n_epochs\":1,\"batch_size\":64,\"warmup_steps\":2";
  run_task(&o, "never", "classes.csv", NULL, "");
  assert_int_equal(o.status, STATUS_INVALID_VALUE);
  assert_string_equal(o.err.param, "warmup_steps");
  assert_int_equal(artifacts(&o), 0);
  json_decref(o.events);
  hyperparameters = "\"n_epochs\":1,\"batch_size\":64"; /* the one step of a default job learns */
  run_task(&o, "single", "classes.csv", NULL, "");
  assert_int_equal(o.status, STATUS_OK);
  assert_true(json_number_value(json_object_get(newest(&o, "metrics", "learning_rate"), "learning_rate")) == 0.002);
  json_decref(o.events);
  hyperparameters = usual;
}

static void cancel_stops_it(void **state) {
  (void)state;
  struct outcome o;
  run_task(&o, "cancelled", "classes.csv", NULL, "cancel\n");
  assert_int_equal(o.status, STATUS_CANCELLED);
  assert_int_equal(artifacts(&o), 0);
  json_decref(o.events);
}

/* Nothing was trained, so there is nothing to go on from. */
static void pause_at_the_start_is_told(void **state) {
  (void)state;
  struct outcome o;
  run_task(&o, "paused", "classes.csv", NULL, "pause\n");
  assert_int_equal(o.status, STATUS_PAUSED);
  assert_null(newest(&o, "state", "path"));
  json_decref(o.events);
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

static void same_file(const struct outcome *a, const struct outcome *b, const char *name) {
  char *x = file_of(a, name), *y = file_of(b, name);
  assert_string_equal(x, y);
  free(x);
  free(y);
}

#define ONE_STATE "\"checkpointing\":{\"every_steps\":20},"

/* Runs the task once and leaves the path of its state after step 20, quoted, in `path`. There is always time for the
   first state, and one is written at the end. */
static void make_state(struct outcome *whole, char path[400]) {
  more = ONE_STATE;
  run_task(whole, "whole", "classes.csv", "classes.csv", "");
  assert_int_equal(whole->status, STATUS_OK);
  snprintf(path, 400, "\"%s/state-20.safetensors\"", whole->output);
}

static void goes_on(const struct outcome *whole, const char *name) {
  struct outcome o;
  run_task(&o, name, "classes.csv", "classes.csv", "");
  assert_true(o.status == STATUS_OK && said(&o, "Training goes on after step 20 of 32"));
  same_file(whole, &o, "step_metrics.csv");
  same_file(whole, &o, "predictions.jsonl");
  if (strcmp(name, "on") == 0)
    same_file(whole, &o, "training_manifest.json");
  json_decref(o.events);
}

/* What may be changed of a job that waits makes it no other job. */
static void goes_on_from_a_state(void **state) {
  (void)state;
  struct outcome whole;
  char path[400];
  make_state(&whole, path);
  resume = path;
  goes_on(&whole, "on");
  more = ONE_STATE "\"suffix\":\"other\",\"metadata\":{\"a\":\"b\"},\"scheduling\":{\"priority\":3},";
  goes_on(&whole, "changed");
  json_decref(whole.events);
  resume = more = "";
}

static void refuses_foreign_state(const char *name, const char *data, const char *says) {
  struct outcome o;
  run_task(&o, name, data, data, "");
  assert_int_equal(o.status, STATUS_OK);
  if (!said(&o, says) || !said(&o, "training starts anew"))
    fail_msg("%s: %s", name, json_dumps(o.events, JSON_INDENT(1)));
  assert_non_null(newest(&o, "state", "path"));
  json_decref(o.events);
}

static void a_state_of_another_job_is_refused(void **state) {
  (void)state;
  struct outcome whole;
  char path[400];
  make_state(&whole, path);
  resume = path;
  more = ONE_STATE "\"early_stopping\":{\"patience\":9},";
  refuses_foreign_state("stopping", "classes.csv",
                        "state-20.safetensors cannot be used: it is of a job with another early_stopping");
  more = ONE_STATE;
  hyperparameters = "\"n_epochs\":4,\"batch_size\":8,\"learning_rate\":0.03";
  refuses_foreign_state("rate", "classes.csv", "it is of a job with another method");
  hyperparameters = usual;
  put("others.csv", "text,label\nw1 w2,yes\nw3,no\n");
  refuses_foreign_state("data", "others.csv", "it is of other training data");
  resume = "\"/nowhere/state-1.safetensors\"";
  refuses_foreign_state("nowhere", "classes.csv", "No such file");
  json_decref(whole.events);
  resume = more = "";
}

/* The same state as another build would have left it: it serves, and the job says what differs. */
static void another_engine_is_told(void **state) {
  (void)state;
  struct outcome whole, o;
  struct state s;
  struct error err;
  char path[400], other[400], quoted[402];
  make_state(&whole, path);
  path[strlen(path) - 1] = '\0';
  assert_int_equal(state_open(&s, path + 1, &err), STATUS_OK);
  json_object_set_new(json_object_get(s.numbers, "engine"), "isa", json_string("abacus"));
  snprintf(other, sizeof other, "%s/other.safetensors", root);
  assert_int_equal(state_write(other, s.file.tensors, s.file.count, s.numbers, NULL, NULL, &err), STATUS_OK);
  state_close(&s);
  snprintf(quoted, sizeof quoted, "\"%s\"", other);
  resume = quoted;
  run_task(&o, "engine", "classes.csv", "classes.csv", "");
  assert_int_equal(o.status, STATUS_OK);
  assert_true(said(&o, "computed by another engine (isa abacus, not "));
  char *manifest = file_of(&o, "training_manifest.json");
  assert_non_null(strstr(manifest, "\"earlier_engines\""));
  assert_non_null(strstr(manifest, "\"abacus\""));
  assert_non_null(strstr(manifest, "\"until_step\": 20"));
  free(manifest);
  same_file(&whole, &o, "step_metrics.csv");
  json_decref(o.events);
  json_decref(whole.events);
  resume = more = "";
}

/* Numbers that their digest agrees with are checked as well. */
static void a_state_that_does_not_fit_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *member;
    json_int_t value;
    const char *says;
  } rows[] = {{"position", 61, "do not fit"}, {"step", 33, "do not fit"}, {"epoch", 21, "do not fit"},
              {"step", -1, "step is -1"},     {"epoch", 0, "do not fit"}, {"best_step", 21, "do not fit"}};
  struct outcome whole;
  char path[400], other[400], quoted[402];
  make_state(&whole, path);
  path[strlen(path) - 1] = '\0';
  snprintf(other, sizeof other, "%s/other.safetensors", root);
  snprintf(quoted, sizeof quoted, "\"%s\"", other);
  resume = quoted;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct state s;
    struct error err;
    char name[32];
    assert_int_equal(state_open(&s, path + 1, &err), STATUS_OK);
    json_object_set_new(json_object_get(s.numbers, "progress"), rows[i].member, json_integer(rows[i].value));
    assert_int_equal(state_write(other, s.file.tensors, s.file.count, s.numbers, NULL, NULL, &err), STATUS_OK);
    state_close(&s);
    snprintf(name, sizeof name, "unfit%zu", i);
    refuses_foreign_state(name, "classes.csv", rows[i].says);
  }
  json_decref(whole.events);
  resume = more = "";
}

/* On a metric that stays at its best training ends; the adapter is the best one's and what is told fits it. */
static void stops_early(void **state) {
  (void)state;
  struct outcome o;
  more = "\"evaluation\":{\"metric\":\"accuracy\",\"every_steps\":2},\"early_stopping\":{\"patience\":3},"
         "\"checkpointing\":{\"keep_last\":1,\"keep_best\":true,\"load_best_at_end\":true},";
  run_task(&o, "early", "classes.csv", "classes.csv", "");
  if (o.status)
    fail_msg("%s", o.err.text);
  const json_t *best = json_object_get(newest(&o, "progress", "best"), "best");
  json_int_t step = json_integer_value(json_object_get(best, "step"));
  assert_true(json_number_value(json_object_get(best, "valid_accuracy")) == 1);
  assert_true(said(&o, "Stopped early after step "));
  assert_true(said(&o, "for 3 evaluations valid_accuracy was not better by more than 0; the best is 1.0000 at step "));
  assert_int_equal(json_integer_value(json_object_get(newest(&o, "metrics", "valid_loss"), "step")), step + 6);
  char name[80];
  snprintf(name, sizeof name, "checkpoint-%lld/adapter_model.safetensors", (long long)step);
  char *kept = file_of(&o, name), *adapter = file_of(&o, "adapter/adapter_model.safetensors");
  assert_memory_equal(kept, adapter, 2000);
  free(kept);
  free(adapter);
  char *manifest = file_of(&o, "training_manifest.json");
  assert_non_null(strstr(manifest, "\"ended_by\": \"early_stopping\""));
  assert_non_null(strstr(manifest, "\"adapter_step\""));
  free(manifest);
  json_decref(o.events);
  more = "";
}

static void a_metric_that_is_not_measured_is_refused(void **state) {
  (void)state;
  struct outcome o;
  more = "\"evaluation\":{\"metric\":\"perplexity\"},\"early_stopping\":{\"patience\":3},";
  run_task(&o, "metric", "classes.csv", "classes.csv", "");
  assert_int_equal(o.status, STATUS_INVALID_VALUE);
  assert_string_equal(o.err.text, "evaluation.metric is perplexity, which this job does not measure; it measures loss, "
                                  "accuracy, f1, matthews_correlation");
  json_decref(o.events);
  more = "";
}

/* By then a state was written, though no checkpoint was due. */
static void ends_when_its_time_is_over(void **state) {
  (void)state;
  struct outcome o;
  more = "\"scheduling\":{\"max_runtime\":2},\"checkpointing\":{\"every_steps\":1000000,\"every_seconds\":1},";
  hyperparameters =
      "\"max_steps\":1000000,\"batch_size\":60,\"learning_rate\":0.0001,\"lr_scheduler_type\":\"constant\"";
  run_task(&o, "time", "classes.csv", NULL, "");
  assert_int_equal(o.status, STATUS_OK);
  assert_true(said(&o, "of 1000000: scheduling.max_runtime, 2 seconds, is over"));
  size_t states = 0, i;
  const json_t *event;
  json_array_foreach(o.events, i, event) states +=
      strcmp(json_string_value(json_object_get(event, "event")), "state") == 0;
  assert_true(states >= 2); /* the last one at the end */
  assert_int_equal(artifacts(&o), 8);
  json_decref(o.events);
  more = "";
  hyperparameters = usual;
}

/* The time of the first line from `*line` on whose message begins with `text`: the last 13 characters of its "ts",
   "hh:mm:ss.mmmZ". *line is then behind it. */
static void logged_at(char out[14], const char **line, const char *text) {
  while (**line) {
    size_t n = strcspn(*line, "\n");
    json_t *object = json_loadb(*line, n, 0, NULL);
    const char *ts = json_string_value(json_object_get(object, "ts"));
    const char *message = json_string_value(json_object_get(object, "msg"));
    bool found = ts && message && strncmp(message, text, strlen(text)) == 0;
    *line += n + 1;
    if (found) {
      assert_int_equal(strlen(ts), strlen("2026-01-01Thh:mm:ss.mmmZ"));
      snprintf(out, 14, "%s", ts + 11);
      json_decref(object);
      return;
    }
    json_decref(object);
  }
  fail_msg("the log has no line \"%s\" in its place", text);
}

static void log_tells_when(void **state) {
  (void)state;
  static const char *const told[] = {"phase load",  "data read",   "phase tokenise", "tokenised",
                                     "60 training", "Step 1/32: ", "Step 32/32: "};
  char path[400], before[14] = "", at[14], *text;
  size_t length;
  struct outcome o;
  struct error err;
  snprintf(path, sizeof path, "%s/log", root);
  int old = dup(STDERR_FILENO), log = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  assert_true(old >= 0 && log >= 0);
  dup2(log, STDERR_FILENO);
  log_setup("reflect-worker", LOG_INFO);
  run_task(&o, "logged", "classes.csv", NULL, "");
  log_setup("reflect-worker", LOG_WARN);
  dup2(old, STDERR_FILENO);
  close(old);
  close(log);
  assert_int_equal(o.status, STATUS_OK);
  assert_int_equal(file_read(&text, &length, path, 1 << 20, &err), STATUS_OK);
  const char *line = text;
  for (size_t i = 0; i < COUNT_OF(told); i++) {
    logged_at(at, &line, told[i]);
    assert_true(strcmp(before, at) <= 0 || before[0] > at[0]); /* but for midnight */
    memcpy(before, at, sizeof before);
  }
  free(text);
  json_decref(o.events);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classes_are_learned_and_repeatable), cmocka_unit_test(numbers_are_regressed),
      cmocka_unit_test(bad_data_is_named), cmocka_unit_test(schedules_are_judged), cmocka_unit_test(glue_is_measured),
      cmocka_unit_test(doubts_are_told), cmocka_unit_test(cancel_stops_it),
      cmocka_unit_test(pause_at_the_start_is_told), cmocka_unit_test(goes_on_from_a_state),
      cmocka_unit_test(a_state_of_another_job_is_refused), cmocka_unit_test(another_engine_is_told),
      cmocka_unit_test(a_state_that_does_not_fit_is_refused), cmocka_unit_test(stops_early),
      cmocka_unit_test(a_metric_that_is_not_measured_is_refused), cmocka_unit_test(ends_when_its_time_is_over),
      cmocka_unit_test(log_tells_when),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
