/* What the ops' bodies on a device share: launches, and the products of which most are made. */
#ifndef WORKER_BACKEND_DEVICE_DEVICE_OP_H
#define WORKER_BACKEND_DEVICE_DEVICE_OP_H

#include "worker/backend/device/device_backend.h"
#include "worker/op/attributes.h"

extern const struct op_body device_linear, device_rotate, device_scale, device_embeddings, device_token_rows,
    device_token_logits, device_pooling, device_unfold, device_layernorm, device_rmsnorm, device_dropout, device_gelu,
    device_gelu_tanh, device_relu, device_tanh, device_swiglu, device_geglu, device_geglu_tanh, device_multiply,
    device_columns, device_add, device_rope, device_attention, device_unit_rows, device_similarity,
    device_cross_entropy, device_squared_error, device_binary_cross_entropy, device_linear_cross_entropy,
    device_linear_preference;
extern const struct op_body *const device_bodies[OP_KINDS];

/* Places of a kernel's pointers. */
#define PLACES(...) ((const struct place[]){__VA_ARGS__})
#define NOWHERE ((struct place){0})

/* A launch; nothing after a fault. */
void device_launch(struct backend *backend, enum device_kernel kernel, size_t x, size_t y, size_t z,
                   const struct place *pointers, const void *args);
/* The same with an item for each of `count`. */
void device_launch_each(struct backend *backend, enum device_kernel kernel, size_t count, const struct place *pointers,
                        const void *args);
/* Waits; zeros after a fault. */
void device_read(struct backend *backend, void *to, struct place from, size_t bytes);
void device_write(struct backend *backend, struct place to, const void *from, size_t bytes);

/* Memory of the device for so many floats until the next call; nowhere after a fault. */
struct place device_memory(struct backend *backend, struct device_memory *memory, size_t floats);
struct place device_work(struct backend *backend, size_t floats);

static inline size_t device_groups(size_t count, size_t each) {
  return (count + each - 1) / each;
}

/* Floats of a part of scratch memory, so that the next part begins where a kernel may be given it. */
static inline size_t device_part(size_t floats) {
  enum { EACH = PLACE_ALIGN / sizeof(float) };
  return (floats + EACH - 1) / EACH * EACH;
}

/* Takes the next part. */
static inline struct place device_take(struct place *from, size_t floats) {
  struct place part = *from;
  *from = place_at(*from, device_part(floats) * sizeof(float));
  return part;
}

struct dropout_args device_dropout_args(const struct dropout *dropout);
struct weight_args device_weight_args(const struct weight *weight);

/* --- trained rows of a tied head (op_token_rows.c) ------------------------------------------------ */

/* x: `count` rows of C; logits: as many of V; taken: as many of rows->count. What they do is what the CPU's do
   (worker/backend/cpu/op_token_rows.h). */
void device_token_logits_put(struct backend *backend, struct place logits, struct place x, size_t count,
                             const struct token_rows *rows);
void device_token_logits_take(struct backend *backend, struct place taken, struct place gradient, size_t count,
                              const struct token_rows *rows);
void device_token_logits_back(struct backend *backend, struct place dx, struct place taken, size_t count,
                              const struct token_rows *rows);
void device_token_logits_learn(struct backend *backend, const struct token_rows *rows, struct place taken,
                               struct place weights, struct place x, struct place picked, size_t count);

/* --- products (device_products.c) ----------------------------------------------------------------- */

/* C (rows x N) = [C +] alpha * (A W^T, transposed, or A W, + sign * Q V) [* mask] [+ bias]; A, Q and C in rows. With
   precision bf16, A and W are rounded to it (nearest, ties to even) and sums are floats; Q, V and bias stay fp32. */
struct device_matmul {
  enum precision precision;
  struct place c, a;
  size_t rows;
  const struct weight *weight;
  bool transposed, accumulate;
  struct place q, v; /* rows x R, R x N; R 0: none */
  size_t R;
  float sign, alpha;
  struct place bias;             /* N, or nowhere */
  const struct dropout *dropout; /* NULL: none */
};
void device_matmul(struct backend *backend, const struct device_matmul *matmul);
/* By our kernel, whatever the device has. */
void device_matmul_kernel(struct backend *backend, const struct device_matmul *matmul);
/* By the device's library (device_library.c); false: nothing was done. In bf16 where that is the precision. */
bool device_library_matmul(struct backend *backend, const struct device_matmul *matmul);
/* Bytes of device_backend.library. */
size_t device_library_bytes(void);

/* out (rows x cols) = [out +] A B, cols few: A (i, k) = a[i * a_row + k * a_col], B: depth x cols in rows. `parts` has
   device_skinny_floats. */
struct device_skinny {
  struct place out, a, b;
  size_t rows, cols, depth;
  size_t a_row, a_col;
  bool accumulate;
  const struct dropout *dropout; /* of A; NULL: none */
};
size_t device_skinny_floats(size_t rows, size_t cols, size_t depth);
void device_skinny(struct backend *backend, const struct device_skinny *skinny, struct place parts);

/* out (cols) += column sums of x, or of x * y where y is somewhere (rows x cols). */
size_t device_column_sums_floats(size_t rows, size_t cols);
void device_column_sums(struct backend *backend, struct place out, struct place x, struct place y, size_t rows,
                        size_t cols, struct place parts);

/* How many parts a depth is cut into, so that `groups` work-groups a part fill a device: from shapes alone. */
size_t device_splits(size_t depth, size_t groups);
/* out = [out +] the parts, in their order. */
void device_sum_splits(struct backend *backend, struct place out, struct place parts, size_t count, size_t splits,
                       bool accumulate);

/* A matrix of fp32 on the device as a weight. */
struct weight device_floats(struct place place, size_t rows, size_t cols);

#endif
