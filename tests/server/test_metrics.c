/* Proves: what /metrics says is Prometheus's text format, as promtool judges it: each family is described once, before
   its samples; names have the base units and endings of their type; no series comes twice; a histogram's buckets grow
   up to +Inf, which is its count. And: what is counted is what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"

enum { TEXT_BYTES = 1 << 20 };

static struct metrics_view view_of_nothing(void) {
  struct metrics_view view = {.free_bytes = 1 << 20};
  process_usage(&view.process);
  return view;
}

static struct str written(const struct metrics *metrics, const struct metrics_view *view) {
  struct str out;
  str_init(&out, TEXT_BYTES);
  metrics_write(&out, metrics, view);
  assert_false(out.failed);
  return out;
}

/* What stands behind a series' name and labels; NAN: there is none. */
static double value_of(const struct str *text, const char *series) {
  char line[256];
  snprintf(line, sizeof line, "\n%s ", series);
  const char *at = strstr(text->text, line);
  return at ? strtod(at + strlen(line), NULL) : -1;
}

static bool ends(const char *name, const char *ending) {
  size_t length = strlen(name), tail = strlen(ending);
  return length > tail && strcmp(name + length - tail, ending) == 0;
}

struct reader {
  char family[96], type[16];
  bool described;       /* its HELP line came */
  double bucket, bound; /* the last of the histogram that is read */
  char labels[256];     /* of it, without le */
};

static void read_name(char out[96], const char *line) {
  size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
  assert_in_range(length, 1, 95);
  snprintf(out, 96, "%.*s", (int)length, line);
}

static void read_comment(struct reader *reader, const char *line, const char *all) {
  char name[96], again[128];
  if (strncmp(line, "# HELP ", 7) == 0) {
    read_name(name, line + 7);
    assert_true(strlen(line) > 7 + strlen(name) + 5 && line[strlen(line) - 1] == '.');
    snprintf(reader->family, sizeof reader->family, "%s", name);
    snprintf(again, sizeof again, "# HELP %s ", name);
    assert_null(strstr(strstr(all, again) + 1, again)); /* described once */
    assert_true(strncmp(name, "reflectd_", 9) == 0 || strncmp(name, "process_", 8) == 0);
    reader->described = true;
    return;
  }
  assert_true(reader->described && strncmp(line, "# TYPE ", 7) == 0);
  read_name(name, line + 7);
  assert_string_equal(name, reader->family);
  snprintf(reader->type, sizeof reader->type, "%s", line + 7 + strlen(name) + 1);
  bool counter = strcmp(reader->type, "counter") == 0, histogram = strcmp(reader->type, "histogram") == 0;
  assert_true(counter || histogram || strcmp(reader->type, "gauge") == 0);
  assert_int_equal(ends(name, "_total"), counter);
  assert_false(ends(name, "_count") || ends(name, "_sum") || ends(name, "_bucket"));
  assert_null(strstr(name, "milliseconds"));
  if (histogram)
    assert_true(ends(name, "_seconds"));
  reader->described = false;
}

/* name{a="b",c="d"}; le is taken out of the labels. */
static void read_labels(char labels[256], char le[32], const char *text) {
  labels[0] = le[0] = '\0';
  if (*text != '{')
    return;
  for (text++; *text != '}';) {
    char name[96], value[128];
    read_name(name, text);
    text += strlen(name);
    assert_true(text[0] == '=' && text[1] == '"');
    size_t length = strcspn(text + 2, "\"\\\n");
    assert_true(length < sizeof value && text[2 + length] == '"');
    snprintf(value, sizeof value, "%.*s", (int)length, text + 2);
    text += length + 3;
    if (strcmp(name, "le") == 0)
      snprintf(le, 32, "%.31s", value);
    else
      snprintf(labels + strlen(labels), 256 - strlen(labels), "%s=%s,", name, value);
    assert_true(*text == ',' || *text == '}');
    text += *text == ',';
  }
}

