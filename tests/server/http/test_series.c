/* Proves that series have each step once, lose neither ends nor spikes, and are told as JSON and CSV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/series.h"

struct fixture {
  struct arena arena;
  struct series_list list;
  struct error err;
};

static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  arena_init(&f->arena, 16 << 20);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  arena_done(&f->arena);
  free(f);
  return 0;
}

static const struct metrics_row rows[] = {
    {0, "{\"step\":0,\"total_steps\":9,\"valid_loss\":2.5}"},
    {1, "{\"step\":1,\"total_steps\":9,\"train_loss\":2,\"note\":\"text\",\"tokens_per_second\":7.5}"},
    {1, "{\"step\":1,\"train_loss\":99}"},
    {2, "{\"step\":2,\"train_lo"},
    {3, "{\"step\":3,\"train_loss\":1.5,\"valid_loss\":2.25}"},
};

static void test_read(void **state) {
  struct fixture *f = *state;
  assert_int_equal(series_read(&f->list, rows, COUNT_OF(rows), NULL, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(f->list.count, 3);
  const struct series *valid = &f->list.item[0], *train = &f->list.item[1];
  assert_string_equal(valid->name, "valid_loss");
  assert_string_equal(train->name, "train_loss");
  assert_string_equal(f->list.item[2].name, "tokens_per_second");
  assert_int_equal(train->count, 2); /* step 1 once, step 2 is damaged */
  assert_true(train->step[0] == 1 && train->value[0] == 2 && train->step[1] == 3 && train->value[1] == 1.5);
  assert_true(train->least == 1.5 && train->most == 2 && train->last == 1.5);
}

static void test_names(void **state) {
  struct fixture *f = *state;
  assert_int_equal(series_read(&f->list, rows, COUNT_OF(rows), "f1,train_loss,f1", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(f->list.count, 2);
  assert_string_equal(f->list.item[0].name, "f1");
  assert_int_equal(f->list.item[0].count, 0);
  assert_int_equal(f->list.item[1].count, 2);
  assert_int_equal(series_read(&f->list, rows, 1, "a,,b", &f->arena, &f->err), STATUS_INVALID_VALUE);
  assert_string_equal(f->err.param, "names");
}

/* A gentle slope with one spike up and one down. */
static void test_thin(void **state) {
  enum { POINTS = 1000 };
  static int64_t steps[POINTS];
  static double values[POINTS];
  (void)state;
  for (size_t budget = SERIES_POINTS_MIN; budget <= POINTS + 1; budget += budget < 40 ? 1 : 97) {
    struct series series = {.name = "x", .count = POINTS, .step = steps, .value = values};
    for (int i = 0; i < POINTS; i++) {
      steps[i] = 10 + i;
      values[i] = 5 - i * 1e-3;
    }
    values[333] = 50;
    values[702] = -50;
    series_thin(&series, budget);
    bool high = false, low = false;
    assert_true(series.count <= budget && series.count >= 4);
    assert_true(series.step[0] == 10 && series.step[series.count - 1] == 10 + POINTS - 1);
    for (size_t i = 0; i < series.count; i++) {
      assert_true(i == 0 || series.step[i] > series.step[i - 1]);
      high |= series.step[i] == 343 && series.value[i] == 50;
      low |= series.step[i] == 712 && series.value[i] == -50;
    }
    assert_true(high && low);
  }
}

static void test_texts(void **state) {
  struct fixture *f = *state;
  AUTO(str_done) struct str text;
  str_init(&text, 1 << 16);
  assert_int_equal(series_read(&f->list, rows, COUNT_OF(rows), "valid_loss,a\"b,train_loss", &f->arena, &f->err),
                   STATUS_OK);
  series_csv(&text, &f->list);
  assert_string_equal(text.text, "step,valid_loss,\"a\"\"b\",train_loss\r\n0,2.5,,\r\n1,,,2\r\n3,2.25,,1.5\r\n");
  str_clear(&text);
  AUTO(json_release) json_t *object = series_json(&f->list.item[0]);
  assert_true(json_append(&text, object));
  assert_string_equal(text.text,
                      "{\"name\":\"valid_loss\",\"kind\":\"validation\",\"unit\":null,\"count\":2,\"min\":2.25,"
                      "\"max\":2.5,\"last\":2.25,\"steps\":[0,3],\"values\":[2.5,2.25]}");
  str_clear(&text);
  AUTO(json_release) json_t *empty = series_json(&f->list.item[1]);
  assert_true(json_append(&text, empty));
  assert_non_null(strstr(text.text, "\"count\":0,\"min\":null,\"max\":null,\"last\":null,\"steps\":[],\"values\":[]"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
      cmocka_unit_test(test_thin),
      cmocka_unit_test_setup_teardown(test_texts, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
