#include "worker/backend/device/device_factors.h"

#include "worker/backend/device/device_op.h"

enum { TILE = 64 }; /* of the kernel matmul */

struct place device_factors_cores(struct backend *backend, size_t floats) {
  return device_memory(backend, &backend->device->cores, floats);
}

/* Sums in fp32, in parts of the rows. */
void device_factors_gram(struct backend *backend, struct core S, struct place U, size_t rows, size_t r) {
  struct place parts = device_work(backend, device_skinny_floats(r, r, rows));
  const struct device_skinny gram = {
      .out = S.at, .a = U, .b = U, .rows = r, .cols = r, .depth = rows, .a_row = 1, .a_col = r};
  device_skinny(backend, &gram, parts);
}

void device_factors_copy_core(struct backend *backend, struct core to, struct place from, size_t count) {
  const struct strided_copy copy = {
      .to = to.at, .from = from, .rows = 1, .cols = count, .to_col = 1, .from_col = 1, .scale = 1};
  device_factors_copy(backend, &copy);
}

/* out = [out +] in core */
static void times_core(struct backend *backend, struct place out, size_t ldo, struct place in, size_t ldi, size_t rows,
                       size_t r, struct core core, bool accumulate) {
  const struct weight of_core = device_floats(core.at, r, r);
  const struct matmul_args args = {.dropout = device_dropout_args(NULL),
                                   .weight = device_weight_args(&of_core),
                                   .rows = (int)rows,
                                   .cols = (int)r,
                                   .depth = (int)r,
                                   .a_row = (int)ldi,
                                   .a_col = 1,
                                   .c_row = (int)ldo,
                                   .c_col = 1,
                                   .alpha = 1,
                                   .accumulate = accumulate,
                                   .splits = 1};
  device_launch(backend, DEVICE_matmul, device_groups(r, TILE), device_groups(rows, TILE), 1,
                PLACES(out, in, core.at, NOWHERE, NOWHERE, NOWHERE), &args);
}

void device_factors_times_core(struct backend *backend, struct place out, size_t ldo, struct place in, size_t ldi,
                               size_t rows, size_t r, struct core core) {
  times_core(backend, out, ldo, in, ldi, rows, r, core, false);
}

void device_factors_add_times_core(struct backend *backend, struct place dU, struct place U, struct place g, size_t ldg,
                                   size_t rows, size_t r, struct core core) {
  const struct strided_copy minus_g = {.to = dU,
                                       .from = g,
                                       .rows = rows,
                                       .cols = r,
                                       .to_row = r,
                                       .to_col = 1,
                                       .from_row = ldg,
                                       .from_col = 1,
                                       .scale = -1,
                                       .accumulate = true};
  device_factors_copy(backend, &minus_g);
  times_core(backend, dU, r, U, r, rows, r, core, true);
}

void device_factors_copy(struct backend *backend, const struct strided_copy *c) {
  const struct strided_copy_args args = {(int)c->rows,     (int)c->cols,   (int)c->to_first,
                                         (int)c->to_row,   (int)c->to_col, (int)c->from_row,
                                         (int)c->from_col, c->scale,       c->accumulate};
  device_launch_each(backend, DEVICE_strided_copy, c->rows * c->cols, PLACES(c->to, c->from), &args);
}

/* The matmul kernel has the weight on the right: y^T = u^T W^T, or u^T W, with y and u read across. */
void device_factors_weight_times(struct backend *backend, struct place y, const struct weight *weight, struct place u,
                                 size_t R, bool transposed) {
  size_t N = transposed ? weight->cols : weight->rows, K = transposed ? weight->rows : weight->cols;
  const struct matmul_args args = {.dropout = device_dropout_args(NULL),
                                   .weight = device_weight_args(weight),
                                   .rows = (int)R,
                                   .cols = (int)N,
                                   .depth = (int)K,
                                   .a_row = 1,
                                   .a_col = (int)R,
                                   .c_row = 1,
                                   .c_col = (int)R,
                                   .transposed = !transposed,
                                   .alpha = 1,
                                   .accumulate = transposed,
                                   .splits = 1};
  device_launch(backend, DEVICE_matmul, device_groups(N, TILE), device_groups(R, TILE), 1,
                PLACES(y, u, weight->place, NOWHERE, NOWHERE, NOWHERE), &args);
}

void device_factors_inverse_norms(struct backend *backend, struct place y, struct place squares, struct place U,
                                  struct place V, size_t rows, size_t R) {
  const struct inverse_norms_args args = {(int)rows, (int)R};
  device_launch_each(backend, DEVICE_inverse_norms, rows, PLACES(y, squares, U, V), &args);
}

void device_factors_multiply(struct backend *backend, struct place to, struct place x, struct place y, size_t count,
                             bool accumulate) {
  const struct elements_args args = {.count = (long)count, .accumulate = accumulate};
  device_launch_each(backend, DEVICE_multiply_to, count, PLACES(to, x, y), &args);
}
