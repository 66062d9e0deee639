/* A frozen linear layer, and what an adapter gives it to multiply with. All matrices are row-major.
   Legend: N rows (tokens), in and out features, R the rank rounded up to a multiple of 8. */
#ifndef WORKER_OP_LINEAR_H
#define WORKER_OP_LINEAR_H

#include "worker/op/token_rows.h"

/* A low-rank change of the weight, W' = W + sign * up down^T. Columns beyond the rank are zero. With X: N x in,
   Y: N x out:
     forward   Q = X down;  Y = X W^T + sign * Q up^T
     backward  C = dY up_back;  dX = dY W + sign * C down_back^T
     accumulated  grad_down += X^T C,  grad_up += dY^T Q,  grad_core += C^T Q  (over the step) */
struct low_rank {
  size_t R;
  float sign;
  double dropout; /* of the input of `down` while training */
  /* places of fp32 */
  struct place down;        /* in x R */
  struct place up_t;        /* R x out */
  struct place up_back;     /* out x R */
  struct place down_back_t; /* R x in */
  struct place grad_down;   /* in x R */
  struct place grad_up;     /* out x R */
  struct place grad_core;   /* R x R */
};

/* A rotation of the input in blocks of `block` columns, each a row vector times its R_i:
     forward   Z_i = X_i R_i;  Y = Z W^T + b
     backward  dX_i = dZ_i R_i^T
     accumulated  grad_r_i += X_i^T dZ_i  (over the step) */
struct rotation {
  size_t block, blocks;
  /* places of fp32 */
  struct place r, r_t;            /* blocks x block x block: the R_i, and transposed */
  struct place grad_r;            /* blocks x block x block */
};

/* A factor of each output, before the bias; Z is what the layer without both gives:
     forward   Y = Z * scale + b
     backward  dZ = dY * scale
     accumulated  grad_scale += column sums of dY * Z  (over the step) */
struct output_scale {
  struct place scale, grad_scale; /* fp32 [out] */
};

/* How a convolution reads its input: torch's Conv2d with groups 1 and dilation 1. Its weight is a linear layer's of the
   patches under the kernel: out x in, in = channels * kernel[0] * kernel[1], a row in the file's order (channel, kernel
   row, kernel column), and so are an adapter's factors. */
struct convolution {
  size_t channels;            /* of the input */
  size_t kernel[2];           /* rows, columns */
  size_t stride[2];           /* likewise */
  size_t before[2], after[2]; /* rows and columns of zeros around the input */
};

/* y = x W^T + b, perhaps with an adapter, perhaps with trainable parts. At most one of low_rank and rotation. */
struct linear {
  const char *name; /* the module's path, "bert.encoder.layer.0.attention.self.query" */
  size_t in, out;
  bool conv1d;                                     /* its file has the weight transposed, in x out (GPT-2's Conv1D) */
  struct weight weight;                            /* out x in; of `trained_weight` if there is one */
  struct place bias;                               /* fp32 [out], or nowhere */
  float softcap;                                   /* y becomes softcap * tanh(y / softcap); 0: it does not */
  struct parameter *trained_weight, *trained_bias; /* NULL: frozen */
  const struct low_rank *low_rank;                 /* of its adapter; NULL: none */
  const struct rotation *rotation;                 /* of its adapter; NULL: none */
  const struct output_scale *scale;                /* likewise; with any of the two */
  const struct convolution *convolution;           /* of a Conv2d; NULL: it is linear */
  const struct token_rows *token_rows;             /* of a language model's head: rows of its weight that are trained
                                                      where it is tied; NULL: none ever are */
};

/* The trained rows of a head's weight; NULL: all are frozen. */
static inline const struct token_rows *linear_token_rows(const struct linear *linear) {
  return token_rows_on(linear->token_rows) && linear->token_rows->in_head ? linear->token_rows : NULL;
}

#endif
