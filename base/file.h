/* Files: reading whole ones, mapping large ones, and publishing new ones so that a reader, a crash
   or a power cut never sees half a file (facts: write temp, fsync, rename, fsync the folder). */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

/* A whole file into memory, at most `bytes_max` bytes (STATUS_TOO_LARGE beyond). The caller frees
   *out, which ends with a NUL that *length does not count. */
NODISCARD enum status file_read(char **out, size_t *length, const char *path, size_t bytes_max,
                                struct error *err);

/* A read-only private mapping of a regular file. An empty file has bytes == NULL, length == 0. */
struct file_map {
  const unsigned char *bytes;
  size_t length;
};
NODISCARD enum status file_map_open(struct file_map *map, const char *path, struct error *err);
void file_map_close(struct file_map *map);

/* A file on its way to being published: bytes go to a temporary name in the target's folder and
   are hashed on the way; file_publish makes it durable under its name, replacing an older file of
   that name; file_discard forgets it. Exactly one of the two ends its life; after any error the
   temporary file is already gone: file_discard then does nothing, file_publish must not be called. */
struct file_new {
  int fd;                /* -1: ended */
  char path[1024];       /* the final name */
  char temp[1088];
  uint64_t bytes;        /* written so far */
  struct hash hash;
};
NODISCARD enum status file_create(struct file_new *file, const char *path, struct error *err);
NODISCARD enum status file_write(struct file_new *file, const void *bytes, size_t length, struct error *err);
/* sha256 may be NULL. */
NODISCARD enum status file_publish(struct file_new *file, char sha256[HASH_HEX], struct error *err);
void file_discard(struct file_new *file);

/* file_create, file_write, file_publish at once. */
NODISCARD enum status file_put(const char *path, const void *bytes, size_t length, struct error *err);

/* Makes a folder and its parents (mode 0700); an existing one is fine. */
NODISCARD enum status file_mkdirs(const char *path, struct error *err);
/* fsync of a folder: makes renames and unlinks in it durable. */
NODISCARD enum status file_sync_dir(const char *path, struct error *err);
/* Removes a folder and all that is in it, never following a symbolic link out of it. A path that
   does not exist is fine. */
NODISCARD enum status file_remove_tree(const char *path, struct error *err);
/* Bytes that a folder and all in it take up on the disk; what cannot be read counts nothing. */
int64_t file_tree_bytes(const char *path);
/* SHA-256 and size of a file. `bytes` may be NULL. */
NODISCARD enum status file_hash(char out[HASH_HEX], uint64_t *bytes, const char *path, struct error *err);

#endif
