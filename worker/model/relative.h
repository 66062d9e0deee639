/* Relative positions: what an encoder's attention adds to a score by the distance between the two tokens. Each row of a
   small table is for a bucket of distances. */
#ifndef WORKER_MODEL_RELATIVE_H
#define WORKER_MODEL_RELATIVE_H

#include "worker/model/load.h"

struct relative {
  size_t rows; /* of the table */
  /* The row of each distance, for sequences of up to `longest` tokens (struct distances). */
  int32_t *index;
  size_t longest;
  struct place index_place;
  /* DeBERTa's table of embeddings (He et al., 2021), which layers project to keys, to queries, or both. */
  bool keys, queries;
  bool shared;    /* by the projections of tokens; else by ones of their own */
  size_t buckets; /* on each side of distance 0; 0: a row a distance */
  size_t most;    /* the distance from which on all have one row */
  struct weight table;
  struct norm norm;     /* of its rows; channels 0: none */
  struct place numbers; /* int32 0, 1, ... rows */
  /* MPNet's table of biases, a column a head (Raffel et al., 2020). */
  struct place bias;
};

/* The members of config.json and the tensors below the model's prefix. `out` stays where it is. */
NODISCARD enum status relative_load_embeddings(struct relative *out, struct model *model, size_t hidden, double epsilon,
                                               struct error *err);
NODISCARD enum status relative_load_bias(struct relative *out, struct model *model, size_t heads, struct error *err);
/* Before the first sequence of so many tokens. */
NODISCARD enum status relative_reserve(struct relative *relative, struct model *model, size_t longest,
                                       struct error *err);

/* The rows that sequences of that length read, once a forward pass; NULL: no layer reads any. */
struct tensor *relative_table(struct tape *tape, const struct relative *relative, const struct sequences *sequences);
/* For op_attention, which then needs the projections of that table. */
struct distances relative_distances(const struct relative *relative, const struct sequences *sequences);

#endif
