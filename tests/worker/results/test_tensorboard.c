/* A curve's cells become scalars under TensorBoard's names, empty ones become nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/file/event_file.h"
#include "worker/results/tensorboard.h"

static char dir[64], ours[96], want[96];

static int set_up(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_tensorboard.XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(ours, sizeof ours, "%s/ours", dir);
  snprintf(want, sizeof want, "%s/want", dir);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

static void write_curve(const char *text) {
  struct str csv;
  struct error err;
  str_init(&csv, 1 << 16);
  str_puts(&csv, text);
  assert_int_equal(tensorboard_write(ours, &csv, &err), STATUS_OK);
  str_done(&csv);
}

static void same_bytes(void) {
  char a[HASH_HEX], b[HASH_HEX];
  struct error err;
  assert_int_equal(file_hash(a, NULL, ours, &err), STATUS_OK);
  assert_int_equal(file_hash(b, NULL, want, &err), STATUS_OK);
  assert_string_equal(a, b);
}

static void columns_become_scalars(void **state) {
  (void)state;
  struct event_file file;
  struct error err;
  const struct scalar first[] = {{"train/epoch", 0}, {"eval/loss", 2.5f}, {"eval/cosine_mrr@10", 0.125f}};
  const struct scalar next[] = {
      {"train/epoch", 0.5f}, {"train/loss", 1.75f}, {"train/learning_rate", 2e-5f}, {"adapter/angle_max", 0.3f}};
  write_curve("step,epoch,train_loss,learning_rate,valid_loss,valid_cosine_mrr@10,adapter_angle_max\n"
              "0,0.000000,,,2.5,0.125,\n"
              "7,0.500000,1.75,2e-05,,,0.300000012\n");
  assert_int_equal(event_file_create(&file, want, &err), STATUS_OK);
  assert_int_equal(event_file_add(&file, 0, first, COUNT_OF(first), &err), STATUS_OK);
  assert_int_equal(event_file_add(&file, 7, next, COUNT_OF(next), &err), STATUS_OK);
  assert_int_equal(event_file_publish(&file, &err), STATUS_OK);
  same_bytes();
}

static void a_curve_without_rows_is_a_file_without_scalars(void **state) {
  (void)state;
  struct event_file file;
  struct error err;
  write_curve("step,epoch,train_loss\n");
  assert_int_equal(event_file_create(&file, want, &err), STATUS_OK);
  assert_int_equal(event_file_publish(&file, &err), STATUS_OK);
  same_bytes();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(columns_become_scalars, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_curve_without_rows_is_a_file_without_scalars, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
