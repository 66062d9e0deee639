/* Inverted dropout by a counter-based generator (base/rng.h): element e of row r is kept or not by (seed, site, r, e)
   alone, so the backward pass makes the same mask again. */
#ifndef WORKER_OP_DROPOUT_H
#define WORKER_OP_DROPOUT_H

#include <stdint.h>

struct dropout {
  uint64_t seed;
  uint64_t site;      /* which dropout of the model, and which step */
  uint32_t threshold; /* of 65536: elements below it are dropped; 0: no dropout */
  float scale;        /* 65536 / (65536 - threshold) */
};

/* A dropout of probability p at a place of the model that no other dropout of the step shares. */
struct dropout dropout_make(double p, uint64_t seed, uint64_t step, uint32_t site);

#endif
