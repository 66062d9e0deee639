/* A base model into a folder of models: all of it under its name, or nothing. */
#ifndef CLI_MODEL_COPY_H
#define CLI_MODEL_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A model's id as a path below the models folder: "name" or "org/name", no part of it hidden. */
bool model_id_valid(const char *id);

/* Copies the folder or file `source` to models/id, which must not be there (STATUS_INVALID_VALUE): to a hidden name
   first, synced, then renamed. Hidden entries are left out; links to files are followed. Copies share blocks where the
   file system can; with `link` they are hard links where it is the same one, so that who writes into a file of the
   source writes into the model. All may read them. *bytes is the model's size. */
NODISCARD enum status model_copy(const char *source, const char *models, const char *id, bool link, uint64_t *bytes,
                                 struct error *err);

/* The same for a file that becomes the folder models/id, with what of its own folder belongs to it: where it is the
   first part of a split one (base/split_file.h) the others, and `parts`, paths of one or two names below that folder,
   of files or folders. */
NODISCARD enum status model_copy_parts(const char *source, const char *const *parts, size_t count, const char *models,
                                       const char *id, bool link, uint64_t *bytes, struct error *err);

#endif
