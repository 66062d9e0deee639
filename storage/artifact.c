#include "storage/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum { NAME_BYTES_MAX = 200, PATH_BYTES_MAX = 400, CHUNK_BYTES = 1 << 16 };

static bool segment_valid(const char *text, size_t length, bool hidden) {
  bool dots = length <= 2 && strncmp(text, "..", length) == 0;
  if (length == 0 || length > NAME_BYTES_MAX || dots || (text[0] == '.' && !hidden))
    return false;
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F || text[i] == '/' || text[i] == '\\')
      return false;
  return utf8_valid(text, length, NULL);
}

bool artifact_name_valid(const char *name) {
  return segment_valid(name, strlen(name), false);
}

static bool segments_valid(const char *path, bool hidden) {
  for (;;) {
    size_t length = strcspn(path, "/");
    if (!segment_valid(path, length, hidden))
      return false;
    if (!path[length])
      return true;
    path += length + 1;
  }
}

bool artifact_path_valid(const char *path) {
  return strlen(path) <= PATH_BYTES_MAX && segments_valid(path, false);
}

bool artifact_path_stays(const char *path) {
  return strlen(path) <= PATH_BYTES_MAX && segments_valid(path, true);
}

/* Nothing is there, or something that a link, a pipe or a folder leads to: opening it again changes nothing. */
static bool leads_nowhere(int number) {
  return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENXIO;
}

/* Segment by segment, so that none is a link even if it becomes one meanwhile; openat2 would do it in one call, but
   what filters system calls (RestrictSUIDSGID of systemd) may deny it. */
static int open_below(int dir, const char *path) {
  char name[NAME_BYTES_MAX + 1];
  for (;;) {
    size_t length = strcspn(path, "/");
    bool last = path[length] == '\0';
    snprintf(name, sizeof name, "%.*s", (int)length, path);
    int fd = openat(dir, name, O_NOFOLLOW | O_CLOEXEC | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
    int number = errno;
    close(dir);
    errno = number;
    if (fd < 0 || last)
      return fd;
    dir = fd;
    path += length + 1;
  }
}

enum status artifact_open(int *fd, int64_t *bytes, const char *folder, const char *path, struct error *err) {
  struct stat info;
  *fd = -1;
  if (!segments_valid(path, true))
    return error_set(err, STATUS_DAMAGED, NULL, "%s may not be opened", path);
  int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open the folder of %s", path);
  *fd = open_below(dir, path);
  if (*fd < 0)
    return error_set_errno(err, leads_nowhere(errno) ? STATUS_DAMAGED : STATUS_IO, NULL, "cannot open %s", path);
  if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(*fd);
    *fd = -1;
    return error_set(err, STATUS_DAMAGED, NULL, "%s is not a regular file", path);
  }
  *bytes = info.st_size;
  return STATUS_OK;
}

enum status artifact_verify(const char *folder, const char *path, int64_t bytes, const char *sha256,
                            struct error *err) {
  int fd;
  int64_t size;
  char chunk[CHUNK_BYTES], digest[HASH_HEX];
  struct hash hash;
  ssize_t n;
  enum status status = artifact_open(&fd, &size, folder, path, err);
  if (status)
    return status;
  hash_init(&hash);
  while ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0)
      hash_add(&hash, chunk, (size_t)n);
  if (n < 0)
    status = error_set_errno(err, STATUS_IO, NULL, "reading %s", path);
  close(fd);
  hash_hex(&hash, digest);
  if (!status && size != bytes)
    status = error_set(err, STATUS_DAMAGED, NULL, "%s has %lld bytes; %lld were announced", path, (long long)size,
                       (long long)bytes);
  if (!status && strcmp(digest, sha256) != 0)
    status = error_set(err, STATUS_DAMAGED, NULL, "%s has SHA-256 %s; %s was announced", path, digest, sha256);
  return status;
}
