/* Where the numbers of a step live and who computes with them: the processor's cores (backend/cpu), or a GPU.

   Ops (worker/op) say what is computed: shapes, attributes, what is saved for the backward pass. A backend has the
   memory, and forward and backward of each kind of op. Memory is a buffer of the backend; tensors, weights, parameters
   and gradients are places in one. Results may differ between backends, never between runs on one. */
#ifndef WORKER_BACKEND_BACKEND_H
#define WORKER_BACKEND_BACKEND_H

#include "api/job.h"
#include "base/error.h"
#include "worker/backend/place.h"
#include "worker/backend/weight.h"
#include "worker/thread/pool.h"

struct tape;
struct node;
struct backend;
struct isa;
struct kernels;
struct gemm_ukernel;
struct attention_kernels;
struct device_backend;

/* One op on one backend. forward fills the outputs' data from the inputs' (also when a tensor is recomputed: it must be
   repeatable); backward adds to the inputs' gradients from the outputs' and may be NULL for an op that has none.
   Neither runs in a dry run. A body without forward: the backend does not support the op. */
struct op_body {
  void (*forward)(struct tape *tape, const struct node *node);
  void (*backward)(struct tape *tape, const struct node *node);
  /* Floats of scratch memory that both find at tape->scratch; NULL: none. */
  size_t (*scratch)(const struct tape *tape, const struct node *node);
};

/* dst (rows x cols) = [dst +] scale * src, fp32, each with a stride between rows and between columns, in floats: a copy
   that transposes, pads or gathers. `to_first` floats of `to` come before dst. */
struct strided_copy {
  struct place to, from;
  size_t to_first;
  size_t rows, cols;
  size_t to_row, to_col, from_row, from_col;
  float scale;
  bool accumulate;
};

/* An r x r matrix of an adapter (worker/adapter): in double on the host, and where a backend with memory of its own has
   it, as floats. */
struct core {
  double *host;
  struct place at;
};

/* A trainable array and its AdamW state, fp32, `count` elements each. */
struct adamw_slice {
  struct place p, grad, m, v;
  size_t count;
  double lr_ratio; /* its learning rate is so many times the step's */
  bool decay;      /* weight decay applies */
};

/* One AdamW update (Loshchilov and Hutter, 2019) in torch's form: step_size = lr / (1 - beta1^t),
   root_scale = 1 / sqrt(1 - beta2^t), decay = lr * weight_decay; gradients are multiplied by grad_scale first. */
struct adamw_step {
  float grad_scale, beta1, beta2, epsilon, root_scale;
  double step_size, decay;
};

/* What a backend is. Functions that return nothing cannot fail on the CPU; on a device the first fault is kept and told
   by `synchronise`, and nothing runs after it. */
struct backend_ops {
  const char *name;    /* "cpu", "opencl", "cuda" */
  bool host_memory;    /* its places are host memory */
  bool rounds_weights; /* with precision bf16 it wants frozen operands of matmuls rounded to that (weight.h) */
  const struct op_body *const *bodies; /* [OP_KINDS], by enum op_kind (worker/op/kind.h); NULL: not supported */

  void (*close)(struct backend *backend);
  /* What computes, for people and manifests: the instruction set, or the name of the GPU. */
  const char *(*processor)(const struct backend *backend);
  /* Of the matmuls with frozen matrices, and of attention, from now on; fp32 at first. */
  void (*set_precision)(struct backend *backend, enum precision precision);
  /* What runs matmuls with a frozen operand, AUTO at first. NULL: there is only one. */
  void (*set_matmul)(struct backend *backend, enum matmul_library library);
  /* With precision bf16: fp32 arithmetic on inputs that were rounded to bf16. NULL: never. */
  bool (*emulates_bf16)(const struct backend *backend);

  /* Bytes of its own that are free now. NULL: its memory is the host's. */
  size_t (*memory_available)(const struct backend *backend);
  /* Zeroed memory; STATUS_OUT_OF_MEMORY names the bytes. */
  enum status (*allocate)(struct backend *backend, struct place *out, size_t bytes, struct error *err);
  void (*release)(struct backend *backend, struct place place, size_t bytes);
  void (*write)(struct backend *backend, struct place to, const void *from, size_t bytes);
  void (*read)(struct backend *backend, void *to, struct place from, size_t bytes);
  void (*zero)(struct backend *backend, struct place place, size_t bytes);
  /* Returns when all that was asked for is done, host pointers that ops were given (a loss) included. */
  enum status (*synchronise)(struct backend *backend, struct error *err);

