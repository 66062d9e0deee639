#include "worker/adapter/cayley.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/adapter/adapter.h"

/* The highest power of the series. */
static int degree_of(int terms) {
  return terms < 3 ? terms - 1 : terms - 1 > 3 ? terms - 1 : 3;
}

static float coefficient(int terms, int power) {
  return power == degree_of(terms) && terms > 2 ? 1.0f : 2.0f;
}

size_t cayley_scratch(size_t b, int terms) {
  size_t powers = terms > 0 ? (size_t)degree_of(terms) + 2 : 0;
  size_t exact = 6; /* two double matrices and one of float, rounded up */
  return (powers > exact ? powers : exact) * b * b;
}

static size_t scale_count(const struct adapter *a) {
  return a->scale.scale.buffer ? a->linear->out : 0;
}

enum status cayley_reserve(struct adapter *a, struct parameter_list *parameters, int terms, struct error *err) {
  const struct rotation *o = &a->rotation;
  struct arena *arena = parameters->arena;
  size_t b = o->block, count = o->blocks * b * b, scratch = cayley_scratch(b, terms), scales = scale_count(a);
  struct cayley_host *h = a->state = arena_alloc(arena, sizeof *h);
  float *work = arena_array(arena, scratch + 2 * b * b, sizeof *work);
  if (!h || !work)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
  *h = (struct cayley_host){.scratch = work, .q = work + scratch, .grad_q = work + scratch + b * b};
  if (!parameters->buffers || parameters->buffers->backend->ops->host_memory) {
    h->r = place_floats(o->r);
    h->r_t = place_floats(o->r_t);
    h->grad_r = place_floats(o->grad_r);
    h->scale = place_floats(a->scale.scale);
    h->grad_scale = place_floats(a->scale.grad_scale);
    return STATUS_OK;
  }
  float *copies = arena_array(arena, 3 * count + 2 * scales + 1, sizeof *copies);
  if (!copies)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", a->linear->name);
  h->r = copies;
  h->r_t = h->r + count;
  h->grad_r = h->r_t + count;
  h->scale = h->grad_r + count;
  h->grad_scale = h->scale + scales;
  return STATUS_OK;
}

static void bring_parameters(const struct adapter *a, struct backend *backend,
                             void (*bring)(struct parameter *, struct backend *)) {
  for (size_t i = 0; i < ADAPTER_PARAMETERS_MAX && a->parameters[i]; i++)
    bring(a->parameters[i], backend);
}

const struct cayley_host *cayley_begin_forward(struct adapter *a, struct backend *backend) {
  bring_parameters(a, backend, parameter_pull);
  return a->state;
}

void cayley_end_forward(struct adapter *a, struct backend *backend) {
  const struct cayley_host *h = a->state;
  const struct rotation *o = &a->rotation;
  size_t b = o->block, count = o->blocks * b * b;
  for (size_t i = 0; i < count; i += b * b)
    for (size_t x = 0; x < b; x++)
      for (size_t y = 0; y < b; y++)
        h->r_t[i + x * b + y] = h->r[i + y * b + x];
  if (!backend->ops->host_memory) {
    backend->ops->write(backend, o->r, h->r, count * sizeof *h->r);
    backend->ops->write(backend, o->r_t, h->r_t, count * sizeof *h->r_t);
    if (scale_count(a))
      backend->ops->write(backend, a->scale.scale, h->scale, scale_count(a) * sizeof *h->scale);
    bring_parameters(a, backend, parameter_push); /* which a constraint may have changed */
  }
  adapter_zero_grads(a, backend);
}

const struct cayley_host *cayley_begin_backward(struct adapter *a, struct backend *backend) {
  const struct cayley_host *h = a->state;
  const struct rotation *o = &a->rotation;
  if (!backend->ops->host_memory) {
    backend->ops->read(backend, h->grad_r, o->grad_r, o->blocks * o->block * o->block * sizeof *h->grad_r);
    if (scale_count(a))
      backend->ops->read(backend, h->grad_scale, a->scale.grad_scale, scale_count(a) * sizeof *h->grad_scale);
    bring_parameters(a, backend, parameter_pull);
  }
  return h;
}

void cayley_end_backward(struct adapter *a, struct backend *backend) {
  bring_parameters(a, backend, parameter_push);
}

/* inverse = (I + Q)^-1 in double by Gauss and Jordan, without a search for pivots: I + Q of a skew Q has a
   positive definite symmetric part, so no pivot can vanish. */
static void invert(double *inverse, double *m, const float *q, size_t b) {
  for (size_t i = 0; i < b * b; i++) {
    inverse[i] = i / b == i % b;
    m[i] = inverse[i] + (double)q[i];
  }
  for (size_t p = 0; p < b; p++) {
    double by = 1 / m[p * b + p];
    for (size_t j = 0; j < b; j++) {
      m[p * b + j] *= by;
      inverse[p * b + j] *= by;
    }
    for (size_t i = 0; i < b; i++) {
      double f = m[i * b + p];
      if (i == p || f == 0)
        continue;
      for (size_t j = 0; j < b; j++) {
        m[i * b + j] -= f * m[p * b + j];
        inverse[i * b + j] -= f * inverse[p * b + j];
      }
    }
  }
}

