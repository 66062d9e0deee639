#include "worker/backend/cpu/matmul_gemv.h"

#include <string.h>

enum { COLUMNS = 32 }; /* of C, of a task */

struct pass {
  const struct matmul *p;
  const struct kernels *kernels;
  const float *x;
  size_t k;       /* padded with zeros to a multiple of GEMV_GROUP */
  bool decoded;   /* rows of the weight are decoded first: they end within a group */
  const int16_t *fixed; /* of a quantised weight: X in fixed point, and */
  const struct gemv_group *groups;
  float *scratch; /* k floats for each thread: a decoded row */
};

static size_t padded(size_t k) {
  return (k + GEMV_GROUP - 1) / GEMV_GROUP * GEMV_GROUP;
}

bool matmul_gemv_serves(const struct backend *b, const struct matmul *p) {
  return p->transposed && p->rows <= MATMUL_GEMV_ROWS && b->precision == PRECISION_FP32;
}

size_t matmul_gemv_scratch(const struct backend *b, size_t rows, size_t k) {
  size_t most = rows < MATMUL_GEMV_ROWS ? rows : MATMUL_GEMV_ROWS;
  return (most + (size_t)pool_threads(b->pool)) * padded(k);
}

/* --- tasks ---------------------------------------------------------------------------------------- */

/* A row of the weight in fp32. */
static void decode_row(float *out, const struct weight *w, size_t row, size_t k) {
  const float *part = weight_part(w, row, 0, w->cols, out);
  if (part != out)
    memcpy(out, part, w->cols * sizeof *out);
  memset(out + w->cols, 0, (k - w->cols) * sizeof *out);
}

/* y (rows x n) = X times rows [j, j + n) of the weight, transposed */
static void multiply(const struct pass *pass, float *y, size_t j, size_t n, float *scratch) {
  const struct weight *w = pass->p->weight;
  const unsigned char *rows[COLUMNS];
  struct gemv gemv = {
      .y = y, .ldy = COLUMNS, .x = pass->x, .ldx = pass->k, .rows = rows, .m = pass->p->rows, .k = pass->k};
  if (!pass->decoded) {
    weight_row_bytes(rows, w, j, n);
    gemv.fixed.x = pass->fixed;
    gemv.fixed.groups = pass->groups;
    gemv.type = w->type;
    gemv.n = n;
    pass->kernels->gemv(&gemv);
    return;
  }
  rows[0] = (const unsigned char *)scratch;
  gemv.type = GGML_F32;
  gemv.n = 1;
  for (size_t i = 0; i < n; i++, gemv.y++) {
    decode_row(scratch, w, j + i, pass->k);
    pass->kernels->gemv(&gemv);
  }
}

static void columns_task(void *payload, size_t index, int thread) {
  const struct pass *pass = payload;
  const struct matmul *p = pass->p;
  size_t all = p->weight->rows, j = index * COLUMNS, n = all - j < COLUMNS ? all - j : COLUMNS;
  float y[MATMUL_GEMV_ROWS * COLUMNS];
  multiply(pass, y, j, n, pass->scratch + (size_t)thread * pass->k);
  if (p->R)
    pass->kernels->gemm(y, COLUMNS, p->q, p->R, 1, p->v + j, all, p->rows, n, p->R, p->sign, true);
  for (size_t i = 0; i < p->rows; i++) {
    const float *from = y + i * COLUMNS;
    float *c = p->c + i * all + j;
    for (size_t column = 0; column < n; column++) {
      float sum = p->bias ? from[column] + p->bias[j + column] : from[column];
      c[column] = p->accumulate ? c[column] + sum : sum;
    }
  }
}

/* --- the whole ------------------------------------------------------------------------------------ */

/* Fills all rows of X in fixed point, which take less than X itself. */
static void to_fixed(struct pass *pass, size_t rows, float *scratch) {
  size_t groups = pass->k / GEMV_GROUP;
  struct gemv_group *group = (struct gemv_group *)scratch;
  int16_t *fixed = (int16_t *)(group + rows * groups);
  for (size_t i = 0; i < rows; i++)
    pass->kernels->gemv_fixed(fixed + i * pass->k, group + i * groups, pass->x + i * pass->k, pass->k);
  pass->fixed = fixed;
  pass->groups = group;
}

void matmul_gemv_run(const struct backend *b, const struct matmul *p, float *scratch) {
  size_t in = p->weight->cols;
  struct pass pass = {.p = p, .kernels = b->kernels, .x = p->a, .k = padded(in), .scratch = scratch};
  pass.decoded = pass.k > in;
  if (pass.k > in) {
    for (size_t i = 0; i < p->rows; i++) {
      memcpy(scratch + i * pass.k, p->a + i * in, in * sizeof *scratch);
      memset(scratch + i * pass.k + in, 0, (pass.k - in) * sizeof *scratch);
    }
    pass.x = scratch;
    pass.scratch = scratch + p->rows * pass.k;
  } else if (weight_block(p->weight) > 1) {
    to_fixed(&pass, p->rows, scratch);
  }
  pool_run(b->pool, (p->weight->rows + COLUMNS - 1) / COLUMNS, columns_task, &pass);
}
