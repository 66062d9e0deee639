/* The bytes of a data file that is packed: compressed by gzip, or the one file in a zip archive. They come as they are
   read, nothing is written to disk, and their number is bounded by that of the packed ones. */
#ifndef WORKER_FILE_UNPACK_H
#define WORKER_FILE_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum unpack_kind { UNPACK_GZIP, UNPACK_ZIP };
enum { UNPACK_NAME_MAX = 256 };

struct unpack;

/* Reads `fd`, which stays the caller's, from its beginning. `name`: of the file in a zip; "" of gzip.
   STATUS_DATASET_INVALID says why it cannot be used: damaged, encrypted, no file in it or several. */
NODISCARD enum status unpack_open(struct unpack **out, char name[UNPACK_NAME_MAX], int fd, enum unpack_kind kind,
                                  struct error *err);
/* Up to `size` bytes more; *length 0: that was all. STATUS_DATASET_INVALID where it is damaged, or has more bytes than
   a text of its packed size can have. */
NODISCARD enum status unpack_read(size_t *length, struct unpack *unpack, void *bytes, size_t size, struct error *err);
void unpack_close(struct unpack *unpack);

#endif
