/* The tokens that end what a model writes. */
#ifndef WORKER_TEXT_EOS_H
#define WORKER_TEXT_EOS_H

#include <jansson.h>

#include "worker/text/tokenizer.h"

enum { EOS_MAX = 32 };

struct eos {
  int32_t id; /* ends a text or a completion; -1: the model names none */
  size_t count;
  int32_t ids[EOS_MAX]; /* all of them: generation stops at any */
};

/* Looks wherever Transformers does: eos_token_id (a number or a list) of generation_config.json, of `config` and of its
   text_config; the tokenizer's eos_token (tokenizer_config.h); of a GGUF file (not NULL for a GGUF
   base) the ids of the ends of text, turn and message. `id` is the tokenizer's, which trainers append, if the model
   stops at it; else the first at which the model stops. Ids that are not below `vocabulary` are none.
   STATUS_MODEL_INVALID for a file that is no JSON object. */
NODISCARD enum status eos_find(struct eos *out, const char *model_path, const struct gguf *gguf, const json_t *config,
                               const struct tokenizer *tokenizer, size_t vocabulary, struct error *err);
bool eos_has(const struct eos *eos, int32_t id);

#endif
