/* Archives of pictures are read as Hugging Face's imagefolder, in the archive's order; what is wrong is told with the
   picture or the line of metadata.jsonl at fault. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/openapi.h"
#include "base/json.h"
#include "tests/worker/data/data_file.h"
#include "tests/worker/image_archive.h"
#include "worker/data/image_folder.h"
#include "worker/upload.h"

static void pack(bool zip, const struct member *members) {
  pack_images(data_file, zip, members);
}

/* What is said of a long check goes nowhere. */
static struct report listener;
static int make_files(void **state) {
  report_init(&listener, open("/dev/null", O_WRONLY | O_CLOEXEC), -1);
  return listener.out < 0 || make_data_file(state);
}

static enum status keep_width(void *with, const struct image_item *item, struct image *image, struct error *err) {
  (void)err;
  ((size_t *)with)[item->of ? item->of->example : item->example] = image->width;
  image_done(image);
  return STATUS_OK;
}

static void pictures_come_in_the_archives_order_with_their_texts(void **state) {
  (void)state;
  for (int zip = 0; zip < 2; zip++) {
    struct image_folder folder;
    size_t widths[2] = {0};
    pack(zip,
         ARCHIVE(PICTURE("a/z.png", 5, 3), TEXT("__MACOSX/._z.png", "junk"), TEXT("a/.hidden.png", "junk"),
                 PICTURE("a/b/y.PNG", 7, 3), TEXT("a/readme.txt", "hello"),
                 TEXT("a/metadata.jsonl",
                      "{\"file_name\":\"b/y.PNG\",\"text\":\"a \\u00e9\",\"other\":1}\n\n{\"file_name\":\"z.png\"}")));
    assert_int_equal(image_folder_open(&folder, data_file, NULL), STATUS_OK);
    assert_int_equal(folder.count, 2);
    assert_string_equal(folder.items[0].path, "a/z.png");
    assert_null(folder.items[0].text);
    assert_int_equal(folder.items[0].line, 3);
    assert_string_equal(folder.items[1].path, "a/b/y.PNG");
    assert_string_equal(folder.items[1].text, "a \xc3\xa9");
    assert_int_equal(image_folder_each(&folder, data_file, keep_width, widths, NULL), STATUS_OK);
    assert_int_equal(widths[0], 5);
    assert_int_equal(widths[1], 7);
    image_folder_close(&folder);
  }
}

static void the_report(void **state) {
  (void)state;
  struct error err;
  json_t *report;
  const struct task_file file = {.path = data_file, .filename = "x.zip"};
  pack(true, ARCHIVE(PICTURE("a.png", 5, 3), PICTURE("b.png", 9, 3),
                     TEXT("metadata.jsonl", "{\"file_name\":\"a.png\",\"text\":\"t\"}\n{\"file_name\":\"b.png\"}\n")));
  assert_int_equal(upload_check(&report, &file, &listener, &err), STATUS_OK);
  json_object_del(report, "bytes");
  char *text = json_dumps(report, JSON_COMPACT);
  assert_string_equal(text, "{\"format\":\"zip\",\"kind\":\"images\",\"examples\":2,\"columns\":[\"image\",\"text\"],"
                            "\"images\":{\"count\":2,\"with_text\":1,\"with_conditioning_image\":0,\"width\":{\"min\":"
                            "5,\"max\":9},\"height\":"
                            "{\"min\":3,\"max\":3}},\"warnings\":[\"1 of 2 images have no text\"]}");
  free(text);
  json_t *document = openapi_document(), *value;
  const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
  const json_t *described = json_object_get(json_object_get(schemas, "Validation"), "properties");
  const char *name;
  json_object_foreach(report, name, value) assert_non_null(json_object_get(described, name));
  json_decref(document);
  json_decref(report);
}

