/* A mixture of experts in the place of a feed-forward layer (Shazeer et al., 2017), as Mixtral has it (Jiang et al.,
   2024): a row goes to a few of the experts alone.
   Legend: N rows, E experts, K of which a row goes to, C channels, F channels within an expert.
     p = softmax(logits) over all E;  a row's experts are the K of the largest p, of equal ones the first
     w = p of these, over their sum where `normalised`
     y = sum over these of w * down(silu(gate x) * (up x)) */
#ifndef WORKER_OP_EXPERTS_H
#define WORKER_OP_EXPERTS_H

#include <stdbool.h>

#include "worker/backend/weight.h"

/* Frozen: F x C, F x C and C x F. */
struct expert {
  struct weight gate, up, down;
};

struct experts {
  size_t count;    /* E */
  size_t chosen;   /* K, from 1 to E */
  size_t channels; /* C */
  size_t inner;    /* F */
  bool normalised;
  const struct expert *expert; /* [E] */
};

#endif
