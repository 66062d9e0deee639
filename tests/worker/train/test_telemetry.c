/* Proves: means and extremes over the modules, empty columns where nothing was measured, and no line that is longer
   than an event's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/event.h"
#include "worker/train/telemetry.h"

enum { MODULES = 2000, FEW = 3 };

/* Adapters that say what their rank is. */
static void say_rank(const struct adapter *adapter, struct adapter_telemetry *out) {
  double rank = (double)adapter->rank;
  *out = (struct adapter_telemetry){.angle = rank / 7, .defect = rank / 10, .defect_max = rank};
}
static const struct adapter_ops tells = {.telemetry = say_rank}, silent = {0};

static struct adapter adapters[MODULES], *list[MODULES];
static const struct linear linear = {.name = "encoder.layer.11.attention.output.dense"};

static struct model make(size_t count, const struct adapter_ops *ops) {
  for (size_t i = 0; i < count; i++) {
    adapters[i] = (struct adapter){.ops = ops, .linear = &linear, .rank = i + 1};
    list[i] = &adapters[i];
  }
  return (struct model){.adapters = list, .adapter_count = count};
}

static void measure(struct telemetry *t, const struct model *model) {
  struct learner learner = {.prepared = true};
  struct error err;
  assert_int_equal(telemetry_init(t, model, &err), STATUS_OK);
  assert_int_equal(telemetry_measure(t, &learner, &err), STATUS_OK);
}

static void sums_are_over_the_modules(void **state) {
  (void)state;
  const struct model model = make(FEW, &tells);
  struct telemetry t;
  struct str csv;
  measure(&t, &model);
  AUTO(json_release) json_t *sums = json_object();
  AUTO(json_release) json_t *modules = telemetry_by_module(&t, 8);
  telemetry_set(&t, sums);
  assert_true(json_number_value(json_object_get(sums, "adapter_angle")) - 2.0 / 7 < 1e-12);
  assert_true(json_number_value(json_object_get(sums, "adapter_angle_max")) == 3.0 / 7);
  assert_true(json_number_value(json_object_get(sums, "adapter_defect")) - 0.2 < 1e-12);
  assert_true(json_number_value(json_object_get(sums, "adapter_defect_max")) == 3);
  assert_int_equal(json_integer_value(json_object_get(modules, "step")), 8);
  assert_string_equal(json_string_value(json_array_get(json_object_get(modules, "modules"), 2)), linear.name);
  assert_true(json_number_value(json_array_get(json_object_get(modules, "angle"), 2)) == 0.428571); /* six digits */
  str_init(&csv, 1000);
  telemetry_csv_names(&csv);
  telemetry_csv(&t, false, &csv);
  telemetry_csv(&t, true, &csv);
  assert_string_equal(csv.text, ",adapter_angle,adapter_angle_max,adapter_defect,adapter_defect_max,,,,"
                                ",0.285714286,0.428571429,0.2,3");
  str_done(&csv);
  telemetry_done(&t);
}

static void a_method_without_any_tells_nothing(void **state) {
  (void)state;
  const struct model models[] = {make(FEW, &silent), make(0, &silent)};
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    struct telemetry t;
    struct str csv;
    measure(&t, &models[i]);
    AUTO(json_release) json_t *sums = json_object();
    telemetry_set(&t, sums);
    assert_int_equal(json_object_size(sums), 0);
    assert_null(telemetry_by_module(&t, 8));
    str_init(&csv, 1000);
    telemetry_csv(&t, true, &csv);
    assert_string_equal(csv.text, ",,,,");
    str_done(&csv);
    telemetry_done(&t);
  }
}

/* Whatever is told fits into a line; the first number of modules that is not told would not have been far from it. */
static void what_is_told_fits(void **state) {
  (void)state;
  size_t most = 0;
  for (size_t count = 500; count <= MODULES; count += 50) {
    const struct model model = make(count, &tells);
    struct telemetry t;
    struct str line;
    measure(&t, &model);
    json_t *data = telemetry_by_module(&t, INT64_MAX);
    str_init(&line, EVENT_LINE_MAX);
    if (data) {
      most = count;
      assert_true(event_write(&line, &(struct event){.kind = EVENT_TELEMETRY, .level = LOG_INFO, .data = data}));
    }
    str_done(&line);
    json_decref(data);
    telemetry_done(&t);
  }
  assert_in_range(most, 850, 950);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_over_the_modules),
                                     cmocka_unit_test(a_method_without_any_tells_nothing),
                                     cmocka_unit_test(what_is_told_fits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
