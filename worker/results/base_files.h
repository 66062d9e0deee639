/* The files of a base model that training depends on, with their hashes: weights in whatever form, config, tokenizer.
 */
#ifndef WORKER_RESULTS_BASE_FILES_H
#define WORKER_RESULTS_BASE_FILES_H

#include <jansson.h>

#include "base/error.h"

/* A new list of {name, bytes, sha256}, sorted by name, of the model at `path`: a .gguf file, the first of the parts of
   one, or a folder. Of a folder with weights in several forms those count that are read (safetensors before PyTorch's
   before GGUF). */
NODISCARD enum status base_files(json_t **out, const char *path, struct error *err);

#endif
