/* Mixtures of experts in the layers of a decoder: what config.json says of them, and their weights by the names that
   files have. Routers and experts are frozen: to Transformers 5 they are parameters, not linear modules. */
#ifndef WORKER_MODEL_MIXTURE_H
#define WORKER_MODEL_MIXTURE_H

#include "worker/model/load.h"

/* What a family's class takes where config.json lacks a member, and what else it is. */
struct mixture_class {
  size_t count, chosen, inner;
  const char *inner_member; /* config.json's for `inner` */
  bool normalised;          /* whatever config.json says; else as norm_topk_prob does */
  bool dense_layers;        /* some layers have none: mlp_only_layers, decoder_sparse_step */
};

struct mixture_config {
  size_t count, chosen, inner; /* struct experts */
  bool normalised;
  size_t every;      /* the layers that have them: every so many-th, */
  const json_t *but; /* but not those in this list; NULL: no others */
};

struct mixture {
  struct linear router;   /* (N, channels) -> (N, count) */
  struct experts experts; /* count 0: there is none */
};

/* STATUS_UNSUPPORTED_VALUE names "scheduling.device" where the backend has no experts. */
NODISCARD enum status mixture_read(struct mixture_config *out, const struct model *model,
                                   const struct mixture_class *class, struct error *err);
bool mixture_has_layer(const struct mixture_config *config, size_t layer);
/* Of `prefix`layers.`layer`, whose rows are `channels` wide. */
NODISCARD enum status mixture_load(struct mixture *out, struct model *model, const struct mixture_config *config,
                                   const char *prefix, size_t layer, size_t channels, struct error *err);
struct tensor *mixture_forward(struct tape *tape, struct tensor *x, const struct mixture *mixture);

#endif
