#include "worker/backend/backend.h"

#include <stdlib.h>

#include "worker/backend/cpu/isa.h"
#include "worker/backend/cpu/matmul_openblas.h"

enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err) {
  *out = (struct backend){0};
  enum status status = isa_find(&out->isa, isa ? isa : getenv("REFLECT_ISA"), err);
  if (status)
    return status;
  out->kernels = out->isa->kernels;
  backend_set_precision(out, PRECISION_FP32);
  backend_set_matmul(out, MATMUL_AUTO);
  return pool_new(&out->pool, threads, err);
}

const char *backend_isa(const struct backend *backend) {
  return backend->isa->name;
}

void backend_set_precision(struct backend *backend, enum precision precision) {
  const struct isa *isa = backend->isa;
  bool bf16 = precision == PRECISION_BF16;
  backend->precision = precision;
  backend->gemm = !bf16 ? isa->kernels->gemm_fp32 : isa->bf16 ? isa->bf16 : isa->kernels->gemm_bf16_emulated;
  backend->attention = bf16 && isa->bf16_attention ? isa->bf16_attention : isa->kernels->attention;
}

void backend_set_matmul(struct backend *backend, enum matmul_library library) {
  backend->matmul = library == MATMUL_AUTO ? backend->isa->matmul : library;
  if (backend->matmul == MATMUL_OPENBLAS)
    matmul_openblas_start();
}

bool backend_emulates_bf16(const struct backend *backend) {
  return backend->precision == PRECISION_BF16 &&
         (backend->matmul == MATMUL_OPENBLAS || backend->gemm == backend->kernels->gemm_bf16_emulated);
}

void backend_close(struct backend *backend) {
  pool_free(backend->pool);
  *backend = (struct backend){0};
}

/* Tall, for what is summed over a panel; but a few cores should find work even in a small batch. */
size_t backend_panels(size_t rows) {
  enum { FEW = 4, ROWS_FEW = 16 };
  size_t count = (rows + BACKEND_PANEL_ROWS - 1) / BACKEND_PANEL_ROWS, few = (rows + ROWS_FEW - 1) / ROWS_FEW;
  if (count < FEW)
    count = few < FEW ? few : FEW;
  return count > BACKEND_PANELS_MAX ? BACKEND_PANELS_MAX : count;
}

size_t backend_panel(size_t *first, size_t rows, size_t index, size_t count) {
  size_t from = rows * index / count, to = rows * (index + 1) / count;
  *first = from;
  return to - from;
}
