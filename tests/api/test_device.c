/* Names of devices: which are proper, which device is meant by which; the worker's lines read back as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/device.h"

static void names_are_kinds_or_devices(void **state) {
  (void)state;
  const char *const good[] = {"auto", "cpu", "opencl", "cuda", "opencl:0", "cuda:12", "cuda:999"};
  const char *const bad[] = {"",          "gpu",       "cpu:0", "opencl:", "opencl:x",
                             "opencl:0x", "cuda:1234", "cuda0", "auto:0",  "CPU"};
  for (size_t i = 0; i < COUNT_OF(good); i++)
    assert_true(device_wanted_valid(good[i]));
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    if (device_wanted_valid(bad[i]))
      fail_msg("%s is taken for a device", bad[i]);
}

static void a_kind_means_each_of_its_devices(void **state) {
  (void)state;
  assert_true(device_matches("auto", "cpu") && device_matches("auto", "cuda:1"));
  assert_true(device_matches("cuda", "cuda:1") && device_matches("cuda:1", "cuda:1"));
  assert_false(device_matches("cuda:1", "cuda:10") || device_matches("cuda", "opencl:0"));
  assert_true(device_matches("cpu", "cpu"));
  assert_false(device_matches("cpu", "opencl:0") || device_matches("open", "opencl:0"));
}

static void lines_read_back(void **state) {
  (void)state;
  struct device_info one = {"opencl:0", "A \"GPU\" (maker)", 6144LL << 20, true}, read;
  struct str text;
  struct error err;
  str_init(&text, 1000);
  assert_true(device_info_write(&text, &one));
  assert_int_equal(text.text[text.length - 1], '\n');
  assert_int_equal(device_info_parse(&read, text.text, text.length - 1, &err), STATUS_OK);
  assert_string_equal(read.name, one.name);
  assert_string_equal(read.processor, one.processor);
  assert_int_equal(read.memory, one.memory);
  assert_true(read.gpu);
  str_done(&text);
  const char *const bad[] = {"",
                             "{}",
                             "{\"name\":\"auto\"}",
                             "{\"name\":\"cuda\"}",
                             "{\"name\":\"gpu:0\"}",
                             "{\"name\":\"cuda:0\",\"memory\":-1}",
                             "[1]"};
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    if (device_info_parse(&read, bad[i], strlen(bad[i]), &err) == STATUS_OK)
      fail_msg("%s is taken for a device", bad[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_kinds_or_devices),
                                     cmocka_unit_test(a_kind_means_each_of_its_devices),
                                     cmocka_unit_test(lines_read_back)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
