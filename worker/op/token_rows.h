/* Rows of a frozen token embedding that are trained, each in place of a token's own (PEFT's trainable_token_indices).
   A language model's head that is tied to the embedding has them too. */
#ifndef WORKER_OP_TOKEN_ROWS_H
#define WORKER_OP_TOKEN_ROWS_H

#include "worker/backend/weight.h"
#include "worker/tensor/parameter.h"

struct token_rows {
  const char *module;         /* the embedding's path, "model.embed_tokens" */
  const struct weight *table; /* V x C, frozen */
  size_t count;               /* 0: none are trained */
  struct parameter *trained;  /* count x C */
  const int64_t *ids;         /* [count], different: whose rows they are */
  struct place tokens;        /* int32 [count]: the same */
  struct place row_of;        /* int32 [V]: the row of a token, -1 where it has none */
  bool in_head;               /* the head is tied */
  bool off;                   /* the frozen rows count, as if none were trained */
};

static inline bool token_rows_on(const struct token_rows *rows) {
  return rows && rows->count && !rows->off;
}

#endif
