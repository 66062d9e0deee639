/* What lies under a file's name in its stead: a download that was not finished, or another format renamed. */
#ifndef WORKER_FILE_STAND_IN_H
#define WORKER_FILE_STAND_IN_H

#include <stddef.h>

#include "base/error.h"

/* STATUS_MODEL_INVALID in plain words when the bytes are empty, a Git LFS pointer, a web page, or the files of PyTorch
   or HDF5; STATUS_OK for all else, which is the format's own to judge. */
NODISCARD enum status stand_in_refuse(const void *bytes, size_t length, struct error *err);

#endif
