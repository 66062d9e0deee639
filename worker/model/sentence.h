/* What the folder of a sentence-transformers model says beside its encoder: how embeddings are made of its rows. */
#ifndef WORKER_MODEL_SENTENCE_H
#define WORKER_MODEL_SENTENCE_H

#include "worker/model/model.h"

struct sentence_modules {
  bool there;            /* it has modules.json */
  enum pooling pooling;  /* MEAN or CLS */
  bool normalised;       /* embeddings are brought to length 1; true where it has no modules.json */
  size_t max_seq_length; /* tokens of a text that it reads; 0: it does not say */
};

/* Looks at modules.json, the configs of its modules and sentence_bert_config.json at `path`. Only an encoder, a pooling
   (mean or cls) and a normalisation, in this order, are understood: STATUS_UNSUPPORTED_VALUE names any other module or
   setting, without which the embeddings would be others. */
NODISCARD enum status sentence_modules_read(struct sentence_modules *out, const char *path, struct error *err);

/* Sets the model's pooling: the job's, that of its folder, or the mean. STATUS_INVALID_VALUE (embedding.pooling) where
   the two contradict each other. */
NODISCARD enum status sentence_settle(struct model *model, const struct sentence_modules *modules,
                                      enum embedding_pooling wanted, struct error *err);

/* Writes modules.json and what it names into `folder`, for a model with that pooling. */
NODISCARD enum status sentence_modules_write(const struct model *model, const struct sentence_modules *modules,
                                             const char *folder, struct error *err);

#endif
