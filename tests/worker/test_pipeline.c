/* Proves a whole task on the tiny golden BERT: classes and numbers, CSV and JSONL; the events and
   artifacts are those announced, with their sizes and hashes; the same task gives the same adapter
   byte by byte; a bad line, an unknown label and "cancel" end it as they should; the log tells when each part of
   the start and the first step ended. */
#include <math.h>

#include "tests/worker/pipeline.h"

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

/* Of each module at each step of a short run, before the metrics of that step, which have the same over all modules. */
static void telemetry_is_told_by_module(void **state) {
  (void)state;
  struct outcome o;
  size_t i, k, steps = 0, count = 0;
  const json_t *event, *value, *before = NULL;
  run_task(&o, "telemetry", "classes.csv", "classes.csv", "");
  assert_int_equal(o.status, STATUS_OK);
  json_array_foreach(o.events, i, event) {
    const char *kind = json_string_value(json_object_get(event, "event"));
    const json_t *data = json_object_get(event, "data"), *step = json_object_get(data, "step");
    if (strcmp(kind, "telemetry") == 0) {
      before = data;
      steps++;
    }
    if (strcmp(kind, "metrics") != 0 || json_integer_value(step) == 0)
      continue;
    double sum = 0, most = 0;
    assert_true(json_equal(json_object_get(before, "step"), step));
    count = json_array_size(json_object_get(before, "modules"));
    json_array_foreach(json_object_get(before, "angle"), k, value) {
      sum += json_number_value(value) / (double)count;
      most = fmax(most, json_number_value(value));
    }
    assert_true(sum > 0 || json_number_value(json_object_get(data, "learning_rate")) == 0);
    assert_true(fabs(sum - json_number_value(json_object_get(data, "adapter_angle"))) < 1e-5 * sum + 1e-12);
    assert_true(fabs(most - json_number_value(json_object_get(data, "adapter_angle_max"))) < 1e-5 * most + 1e-12);
  }
  assert_int_equal(steps, 32);
  assert_int_equal(count, 13); /* two layers of six, and the pooler */
  json_decref(o.events);
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
      cmocka_unit_test(classes_are_learned_and_repeatable),
      cmocka_unit_test(telemetry_is_told_by_module),
      cmocka_unit_test(numbers_are_regressed),
      cmocka_unit_test(bad_data_is_named),
      cmocka_unit_test(schedules_are_judged),
      cmocka_unit_test(glue_is_measured),
      cmocka_unit_test(doubts_are_told),
      cmocka_unit_test(cancel_stops_it),
      cmocka_unit_test(pause_at_the_start_is_told),
      cmocka_unit_test(stops_early),
      cmocka_unit_test(a_metric_that_is_not_measured_is_refused),
      cmocka_unit_test(ends_when_its_time_is_over),
      cmocka_unit_test(log_tells_when),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
