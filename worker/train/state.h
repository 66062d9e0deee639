/* A training state on disk: a safetensors file, so that anyone can look into it. Its metadata has "format", "version",
   "numbers" (JSON) and "sha256": of the numbers and of each tensor's name, type, shape and bytes. Read as hostile. */
#ifndef WORKER_TRAIN_STATE_H
#define WORKER_TRAIN_STATE_H

#include <jansson.h>

#include "worker/file/safetensors.h"

enum { STATE_VERSION = 1 };

struct state {
  struct safetensors file;
  json_t *numbers; /* an object */
};

/* Publishes a state under `path` (base/file.h: durable when this returns). `numbers` have all their 17 digits; their
   text has at most ST_METADATA_MAX bytes, less a few hundred. Tensors as for safetensors_write, none of them empty. */
NODISCARD enum status state_write(const char *path, const struct st_tensor *tensors, size_t count,
                                  const json_t *numbers, char sha256[HASH_HEX], uint64_t *bytes, struct error *err);

/* STATUS_DAMAGED says why a file is no state, or not as it was written. *out is empty then, and state_close does
   nothing. state_parse: from memory, which must outlive *out. */
NODISCARD enum status state_open(struct state *out, const char *path, struct error *err);
NODISCARD enum status state_parse(struct state *out, const unsigned char *bytes, size_t length, struct error *err);
void state_close(struct state *state);

/* The tensor of that name and type; NULL: there is none. */
const struct st_tensor *state_tensor(const struct state *state, const char *name, enum st_dtype dtype);

#endif
