/* Adapters of frozen linear layers. A method whose map is a low-rank change of the weight,
   W' = W + sign * up * down^T, runs inside op_linear: before a step `prepare` computes the factors
   from the parameters, the op multiplies with them and gathers three small products, and after the
   backward pass `finish` turns those into the parameters' gradients. HRA has this shape exactly:
   H = I - U M^-1 U^T gives W H = W - (W U M^-1) U^T (hra.c). */
#ifndef WORKER_ADAPTER_ADAPTER_H
#define WORKER_ADAPTER_ADAPTER_H

#include "api/job.h"
#include "base/error.h"
#include "worker/model/parameter.h"

struct linear;
struct backend;
struct kernels;

/* All matrices row-major; R is the rank rounded up to a multiple of 8, the columns beyond the rank
   are zero. With X: N x in, Y: N x out:
     forward   Q = X down;  Y = X W^T + sign * Q up^T
     backward  C = dY up_back;  dX = dY W + sign * C down_back^T
     gathered  g_down = X^T C,  g_up = dY^T Q,  g_core = C^T Q  (sums over the step) */
struct low_rank {
  size_t R;
  float sign;
  float *down;        /* in x R */
  float *up_t;        /* R x out */
  float *up_back;     /* out x R */
  float *down_back_t; /* R x in */
  float *g_down;      /* in x R */
  float *g_up;        /* out x R */
  float *g_core;      /* R x R */
};

struct adapter {
  const struct adapter_ops *ops;
  const struct adapter_spec *spec;
  const struct linear *linear; /* the frozen layer; borrowed */
  size_t rank;
  struct low_rank low;
  struct parameter *parameter; /* HRA: hra_u, in x rank */
  double *core;                /* HRA: M^-1, rank x rank */
  double penalty;              /* of the last `prepare`: ||I - Uh^T Uh||_F; 0 when there is none */
};

/* One const row a method, in its own file. */
struct adapter_ops {
  /* Makes the parameters (initialised from `seed` and the layer's name) and memory of a new adapter.
     STATUS_INVALID_VALUE when the method cannot adapt that layer, the text naming it. */
  enum status (*attach)(struct adapter *adapter, struct parameter_list *parameters, uint64_t seed, struct error *err);
  /* Factors from parameters; clears what was gathered. Safe to run for several adapters in parallel.
     STATUS_INVALID_VALUE naming the module when the parameters are singular. */
  enum status (*prepare)(struct adapter *adapter, const struct kernels *kernels, struct error *err);
  /* Adds to the parameters' gradients: of the gathered products, and of penalty_weight * penalty. */
  void (*finish)(struct adapter *adapter, const struct kernels *kernels, double penalty_weight);
  /* merged (out x in) = the weight with the adapter in it. Needs `prepare`. */
  void (*merge)(const struct adapter *adapter, const struct kernels *kernels, float *merged);
  /* The exact low-rank form: merged = weight + B A with A rank x in, B out x rank. Needs `prepare`. NULL:
     the method has none. */
  void (*low_rank)(const struct adapter *adapter, const struct kernels *kernels, float *A, float *B);
};

extern const struct adapter_ops adapter_hra;

const struct adapter_ops *adapter_ops_of(enum peft_type type);

/* A new adapter on `linear`, in the list's arena. */
NODISCARD enum status adapter_new(struct adapter **out, const struct adapter_spec *spec, const struct linear *linear,
                                  struct parameter_list *parameters, uint64_t seed, struct error *err);

/* Memory for the factors of a low-rank method: false when it runs out. */
bool adapter_low_rank(struct adapter *adapter, struct parameter_list *parameters, size_t rank);

/* Runs `prepare` or `finish` of all adapters on the pool. */
NODISCARD enum status adapter_prepare_all(struct adapter *const *adapters, size_t count, struct backend *backend,
                                          struct error *err);
void adapter_finish_all(struct adapter *const *adapters, size_t count, struct backend *backend, double penalty_weight);

#endif
