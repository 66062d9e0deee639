/* The pickle of a state dict, as torch.save writes it, without running it: the few opcodes that name tensors and where
   their numbers are. A pickle is a program for a stack machine; one that asks for anything else is refused by the name
   and the byte of what it asks for. */
#ifndef WORKER_FILE_PICKLE_H
#define WORKER_FILE_PICKLE_H

#include "base/arena.h"
#include "base/error.h"
#include "worker/file/safetensors.h"

enum {
  PICKLE_BYTES_MAX = 64 << 20,
  PICKLE_STACK_MAX = 1 << 16, /* values */
  PICKLE_MEMO_MAX = 1 << 20,  /* values */
  PICKLE_MARKS_MAX = 64,      /* tuples that are open one within another */
};

/* A tensor of the state dict: a view of a storage. */
struct pickle_tensor {
  const char *name;
  const char *storage; /* its file's name */
  enum st_dtype dtype;
  uint64_t storage_elements, offset; /* in elements */
  int rank;
  int64_t shape[ST_RANK_MAX], strides[ST_RANK_MAX]; /* none is negative */
};

struct pickle {
  size_t count;
  struct pickle_tensor *tensors; /* in the order of the state dict */
};

/* STATUS_MODEL_INVALID says "byte N: what". The table and its strings live in `arena`. */
NODISCARD enum status pickle_parse(struct pickle *out, const unsigned char *bytes, size_t length, struct arena *arena,
                                   struct error *err);

#endif
