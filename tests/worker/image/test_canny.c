/* Proves that edges are those of OpenCV, pixel by pixel (make_canny_cases.py), and what two maps have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/file/safetensors.h"
#include "worker/image/canny.h"

static void edges_are_those_of_opencv(void **state) {
  (void)state;
  static unsigned char edges[64 * 64];
  struct safetensors cases;
  size_t compared = 0, found = 0;
  assert_int_equal(safetensors_open(&cases, "tests/worker/image/canny.safetensors", NULL), STATUS_OK);
  for (size_t i = 0; i < cases.count; i++) {
    const struct st_tensor *want = &cases.tensors[i];
    char name[40], full[50];
    int low, high;
    if (sscanf(want->name, "edges.%39[a-z].%d.%d", name, &low, &high) != 3)
      continue;
    snprintf(full, sizeof full, "image.%s", name);
    const struct st_tensor *pixels = safetensors_find(&cases, full);
    const struct image image = {(size_t)pixels->shape[1], (size_t)pixels->shape[0],
                                (unsigned char *)(uintptr_t)pixels->bytes};
    assert_true(want->length <= sizeof edges);
    assert_int_equal(canny_edges(edges, &image, low, high, NULL), STATUS_OK);
    for (size_t p = 0; p < want->length; p++) {
      if (edges[p] != want->bytes[p])
        fail_msg("%s: pixel %zu, %zu is %d, not %d", want->name, p % image.width, p / image.width, edges[p],
                 want->bytes[p]);
      found += edges[p];
    }
    compared++;
  }
  assert_int_equal(compared, 32);
  assert_true(found > 2000);
  safetensors_close(&cases);
}

static void what_two_maps_have_in_common(void **state) {
  (void)state;
  static const unsigned char a[] = {1, 1, 1, 0, 0, 0}, b[] = {0, 1, 1, 1, 1, 0}, none[6] = {0};
  struct canny_likeness l = canny_compare(a, b, 6);
  assert_float_equal(l.iou, 2.0 / 5, 1e-12);
  assert_float_equal(l.f1, 4.0 / 7, 1e-12);
  l = canny_compare(a, none, 6);
  assert_true(l.iou == 0 && l.f1 == 0);
  l = canny_compare(none, none, 6);
  assert_true(l.iou == 1 && l.f1 == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(edges_are_those_of_opencv),
      cmocka_unit_test(what_two_maps_have_in_common),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
