/* The choice of the next token from a row of logits: Transformers' logits processors and warpers, in its order (logit
   bias, repetition penalty, OpenAI's presence and frequency penalties; temperature, top-k, top-p, min-p). */
#ifndef WORKER_GENERATE_SAMPLER_H
#define WORKER_GENERATE_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "api/generation.h"

struct token_share {
  int32_t id;
  float logit;
  double share; /* of the probability */
};

struct sampler {
  const struct sampling *how; /* borrowed */
  size_t vocabulary;
  int32_t *biased; /* [how->logit_bias.count] token ids of logit_bias, in its order */
  uint32_t *seen;  /* [vocabulary]: how often a token is in the completion; its highest bit: it is in the prompt */
  float *logits;   /* [vocabulary] the row with penalties and bias */
  struct token_share *kept; /* [vocabulary] */
};

/* STATUS_INVALID_VALUE (logit_bias) for a key that is no token id. The memory lives in `arena`. */
NODISCARD enum status sampler_init(struct sampler *out, const struct sampling *how, size_t vocabulary,
                                   const int32_t *prompt, size_t count, struct arena *arena, struct error *err);

/* The token at `position` of the completion: with a temperature of 0 the first of the largest logits, else one drawn by
   the seed and `position` alone. It counts for the penalties from then on. */
int32_t sampler_next(struct sampler *sampler, const float *logits, size_t position);

/* The model's own distribution, before penalties and warpers: log-probabilities of `id` and of the `count` likeliest
   tokens, which go to top[count] in descending order (share: the logarithm). */
double sampler_logprobs(struct token_share *top, size_t count, const float *logits, size_t vocabulary, int32_t id);

#endif
