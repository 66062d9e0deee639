/* Proves that maps are compared file by file of two folders, and that each file that cannot be is named. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/compare.h"
#include "worker/image/image_png.h"

static char root[64], truth[80], maps[80];

static int setup(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/reflect-compare-XXXXXX");
  if (!mkdtemp(root))
    return 1;
  snprintf(truth, sizeof truth, "%s/truth", root);
  snprintf(maps, sizeof maps, "%s/maps", root);
  return mkdir(truth, 0700) || mkdir(maps, 0700);
}

static int teardown(void **state) {
  (void)state;
  return file_remove_tree(root, NULL) != STATUS_OK;
}

static void put(const char *folder, const char *name, const void *bytes, size_t length) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_put(path, bytes, length, NULL), STATUS_OK);
}

static void put_text(const char *folder, const char *name, const char *text) {
  put(folder, name, text, strlen(text));
}

/* A map `width` pixels wide, of classes 0 to 9, or white where a letter is #. */
static void put_map(const char *folder, const char *name, size_t width, const char *values) {
  unsigned char pixels[3 * 64], *bytes;
  struct image image = {width, strlen(values) / width, pixels};
  size_t length;
  assert_true(strlen(values) <= 64);
  for (size_t i = 0; values[i]; i++)
    memset(pixels + 3 * i, values[i] == '#' ? 255 : values[i] - '0', 3);
  assert_int_equal(image_png_encode(&bytes, &length, &image, NULL), STATUS_OK);
  put(folder, name, bytes, length);
  free(bytes);
}

static json_t *compared(enum map_kind kind, int64_t ignore, double scale) {
  const struct task_maps task = {truth, maps, (int)kind, ignore, scale};
  json_t *report;
  struct error err;
  if (compare_maps(&report, &task, &err))
    fail_msg("%s", err.text);
  return report;
}

static void refused(enum map_kind kind, enum status status, const char *why) {
  const struct task_maps task = {truth, maps, (int)kind, -1, 1};
  json_t *report;
  struct error err;
  assert_int_equal(compare_maps(&report, &task, &err), status);
  assert_null(report);
  if (!strstr(err.text, why))
    fail_msg("said: %s", err.text);
}

static double number(const json_t *report, const char *name) {
  assert_true(json_is_number(json_object_get(report, name)));
  return json_number_value(json_object_get(report, name));
}

static bool near(double value, double want) {
  return fabs(value - want) < 1e-12;
}

static void classes(void **state) {
  (void)state;
  put_map(truth, "a.png", 4, "0011");
  put_map(maps, "a.png", 4, "0001");
  put_map(truth, "b.png", 2, "301#");
  put_map(maps, "b.png", 2, "1021");
  put_text(maps, ".hidden", "no map");
  AUTO(json_release) json_t *report = compared(MAPS_SEGMENTATION, 0xffffff, 1);
  assert_string_equal(json_string_value(json_object_get(report, "kind")), "segmentation");
  assert_int_equal(json_integer_value(json_object_get(report, "images")), 2);
  assert_int_equal(json_integer_value(json_object_get(report, "ignored_pixels")), 1);
  /* 0: 3 of 4; 1: 1 of 4, of 3 in the truth; 2 and 3: none. */
  assert_true(near(number(report, "mIoU"), (3.0 / 4 + 1.0 / 4) / 4));
  assert_true(near(number(report, "mAcc"), (1 + 1.0 / 3 + 0) / 3));
  assert_true(near(number(report, "aAcc"), 4.0 / 7));
  const json_t *list = json_object_get(report, "classes"), *two = json_array_get(list, 2);
  assert_int_equal(json_array_size(list), 4);
  assert_int_equal(json_integer_value(json_object_get(two, "class")), 2);
  assert_true(json_is_null(json_object_get(two, "Acc")));
  assert_int_equal(json_integer_value(json_object_get(two, "map_pixels")), 1);
}

static void edges(void **state) {
  (void)state;
  put_map(truth, "a.png", 4, "###0");
  put_map(maps, "a.png", 4, "0##0");
  put_map(truth, "b.png", 2, "0000");
  put_map(maps, "b.png", 2, "0000");
  AUTO(json_release) json_t *report = compared(MAPS_EDGES, -1, 1);
  assert_true(near(number(report, "IoU"), (2.0 / 3 + 1) / 2));
  assert_true(near(number(report, "F1"), (4.0 / 5 + 1) / 2));
  put_map(maps, "b.png", 2, "0010");
  refused(MAPS_EDGES, STATUS_DATASET_INVALID, "maps/b.png: it is no map of edges: the pixel in column 1 of row 2");
}

