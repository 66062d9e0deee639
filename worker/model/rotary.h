/* Rotary position tables from a model's config. */
#ifndef WORKER_MODEL_ROTARY_H
#define WORKER_MODEL_ROTARY_H

#include "worker/model/load.h"

struct rotary_config {
  size_t head_size, turned; /* channels of a head, and how many of them, the first ones, turn */
  const float *frequencies; /* [turned / 2]: radians a token */
  double attention_factor;  /* cosines and sines are times that */
  double theta;
  const char *type;      /* of the scaling: "default", ... */
  const json_t *scaling; /* what config.json has of it; NULL: nothing */
  /* longrope: those of sequences of more than short_most tokens; NULL: the same */
  const float *long_frequencies;
  size_t short_most;
};

/* What a class takes where config.json lacks a member, and what else it is. */
struct rotary_class {
  double theta;
  size_t original_positions; /* 0: max_position_embeddings */
  bool partial;              /* partial_rotary_factor may be below 1 */
  bool longrope_alone;       /* Phi-3: "su" and "yarn" are former names of longrope, and there is no other scaling */
};

/* From rope_parameters (Transformers 5) or rope_scaling (before), with rope_theta in it or beside it; types default,
   linear, llama3, yarn (Peng et al., 2023) and longrope (Ding et al., 2024) by Transformers' formulas, and from
   `rope_freqs`, the divisors that a GGUF file carries instead. Another type is STATUS_MODEL_INVALID naming it. After
   the model's `positions` are read. */
NODISCARD enum status rotary_read(struct rotary_config *out, struct model *model, size_t head_size,
                                  const struct rotary_class *class, struct error *err);
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
/* Tables for sequences of up to `positions` tokens, in the model's arena. */
NODISCARD enum status rotary_make(struct rotary *out, struct model *model, const struct rotary_config *config,
                                  size_t positions, struct error *err);

#endif
