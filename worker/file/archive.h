/* Reads a few files out of an uploaded archive (tar, also compressed, or zip) into memory. Nothing is ever
   written to disk, so names that climb out of a directory do no harm; sizes are counted, not believed. */
#ifndef WORKER_FILE_ARCHIVE_H
#define WORKER_FILE_ARCHIVE_H

#include <stddef.h>

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
/* Is there a regular file of that name in any directory of the archive? False also of what is no archive. */
bool archive_has(const char *path, const char *name);
/* By its name alone: .tar, .tar.gz, .tgz, .zip. */
bool archive_named(const char *filename);

#endif