/* Hints may lie before or behind their pictures, in any order, and are no examples. */
static void hints_belong_to_their_pictures(void **state) {
  (void)state;
  struct image_folder folder;
  struct error err;
  json_t *report;
  size_t widths[2] = {0}, of_hints[2] = {0};
  pack(true,
       ARCHIVE(PICTURE("h/b.png", 7, 3), PICTURE("a.png", 5, 3), PICTURE("b.png", 7, 3), PICTURE("h/a.png", 5, 3),
               TEXT("metadata.jsonl", "{\"file_name\":\"a.png\",\"text\":\"t\",\"conditioning_image\":\"h/a.png\"}\n"
                                      "{\"file_name\":\"b.png\",\"conditioning_image\":\"h/b.png\"}\n")));
  assert_int_equal(image_folder_open(&folder, data_file, NULL), STATUS_OK);
  assert_int_equal(folder.count, 4);
  assert_int_equal(folder.examples, 2);
  assert_ptr_equal(folder.items[0].of, &folder.items[2]);
  assert_ptr_equal(folder.items[1].hint, &folder.items[3]);
  assert_int_equal(folder.items[2].example, 1);
  assert_int_equal(image_folder_each(&folder, data_file, keep_width, widths, NULL), STATUS_OK);
  assert_int_equal(image_folder_each_hint(&folder, data_file, keep_width, of_hints, NULL), STATUS_OK);
  assert_true(widths[0] == 5 && widths[1] == 7 && of_hints[0] == 5 && of_hints[1] == 7);
  image_folder_close(&folder);
  const struct task_file file = {.path = data_file, .filename = "x.zip"};
  assert_int_equal(upload_check(&report, &file, &listener, &err), STATUS_OK);
  char *text = json_dumps(report, JSON_COMPACT);
  assert_non_null(strstr(text, "\"examples\":2,"));
  assert_non_null(strstr(text, "\"columns\":[\"image\",\"text\",\"conditioning_image\"]"));
  assert_non_null(strstr(text, "\"with_conditioning_image\":2,"));
  free(text);
  json_decref(report);
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
#define LINE(text) TEXT("d/metadata.jsonl", text)
  static const struct {
    struct member members[4];
    const char *why;
  } cases[] = {
      {{TEXT("a.png", "\x89PNG\r\n\x1a\n")}, "a.png: the PNG is truncated"},
      {{PICTURE("a.png", 5, 3), TEXT("b.jpg", "GIF")}, "b.jpg: the file does not begin as"},
      {{PICTURE("a.png", 5, 3), PICTURE("a.png", 5, 3)}, "the archive has a.png twice"},
      {{PICTURE("d/a.png", 5, 3), PICTURE("d/b.png", 5, 3), LINE("{\"file_name\":\"a.png\"}\n")},
       "d/metadata.jsonl has no line for the image d/b.png"},
      {{PICTURE("d/a.png", 5, 3), LINE("\n{\"file_name\":\"c.png\"}\n")},
       "d/metadata.jsonl, line 2: the archive has no image d/c.png"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"../x.png\"}")}, "line 1: the archive has no image d/../x.png"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\"}\n{\"file_name\":\"a.png\"}\n")},
       "line 2: d/a.png has been given in line 1"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\",\"conditioning_image\":\"h.png\"}\n")},
       "d/metadata.jsonl, line 1: the archive has no image d/h.png"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\",\"conditioning_image\":\"a.png\"}\n")},
       "line 1: d/a.png has been given in line 1"},
      {{PICTURE("d/a.png", 5, 3), PICTURE("d/b.png", 5, 4),
        LINE("\n{\"file_name\":\"a.png\",\"conditioning_image\":\"b.png\"}\n")},
       "line 2 of metadata.jsonl: the conditioning_image d/b.png is 5 x 4 pixels, its image d/a.png 5 x 3"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\",\"conditioning_image\":3}\n")},
       "line 1: conditioning_image must be a string"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\"\n")}, "d/metadata.jsonl, line 1: line 1, column"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"text\":\"a\"}\n")}, "line 1: it has no file_name"},
      {{PICTURE("d/a.png", 5, 3), LINE("{\"file_name\":\"a.png\",\"text\":3}\n")}, "line 1: text must be a string"},
      {{PICTURE("d/a.png", 5, 3), LINE("[1]")}, "line 1: it must be an object, not an array"},
      {{PICTURE("d/a.png", 5, 3), LINE(""), TEXT("metadata.jsonl", "")}, "has metadata.jsonl twice"},
  };
  const struct task_file file = {.path = data_file, .filename = "x.tar.gz"};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct error err = {0};
    json_t *report;
    pack(false, cases[i].members);
    assert_int_equal(upload_check(&report, &file, &listener, &err), STATUS_DATASET_INVALID);
    assert_null(report);
    if (!strstr(err.text, cases[i].why))
      fail_msg("case %zu says: %s", i, err.text);
  }
}

/* An archive without pictures is what it was: an adapter, or a packed data file. */
static void other_archives_are_no_pictures(void **state) {
  (void)state;
  put_data("no archive at all");
  assert_false(image_folder_is(data_file));
  struct error err = {0};
  json_t *report;
  pack(true, ARCHIVE(TEXT("x.csv", "text,label\na,b\nc,d\n")));
  assert_false(image_folder_is(data_file));
  assert_int_equal(upload_check(&report, &(struct task_file){.path = data_file, .filename = "x.zip"}, &listener, &err),
                   STATUS_OK);
  assert_string_equal(json_string_value(json_object_get(report, "kind")), "classification");
  json_decref(report);
  pack(false, ARCHIVE(TEXT("adapter_config.json", "{}"), TEXT("sample.png", "x")));
  assert_int_not_equal(
      upload_check(&report, &(struct task_file){.path = data_file, .filename = "x.tar.gz"}, &listener, &err),
      STATUS_OK);
  assert_non_null(strstr(err.text, "adapter_model.safetensors"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pictures_come_in_the_archives_order_with_their_texts),
      cmocka_unit_test(the_report),
      cmocka_unit_test(hints_belong_to_their_pictures),
      cmocka_unit_test(what_is_wrong_is_named),
      cmocka_unit_test(other_archives_are_no_pictures),
  };
  return cmocka_run_group_tests(tests, make_files, remove_data_file);
}
