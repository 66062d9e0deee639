/* Adapters of frozen linear layers. Before a step the forward factors are computed from the parameters; op_linear
   multiplies with them and accumulates the gradients of the backward factors; after the backward pass those become the
   parameters' gradients. Factors have one of two shapes (worker/op/linear.h):
   - a low-rank change of the weight, W' = W + sign * up * down^T: LoRA (lora.c), and HRA exactly, since
     H = I - U M^-1 U^T gives W H = W - (W U M^-1) U^T (hra.c);
   - a rotation of the input in blocks, y = (x blockdiag(R)) W^T: OFT and BOFT (oft.c, boft.c).
   With either there may be a factor of each output: BOFT, and DoRA, which is LoRA with one (dora.c). */
#ifndef WORKER_ADAPTER_ADAPTER_H
#define WORKER_ADAPTER_ADAPTER_H

#include "api/job.h"
#include "base/error.h"
#include "worker/op/linear.h"

struct backend;
struct pool;

enum { ADAPTER_PARAMETERS_MAX = 5 };

struct adapter {
  const struct adapter_ops *ops;
  const struct adapter_spec *spec;
  const struct linear *linear;                          /* the frozen layer; borrowed */
  size_t rank;                                          /* of a low-rank method */
  struct low_rank low;                                  /* R 0: the method rotates */
  struct rotation rotation;                             /* block 0: the method changes the weight */
  struct output_scale scale;                            /* nowhere: the outputs have no factors */
  struct parameter *parameters[ADAPTER_PARAMETERS_MAX]; /* the method's own; unused: NULL */
  void *state;                                          /* likewise */
  struct place grads;                                   /* those of the factors, one after the other */
  size_t grad_bytes;
  struct core told, given;        /* small matrices from the backend to the host, and back, while factors are made */
  size_t told_count, given_count; /* numbers; 0: the method needs none */
  double penalty;                 /* of the last forward factors: HRA's ||I - Uh^T Uh||_F; 0 when there is none */
};

/* How far a map that should be orthogonal turns, and how far what it is made of is from orthogonal. */
struct adapter_telemetry {
  double angle;              /* radians, 0 to pi: its cosine is the mean real part of the eigenvalues of the map
                                where it can turn: 1 - tr(M^-1 S) / r of HRA, tr(R) / in of OFT and BOFT */
  double defect, defect_max; /* mean and greatest of |I - Uh^T Uh| beside the diagonal (HRA), of | |R e_j|^2 - 1 | */
};

/* One const row a method, in its own file. */
struct adapter_ops {
  /* Makes the parameters (initialised from `seed` and the layer's name) and memory of a new adapter.
     STATUS_INVALID_VALUE when the method cannot adapt that layer, the text naming it. */
  enum status (*attach)(struct adapter *adapter, struct parameter_list *parameters, uint64_t seed, struct error *err);
  /* What attach left out of the start, since it takes long (adapter_start). Safe to run for several adapters in
     parallel. NULL: attach makes it all. */
  enum status (*start)(struct adapter *adapter, uint64_t seed, struct error *err);
  /* Bytes that it takes meanwhile; 0: it has nothing to do. */
  size_t (*start_bytes)(const struct adapter *adapter);
  /* Factors from parameters, in three stages, so that a backend with memory of its own tells the host all adapters'
     small matrices at once: `ask` has the backend make `told`, `solve` makes `given` from it on the host, and
     `forward_factors` the factors, and zeros of their gradients. The first two may be NULL. Safe to run for several
     adapters in parallel where the backend allows it; `solve` everywhere.
     STATUS_INVALID_VALUE naming the module when the parameters are singular. */
  void (*forward_ask)(struct adapter *adapter, struct backend *backend);
  enum status (*forward_solve)(struct adapter *adapter, struct error *err);
  void (*forward_factors)(struct adapter *adapter, struct backend *backend);
  /* Adds to the parameters' gradients: from those of the factors, and of penalty_weight * penalty. In the same stages.
   */
  void (*backward_ask)(struct adapter *adapter, struct backend *backend);
  void (*backward_solve)(struct adapter *adapter, double penalty_weight);
  void (*backward_factors)(struct adapter *adapter, struct backend *backend);
  /* merged (out x in) = the weight with the adapter in it. Needs the forward factors. */
  void (*merge)(const struct adapter *adapter, struct backend *backend, float *merged);
  /* The exact low-rank form: merged = weight + B A with A rank x in, B out x rank. Needs the forward factors. NULL:
     the method has none. */
  void (*low_rank)(const struct adapter *adapter, struct backend *backend, float *A, float *B);
  /* Of the last forward factors, which must have been made; little work, all on the host. NULL: the method's change is
     no orthogonal map. */
  void (*telemetry)(const struct adapter *adapter, struct adapter_telemetry *out);
  /* How many times the run's learning rate a parameter learns with, whatever it is of. NULL: all learn with that. */
  double (*lr_ratio)(const struct adapter_spec *spec, const struct parameter *parameter);
};