  /* For the factors of adapters (worker/adapter). What is r x r is a core, what is r x d is fp32 and a place; both
     row-major, rows of a factor are `ld` floats apart. The CPU reads and writes a core's `host`, a device its `at`: the
     caller brings them in step.
     cores: memory of the backend for so many floats of cores, until the next call; nowhere after a fault. NULL: the
     CPU's are the host's, and several threads may call these functions at once. */
  struct place (*cores)(struct backend *backend, size_t floats);
  /* S (r x r) = U^T U, U: rows x r. */
  void (*gram)(struct backend *backend, struct core S, struct place U, size_t rows, size_t r);
  /* to = count numbers of fp32. */
  void (*copy_core)(struct backend *backend, struct core to, struct place from, size_t count);
  /* out[:, :r] (ldo) = in[:, :r] (ldi) core, core: r x r; sums in double. */
  void (*times_core)(struct backend *backend, struct place out, size_t ldo, struct place in, size_t ldi, size_t rows,
                     size_t r, struct core core);
  /* dU (rows x r) += U core - g[:, :r] (ldg); sums in double. */
  void (*add_times_core)(struct backend *backend, struct place dU, struct place U, struct place g, size_t ldg,
                         size_t rows, size_t r, struct core core);
  void (*copy)(struct backend *backend, const struct strided_copy *copy);
  /* y (rows x R) = W u, u: cols x R; transposed: y (cols x R) += W^T u, u: rows x R. */
  void (*weight_times)(struct backend *backend, struct place y, const struct weight *weight, struct place u, size_t R,
                       bool transposed);

  /* y_i = 1 / sqrt(squares_i + U_i . V_i); U, V: rows x R, sums in double on the CPU. */
  void (*inverse_norms)(struct backend *backend, struct place y, struct place squares, struct place U, struct place V,
                        size_t rows, size_t R);
  /* to = [to +] x * y, `count` elements */
  void (*multiply)(struct backend *backend, struct place to, struct place x, struct place y, size_t count,
                   bool accumulate);

  /* Sum of the squares of all gradients: waits for it. */
  double (*grad_squares)(struct backend *backend, const struct adamw_slice *slices, size_t count);
  void (*adamw)(struct backend *backend, const struct adamw_slice *slices, size_t count, const struct adamw_step *step);
};

struct backend {
  const struct backend_ops *ops;
  char device_name[16]; /* "cpu", "opencl:0" */
  struct pool *pool; /* the host's threads: on any backend they read the data and compute the adapters' small factors */
  enum precision precision;
  enum matmul_library matmul; /* what runs the matmuls with a frozen operand: NATIVE or OPENBLAS */
  const struct isa *isa;
  const struct kernels *kernels; /* of the host's processor */
  /* of the CPU backend, by its precision */
  const struct gemm_ukernel *gemm; /* of NATIVE */
  const struct attention_kernels *attention;
  struct device_backend *device; /* of a device's backend */
};

void backend_set_precision(struct backend *backend, enum precision precision);
void backend_set_matmul(struct backend *backend, enum matmul_library library);
bool backend_emulates_bf16(const struct backend *backend);
/* A zeroed one too. */
void backend_close(struct backend *backend);

/* The place of `bytes` bytes of host memory that stay as they are while the owner lives: there, or in a copy on the
   backend that the owner releases. The list belongs to the caller; buffers_release frees the copies. */
struct buffers {
  struct backend *backend; /* NULL: host memory */
  struct owned_buffer *first;
};
NODISCARD enum status buffers_import(struct buffers *owner, struct place *out, const void *host, size_t bytes,
                                     struct error *err);
/* Zeroed memory of the backend that the list owns. */
NODISCARD enum status buffers_new(struct buffers *owner, struct place *out, size_t bytes, struct error *err);
void buffers_release(struct buffers *owner);

#endif
