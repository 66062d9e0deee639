/* Rotary position tables from a model's config. */
#ifndef WORKER_MODEL_ROTARY_H
#define WORKER_MODEL_ROTARY_H

#include "worker/model/load.h"

struct rotary_config {
  size_t head_size;
  const float *frequencies; /* [head_size / 2]: radians a token */
};

/* From rope_parameters (Transformers 5) or rope_scaling (before), with rope_theta in it or beside it; types default,
   linear and llama3 (Transformers' formulas), and from `rope_freqs`, the divisors that a GGUF file carries instead.
   `theta` is that where config.json has none. Another type is STATUS_MODEL_INVALID naming it. After the model's
   `positions` are read. */
NODISCARD enum status rotary_read(struct rotary_config *out, struct model *model, size_t head_size, double theta,
                                  struct error *err);
/* The same for one kind of layers, in models whose layers differ: from rope_parameters' object of that name, else theta
   from config.json's member. */
struct rotary_kind {
  const char *name, *theta_member;
  double theta; /* where neither says */
  /* What rope_scaling, of which there is one for all of them, is to this kind. */
  enum rotary_scaling { ROTARY_SCALING_REFUSED, ROTARY_SCALING_TAKEN, ROTARY_SCALING_IGNORED } scaling;
};
NODISCARD enum status rotary_read_kind(struct rotary_config *out, struct model *model, size_t head_size,
                                       const struct rotary_kind *kind, struct error *err);
/* Tables of `positions` rows, in the model's arena. */
NODISCARD enum status rotary_make(struct rotary *out, struct model *model, const struct rotary_config *config,
                                  size_t positions, struct error *err);

#endif