static void read_histogram(struct reader *reader, const char *ending, const char *labels, const char *le,
                           double value) {
  if (strcmp(ending, "_bucket") == 0) {
    double bound = strcmp(le, "+Inf") == 0 ? 1e300 : strtod(le, NULL);
    bool first = strcmp(labels, reader->labels) != 0 || bound <= reader->bound;
    assert_true(le[0] && (first || value >= reader->bucket));
    snprintf(reader->labels, sizeof reader->labels, "%s", labels);
    reader->bound = bound;
    reader->bucket = value;
    return;
  }
  assert_string_equal(labels, reader->labels);
  assert_true(reader->bound > 1e299); /* +Inf was the last bucket */
  if (strcmp(ending, "_count") == 0)
    assert_true(value == reader->bucket);
  else
    assert_string_equal(ending, "_sum");
}

static void read_sample(struct reader *reader, const char *line, const char *all) {
  char name[96], labels[256], le[32], series[512], *end;
  read_name(name, line);
  const char *space = strrchr(line, ' ');
  assert_non_null(space);
  double value = strtod(space + 1, &end);
  assert_true(end > space + 1 && *end == '\0');
  snprintf(series, sizeof series, "\n%.*s ", (int)(space - line), line);
  assert_null(strstr(strstr(all, series) + 1, series)); /* no series twice */
  read_labels(labels, le, line + strlen(name));
  size_t base = strlen(reader->family);
  assert_int_equal(strncmp(name, reader->family, base), 0);
  if (strcmp(reader->type, "histogram") == 0)
    read_histogram(reader, name + base, labels, le, value);
  else
    assert_true(name[base] == '\0' && !le[0]);
}

static void check_format(const struct str *text) {
  struct reader reader = {0};
  char *lines = strdup(text->text), *next;
  assert_true(text->length > 0 && text->text[text->length - 1] == '\n');
  for (char *line = lines; *line; line = next) {
    char *end = strchr(line, '\n');
    *end = '\0';
    next = end + 1;
    if (line[0] == '#')
      read_comment(&reader, line, text->text);
    else
      read_sample(&reader, line, text->text);
  }
  free(lines);
}

static void nothing_yet(void **state) {
  (void)state;
  const struct metrics metrics = {0};
  const struct metrics_view view = view_of_nothing();
  AUTO(str_done) struct str text = written(&metrics, &view);
  check_format(&text);
  assert_true(value_of(&text, "reflectd_jobs{status=\"queued\"}") == 0);
  assert_true(value_of(&text, "reflectd_job_queue_wait_seconds_bucket{le=\"+Inf\"}") == 0);
  assert_true(value_of(&text, "process_resident_memory_bytes") > 1e5);
  assert_true(value_of(&text, "process_start_time_seconds") > 1.7e9);
  assert_true(value_of(&text, "process_open_fds") >= 3);
}

