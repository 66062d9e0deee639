/* A GGUF model that llama.cpp's gguf-split made several files of. Each is a GGUF file with the keys split.no (from 0),
   split.count and split.tensors.count, and tensors of its own; the model's other keys are in the first. */
#ifndef WORKER_FILE_GGUF_PARTS_H
#define WORKER_FILE_GGUF_PARTS_H

#include "worker/file/gguf.h"

/* Is the file at `path`, open as `first`, whole? By its name and its keys, which must say the same. Where it is the
   first of several parts, opens the others beside it, each by `open`, and makes the tensors of all `first`'s own.
   STATUS_MODEL_INVALID names the part at fault: one that is missing, of another split, in another's place, or with a
   tensor that an earlier one has. After a failure `first` is to be closed. */
NODISCARD enum status gguf_parts_open(struct gguf *first, const char *path,
                                      enum status (*open)(struct gguf *out, const char *path, struct error *err),
                                      struct error *err);
/* The parts that were read into first->parts, the part_count of them, become one with it. *fault is the index of the
   file at fault, 0 the first; the text does not name it. */
NODISCARD enum status gguf_parts_join(struct gguf *first, size_t *fault, struct error *err);

#endif
