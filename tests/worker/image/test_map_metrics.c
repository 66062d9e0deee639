/* Proves scores of maps by numbers that were worked out by hand, and that no map of edges is taken for one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/image/map_metrics.h"

enum { PIXELS_MAX = 8, RED = 0xff0000 };

/* A map of one row, of grey values. */
static struct image row(unsigned char pixels[3 * PIXELS_MAX], const char *values) {
  struct image image = {strlen(values), 1, pixels};
  for (size_t i = 0; i < image.width; i++)
    memset(pixels + 3 * i, values[i] == '#' ? 255 : values[i] - '0', 3);
  return image;
}

static enum status add(struct map_classes *classes, const char *truth, const char *map) {
  unsigned char one[3 * PIXELS_MAX], other[3 * PIXELS_MAX];
  const struct image a = row(one, truth), b = row(other, map);
  return map_classes_add(classes, &a, &b, NULL);
}

static bool near(double value, double want) {
  return fabs(value - want) < 1e-12;
}

/* Sums over the maps, not means of the maps' own scores: class 0 has 3 of 4 pixels, class 1 2 of 5, class 2, which the
   truth has not, 0 of 1, class 3, which was not found, 0 of 1. */
static void classes_are_counted_over_all_maps(void **state) {
  (void)state;
  struct map_classes c;
  assert_int_equal(map_classes_init(&c, -1, NULL), STATUS_OK);
  assert_int_equal(add(&c, "0011", "0001"), STATUS_OK);
  assert_int_equal(add(&c, "3011", "1021"), STATUS_OK);
  map_classes_sort(&c);
  assert_int_equal(c.count, 4);
  assert_int_equal(c.counted, 8);
  static const struct {
    uint32_t colour;
    unsigned truth, maps, both;
    double iou, accuracy;
  } want[] = {{0, 3, 4, 3, 3.0 / 4, 1},
              {0x010101, 4, 3, 2, 2.0 / 5, 0.5},
              {0x020202, 0, 1, 0, 0, -1},
              {0x030303, 1, 0, 0, 0, 0}};
  for (size_t i = 0; i < 4; i++) {
    const struct map_class *one = &c.item[i];
    assert_int_equal(one->colour, want[i].colour);
    assert_int_equal(one->truth, want[i].truth);
    assert_int_equal(one->maps, want[i].maps);
    assert_int_equal(one->both, want[i].both);
    assert_true(near(map_class_iou(one), want[i].iou));
    if (want[i].accuracy < 0)
      assert_true(isnan(map_class_accuracy(one)));
    else
      assert_true(near(map_class_accuracy(one), want[i].accuracy));
  }
  const struct map_scores scores = map_scores_of(&c);
  assert_true(near(scores.miou, (0.75 + 0.4) / 4));
  assert_true(near(scores.macc, (1 + 0.5 + 0) / 3));
  assert_true(near(scores.aacc, 5.0 / 8));
  map_classes_done(&c);
}

/* Pixels of the truth do not count; where the map alone has that class its pixel is wrong, and the class none. */
static void a_class_is_left_out(void **state) {
  (void)state;
  struct map_classes c;
  assert_int_equal(map_classes_init(&c, 0xffffff, NULL), STATUS_OK);
  assert_int_equal(add(&c, "##0011", "0#00#1"), STATUS_OK);
  map_classes_sort(&c);
  assert_int_equal(c.ignored, 2);
  assert_int_equal(c.counted, 4);
  assert_int_equal(c.count, 2);
  assert_true(near(map_class_iou(&c.item[0]), 1));
  assert_true(near(map_class_iou(&c.item[1]), 0.5));
  assert_int_equal(c.item[1].maps, 1);
  assert_true(near(map_scores_of(&c).aacc, 0.75));
  map_classes_done(&c);
  assert_int_equal(map_classes_init(&c, 0xffffff, NULL), STATUS_OK);
  assert_int_equal(add(&c, "##", "01"), STATUS_OK);
  assert_true(isnan(map_scores_of(&c).miou) && isnan(map_scores_of(&c).aacc));
  map_classes_done(&c);
}

static void colours_are_classes(void **state) {
  (void)state;
  unsigned char truth[] = {255, 0, 0, 255, 0, 0, 0, 0, 9}, map[] = {255, 0, 0, 0, 0, 9, 0, 0, 9};
  const struct image a = {3, 1, truth}, b = {3, 1, map};
  struct map_classes c;
  assert_int_equal(map_classes_init(&c, -1, NULL), STATUS_OK);
  assert_int_equal(map_classes_add(&c, &a, &b, NULL), STATUS_OK);
  map_classes_sort(&c);
  assert_int_equal(c.item[0].colour, 9);
  assert_int_equal(c.item[1].colour, RED);
  assert_true(near(map_scores_of(&c).miou, 0.5));
  map_classes_done(&c);
}

static void more_than_maps_have_are_refused(void **state) {
  (void)state;
  static unsigned char truth[3 * (MAP_CLASSES_MAX + 1)];
  struct map_classes c;
  struct error err = {0};
  for (size_t i = 0; i <= MAP_CLASSES_MAX; i++) {
    truth[3 * i] = (unsigned char)(i & 255);
    truth[3 * i + 1] = (unsigned char)(i >> 8);
  }
  const struct image most = {MAP_CLASSES_MAX, 1, truth}, more = {MAP_CLASSES_MAX + 1, 1, truth};
  assert_int_equal(map_classes_init(&c, -1, NULL), STATUS_OK);
  assert_int_equal(map_classes_add(&c, &most, &most, &err), STATUS_OK);
  assert_true(near(map_scores_of(&c).miou, 1));
  assert_int_equal(map_classes_add(&c, &more, &more, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "more than 256 classes"));
  map_classes_done(&c);
}

static void edges_are_black_and_white(void **state) {
  (void)state;
  unsigned char pixels[] = {0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0}, edges[4];
  const struct image map = {2, 2, pixels};
  struct error err = {0};
  assert_int_equal(map_edges(edges, &map, &err), STATUS_OK);
  assert_memory_equal(edges, ((unsigned char[]){0, 1, 1, 0}), 4);
  pixels[11] = 1;
  assert_int_equal(map_edges(edges, &map, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "column 2 of row 2 is #000001"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classes_are_counted_over_all_maps), cmocka_unit_test(a_class_is_left_out),
      cmocka_unit_test(colours_are_classes),               cmocka_unit_test(more_than_maps_have_are_refused),
      cmocka_unit_test(edges_are_black_and_white),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
