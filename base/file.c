#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

/* Opens a regular file for reading and tells its size. */
static enum status open_regular(int *fd, size_t *length, const char *path, struct error *err) {
  struct stat info;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open %s", path);
  if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(*fd);
    return error_set(err, STATUS_IO, NULL, "%s is not a regular file", path);
  }
  *length = (size_t)info.st_size;
  return STATUS_OK;
}

enum status file_read(char **out, size_t *length, const char *path, size_t bytes_max, struct error *err) {
  int fd;
  size_t size, done = 0;
  enum status status = open_regular(&fd, &size, path, err);
  if (status)
    return status;
  char *text = size <= bytes_max ? malloc(size + 1) : NULL;
  if (size > bytes_max)
    status = error_set(err, STATUS_TOO_LARGE, NULL, "%s has %zu bytes; at most %zu are read", path, size, bytes_max);
  else if (!text)
    status = error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "reading %s", path);
  while (!status && done < size) {
    ssize_t n = read(fd, text + done, size - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      status = error_set(err, STATUS_IO, NULL, "%s ended at byte %zu of %zu", path, done, size);
    else
      done += (size_t)n;
  }
  close(fd);
  if (status) {
    free(text);
    return status;
  }
  text[size] = '\0';
  *out = text;
  *length = size;
  return STATUS_OK;
}

enum status file_map_open(struct file_map *map, const char *path, struct error *err) {
  int fd;
  *map = (struct file_map){0};
  enum status status = open_regular(&fd, &map->length, path, err);
  if (status)
    return status;
  if (map->length) {
    void *at = mmap(NULL, map->length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
      status = error_set_errno(err, STATUS_IO, NULL, "cannot map %s", path);
    else
      map->bytes = at;
  }
  close(fd);
  if (status)
    *map = (struct file_map){0};
  return status;
}

void file_map_close(struct file_map *map) {
  if (map->bytes)
    munmap((void *)(uintptr_t)map->bytes, map->length);
  *map = (struct file_map){0};
}

/* The folder of `path` into out. */
static void folder_of(char out[1024], const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    snprintf(out, 1024, ".");
  else
    snprintf(out, 1024, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

enum status file_create(struct file_new *file, const char *path, struct error *err) {
  char folder[1024], name[40];
  file->fd = -1;
  file->bytes = 0;
  if (strlen(path) >= sizeof file->path)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", path);
  folder_of(folder, path);
  rng_id(name, sizeof name, ".tmp-");
  snprintf(file->path, sizeof file->path, "%s", path);
  snprintf(file->temp, sizeof file->temp, "%s/%s", folder, name);
  file->fd = open(file->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file->fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot create a file in %s", folder);
  hash_init(&file->hash);
  return STATUS_OK;
}

void file_discard(struct file_new *file) {
  if (file->fd < 0)
    return;
  close(file->fd);
  file->fd = -1;
  unlink(file->temp);
}

enum status file_write(struct file_new *file, const void *bytes, size_t length, struct error *err) {
  const char *p = bytes;
  CHECK(file->fd >= 0);
  for (size_t done = 0; done < length;) {
    ssize_t n = write(file->fd, p + done, length - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      enum status status = error_set_errno(err, STATUS_IO, NULL, "writing %s", file->path);
      file_discard(file);
      return status;
    }
    done += (size_t)n;
  }
  hash_add(&file->hash, bytes, length);
  file->bytes += length;
  return STATUS_OK;
}

enum status file_publish(struct file_new *file, char sha256[HASH_HEX], struct error *err) {
  char folder[1024];
  CHECK(file->fd >= 0);
  /* A failed fsync is final: the kernel may have dropped the pages, so it is never tried again. */
  bool ok = fsync(file->fd) == 0;
  ok = close(file->fd) == 0 && ok;
  file->fd = -1;
  if (!ok || rename(file->temp, file->path) != 0) {
    enum status status = error_set_errno(err, STATUS_IO, NULL, "publishing %s", file->path);
    unlink(file->temp);
    return status;
  }
  if (sha256)
    hash_hex(&file->hash, sha256);
  folder_of(folder, file->path);
  return file_sync_dir(folder, err);
}

enum status file_put(const char *path, const void *bytes, size_t length, struct error *err) {
  struct file_new file;
  enum status status = file_create(&file, path, err);
  if (!status)
    status = file_write(&file, bytes, length, err);
  return status ? status : file_publish(&file, NULL, err);
}

enum status file_mkdirs(const char *path, struct error *err) {
  char part[1024];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof part)
    return error_set(err, STATUS_IO, NULL, "a folder's path has %zu bytes", length);
  for (size_t i = 1; i <= length; i++) {
    if (i < length && path[i] != '/')
      continue;
    snprintf(part, sizeof part, "%.*s", (int)i, path);
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
      return error_set_errno(err, STATUS_IO, NULL, "cannot make the folder %s", part);
  }
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
    return error_set(err, STATUS_IO, NULL, "%s is not a folder", path);
  return STATUS_OK;
}

enum status file_sync_dir(const char *path, struct error *err) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open the folder %s", path);
  enum status status = STATUS_OK;
  if (fsync(fd) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "cannot sync the folder %s", path);
  close(fd);
  return status;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
  (void)info;
  (void)type;
  (void)place;
  return remove(path) != 0 && errno != ENOENT;
}

enum status file_remove_tree(const char *path, struct error *err) {
  struct stat info;
  if (lstat(path, &info) != 0 && errno == ENOENT)
    return STATUS_OK;
  if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot remove %s", path);
  return STATUS_OK;
}

int64_t file_tree_bytes(const char *path) {
  char *const roots[] = {(char *)(uintptr_t)path, NULL};
  int64_t bytes = 0;
  FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  for (FTSENT *entry; tree && (entry = fts_read(tree));)
    if (entry->fts_info != FTS_DP && entry->fts_info != FTS_NS && entry->fts_info != FTS_ERR)
      bytes += (int64_t)entry->fts_statp->st_blocks * 512;
  if (tree)
    fts_close(tree);
  return bytes;
}

enum status file_hash(char out[HASH_HEX], uint64_t *bytes, const char *path, struct error *err) {
  int fd;
  size_t size;
  enum status status = open_regular(&fd, &size, path, err);
  if (status)
    return status;
  enum { CHUNK = 1 << 16 };
  unsigned char *chunk = malloc(CHUNK);
  if (!chunk) {
    close(fd);
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "hashing %s", path);
  }
  struct hash hash;
  uint64_t total = 0;
  ssize_t n;
  hash_init(&hash);
  while ((n = read(fd, chunk, CHUNK)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0) {
      hash_add(&hash, chunk, (size_t)n);
      total += (uint64_t)n;
    }
  if (n < 0)
    status = error_set_errno(err, STATUS_IO, NULL, "reading %s", path);
  free(chunk);
  close(fd);
  hash_hex(&hash, out);
  if (bytes)
    *bytes = total;
  return status;
}
