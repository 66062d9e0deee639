/* Numbers of a model as an answer's JSON and text. */
#ifndef WORKER_GENERATE_ANSWER_H
#define WORKER_GENERATE_ANSWER_H

#include <jansson.h>

#include "base/str.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

/* A new array of one {token, logprob, bytes, top_logprobs: [{token, logprob, bytes}...]}, as OpenAI's logprobs.content.
   NULL when memory runs out. */
NODISCARD json_t *answer_logprobs(const struct tokenizer *tokenizer, const float *logits, size_t vocabulary, int32_t id,
                                  size_t top);
/* A classifier's row as a new array of {label, score}, the highest first: softmax of classes, sigmoid of labels and of
   a relevance, a number as it is. NULL when memory runs out. */
NODISCARD json_t *answer_scores(const struct model *model, const float *row, size_t count);
/* The row as base64 of little-endian fp32, brought to length 1 with `normalised`. */
NODISCARD bool answer_vector(struct str *out, const float *row, size_t count, bool normalised);

#endif
