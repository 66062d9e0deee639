/* The end record says where the central directory is, that where each file's own header is, and its bytes follow it.
   What does not fit 32 bits stands in records of zip64. */
#include "worker/file/zip.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/file/bad.h"

enum { END = 22, END64 = 56, LOCATOR64 = 20, CENTRAL = 46, LOCAL = 30, COMMENT_MAX = 65535 };

static uint64_t number(const unsigned char *at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;)
    value = value << 8 | at[i];
  return value;
}

static bool is_record(const unsigned char *at, const char *signature) {
  return at[0] == 'P' && at[1] == 'K' && memcmp(at + 2, signature, 2) == 0;
}

/* Where the central directory is, and how many entries it has. */
struct directory {
  uint64_t count, length, offset;
};

static enum status find_directory(struct directory *out, const unsigned char *bytes, size_t length, struct error *err) {
  size_t end = length < END ? 0 : length - END;
  size_t least = end > COMMENT_MAX ? end - COMMENT_MAX : 0;
  while (length >= END && end > least && !is_record(bytes + end, "\5\6"))
    end--;
  if (length < END || !is_record(bytes + end, "\5\6"))
    return bad_file(err, "has no end of a zip: the file is cut short (download it again?)");
  const unsigned char *record = bytes + end;
  *out = (struct directory){number(record + 10, 2), number(record + 12, 4), number(record + 16, 4)};
  if (end >= LOCATOR64 && is_record(record - LOCATOR64, "\6\7")) {
    uint64_t at = number(record - LOCATOR64 + 8, 8);
    if (at > end - LOCATOR64 || end - LOCATOR64 - at < END64 || !is_record(bytes + at, "\6\6"))
      return bad_file(err, "byte %zu: no end record of zip64 is at byte %" PRIu64, end - LOCATOR64 + 8, at);
    *out = (struct directory){number(bytes + at + 32, 8), number(bytes + at + 40, 8), number(bytes + at + 48, 8)};
  }
  if (out->offset > end || out->length > end - out->offset)
    return bad_file(err, "byte %zu: the zip's directory is said to be at byte %" PRIu64 ", outside of the file", end,
                   out->offset);
  if (out->count > ZIP_ENTRIES_MAX || out->count > out->length / CENTRAL)
    return bad_file(err, "byte %zu: %" PRIu64 " entries do not fit the zip's directory", end, out->count);
  return STATUS_OK;
}

/* Sizes of an entry; those that are all ones stand in the extra field 1, in this order. */
struct sizes {
  uint64_t length, stored, offset;
};

static bool read_zip64(struct sizes *sizes, const unsigned char *extra, size_t length) {
  uint64_t *const value[] = {&sizes->length, &sizes->stored, &sizes->offset};
  while (length >= 4) {
    size_t id = number(extra, 2), size = number(extra + 2, 2), used = 0;
    if (size > length - 4)
      return false;
    for (size_t i = 0; id == 1 && i < COUNT_OF(value); i++) {
      if (*value[i] != UINT32_MAX)
        continue;
      if (used + 8 > size)
        return false;
      *value[i] = number(extra + 4 + used, 8);
      used += 8;
    }
    extra += 4 + size;
    length -= 4 + size;
  }
  return true;
}

static enum status locate(struct zip_entry *out, const struct sizes *sizes, const unsigned char *bytes, size_t length,
                          struct error *err) {
  if (length < LOCAL || sizes->offset > length - LOCAL || !is_record(bytes + sizes->offset, "\3\4"))
    return bad_file(err, "%.80s: no header of it is at byte %" PRIu64, out->name, sizes->offset);
  const unsigned char *header = bytes + sizes->offset;
  size_t begin = (size_t)sizes->offset + LOCAL + number(header + 26, 2) + number(header + 28, 2);
  if (begin > length || sizes->length > length - begin)
    return bad_file(err, "%.80s: its %" PRIu64 " bytes from byte %zu on do not lie in the file: it is cut short",
                   out->name, sizes->length, begin);
  out->bytes = bytes + begin;
  out->length = (size_t)sizes->length;
  return STATUS_OK;
}

static enum status read_entry(struct zip_entry *out, size_t *used, const struct directory *d, size_t at,
                              const unsigned char *bytes, size_t length, struct arena *arena, struct error *err) {
  const unsigned char *record = bytes + d->offset + at;
  if (d->length - at < CENTRAL || !is_record(record, "\1\2"))
    return bad_file(err, "byte %" PRIu64 ": no entry of the zip's directory", d->offset + at);
  size_t name = number(record + 28, 2), extra = number(record + 30, 2);
  *used = CENTRAL + name + extra + number(record + 32, 2);
  if (*used > d->length - at)
    return bad_file(err, "byte %" PRIu64 ": an entry leaves the zip's directory", d->offset + at);
  if (name == 0 || name > ZIP_NAME_MAX || memchr(record + CENTRAL, 0, name))
    return bad_file(err, "byte %" PRIu64 ": a name must have 1 to %d bytes, none of them 0", d->offset + at,
                   ZIP_NAME_MAX);
  out->name = arena_copy(arena, (const char *)record + CENTRAL, name);
  if (!out->name)
    return error_no_memory(err, "a zip's directory");
  struct sizes sizes = {number(record + 24, 4), number(record + 20, 4), number(record + 42, 4)};
  if (number(record + 8, 2) & 1)
    return bad_file(err, "%.80s: is encrypted", out->name);
  if (number(record + 10, 2) != 0)
    return bad_file(err, "%.80s: is compressed; torch.save stores files as they are, and only such are read",
                    out->name);
  if (!read_zip64(&sizes, record + CENTRAL + name, extra) || sizes.length != sizes.stored)
    return bad_file(err, "%.80s: its sizes in the zip's directory are damaged", out->name);
  return locate(out, &sizes, bytes, length, err);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

enum status zip_parse(struct zip *out, const unsigned char *bytes, size_t length, struct arena *arena,
                      struct error *err) {
  struct directory directory = {0};
  size_t at = 0;
  *out = (struct zip){0};
  enum status status = find_directory(&directory, bytes, length, err);
  if (status)
    return status;
  out->entries = arena_array(arena, (size_t)directory.count, sizeof *out->entries);
  if (!out->entries)
    return error_no_memory(err, "a zip's directory");
  for (size_t i = 0, used = 0; i < directory.count; i++, at += used) {
    status = read_entry(&out->entries[i], &used, &directory, at, bytes, length, arena, err);
    if (status)
      return status;
  }
  out->count = (size_t)directory.count;
  qsort(out->entries, out->count, sizeof *out->entries, by_name);
  for (size_t i = 1; i < out->count; i++)
    if (strcmp(out->entries[i - 1].name, out->entries[i].name) == 0)
      return bad_file(err, "%.80s: is there twice", out->entries[i].name);
  return STATUS_OK;
}

const struct zip_entry *zip_find(const struct zip *zip, const char *name) {
  struct zip_entry key = {.name = name};
  return zip->count ? bsearch(&key, zip->entries, zip->count, sizeof key, by_name) : NULL;
}
