#include "worker/backend/backend.h"

#include <stdlib.h>
#include <string.h>

static bool runs(const struct kernels *kernels) {
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (kernels == &kernels_avx2)
    return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err) {
  static const struct kernels *const best_first[] = {&kernels_avx512, &kernels_avx2};
  *out = (struct backend){0};
  if (!isa)
    isa = getenv("REFLECT_ISA");
  for (size_t i = 0; i < COUNT_OF(best_first) && !out->kernels; i++)
    if (runs(best_first[i]) && (!isa || strcmp(isa, best_first[i]->isa) == 0))
      out->kernels = best_first[i];
  if (!out->kernels)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "isa", "this processor cannot run %s kernels",
                     isa ? isa : "avx2 or avx512");
  return pool_new(&out->pool, threads, err);
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
