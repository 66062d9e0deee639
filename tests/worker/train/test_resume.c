/* Proves: a training goes on from a state as if it had never stopped, and from none that is of another job, damaged in
   its numbers, or of other columns; another engine is told, and the curve of an older build goes on. */
#include "tests/worker/pipeline.h"
#include "worker/train/state.h"

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

/* A state of a build that had no columns of telemetry yet: the curve goes on, and they are empty before. */
static void an_older_curve_has_fewer_columns(void **state) {
  (void)state;
  static const char *const lacking = ",adapter_angle,adapter_angle_max,adapter_defect,adapter_defect_max";
  struct outcome whole, o;
  struct state s;
  struct error err;
  struct str older;
  char path[400], other[400], quoted[402];
  make_state(&whole, path);
  path[strlen(path) - 1] = '\0';
  assert_int_equal(state_open(&s, path + 1, &err), STATUS_OK);
  str_init(&older, 1 << 20);
  struct st_tensor *curve = NULL;
  for (size_t i = 0; i < s.file.count; i++)
    if (strcmp(s.file.tensors[i].name, "step_metrics.csv") == 0)
      curve = &s.file.tensors[i];
  assert_non_null(curve);
  for (const char *at = (const char *)curve->bytes, *end = at + curve->length; at < end;) {
    size_t length = strcspn(at, "\n"), kept = length;
    for (int commas = 0; commas < 4; kept--)
      commas += at[kept - 1] == ',';
    str_add(&older, at, kept);
    str_putc(&older, '\n');
    at += length + 1;
  }
  assert_null(strstr(older.text, "adapter"));
  curve->bytes = (const unsigned char *)older.text;
  curve->length = older.length;
  curve->shape[0] = (int64_t)older.length;
  snprintf(other, sizeof other, "%s/older.safetensors", root);
  snprintf(quoted, sizeof quoted, "\"%s\"", other);
  assert_int_equal(state_write(other, s.file.tensors, s.file.count, s.numbers, NULL, NULL, &err), STATUS_OK);
  resume = quoted;
  run_task(&o, "older", "classes.csv", "classes.csv", "");
  assert_true(o.status == STATUS_OK && said(&o, "Training goes on after step 20 of 32"));
  char *csv = file_of(&o, "step_metrics.csv"), *all = file_of(&whole, "step_metrics.csv");
  const char *step21 = strstr(csv, "\n21,");
  assert_true(strncmp(csv, all, (size_t)(strchr(all, '\n') - all)) == 0 && strstr(csv, lacking));
  assert_true(strncmp(step21 - 4, ",,,,", 4) == 0);
  assert_string_equal(step21, strstr(all, "\n21,")); /* from there on nothing differs */
  older.text[0] = 'S';
  assert_int_equal(state_write(other, s.file.tensors, s.file.count, s.numbers, NULL, NULL, &err), STATUS_OK);
  refuses_foreign_state("renamed", "classes.csv", "its step_metrics.csv has other columns");
  state_close(&s);
  str_done(&older);
  free(csv);
  free(all);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goes_on_from_a_state),
      cmocka_unit_test(a_state_of_another_job_is_refused),
      cmocka_unit_test(another_engine_is_told),
      cmocka_unit_test(an_older_curve_has_fewer_columns),
      cmocka_unit_test(a_state_that_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
