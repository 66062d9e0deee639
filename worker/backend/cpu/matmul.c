#include "worker/backend/cpu/matmul.h"

#include <string.h>

#include "worker/backend/cpu/matmul_gemv.h"
#include "worker/backend/cpu/matmul_native.h"
#include "worker/backend/cpu/matmul_openblas.h"

size_t matmul_scratch(const struct backend *b, size_t rows, size_t k, size_t R) {
  size_t gemv = matmul_gemv_scratch(b, rows, k);
  size_t gemm =
      b->matmul == MATMUL_OPENBLAS ? matmul_openblas_scratch(b, rows, k) : matmul_native_scratch(b, rows, k, R);
  return gemv > gemm ? gemv : gemm;
}

void matmul_run(const struct backend *b, const struct matmul *p, float *scratch) {
  if (p->rows == 0)
    return;
  if (matmul_gemv_serves(b, p))
    matmul_gemv_run(b, p, scratch);
  else
    (b->matmul == MATMUL_OPENBLAS ? matmul_openblas_run : matmul_native_run)(b, p, scratch);
}

/* --- tall-skinny ---------------------------------------------------------------------------------- */

enum { SKINNY_ROWS = 24, SKINNY_COLS = 256 /* whole blocks of any quantised type */ };

/* A block of the weight in fp32, its rows *stride apart: where it lies, or decoded. */
static const float *fp32_block(size_t *stride, const struct weight *w, size_t row, size_t rows, size_t col, size_t cols,
                               float decoded[SKINNY_ROWS * SKINNY_COLS]) {
  *stride = w->cols;
  if (w->type == GGML_F32 && !w->heads)
    return weight_part(w, row, col, cols, NULL);
  *stride = cols;
  for (size_t i = 0; i < rows; i++) {
    const float *part = weight_part(w, row + i, col, cols, decoded + i * cols);
    if (part != decoded + i * cols)
      memcpy(decoded + i * cols, part, cols * sizeof *decoded);
  }
  return decoded;
}

static void skinny(float *y, const struct weight *w, const float *u, size_t R, bool transposed,
                   const struct kernels *kernels) {
  float decoded[SKINNY_ROWS * SKINNY_COLS];
  for (size_t row = 0; row < w->rows; row += SKINNY_ROWS) {
    size_t rows = w->rows - row < SKINNY_ROWS ? w->rows - row : SKINNY_ROWS, stride;
    for (size_t col = 0; col < w->cols; col += SKINNY_COLS) {
      size_t cols = w->cols - col < SKINNY_COLS ? w->cols - col : SKINNY_COLS;
      const float *block = fp32_block(&stride, w, row, rows, col, cols, decoded);
      if (transposed)
        kernels->gemm(y + col * R, R, block, 1, stride, u + row * R, R, cols, R, rows, 1.0f, true);
      else
        kernels->gemm(y + row * R, R, block, stride, 1, u + col * R, R, rows, R, cols, 1.0f, col > 0);
    }
  }
}

void matmul_skinny(float *y, const struct weight *w, const float *u, size_t R, const struct kernels *kernels) {
  skinny(y, w, u, R, false, kernels);
}

void matmul_skinny_transposed(float *y, const struct weight *w, const float *u, size_t R,
                              const struct kernels *kernels) {
  skinny(y, w, u, R, true, kernels);
}
