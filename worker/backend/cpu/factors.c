#include "worker/backend/cpu/factors.h"

#include <math.h>
#include <string.h>

#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/matmul.h"

void factors_gram(struct backend *backend, struct core out, struct place at, size_t rows, size_t r) {
  (void)backend;
  double *S = out.host;
  const float *U = place_floats(at);
  memset(S, 0, r * r * sizeof *S);
  for (size_t i = 0; i < rows; i++, U += r)
    for (size_t p = 0; p < r; p++)
      for (size_t q = p; q < r; q++)
        S[p * r + q] += (double)U[p] * (double)U[q];
  for (size_t p = 0; p < r; p++)
    for (size_t q = 0; q < p; q++)
      S[p * r + q] = S[q * r + p];
}

void factors_copy_core(struct backend *backend, struct core to, struct place from, size_t count) {
  (void)backend;
  for (size_t i = 0; i < count; i++)
    to.host[i] = (double)place_floats(from)[i];
}

/* (in core)[row, j] */
static double element(const float *in, size_t r, const double *core, size_t j, double sum) {
  for (size_t p = 0; p < r; p++)
    sum += (double)in[p] * core[p * r + j];
  return sum;
}

void factors_times_core(struct backend *backend, struct place to, size_t ldo, struct place from, size_t ldi,
                        size_t rows, size_t r, struct core core) {
  (void)backend;
  float *out = place_floats(to);
  const float *in = place_floats(from);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < r; j++)
      out[i * ldo + j] = (float)element(in + i * ldi, r, core.host, j, 0);
}

void factors_add_times_core(struct backend *backend, struct place to, struct place from, struct place minus, size_t ldg,
                            size_t rows, size_t r, struct core core) {
  (void)backend;
  float *dU = place_floats(to);
  const float *U = place_floats(from), *g = place_floats(minus);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < r; j++)
      dU[i * r + j] += (float)element(U + i * r, r, core.host, j, -(double)g[i * ldg + j]);
}

void factors_copy(struct backend *backend, const struct strided_copy *c) {
  (void)backend;
  float *to = place_floats(c->to) + c->to_first;
  const float *from = place_floats(c->from);
  for (size_t i = 0; i < c->rows; i++)
    for (size_t j = 0; j < c->cols; j++) {
      float *cell = &to[i * c->to_row + j * c->to_col], value = c->scale * from[i * c->from_row + j * c->from_col];
      *cell = c->accumulate ? *cell + value : value;
    }
}

void factors_weight_times(struct backend *backend, struct place y, const struct weight *weight, struct place u,
                          size_t R, bool transposed) {
  if (transposed)
    matmul_skinny_transposed(place_floats(y), weight, place_floats(u), R, backend->kernels);
  else
    matmul_skinny(place_floats(y), weight, place_floats(u), R, backend->kernels);
}

void factors_inverse_norms(struct backend *backend, struct place to, struct place squares, struct place at_u,
                           struct place at_v, size_t rows, size_t R) {
  (void)backend;
  const float *U = place_floats(at_u), *V = place_floats(at_v);
  for (size_t i = 0; i < rows; i++) {
    double sum = (double)place_floats(squares)[i];
    for (size_t j = 0; j < R; j++)
      sum += (double)U[i * R + j] * (double)V[i * R + j];
    place_floats(to)[i] = (float)(1 / sqrt(sum));
  }
}

void factors_multiply(struct backend *backend, struct place at, struct place at_x, struct place at_y, size_t count,
                      bool accumulate) {
  (void)backend;
  float *to = place_floats(at);
  const float *x = place_floats(at_x), *y = place_floats(at_y);
  for (size_t i = 0; i < count; i++)
    to[i] = (accumulate ? to[i] : 0.0f) + x[i] * y[i];
}

double factors_grad_squares(struct backend *backend, const struct adamw_slice *slices, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += backend->kernels->sum_squares(place_floats(slices[i].grad), slices[i].count);
  return sum;
}

void factors_adamw(struct backend *backend, const struct adamw_slice *slices, size_t count,
                   const struct adamw_step *s) {
  for (size_t i = 0; i < count; i++) {
    const struct adamw_slice *of = &slices[i];
    float decay = (float)(of->decay ? 1 - of->lr_ratio * s->decay : 1);
    backend->kernels->adamw(place_floats(of->p), place_floats(of->m), place_floats(of->v), place_floats(of->grad),
                            of->count, s->grad_scale, s->beta1, s->beta2, s->epsilon,
                            (float)(of->lr_ratio * s->step_size), s->root_scale, decay);
  }
}
