/* A tokenizer.json as a class of Transformers makes it: what AutoTokenizer would hand to the library. */
#ifndef WORKER_TEXT_TOKENIZER_CLASS_H
#define WORKER_TEXT_TOKENIZER_CLASS_H

#include "worker/text/tokenizer_config.h"

/* Replaces the members of `file` that the class makes itself: it takes the vocabulary, the merges and, but for BERT,
   the post_processor of the file. STATUS_MODEL_INVALID names a setting that cannot be used. */
NODISCARD enum status tokenizer_class_apply(json_t *file, const struct tokenizer_config *config, struct error *err);

/* The added tokens of `file` (may be NULL) and of the other files, in the order in which they get their ids: objects as
   in tokenizer.json, where those that no file numbers have no id. The caller owns *out. */
NODISCARD enum status tokenizer_class_added(json_t **out, const json_t *file, const struct tokenizer_config *config,
                                            struct error *err);

#endif