#define METHOD(name, lower) extern const struct adapter_ops adapter_##lower;
#include "api/methods.def"
#undef METHOD

extern const struct adapter_ops adapter_dora; /* LoRA with use_dora */

const struct adapter_ops *adapter_ops_of(const struct adapter_spec *spec);

/* A new adapter for `linear`, in the list's arena. It has no effect before adapter_put. */
NODISCARD enum status adapter_new(struct adapter **out, const struct adapter_spec *spec, const struct linear *linear,
                                  struct parameter_list *parameters, uint64_t seed, struct error *err);

/* The start of adapters from the layers' weights, where their methods have such a one: before the first step of a
   training, not where parameters are loaded or only time and memory matter. On the pool; the parameters on the host are
   changed. STATUS_INVALID_VALUE naming the module whose weight has numbers that are not finite. */
NODISCARD enum status adapter_start(struct adapter *const *adapters, size_t count, struct pool *pool, uint64_t seed,
                                    struct error *err);
/* Bytes that it takes for so many at once, whichever they are. */
size_t adapter_start_bytes(struct adapter *const *adapters, size_t count, size_t at_once);

/* The layer multiplies with the adapter from now on. */
void adapter_put(struct linear *linear, const struct adapter *adapter);
/* It multiplies without one. */
void adapter_disable(struct linear *linear);
/* The adapter of that layer, or NULL. */
struct adapter *adapter_of(struct adapter *const *adapters, size_t count, const struct linear *linear);

/* Memory for the factors of a low-rank method, where the list's parameters are; with_scale: `scale` too. */
NODISCARD enum status adapter_low_rank(struct adapter *adapter, struct parameter_list *parameters, size_t rank,
                                       bool with_scale, struct error *err);
/* The same for `count` vectors of `out` numbers of the method's own. */
NODISCARD enum status adapter_vectors(struct adapter *adapter, struct parameter_list *parameters, struct place *vectors,
                                      size_t count, struct error *err);
/* Floats that so many take in a buffer, so that a kernel may be given what is next to them. */
size_t adapter_room(size_t count);
/* Sets the gradients of the factors to zero. */
void adapter_zero_grads(const struct adapter *adapter, struct backend *backend);
/* Numbers of the backend on the host, to be freed; NULL of nowhere. */
float *adapter_fetch(struct backend *backend, struct place place, size_t count);
/* merged (out x in) = W + sign * up_back down_back_t of a low-rank method. */
void adapter_merge_low_rank(const struct adapter *adapter, struct backend *backend, float *merged);

/* The same for a method that rotates; with_scale: `scale` too. */
NODISCARD enum status adapter_rotation(struct adapter *adapter, struct parameter_list *parameters, size_t block,
                                       bool with_scale, struct error *err);
/* A stream of random numbers of its own for a layer (by its name) and a use. */
struct rng;
void adapter_rng(struct rng *rng, const struct adapter *adapter, uint64_t seed, const char *use);
/* PEFT's key "base_model.model.<module>.<suffix>" with a new parameter; NULL when memory runs out. */
struct parameter *adapter_parameter(struct adapter *adapter, struct parameter_list *parameters, const char *suffix,
                                    int rank, const int64_t *shape);

/* Sets how fast each parameter of a run learns. */
void adapter_lr_ratios(const struct adapter_spec *spec, const struct parameter_list *parameters);

/* Is it a parameter of one of them? (Heads, biases and modules trained in full are not.) */
bool adapter_owns(struct adapter *const *adapters, size_t count, const struct parameter *parameter);

/* Forward factors, or the parameters' gradients, of all adapters, on the pool. On a backend with memory of its own each
   reads from it once and writes to it once, however many adapters there are. */
NODISCARD enum status adapter_forward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                                              struct error *err);
void adapter_backward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                              double penalty_weight);

#endif
