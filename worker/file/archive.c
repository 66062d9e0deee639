#include "worker/file/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 10000, BLOCK = 64 << 10 };

bool archive_named(const char *filename) {
  static const char *const ends[] = {".tar", ".tar.gz", ".tgz", ".zip"};
  size_t length = strlen(filename);
  for (size_t i = 0; i < COUNT_OF(ends); i++)
    if (length > strlen(ends[i]) && strcasecmp(filename + length - strlen(ends[i]), ends[i]) == 0)
      return true;
  return false;
}

static enum status damaged(struct archive *archive, struct error *err) {
  const char *text = archive_error_string(archive);
  return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive cannot be read: %.200s",
                   text ? text : "it is damaged");
}

static struct archive_member *wanted(struct archive_member *members, size_t count, struct archive_entry *entry) {
  const char *path = archive_entry_pathname(entry);
  if (!path || archive_entry_filetype(entry) != AE_IFREG)
    return NULL;
  const char *slash = strrchr(path, '/');
  for (size_t i = 0; i < count; i++)
    if (strcmp(slash ? slash + 1 : path, members[i].name) == 0)
      return &members[i];
  return NULL;
}

static enum status take(struct archive_member *m, struct archive *archive, struct error *err) {
  size_t size = 0;
  if (m->bytes)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has %s twice", m->name);
  for (;;) {
    if (m->length + BLOCK + 1 > size) {
      size = size ? size * 2 : 4 * BLOCK;
      char *bytes = realloc(m->bytes, size);
      if (!bytes)
        return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %s", m->name);
      m->bytes = bytes;
    }
    la_ssize_t n = archive_read_data(archive, m->bytes + m->length, BLOCK);
    if (n < 0)
      return damaged(archive, err);
    m->length += (size_t)n;
    m->bytes[m->length] = '\0';
    if (n == 0)
      return STATUS_OK;
    if (m->length > m->bytes_max)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "%s in the archive has more than %zu bytes", m->name,
                       m->bytes_max);
  }
}

static enum status read_entries(struct archive_member *members, size_t count, struct archive *archive,
                                struct error *err) {
  struct archive_entry *entry;
  for (size_t seen = 0;; seen++) {
    int code = archive_read_next_header(archive, &entry);
    if (code == ARCHIVE_EOF)
      return STATUS_OK;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
      return damaged(archive, err);
    if (seen == ENTRIES_MAX)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has more than %d entries", ENTRIES_MAX);
    struct archive_member *member = wanted(members, count, entry);
    enum status status = member ? take(member, archive, err) : STATUS_OK;
    if (status)
      return status;
  }
}

static struct archive *new_archive(void) {
  struct archive *archive = archive_read_new();
  if (archive) {
    archive_read_support_filter_gzip(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_zip(archive);
  }
  return archive;
}

bool archive_litter(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  return strncmp(path, "__MACOSX/", 9) == 0 || name[0] == '.' || strcmp(name, "Thumbs.db") == 0 ||
         strcmp(name, "desktop.ini") == 0;
}

/* The file at which the archive stands, with what it adds to the bytes so far. */
static enum status hand_over(const struct archive_walk *walk, struct archive *archive, const char *name,
                             uint64_t *bytes, struct error *err) {
  struct archive_member member = {.name = name, .bytes_max = walk->member_bytes_max};
  enum status status = take(&member, archive, err);
  if (!status && (*bytes += member.length) > walk->bytes_max)
    status = error_set(err, STATUS_DATASET_INVALID, NULL, "the files in the archive have more than %llu bytes",
                       (unsigned long long)walk->bytes_max);
  if (!status)
    status = walk->take(walk->with, name, (const unsigned char *)member.bytes, member.length, err);
  archive_free_members(&member, 1);
  return status;
}

static enum status walk_entries(const struct archive_walk *walk, struct archive *archive, struct error *err) {
  struct archive_entry *entry;
  uint64_t bytes = 0;
  for (size_t seen = 0;; seen++) {
    int code = archive_read_next_header(archive, &entry);
    if (code == ARCHIVE_EOF)
      return STATUS_OK;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
      return damaged(archive, err);
    if (seen == ENTRIES_MAX)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has more than %d entries", ENTRIES_MAX);
    const char *name = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || !name || archive_litter(name) || !walk->wanted(walk->with, name))
      continue;
    enum status status = archive_entry_is_encrypted(entry)
                             ? error_set(err, STATUS_DATASET_INVALID, NULL, "%.100s in the archive is encrypted", name)
                             : hand_over(walk, archive, name, &bytes, err);
    if (status)
      return status;
  }
}

enum status archive_walk(const char *path, const struct archive_walk *walk, struct error *err) {
  struct archive *archive = new_archive();
  if (!archive)
    return error_no_memory(err, "reading an archive");
  enum status status = archive_read_open_filename(archive, path, BLOCK) == ARCHIVE_OK ? walk_entries(walk, archive, err)
                                                                                      : damaged(archive, err);
  archive_read_free(archive);
  return status;
}

bool archive_has(const char *path, const char *name) {
  struct archive_member member = {.name = name};
  struct archive_entry *entry;
  bool found = false;
  struct archive *archive = new_archive();
  if (archive && archive_read_open_filename(archive, path, BLOCK) == ARCHIVE_OK)
    for (size_t seen = 0; !found && seen < ENTRIES_MAX; seen++) {
      int code = archive_read_next_header(archive, &entry);
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
        break;
      found = wanted(&member, 1, entry) != NULL;
    }
  archive_read_free(archive);
  return found;
}

enum status archive_read(struct archive_member *members, size_t count, const char *path, struct error *err) {
  for (size_t i = 0; i < count; i++) {
    members[i].bytes = NULL;
    members[i].length = 0;
  }
  struct archive *archive = new_archive();
  if (!archive)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to read an archive");
  enum status status = archive_read_open_filename(archive, path, BLOCK) == ARCHIVE_OK
                           ? read_entries(members, count, archive, err)
                           : damaged(archive, err);
  archive_read_free(archive);
  if (status)
    archive_free_members(members, count);
  return status;
}

void archive_free_members(struct archive_member *members, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(members[i].bytes);
    members[i].bytes = NULL;
    members[i].length = 0;
  }
}
