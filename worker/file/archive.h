/* Reads a few files out of an uploaded archive (tar, also compressed, or zip) into memory. Nothing is ever
   written to disk, so names that climb out of a directory do no harm; sizes are counted, not believed. */
#ifndef WORKER_FILE_ARCHIVE_H
#define WORKER_FILE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct archive_member {
  const char *name; /* what is looked for: a regular file of that name in any one directory */
  size_t bytes_max;
  char *bytes; /* NULL: not there; else with a NUL after it, freed by archive_free */
  size_t length;
};

/* Fills `members`. STATUS_DATASET_INVALID for what is no archive, for a member that is there twice, is larger than
   its bytes_max or damaged. After a failure all are NULL. */
NODISCARD enum status archive_read(struct archive_member *members, size_t count, const char *path, struct error *err);
void archive_free_members(struct archive_member *members, size_t count);
/* One pass over an archive's regular files, in its order; what systems put beside one's files is left out. */
struct archive_walk {
  /* Sees every file's path, and says whether `take` is to have its bytes. */
  bool (*wanted)(void *with, const char *path);
  /* Anything but STATUS_OK ends the walk with that status. The bytes are lent. */
  enum status (*take)(void *with, const char *path, const unsigned char *bytes, size_t length, struct error *err);
  void *with;
  size_t member_bytes_max; /* of a file that is wanted */
  uint64_t bytes_max;      /* of all of them */
};
/* STATUS_DATASET_INVALID for what is no archive or damaged, and for what is beyond the bounds, with the file's path. */
NODISCARD enum status archive_walk(const char *path, const struct archive_walk *walk, struct error *err);
/* Is it what systems put beside one's files: hidden files, __MACOSX, Thumbs.db? */
bool archive_litter(const char *path);

/* Is there a regular file of that name in any directory of the archive? False also of what is no archive. */
bool archive_has(const char *path, const char *name);
/* By its name alone: .tar, .tar.gz, .tgz, .zip. */
bool archive_named(const char *filename);

#endif
