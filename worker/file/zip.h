/* The table of contents of a zip whose files are stored as they are, so that they can be read where they lie. Files are
   read as hostile: nothing is used before it was checked against the size of the whole. */
#ifndef WORKER_FILE_ZIP_H
#define WORKER_FILE_ZIP_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum { ZIP_ENTRIES_MAX = 1 << 18, ZIP_NAME_MAX = 512 };

struct zip_entry {
  const char *name;
  const unsigned char *bytes;
  size_t length;
};

struct zip {
  size_t count;
  struct zip_entry *entries; /* sorted by name (bytewise), names are unique */
};

/* Reads the zip that fills `bytes`, which must outlive *out; the table lives in `arena`. STATUS_MODEL_INVALID names the
   entry or byte at fault; one that is compressed or encrypted is a fault. */
NODISCARD enum status zip_parse(struct zip *out, const unsigned char *bytes, size_t length, struct arena *arena,
                                struct error *err);
/* NULL: there is none of that name. */
const struct zip_entry *zip_find(const struct zip *zip, const char *name);

#endif
