/* Files that a worker made, opened with distrust: never through a symbolic link, never outside of the
   folder they were announced in. */
#ifndef STORAGE_ARTIFACT_H
#define STORAGE_ARTIFACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

/* May a worker use this as an artifact's name (one path segment of printable UTF-8, at most 200 bytes)? */
bool artifact_name_valid(const char *name);
/* And this as a path below its output folder (segments as above, no "." and "..", at most 400 bytes)? */
bool artifact_path_valid(const char *path);

/* The same, but names may begin with a dot: nothing that it leads to lies outside of the folder. */
bool artifact_path_stays(const char *path);

/* Opens a regular file at `path` below `folder` for reading; *bytes is its size. The caller closes *fd.
   STATUS_DAMAGED: there is none; STATUS_IO or what else the machine caused: there may be one. */
NODISCARD enum status artifact_open(int *fd, int64_t *bytes, const char *folder, const char *path, struct error *err);
/* Has it exactly this size and content (else STATUS_DAMAGED)? Reads all of it. */
NODISCARD enum status artifact_verify(const char *folder, const char *path, int64_t bytes, const char *sha256,
                                      struct error *err);

#endif
