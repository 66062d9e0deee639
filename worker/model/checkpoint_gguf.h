/* A GGUF file seen as a Hugging Face checkpoint: the parts of checkpoint.c that know both. */
#ifndef WORKER_MODEL_CHECKPOINT_GGUF_H
#define WORKER_MODEL_CHECKPOINT_GGUF_H

#include "worker/model/checkpoint.h"

/* In checkpoint_keys.c: the members of config.json made from the keys of architecture llama, qwen2 or qwen3;
   the caller owns *out. *interleaved: the rows of q and k are in the order of LLaMA's own RoPE. Other
   architectures and what the engine could not compute are STATUS_MODEL_INVALID by name. */
NODISCARD enum status checkpoint_gguf_config(json_t **out, bool *interleaved, const struct gguf *gguf,
                                             struct error *err);
/* Fills config and entries of a checkpoint whose `gguf` is open. */
NODISCARD enum status checkpoint_gguf_translate(struct checkpoint *checkpoint, struct error *err);
/* All numbers of an entry, in Hugging Face's order. */
NODISCARD enum status checkpoint_gguf_read(float *out, const struct checkpoint_entry *entry, struct error *err);

#endif
