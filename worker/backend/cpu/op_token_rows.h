/* What trained rows of a token embedding (worker/op/token_rows.h) change of a tied head's results. x: rows of C;
   logits: rows of V; J = rows->count. */
#ifndef WORKER_BACKEND_CPU_OP_TOKEN_ROWS_H
#define WORKER_BACKEND_CPU_OP_TOKEN_ROWS_H

#include "worker/backend/cpu/op.h"

/* The logits of the tokens that have such rows are made of these. */
void op_token_rows_put(struct backend *backend, float *logits, const float *x, size_t count,
                       const struct token_rows *rows);
/* Moves those tokens' part of the logits' gradient to taken[count * J], so that the frozen head does not see it. */
void op_token_rows_take(float *taken, float *gradient, size_t count, const struct token_rows *rows);
/* dx += what that part gives. */
void op_token_rows_back(struct backend *backend, float *dx, const float *taken, size_t count,
                        const struct token_rows *rows);
/* The rows' own gradient += the same, with rows picked[i] of x, times weights[i] where there are any. */
void op_token_rows_learn(struct backend *backend, const struct token_rows *rows, const float *taken,
                         const float *weights, const float *x, const uint32_t *picked, size_t count);

#endif
