#include "worker/backend/backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct isa {
  const char *name;
  bool (*runs)(void);
  const struct kernels *kernels;
  const struct gemm_ukernel *bf16;                /* NULL: the processor has no bf16 instructions */
  const struct attention_kernels *bf16_attention; /* NULL: attention stays in floats */
};

static bool runs_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void) {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool runs_avx512_bf16(void) {
  return runs_avx512() && __builtin_cpu_supports("avx512bf16");
}

/* Linux gives a process the registers of tiles when it asks for them. */
static bool runs_amx(void) {
  enum { REQUEST_FEATURE = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
  return runs_avx512_bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, REQUEST_FEATURE, TILE_DATA) == 0;
}

static const struct isa best_first[] = {
    {"amx", runs_amx, &kernels_avx512, &gemm_ukernel_amx, &attention_kernels_amx},
    {"avx512_bf16", runs_avx512_bf16, &kernels_avx512, &gemm_ukernel_avx512_bf16, NULL},
    {"avx512", runs_avx512, &kernels_avx512, NULL, NULL},
    {"avx2", runs_avx2, &kernels_avx2, NULL, NULL},
};

enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err) {
  *out = (struct backend){0};
  __builtin_cpu_init();
  if (!isa)
    isa = getenv("REFLECT_ISA");
  for (size_t i = 0; i < COUNT_OF(best_first) && !out->isa; i++)
    if ((!isa || strcmp(isa, best_first[i].name) == 0) && best_first[i].runs())
      out->isa = &best_first[i];
  if (!out->isa)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "isa", "this processor cannot run %s kernels", isa ? isa : "avx2");
  out->kernels = out->isa->kernels;
  backend_set_precision(out, PRECISION_FP32);
  return pool_new(&out->pool, threads, err);
}

const char *backend_isa(const struct backend *backend) {
  return backend->isa->name;
}

void backend_set_precision(struct backend *backend, enum precision precision) {
  const struct isa *isa = backend->isa;
  bool bf16 = precision == PRECISION_BF16;
  backend->gemm = !bf16 ? isa->kernels->gemm_fp32 : isa->bf16 ? isa->bf16 : isa->kernels->gemm_bf16_emulated;
  backend->attention = bf16 && isa->bf16_attention ? isa->bf16_attention : isa->kernels->attention;
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
