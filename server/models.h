/* Base models: what lies in the models folder. A folder with config.json, with model_index.json (a diffusion pipeline
   of diffusers), with a single file of Stable Diffusion (api/single_file.h) or with one .gguf file is a model, and so
   is a file that ends in .gguf; the name of either is the id. Of a split GGUF (base/split_file.h) the first file
   is the model. A folder that is none may hold such folders: "org/name".
   "models--org--name" (in the models folder, or in "hub" there) is that of the Hugging Face hub's cache: the model
   "org/name" is the snapshot that refs/main names, else the newest. Of two models with one id the one outside the cache
   counts, and the log says so. Symbolic links are followed. The models' files are looked for, never read. Nothing is
   cached here: a model that is copied in is there at once. A client's text is only ever compared with names, never used
   as a path. */
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum model_format {
  MODEL_SAFETENSORS,
  MODEL_PYTORCH,
  MODEL_GGUF,
  MODEL_DIFFUSERS,
  MODEL_SINGLE_FILE,
  MODEL_FORMAT_COUNT
};

/* "safetensors", "pytorch", "gguf", "diffusers" or "single_file". */
const char *model_format_name(enum model_format format);

struct base_model {
  const char *id;
  const char *path;  /* absolute when the models folder is */
  enum model_format format;
  int64_t created;   /* when it was put there, unix seconds */
};

/* All of them, sorted by id, in the arena; of a very large folder the first 4,096 that were met, which the
   log says. A models folder that does not exist has none. */
NODISCARD enum status models_list(struct base_model **out, size_t *count, const char *folder, struct arena *arena,
                                  struct error *err);
/* Finds a model among however many. STATUS_MODEL_NOT_FOUND, param "model"; the text names close matches, or what
   there is. */
NODISCARD enum status models_find(struct base_model *out, const char *folder, const char *id, struct arena *arena,
                                  struct error *err);

#endif
