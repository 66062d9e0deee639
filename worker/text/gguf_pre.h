/* The pre-tokenizers that a GGUF file names by tokenizer.ggml.pre. */
#ifndef WORKER_TEXT_GGUF_PRE_H
#define WORKER_TEXT_GGUF_PRE_H

#include "worker/text/tokenizer_model.h"

enum { GGUF_PRE_SPLITS_MAX = 6 };

struct gguf_pre {
  const char *names;                       /* with a space before and after each */
  const char *splits[GGUF_PRE_SPLITS_MAX]; /* one after the other, what they match and what lies between */
  bool ignore_merges, bos;
  bool nfc; /* the model was trained on that normal form */
};

/* NULL: no such name is known. */
const struct gguf_pre *gguf_pre_find(struct gguf_string name);
/* The steps before ByteLevel. */
NODISCARD enum status gguf_pre_apply(struct tokenizer *tokenizer, const struct gguf_pre *pre, struct error *err);
/* The pre-tokenizer that does what the tokenizer's own does, as far as gguf_pre_texts tell them apart. NULL: none does,
   STATUS_UNSUPPORTED_VALUE. */
const struct gguf_pre *gguf_pre_of(const struct tokenizer *tokenizer, struct error *err);
/* The name that files give it: the first one. */
void gguf_pre_name(char out[64], const struct gguf_pre *pre);
/* Texts that tokenizers cut in different ways; NULL ends the list. */
extern const char *const gguf_pre_texts[];

#endif
