/* Packed data files give the bytes that were packed; several files, none, encrypted, damaged and those made to be large
   are refused with the reason. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "worker/file/unpack.h"

static char folder[] = "/tmp/test_unpack.XXXXXX", path[64];

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/packed", folder);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return unlink(path) || rmdir(folder);
}

static void put(const void *bytes, size_t length) {
  assert_int_equal(file_put(path, bytes, length, NULL), STATUS_OK);
}

/* The file becomes what these bytes are packed to; after `earlier` bytes that are there. */
static void gzip_of(const char *bytes, size_t length, size_t earlier) {
  static char packed[1 << 20];
  size_t used = 0;
  char *before = NULL;
  size_t before_length;
  if (earlier)
    assert_int_equal(file_read(&before, &before_length, path, sizeof packed, NULL), STATUS_OK);
  if (before)
    memcpy(packed, before, earlier);
  free(before);
  struct archive *a = archive_write_new();
  struct archive_entry *entry = archive_entry_new();
  archive_write_add_filter_gzip(a);
  archive_write_set_format_raw(a);
  archive_write_set_bytes_per_block(a, 1); /* nothing is added at the end */
  assert_int_equal(archive_write_open_memory(a, packed + earlier, sizeof packed - earlier, &used), ARCHIVE_OK);
  archive_entry_set_filetype(entry, AE_IFREG);
  assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
  assert_int_equal(archive_write_data(a, bytes, length), length);
  assert_int_equal(archive_write_close(a), ARCHIVE_OK);
  archive_entry_free(entry);
  archive_write_free(a);
  put(packed, earlier + used);
}

static size_t size_of_file(void) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return (size_t)info.st_size;
}

static void cut(size_t length) {
  assert_int_equal(truncate(path, (off_t)length), 0);
}

struct member {
  const char *name, *text; /* text NULL: a folder */
};

static void zip_of(const struct member *members) {
  struct archive *a = archive_write_new();
  archive_write_set_format_zip(a);
  assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
  for (; members->name; members++) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, members->name);
    archive_entry_set_filetype(entry, members->text ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, members->text ? (la_int64_t)strlen(members->text) : 0);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    if (members->text)
      assert_int_equal(archive_write_data(a, members->text, strlen(members->text)), strlen(members->text));
    archive_entry_free(entry);
  }
  assert_int_equal(archive_write_close(a), ARCHIVE_OK);
  archive_write_free(a);
}

/* What comes out, or "! why". */
static void expect(enum unpack_kind kind, const char *want_name, const char *want) {
  AUTO(str_done) struct str text;
  char name[UNPACK_NAME_MAX], bytes[5];
  struct unpack *unpack;
  struct error err = {0};
  size_t length = 1;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  str_init(&text, 1 << 16);
  enum status status = unpack_open(&unpack, name, fd, kind, &err);
  while (!status && length > 0 && !(status = unpack_read(&length, unpack, bytes, sizeof bytes, &err)))
    str_add(&text, bytes, length);
  if (status) {
    assert_int_equal(status, STATUS_DATASET_INVALID);
    str_clear(&text);
    str_printf(&text, "! %s", err.text);
  }
  if (status ? !strstr(text.text, want) : strcmp(text.text, want) != 0)
    fail_msg("\"%s\" should be \"%s\"", text.text, want);
  if (!status)
    assert_string_equal(name, want_name);
  unpack_close(unpack);
  close(fd);
}

static void gzip(void **state) {
  static char lines[60000];
  (void)state;
  gzip_of("one two three", 13, 0);
  expect(UNPACK_GZIP, "", "one two three");
  gzip_of("one", 3, 0);
  gzip_of("two", 3, size_of_file()); /* several behind each other are one text */
  expect(UNPACK_GZIP, "", "onetwo");
  gzip_of("", 0, 0);
  expect(UNPACK_GZIP, "", "");
  for (size_t i = 0, state_of = 1; i < sizeof lines; i++, state_of = state_of * 1103515245 + 12345)
    lines[i] = (char)('a' + (state_of >> 16) % 26);
  gzip_of(lines, sizeof lines, 0);
  cut(size_of_file() / 2);
  expect(UNPACK_GZIP, "", "! the packed file cannot be read");
  put("\037\213nothing of the kind", 21);
  expect(UNPACK_GZIP, "", "! the file begins as gzip does");
}

static void zip(void **state) {
  (void)state;
  zip_of((const struct member[]){{"a/train.csv", "text\n1\n"}, {NULL, NULL}});
  expect(UNPACK_ZIP, "train.csv", "text\n1\n");
  cut(40);
  expect(UNPACK_ZIP, "", "!");
  zip_of((const struct member[]){
      {"d/", NULL}, {"__MACOSX/._x", "y"}, {".DS_Store", "y"}, {"x.jsonl", "{}"}, {NULL, NULL}});
  expect(UNPACK_ZIP, "x.jsonl", "{}");
  zip_of((const struct member[]){{"a.csv", "1"}, {"b.csv", "2"}, {NULL, NULL}});
  expect(UNPACK_ZIP, "", "! the zip archive has several files (a.csv, b.csv)");
  zip_of((const struct member[]){{"d/", NULL}, {NULL, NULL}});
  expect(UNPACK_ZIP, "", "! the zip archive has no file in it");
}

/* 100 MB of nothing in 100 KB: it ends long before all of it is there. */
static void bombs(void **state) {
  char name[UNPACK_NAME_MAX];
  static char bytes[1 << 20];
  struct unpack *unpack;
  struct error err = {0};
  size_t length = 1, all = 0;
  enum status status = STATUS_OK;
  (void)state;
  char *zeros = calloc(1, 100000000);
  assert_non_null(zeros);
  gzip_of(zeros, 100000000, 0);
  free(zeros);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_int_equal(unpack_open(&unpack, name, fd, UNPACK_GZIP, &err), STATUS_OK);
  while (!status && length > 0 && !(status = unpack_read(&length, unpack, bytes, sizeof bytes, &err)))
    all += length;
  assert_int_equal(status, STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "upload it unpacked"));
  assert_true(all < 90000000);
  unpack_close(unpack);
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gzip), cmocka_unit_test(zip), cmocka_unit_test(bombs)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
