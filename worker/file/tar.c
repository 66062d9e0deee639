/* libarchive writes through base/file.h, which hashes and publishes. */
#include "worker/file/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

struct sink {
  struct file_new file;
  struct error *err;
  enum status status;  /* of the first write that failed */
  bool stopped;        /* what libarchive still flushes while it is freed is dropped */
};

static la_ssize_t sink_write(struct archive *archive, void *payload, const void *bytes, size_t length) {
  struct sink *sink = payload;
  (void)archive;
  if (sink->stopped)
    return (la_ssize_t)length;
  if (!sink->status)
    sink->status = file_write(&sink->file, bytes, length, sink->err);
  return sink->status ? -1 : (la_ssize_t)length;
}

static bool name_ok(const char *name) {
  if (!*name || strlen(name) > 255)
    return false;
  for (const char *part = name;; part++) {
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
      return false;
    part += length;
    if (!*part)
      return true;
  }
}

/* The archive's own fault, or that of the file under it. */
static enum status fault(struct archive *archive, struct sink *sink, const char *name) {
  if (sink->status)
    return sink->status;
  const char *text = archive_error_string(archive);
  return error_set(sink->err, STATUS_IO, NULL, "archiving %s: %s", name, text ? text : "libarchive failed");
}

static enum status add_file(struct archive *archive, struct sink *sink, const char *directory, const char *name) {
  char path[1400];
  struct file_map map;
  if (!name_ok(name))
    return error_set(sink->err, STATUS_INVALID_VALUE, NULL, "%.100s is no name for a file in an archive", name);
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
    return error_set(sink->err, STATUS_IO, NULL, "the path %.80s... is too long", directory);
  enum status status = file_map_open(&map, path, sink->err);
  if (status)
    return status;
  struct archive_entry *entry = archive_entry_new();
  if (!entry) {
    file_map_close(&map);
    return error_set(sink->err, STATUS_OUT_OF_MEMORY, NULL, "no memory to archive %s", name);
  }
  archive_entry_set_pathname(entry, name);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_mtime(entry, 0, 0);
  archive_entry_set_uid(entry, 0);
  archive_entry_set_gid(entry, 0);
  archive_entry_set_size(entry, (la_int64_t)map.length);
  bool ok = archive_write_header(archive, entry) == ARCHIVE_OK;
  if (ok && map.length)
    ok = archive_write_data(archive, map.bytes, map.length) == (la_ssize_t)map.length;
  if (!ok)
    status = fault(archive, sink, name);
  archive_entry_free(entry);
  file_map_close(&map);
  return status;
}

enum status tar_pack(const char *path_out, const char *directory, const char *const *names, size_t count,
                     char sha256[HASH_HEX], uint64_t *bytes, struct error *err) {
  struct sink sink = {.err = err};
  enum status status = file_create(&sink.file, path_out, err);
  if (status)
    return status;
  struct archive *archive = archive_write_new();
  if (!archive)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to archive %s", directory);
  else if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
           archive_write_open(archive, &sink, NULL, sink_write, NULL) != ARCHIVE_OK)
    status = fault(archive, &sink, path_out);
  for (size_t i = 0; !status && i < count; i++)
    status = add_file(archive, &sink, directory, names[i]);
  if (!status && archive_write_close(archive) != ARCHIVE_OK)
    status = fault(archive, &sink, path_out);
  sink.stopped = true;
  archive_write_free(archive);
  if (status) {
    file_discard(&sink.file);
    return status;
  }
  status = file_publish(&sink.file, sha256, err);
  if (!status && bytes)
    *bytes = sink.file.bytes;
  return status;
}
