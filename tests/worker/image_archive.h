/* Archives of pictures for tests. */
#ifndef TESTS_WORKER_IMAGE_ARCHIVE_H
#define TESTS_WORKER_IMAGE_ARCHIVE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "worker/image/image_png.h"

/* A file of an archive: its text, or a PNG of that size whose colours follow from the first letter of its path. */
struct member {
  const char *path, *text;
  size_t width, height;
};

#define PICTURE(path, width, height)                                                                                   \
  { path, NULL, width, height }
#define TEXT(path, text)                                                                                               \
  { path, text, 0, 0 }
#define ARCHIVE(...) ((const struct member[]){__VA_ARGS__, {NULL, NULL, 0, 0}})

static inline void add_member(struct archive *a, const struct member *m) {
  unsigned char *bytes = NULL;
  size_t length = m->text ? strlen(m->text) : 0;
  if (!m->text) {
    struct image image;
    CHECK(image_alloc(&image, m->width, m->height, NULL) == STATUS_OK);
    for (size_t i = 0; i < 3 * m->width * m->height; i++)
      image.pixels[i] = (unsigned char)((size_t)m->path[0] * (i % 3 + 1) * 40 + i / 3 % m->width * 8);
    CHECK(image_png_encode(&bytes, &length, &image, NULL) == STATUS_OK);
    image_done(&image);
  }
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, m->path);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0600);
  archive_entry_set_size(entry, (la_int64_t)length);
  CHECK(archive_write_header(a, entry) == ARCHIVE_OK);
  CHECK(archive_write_data(a, m->text ? m->text : (const char *)bytes, length) == (la_ssize_t)length);
  archive_entry_free(entry);
  free(bytes);
}

/* Writes an archive of the members, ended by one without a path. */
static inline void pack_images(const char *path, bool zip, const struct member *members) {
  struct archive *a = archive_write_new();
  if (zip) {
    archive_write_set_format_zip(a);
  } else {
    archive_write_add_filter_gzip(a);
    archive_write_set_format_pax_restricted(a);
  }
  CHECK(archive_write_open_filename(a, path) == ARCHIVE_OK);
  for (; members->path; members++)
    add_member(a, members);
  CHECK(archive_write_close(a) == ARCHIVE_OK);
  archive_write_free(a);
}

#endif