static void what_is_counted(void **state) {
  (void)state;
  struct metrics metrics = {.upload_bytes = 7};
  struct metrics_view view = view_of_nothing();
  for (int op = 0; op <= OP_COUNT; op++)
    metrics_request(&metrics, (enum operation)op, 200, 0.004);
  metrics_request(&metrics, OP_jobs_retrieve, 404, 0.004);
  metrics_request(&metrics, OP_jobs_retrieve, 299, 1e9);
  metrics_waited(&metrics, 5);
  metrics_ran(&metrics, JOB_FAILED, 42);
  metrics_trained(&metrics, "cpu", 10, 2560, 0.3);
  metrics_trained(&metrics, "opencl:0", 1, 9, 0);
  metrics_trained(&metrics, "cpu", 5, 40, 0.06);
  view.open[JOB_QUEUED] = 12;
  view.finished[JOB_SUCCEEDED][PEFT_HRA] = 3;
  AUTO(str_done) struct str text = written(&metrics, &view);
  check_format(&text);
#define ROUTE "method=\"GET\",route=\"/v1/fine_tuning/jobs/{job_id}\""
  assert_true(value_of(&text, "reflectd_http_requests_total{" ROUTE ",code=\"200\"}") == 1);
  assert_true(value_of(&text, "reflectd_http_requests_total{" ROUTE ",code=\"404\"}") == 1);
  assert_true(value_of(&text, "reflectd_http_requests_total{" ROUTE ",code=\"other\"}") == 1);
  assert_true(value_of(&text, "reflectd_http_request_duration_seconds_bucket{" ROUTE ",le=\"0.0025\"}") == 0);
  assert_true(value_of(&text, "reflectd_http_request_duration_seconds_bucket{" ROUTE ",le=\"0.005\"}") == 2);
  assert_true(value_of(&text, "reflectd_http_request_duration_seconds_count{" ROUTE "}") == 3);
  assert_true(value_of(&text, "reflectd_http_requests_total{method=\"other\",route=\"other\",code=\"200\"}") == 1);
  assert_true(value_of(&text, "reflectd_job_queue_wait_seconds_bucket{le=\"5\"}") == 1); /* a bound belongs to it */
  assert_true(value_of(&text, "reflectd_job_queue_wait_seconds_bucket{le=\"1\"}") == 0);
  assert_true(value_of(&text, "reflectd_job_run_duration_seconds_sum{status=\"failed\"}") == 42);
  assert_true(value_of(&text, "reflectd_train_steps_total") == 16);
  assert_true(value_of(&text, "reflectd_train_tokens_total{device=\"cpu\"}") == 2600);
  assert_true(value_of(&text, "reflectd_train_tokens_total{device=\"opencl:0\"}") == 9);
  assert_true(value_of(&text, "reflectd_train_step_duration_seconds_count") == 15);
  assert_true(value_of(&text, "reflectd_train_step_duration_seconds_sum") == 10 * 0.3 + 5 * 0.06);
  assert_true(value_of(&text, "reflectd_jobs{status=\"queued\"}") == 12);
  assert_true(value_of(&text, "reflectd_jobs_finished_total{status=\"succeeded\",peft_type=\"HRA\"}") == 3);
  assert_true(value_of(&text, "reflectd_upload_bytes_total") == 7);
}

/* A store that does not answer leaves out its numbers, and nothing else. */
static void what_is_not_known(void **state) {
  (void)state;
  const struct metrics metrics = {0};
  struct metrics_view view = view_of_nothing();
  memset(view.open, 0xFF, sizeof view.open);
  memset(view.finished, 0xFF, sizeof view.finished);
  view.free_bytes = -1;
  AUTO(str_done) struct str text = written(&metrics, &view);
  check_format(&text);
  assert_null(strstr(text.text, "\nreflectd_jobs{"));
  assert_null(strstr(text.text, "\nreflectd_artifact_disk_free_bytes "));
  assert_non_null(strstr(text.text, "# TYPE reflectd_jobs gauge\n"));
}

/* Each status that an error has is a value of its own. */
static void every_status(void **state) {
  (void)state;
  struct metrics metrics = {0};
  for (int status = 0; status < STATUS_COUNT; status++)
    metrics_request(&metrics, OP_livez, status_http((enum status)status), 0);
  assert_int_equal(metrics.requests[OP_livez][METRICS_CODES], 0);
}

/* More devices than there can be have no place, and are no fault. */
static void many_devices(void **state) {
  (void)state;
  struct metrics metrics = {0};
  char name[DEVICE_NAME_MAX + 16];
  for (int i = 0; i < 2 * DEVICES_MAX; i++) {
    snprintf(name, sizeof name, "cuda:%d", i);
    metrics_trained(&metrics, name, 1, 1, 1);
  }
  assert_int_equal(metrics.devices, DEVICES_MAX + 1);
  assert_int_equal(metrics.steps, 2 * DEVICES_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_yet), cmocka_unit_test(what_is_counted),
                                     cmocka_unit_test(what_is_not_known), cmocka_unit_test(every_status),
                                     cmocka_unit_test(many_devices)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