/* R = (I - Q) (I + Q)^-1 = 2 (I + Q)^-1 - I. */
void cayley_exact(float *r, const float *q, size_t b, float *scratch) {
  double *inverse = (double *)(void *)scratch;
  invert(inverse, inverse + b * b, q, b);
  for (size_t i = 0; i < b * b; i++)
    r[i] = (float)(2 * inverse[i] - (i / b == i % b));
}

/* dR = -2 K dQ K with K = (I + Q)^-1, so g_Q = -2 K^T g_R K^T. */
void cayley_exact_backward(float *g_q, const float *g_r, const float *q, size_t b, float *scratch) {
  double *inverse = (double *)(void *)scratch, *half = inverse + b * b;
  invert(inverse, half, q, b);
  for (size_t i = 0; i < b; i++) /* half = K^T g_R */
    for (size_t j = 0; j < b; j++)
      half[i * b + j] = 0;
  for (size_t k = 0; k < b; k++)
    for (size_t i = 0; i < b; i++)
      for (size_t j = 0; j < b; j++)
        half[i * b + j] += inverse[k * b + i] * (double)g_r[k * b + j];
  for (size_t i = 0; i < b; i++)
    for (size_t j = 0; j < b; j++) {
      double sum = 0;
      for (size_t k = 0; k < b; k++)
        sum += half[i * b + k] * inverse[j * b + k];
      g_q[i * b + j] = (float)(-2 * sum);
    }
}

/* Powers Q^1 .. Q^degree one after the other. */
static void make_powers(float *powers, const float *q, size_t b, int degree, const struct kernels *k) {
  memcpy(powers, q, b * b * sizeof *powers);
  for (int p = 1; p < degree; p++)
    k->gemm(powers + (size_t)p * b * b, b, powers + (size_t)(p - 1) * b * b, b, 1, q, b, b, b, b, 1.0f, false);
}

void cayley_series(float *r, const float *q, size_t b, int terms, const struct kernels *k, float *scratch) {
  int degree = degree_of(terms);
  memset(r, 0, b * b * sizeof *r);
  for (size_t i = 0; i < b; i++)
    r[i * b + i] = 1;
  if (degree == 0)
    return;
  make_powers(scratch, q, b, degree, k);
  for (int p = 1; p <= degree; p++)
    for (size_t i = 0; i < b * b; i++)
      r[i] += coefficient(terms, p) * scratch[(size_t)(p - 1) * b * b + i];
}

/* From the highest power down: Q^p = Q^(p-1) Q gives g_Q += (Q^(p-1))^T g_p and g_(p-1) += g_p Q^T = -g_p Q. */
void cayley_series_backward(float *g_q, const float *g_r, const float *q, size_t b, int terms, const struct kernels *k,
                            float *scratch) {
  int degree = degree_of(terms);
  size_t n = b * b;
  memset(g_q, 0, n * sizeof *g_q);
  if (degree == 0)
    return;
  make_powers(scratch, q, b, degree, k);
  float *g = scratch + (size_t)degree * n, *next = g + n;
  for (size_t i = 0; i < n; i++)
    g[i] = coefficient(terms, degree) * g_r[i];
  for (int p = degree; p > 1; p--) {
    k->gemm(g_q, b, scratch + (size_t)(p - 2) * n, 1, b, g, b, b, b, b, 1.0f, true);
    for (size_t i = 0; i < n; i++)
      next[i] = coefficient(terms, p - 1) * g_r[i];
    k->gemm(next, b, g, b, 1, q, b, b, b, b, -1.0f, true);
    float *swap = g;
    g = next;
    next = swap;
  }
  for (size_t i = 0; i < n; i++)
    g_q[i] += g[i];
}

void cayley_merge(const struct adapter *a, struct backend *backend, float *merged) {
  const struct rotation *o = &a->rotation;
  size_t in = a->linear->in, out = a->linear->out, b = o->block;
  float *row = malloc(in * sizeof *row), *r_t = adapter_fetch(backend, o->r_t, o->blocks * b * b);
  float *scale = adapter_fetch(backend, a->scale.scale, scale_count(a));
  CHECK(row);
  weight_read(merged, &a->linear->weight);
  for (size_t j = 0; j < out; j++, merged += in) {
    memcpy(row, merged, in * sizeof *row);
    for (size_t i = 0; i < o->blocks; i++)
      backend->kernels->gemm(merged + i * b, in, row + i * b, in, 1, r_t + i * b * b, b, 1, b, b,
                             scale_count(a) ? scale[j] : 1.0f, false);
  }
  free(row);
  free(r_t);
  free(scale);
}

void cayley_telemetry(const struct adapter *a, struct adapter_telemetry *out) {
  const struct cayley_host *h = a->state;
  size_t b = a->rotation.block, in = b * a->rotation.blocks;
  double trace = 0;
  *out = (struct adapter_telemetry){0};
  for (size_t i = 0; i < in; i++) {
    const float *row = h->r_t + i * b; /* a column of R */
    double length = 0;
    for (size_t k = 0; k < b; k++)
      length += (double)row[k] * (double)row[k];
    trace += (double)row[i % b];
    out->defect += fabs(length - 1) / (double)in;
    out->defect_max = fmax(out->defect_max, fabs(length - 1));
  }
  out->angle = acos(fmax(-1, fmin(1, trace / (double)in)));
}
