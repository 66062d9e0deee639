/* The files of a base model, whatever their format: a Hugging Face folder (config.json and safetensors or PyTorch's
   pytorch_model.bin, sharded or not), one .gguf file, the first of those that a split one lies in, or a folder with
   either. Everything above sees Hugging Face's names, layouts and config members; a GGUF file's are translated. */
#ifndef WORKER_MODEL_CHECKPOINT_H
#define WORKER_MODEL_CHECKPOINT_H

#include <jansson.h>

#include "api/single_file.h"
#include "base/hash.h"
#include "worker/backend/weight.h"
#include "worker/file/gguf.h"
#include "worker/file/safetensors.h"

/* A tensor of a GGUF file under Hugging Face's name. */
struct checkpoint_entry {
  const char *name;
  const struct gguf_tensor *tensor;
  size_t heads; /* the file has the rows of that many heads interleaved (q and k of LLaMA); 0: as they are */
};

struct checkpoint {
  json_t *config;             /* config.json, or the same made from the GGUF's keys */
  struct safetensors tensors; /* Hugging Face: of safetensors or PyTorch's files */
  struct gguf gguf;
  bool is_gguf;
  struct checkpoint_entry *entries; /* GGUF: sorted by name; a GGUF's rope_freqs.weight is in the config instead */
  size_t entry_count;
  const char *weights_path; /* in `arena`: model.safetensors, pytorch_model.bin, an index file, or the (first) .gguf */
  struct arena arena;
};

struct checkpoint_tensor {
  const char *name; /* Hugging Face's */
  int rank;
  int64_t shape[ST_RANK_MAX];
};

/* `path` is a .gguf file or a folder. A folder with safetensors, or else a pytorch_model.bin, is a Hugging Face model
   even if a .gguf lies beside them; without, it must have exactly one .gguf, or the parts of one. STATUS_MODEL_INVALID
   names the file and the member, key or tensor at fault. *out is empty after a failure. Reading an open checkpoint is
   safe from any number of threads. */
NODISCARD enum status checkpoint_open(struct checkpoint *out, const char *path, struct error *err);
/* The component `name` ("unet", "vae", "text_encoder") of the diffusion pipeline at `path`: that folder of it in
   diffusers' layout, or its part of a single file (api/single_file.h), whose config is the folder's where one lies
   beside the file. As above; of a single file the text names the component's tensors as diffusers does. */
NODISCARD enum status checkpoint_open_component(struct checkpoint *out, const char *path, const char *name,
                                                struct error *err);
/* The config of a single file's scheduler, which the caller owns. */
NODISCARD enum status checkpoint_single_file_scheduler(json_t **out, const struct single_file *file,
                                                       struct error *err);
void checkpoint_close(struct checkpoint *checkpoint);

/* By Hugging Face's name, exactly. False when there is no such tensor. */
bool checkpoint_find(struct checkpoint_tensor *out, const struct checkpoint *checkpoint, const char *name);
/* Can its numbers be read as floats? (Position ids in a file cannot.) */
bool checkpoint_is_float(const struct checkpoint *checkpoint, const char *name);
/* All of them, in the order in which an export writes them. */
size_t checkpoint_count(const struct checkpoint *checkpoint);
struct checkpoint_tensor checkpoint_at(const struct checkpoint *checkpoint, size_t index);
/* The tensor where it lies, as a matrix (a vector: one row); false when it must be converted: floats that are not
   aligned, other types. */
bool checkpoint_mapped(struct weight *out, const struct checkpoint *checkpoint, const char *name);
/* Converts all its numbers into out (F32, F16, BF16, ggml's types; rows of q and k of a GGUF in
   Hugging Face's order). */
NODISCARD enum status checkpoint_read(float *out, const struct checkpoint *checkpoint, const char *name,
                                      struct error *err);
/* Tells models apart without reading them whole: of the config, of each file's length, and of 64 parts of it. */
void checkpoint_fingerprint(char out[HASH_HEX], const struct checkpoint *checkpoint);
/* The GGUF name of a Hugging Face tensor name of a LLaMA-family model ("blk.3.attn_q.weight"), in
   `out`; false when there is none. Shared with the exports. */
bool checkpoint_gguf_name(char out[128], const char *name);

#endif
