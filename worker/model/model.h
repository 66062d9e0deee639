/* A base model with what is trained on it. The weights are mapped from the file and stay frozen;
   parameters (adapters, a new head, biases) have memory of their own. */
#ifndef WORKER_MODEL_MODEL_H
#define WORKER_MODEL_MODEL_H

#include <jansson.h>

#include "api/job.h"
#include "worker/file/safetensors.h"
#include "worker/op/op.h"

struct model_ops;

struct model {
  struct arena arena;
  const struct model_ops *ops;
  void *state;    /* the architecture's own struct */
  json_t *config; /* config.json */
  struct safetensors weights;
  struct backend *backend;
  size_t num_labels;
  size_t vocabulary;       /* rows of the word table */
  size_t positions;        /* longest sequence it can take */
  struct linear **linears; /* every linear module, in the model's order; the head is the last */
  size_t linear_count;
  struct {
    const char *name;
    struct norm *norm;
  } * norms;
  size_t norm_count;
  const struct string_list *default_targets;
  struct string_list modules_to_save; /* names, as adapter_config.json lists them */
  struct adapter **adapters;
  size_t adapter_count;
  struct parameter_list parameters;
};

/* What one architecture is: a row in model.c's table, the code in its own file. */
struct model_ops {
  const char *model_type; /* config.json's */
  /* Fills linears, norms, sizes and state from config and weights. `seed` for what the file lacks. */
  enum status (*load)(struct model *model, uint64_t seed, struct error *err);
  /* (B, num_labels) logits. */
  struct tensor *(*forward)(struct tape *tape, const struct model *model, const struct sequences *sequences);
  /* Sets every dropout probability to 0 (benchmarks, comparisons). */
  void (*disable_dropout)(struct model *model);
};

extern const struct model_ops model_bert;

/* Loads the model in `folder` (Hugging Face layout) for sequence classification with num_labels
   outputs (regression: 1). STATUS_MODEL_INVALID names the file, tensor or member at fault. */
NODISCARD enum status model_open(struct model *out, const char *folder, size_t num_labels, uint64_t seed,
                                 struct backend *backend, struct error *err);
void model_close(struct model *model);

/* Puts the adapter on its target modules and makes the head and the biases it names trainable. */
NODISCARD enum status model_adapt(struct model *model, const struct adapter_spec *spec, uint64_t seed,
                                  struct error *err);

/* For the architectures. Tensors by name, as is or without the model's prefix ("bert."), checked
   against the shape (cols 0: a vector); F16 and BF16 are converted. */
NODISCARD enum status model_weight(const float **out, struct model *model, const char *prefix, const char *name,
                                   size_t rows, size_t cols, struct error *err);
bool model_has_weight(const struct model *model, const char *prefix, const char *name);
/* A matrix of normal numbers (the initialisation of a head that the file lacks), from seed and name. */
NODISCARD enum status model_random(const float **out, struct model *model, const char *name, size_t rows, size_t cols,
                                   double deviation, uint64_t seed, struct error *err);
NODISCARD enum status model_add_linear(struct model *model, struct linear *linear, struct error *err);
NODISCARD enum status model_add_norm(struct model *model, const char *name, struct norm *norm, struct error *err);

#endif
