/* Adapters of frozen linear layers. Before a step `prepare` computes small factors from the parameters, op_linear
   multiplies with them and gathers small products, and after the backward pass `finish` turns those into the
   parameters' gradients. There are two shapes:
   - a low-rank change of the weight, W' = W + sign * up * down^T: LoRA (lora.c), and HRA exactly, since
     H = I - U M^-1 U^T gives W H = W - (W U M^-1) U^T (hra.c);
   - a rotation of the input in blocks, y = (x blockdiag(R)) W^T: OFT and BOFT (oft.c, boft.c). */
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

/* Rows of x are cut into blocks of `block` columns, each a row vector times its R:
     forward   Z_i = X_i R_i;  Y = (Z W^T) * scale + b
     backward  dX_i = dZ_i R_i^T
     gathered  g_i = X_i^T dZ_i,  g_scale = column sums of dY * (Z W^T)  (sums over the step) */
struct rotation {
  size_t block, blocks;
  float *r, *r_t;         /* blocks x block x block: the R_i, and transposed */
  float *g;               /* blocks x block x block */
  float *scale, *g_scale; /* out; NULL: none */
};

enum { ADAPTER_PARAMETERS_MAX = 2 };

struct adapter {
  const struct adapter_ops *ops;
  const struct adapter_spec *spec;
  const struct linear *linear;                          /* the frozen layer; borrowed */
  size_t rank;                                          /* of a low-rank method */
  struct low_rank low;                                  /* R 0: the method rotates */
  struct rotation rotation;                             /* block 0: the method changes the weight */
  double dropout;                                       /* of the input of `low.down` while training */
  struct parameter *parameters[ADAPTER_PARAMETERS_MAX]; /* the method's own; unused: NULL */
  void *state;                                          /* likewise */
  double penalty; /* of the last `prepare`: HRA's ||I - Uh^T Uh||_F; 0 when there is none */
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

#define METHOD(name, lower) extern const struct adapter_ops adapter_##lower;
#include "api/methods.def"
#undef METHOD

const struct adapter_ops *adapter_ops_of(enum peft_type type);

/* A new adapter on `linear`, in the list's arena. */
NODISCARD enum status adapter_new(struct adapter **out, const struct adapter_spec *spec, const struct linear *linear,
                                  struct parameter_list *parameters, uint64_t seed, struct error *err);

/* Memory for the factors of a low-rank method: false when it runs out. */
bool adapter_low_rank(struct adapter *adapter, struct parameter_list *parameters, size_t rank);

/* The same for a method that rotates; with_scale makes `scale` too. */
bool adapter_rotation(struct adapter *adapter, struct parameter_list *parameters, size_t block, bool with_scale);
/* A stream of random numbers of its own for a layer (by its name) and a use. */
struct rng;
void adapter_rng(struct rng *rng, const struct adapter *adapter, uint64_t seed, const char *use);
/* PEFT's key "base_model.model.<module>.<suffix>" with a new parameter; NULL when memory runs out. */
struct parameter *adapter_parameter(struct adapter *adapter, struct parameter_list *parameters, const char *suffix,
                                    int rank, const int64_t *shape);

/* Is it a parameter of one of them? (Heads, biases and modules trained in full are not.) */
bool adapter_owns(struct adapter *const *adapters, size_t count, const struct parameter *parameter);

/* Runs `prepare` or `finish` of all adapters on the pool. */
NODISCARD enum status adapter_prepare_all(struct adapter *const *adapters, size_t count, struct backend *backend,
                                          struct error *err);
void adapter_finish_all(struct adapter *const *adapters, size_t count, struct backend *backend, double penalty_weight);

#endif
