/* Packs published files into one tar archive, for download. */
#ifndef WORKER_FILE_TAR_H
#define WORKER_FILE_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

/* Publishes at `path_out` an uncompressed archive (ustar; pax records only where ustar cannot say
   it) of the regular files `names`, relative to `directory`, in the order given. The same bytes give
   the same archive: time 0, owner 0, mode 0644. A name with "..", an empty part or a leading slash
   is refused. `sha256` and `bytes` (the archive's size) may be NULL. */
NODISCARD enum status tar_pack(const char *path_out, const char *directory, const char *const *names, size_t count,
                               char sha256[HASH_HEX], uint64_t *bytes, struct error *err);

#endif