/* The edges of a square are those of itself, and not those of a picture without any. */
static void pictures(void **state) {
  (void)state;
  static const char square[] = "00000000"
                               "00####00"
                               "00####00"
                               "00####00"
                               "00####00"
                               "00000000";
  put_map(truth, "a.png", 8, square);
  put_map(maps, "a.png", 8, square);
  put_map(truth, "b.png", 8, square);
  put_map(maps, "b.png", 8, "000000000000000000000000000000000000000000000000");
  AUTO(json_release) json_t *report = compared(MAPS_CANNY, -1, 1);
  assert_true(near(number(report, "IoU"), 0.5));
  assert_true(near(number(report, "F1"), 0.5));
}

/* Of four pictures one has no face in the truth, one in neither. */
static void landmarks(void **state) {
  (void)state;
  static const char *const texts[][2] = {{"[[0, 0], [4, 8]]", "[[3, 4], [2, 4]]"},
                                         {"[]", "[[1, 1]]"},
                                         {"null", "[]"},
                                         {"[[2, 2]]", "[[1, 3]]"}};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    char name[20];
    snprintf(name, sizeof name, "%zu.json", i);
    put_text(truth, name, texts[i][0]);
    put_text(maps, name, texts[i][1]);
  }
  AUTO(json_release) json_t *report = compared(MAPS_LANDMARK, -1, 0.5);
  assert_true(near(number(report, "distance"), (2.5 + 2) / 2));
  assert_int_equal(json_integer_value(json_object_get(report, "images")), 4);
  assert_int_equal(json_integer_value(json_object_get(report, "compared")), 2);
  const json_t *missing = json_object_get(report, "not_detected");
  assert_int_equal(json_integer_value(json_object_get(missing, "truth")), 2);
  assert_int_equal(json_integer_value(json_object_get(missing, "maps")), 1);
  put_text(maps, "0.json", "[[3, 4]]");
  refused(MAPS_LANDMARK, STATUS_DATASET_INVALID, "maps/0.json has 1 point, and ");
  put_text(maps, "0.json", "[[3, 4], [2]]");
  refused(MAPS_LANDMARK, STATUS_DATASET_INVALID, "maps/0.json: point 2 must be a list");
  put_text(maps, "0.json", "[[3, 4");
  refused(MAPS_LANDMARK, STATUS_INVALID_JSON, "maps/0.json: line 1");
  put_text(maps, "0.json", "null");
  put_text(maps, "3.json", "null");
  refused(MAPS_LANDMARK, STATUS_DATASET_INVALID, "no image has landmarks in both folders: of 4, 2 have none in ");
}

static void files_that_are_none_are_named(void **state) {
  (void)state;
  char path[200];
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "truth has no file");
  put_map(truth, "a.png", 4, "0011");
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "maps has no file");
  put_map(maps, "a.png", 2, "0011");
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "maps/a.png is 2 x 2 pixels, and ");
  refused(MAPS_EDGES, STATUS_DATASET_INVALID, "truth/a.png 4 x 1");
  put_map(truth, "b.png", 2, "0011");
  put_map(truth, "c.png", 2, "0011");
  refused(MAPS_CANNY, STATUS_DATASET_INVALID, "2 of the 3 files of ");
  refused(MAPS_CANNY, STATUS_DATASET_INVALID, "/maps; the first is b.png");
  put_text(maps, "b.png", "\x89PNG\r\n\x1a\n");
  put_text(maps, "c.jpg", "c");
  put_text(maps, "d.png", "d");
  refused(MAPS_CANNY, STATUS_DATASET_INVALID, "1 of the 4 files of ");
  put_map(truth, "d.png", 2, "0011");
  put_map(maps, "a.png", 4, "0011");
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "maps/b.png: the PNG is truncated");
  put_map(maps, "b.png", 2, "0011");
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "maps/c.jpg: the file does not begin as a PNG does");
  put_map(maps, "c.png", 2, "0011");
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "which is the map?");
  snprintf(path, sizeof path, "%s/more", truth);
  assert_int_equal(mkdir(path, 0700), 0);
  refused(MAPS_SEGMENTATION, STATUS_DATASET_INVALID, "truth/more is no file");
  snprintf(path, sizeof path, "%s/none", root);
  const struct task_maps none = {path, maps, MAPS_EDGES, -1, 1};
  json_t *report;
  assert_int_equal(compare_maps(&report, &none, NULL), STATUS_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(classes, setup, teardown),
                                     cmocka_unit_test_setup_teardown(edges, setup, teardown),
                                     cmocka_unit_test_setup_teardown(pictures, setup, teardown),
                                     cmocka_unit_test_setup_teardown(landmarks, setup, teardown),
                                     cmocka_unit_test_setup_teardown(files_that_are_none_are_named, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
