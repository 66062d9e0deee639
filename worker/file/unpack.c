#include "worker/file/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/file/archive.h"

/* Text of people is packed to a tenth, tables of repeated words to a fiftieth: beyond this it is made to be large. */
enum { BLOCK = 64 << 10, ENTRIES_MAX = 10000, FREE_BYTES = 64 << 20, RATIO_MAX = 200 };

struct unpack {
  struct archive *archive;
  uint64_t packed, bytes, bytes_max;
};

static enum status damaged(struct archive *archive, struct error *err) {
  const char *text = archive_error_string(archive);
  return error_set(err, STATUS_DATASET_INVALID, NULL, "the packed file cannot be read: %.200s",
                   text ? text : "it is damaged");
}

static enum status start(struct unpack *unpack, int fd, enum unpack_kind kind, struct error *err) {
  archive_read_free(unpack->archive);
  unpack->archive = archive_read_new();
  if (!unpack->archive || lseek(fd, 0, SEEK_SET) != 0)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "unpacking a file");
  if (kind == UNPACK_ZIP) {
    archive_read_support_format_zip(unpack->archive);
  } else {
    archive_read_support_filter_gzip(unpack->archive);
    archive_read_support_format_raw(unpack->archive);
    archive_read_support_format_empty(unpack->archive);
  }
  return archive_read_open_fd(unpack->archive, fd, BLOCK) == ARCHIVE_OK ? STATUS_OK : damaged(unpack->archive, err);
}

/* Goes to the next data file; *found false: there is none. */
static enum status next_file(struct unpack *unpack, bool *found, char name[UNPACK_NAME_MAX], struct error *err) {
  struct archive_entry *entry;
  *found = false;
  for (size_t seen = 0;; seen++) {
    int code = archive_read_next_header(unpack->archive, &entry);
    if (code == ARCHIVE_EOF)
      return STATUS_OK;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
      return damaged(unpack->archive, err);
    if (seen == ENTRIES_MAX)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has more than %d entries", ENTRIES_MAX);
    const char *path = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || (path && archive_litter(path)))
      continue;
    const char *slash = path ? strrchr(path, '/') : NULL;
    snprintf(name, UNPACK_NAME_MAX, "%s", slash ? slash + 1 : path ? path : "");
    if (archive_entry_is_encrypted(entry))
      return error_set(err, STATUS_DATASET_INVALID, NULL, "%.100s in the archive is encrypted", name);
    *found = true;
    return STATUS_OK;
  }
}

/* The one file of a zip. */
static enum status find_file(struct unpack *unpack, char name[UNPACK_NAME_MAX], int fd, struct error *err) {
  char other[UNPACK_NAME_MAX];
  bool found, more;
  enum status status = next_file(unpack, &found, name, err);
  if (!status && !found)
    status = error_set(err, STATUS_DATASET_INVALID, NULL, "the zip archive has no file in it");
  if (!status)
    status = next_file(unpack, &more, other, err);
  if (!status && more)
    status =
        error_set(err, STATUS_DATASET_INVALID, NULL,
                  "the zip archive has several files (%.60s, %.60s): upload each data file by itself", name, other);
  if (!status)
    status = start(unpack, fd, UNPACK_ZIP, err);
  return status ? status : next_file(unpack, &found, name, err);
}

enum status unpack_open(struct unpack **out, char name[UNPACK_NAME_MAX], int fd, enum unpack_kind kind,
                        struct error *err) {
  struct archive_entry *entry;
  struct unpack *unpack = calloc(1, sizeof *unpack);
  struct stat info;
  *out = NULL;
  name[0] = '\0';
  if (!unpack || fstat(fd, &info) != 0) {
    free(unpack);
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "unpacking a file");
  }
  unpack->packed = (uint64_t)info.st_size;
  unpack->bytes_max = FREE_BYTES + unpack->packed * RATIO_MAX;
  enum status status = start(unpack, fd, kind, err);
  if (!status && kind == UNPACK_ZIP) {
    status = find_file(unpack, name, fd, err);
  } else if (!status) {
    int code = archive_read_next_header(unpack->archive, &entry);
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN && code != ARCHIVE_EOF)
      status = damaged(unpack->archive, err);
    else if (archive_filter_code(unpack->archive, 0) != ARCHIVE_FILTER_GZIP)
      status = error_set(err, STATUS_DATASET_INVALID, NULL, "the file begins as gzip does, and its header is damaged");
  }
  if (status)
    unpack_close(unpack);
  else
    *out = unpack;
  return status;
}

enum status unpack_read(size_t *length, struct unpack *unpack, void *bytes, size_t size, struct error *err) {
  la_ssize_t n = archive_read_data(unpack->archive, bytes, size);
  *length = n > 0 ? (size_t)n : 0;
  if (n < 0)
    return damaged(unpack->archive, err);
  unpack->bytes += *length;
  if (unpack->bytes > unpack->bytes_max)
    return error_set(err, STATUS_DATASET_INVALID, NULL,
                     "the file has %llu bytes and is unpacked to more than %llu: upload it unpacked",
                     (unsigned long long)unpack->packed, (unsigned long long)unpack->bytes_max);
  return STATUS_OK;
}

void unpack_close(struct unpack *unpack) {
  if (!unpack)
    return;
  archive_read_free(unpack->archive);
  free(unpack);
}
