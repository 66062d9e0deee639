#include "worker/adapter/lora_init.h"

#include <math.h>
#include <stdlib.h>

#include "api/job.h"
#include "worker/backend/cpu/decompose.h"

/* W in r dimensions of one of its sides. */
struct factors {
  bool left;         /* which */
  double *basis;     /* r x out of the left, r x in of the right */
  double *projected; /* basis W, r x in; or basis W^T, r x out */
};

/* Where the row of A and the column of B go. */
struct filling {
  const struct lora_init_task *task;
  float *A, *B;
};

static enum status factorise(struct factors *f, const struct lora_init_task *t, struct rng *rng, struct error *err) {
  const struct weight *w = t->weight;
  bool olora = t->init == LORA_INIT_OLORA, exact = t->init == LORA_INIT_PISSA;
  f->left = olora || decompose_left_is_shorter(w) == exact;
  enum status status = olora   ? decompose_qr(f->basis, w, t->r, err)
                       : exact ? decompose_leading(f->basis, w, t->r, err)
                               : decompose_range(f->basis, w, t->r, t->init - LORA_INIT_PISSA, rng, err);
  return status ? status : decompose_project(f->projected, w, f->basis, f->left, t->r, err);
}

static void put(const struct filling *to, size_t k, const double *row, double row_scale, const double *column,
                double column_scale) {
  const struct weight *w = to->task->weight;
  for (size_t j = 0; j < w->cols; j++)
    to->A[k * w->cols + j] = (float)(row_scale * row[j]);
  for (size_t i = 0; i < w->rows; i++)
    to->B[i * to->task->r + k] = (float)(column_scale * column[i]);
}

static bool largest_is_negative(const double *v, size_t n) {
  size_t at = 0;
  for (size_t i = 1; i < n; i++)
    at = fabs(v[i]) > fabs(v[at]) ? i : at;
  return v[at] < 0;
}

/* The basis has unit vectors; what is projected has the other side's, times the singular values. */
static void put_pissa(const struct filling *to, const struct factors *f, size_t k) {
  size_t in = to->task->weight->cols, out = to->task->weight->rows, other = f->left ? in : out;
  const double *unit = f->basis + k * (f->left ? out : in), *scaled = f->projected + k * other;
  double squares = 0, s = to->task->scale;
  for (size_t i = 0; i < other; i++)
    squares += scaled[i] * scaled[i];
  double value = sqrt(squares), sign = largest_is_negative(f->left ? scaled : unit, in) ? -1 : 1;
  double by_unit = sign * sqrt(value / s), by_scaled = value > 0 ? sign / sqrt(value * s) : 0;
  if (f->left)
    put(to, k, scaled, by_scaled, unit, by_unit);
  else
    put(to, k, unit, by_unit, scaled, by_scaled);
}

/* R has zeros before its diagonal; what is projected there is rounding. */
static void put_olora(const struct filling *to, const struct factors *f, size_t k) {
  double *row = f->projected + k * to->task->weight->cols;
  for (size_t j = 0; j < k; j++)
    row[j] = 0;
  put(to, k, row, 1, f->basis + k * to->task->weight->rows, 1);
}

static size_t numbers_of_side(const struct lora_init_task *t) {
  const struct weight *w = t->weight;
  return t->r * (w->rows > w->cols ? w->rows : w->cols);
}

enum status lora_init_fill(float *A, float *B, const struct lora_init_task *t, struct rng *rng, struct error *err) {
  const struct filling to = {.task = t, .A = A, .B = B};
  struct factors f = {.basis = malloc(numbers_of_side(t) * sizeof *f.basis),
                      .projected = malloc(numbers_of_side(t) * sizeof *f.projected)};
  enum status status =
      f.basis && f.projected ? factorise(&f, t, rng, err) : error_no_memory(err, "the adapter's start");
  for (size_t k = 0; !status && k < t->r; k++)
    (t->init == LORA_INIT_OLORA ? put_olora : put_pissa)(&to, &f, k);
  free(f.basis);
  free(f.projected);
  return status;
}

size_t lora_init_bytes(const struct lora_init_task *t) {
  return 2 * numbers_of_side(t) * sizeof(double) + decompose_bytes(t->weight, t->r, t->init == LORA_INIT_PISSA);
}
