#include "worker/backend/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker/backend/cpu/factors.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/cpu/matmul_openblas.h"
#include "worker/backend/cpu/op.h"

static void set_precision(struct backend *backend, enum precision precision) {
  const struct isa *isa = backend->isa;
  bool bf16 = precision == PRECISION_BF16;
  backend->precision = precision;
  backend->gemm = !bf16 ? isa->kernels->gemm_fp32 : isa->bf16 ? isa->bf16 : isa->kernels->gemm_bf16_emulated;
  backend->attention = bf16 && isa->bf16_attention ? isa->bf16_attention : isa->kernels->attention;
}

static void set_matmul(struct backend *backend, enum matmul_library library) {
  backend->matmul = library == MATMUL_AUTO ? backend->isa->matmul : library;
  if (backend->matmul == MATMUL_OPENBLAS)
    matmul_openblas_start();
}

static bool emulates_bf16(const struct backend *backend) {
  return backend->precision == PRECISION_BF16 &&
         (backend->matmul == MATMUL_OPENBLAS || backend->gemm == backend->kernels->gemm_bf16_emulated);
}

static void close_cpu(struct backend *backend) {
  pool_free(backend->pool);
}

/* --- memory --------------------------------------------------------------------------------------- */

enum { LARGE = 1 << 20 };

/* Large pages for a step, which reads and writes all of its memory. The kernel gives a page when it is first touched.
 */
static enum status allocate(struct backend *backend, struct place *out, size_t bytes, struct error *err) {
  (void)backend;
  *out = (struct place){0};
  void *memory = bytes < LARGE
                     ? calloc(1, bytes + 1)
                     : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!memory || memory == MAP_FAILED)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for a buffer of %zu MiB", (bytes >> 20) + 1);
  if (bytes >= LARGE)
    madvise(memory, bytes, MADV_HUGEPAGE);
  *out = place_host(memory);
  return STATUS_OK;
}

static void release(struct backend *backend, struct place place, size_t bytes) {
  (void)backend;
  if (bytes < LARGE)
    free(place_address(place));
  else
    munmap(place_address(place), bytes);
}

static void write_bytes(struct backend *backend, struct place to, const void *from, size_t bytes) {
  (void)backend;
  memmove(place_address(to), from, bytes);
}

static void read_bytes(struct backend *backend, void *to, struct place from, size_t bytes) {
  (void)backend;
  memmove(to, place_address(from), bytes);
}

static void zero(struct backend *backend, struct place place, size_t bytes) {
  (void)backend;
  memset(place_address(place), 0, bytes);
}

static enum status synchronise(struct backend *backend, struct error *err) {
  (void)backend;
  (void)err;
  return STATUS_OK; /* nothing runs in the background */
}

static const struct backend_ops cpu_ops = {.name = "cpu",
                                           .host_memory = true,
                                           .bodies = cpu_bodies,
                                           .close = close_cpu,
                                           .processor = cpu_isa,
                                           .set_precision = set_precision,
                                           .set_matmul = set_matmul,
                                           .emulates_bf16 = emulates_bf16,
                                           .allocate = allocate,
                                           .release = release,
                                           .write = write_bytes,
                                           .read = read_bytes,
                                           .zero = zero,
                                           .synchronise = synchronise,
                                           .gram = factors_gram,
                                           .copy_core = factors_copy_core,
                                           .times_core = factors_times_core,
                                           .add_times_core = factors_add_times_core,
                                           .copy = factors_copy,
                                           .weight_times = factors_weight_times,
                                           .inverse_norms = factors_inverse_norms,
                                           .multiply = factors_multiply,
                                           .grad_squares = factors_grad_squares,
                                           .adamw = factors_adamw};

enum status cpu_open(struct backend *out, int threads, const char *isa, struct error *err) {
  *out = (struct backend){.ops = &cpu_ops, .device_name = "cpu"};
  enum status status = isa_find(&out->isa, isa ? isa : getenv("REFLECT_ISA"), err);
  if (status)
    return status;
  out->kernels = out->isa->kernels;
  set_precision(out, PRECISION_FP32);
  set_matmul(out, MATMUL_AUTO);
  return pool_new(&out->pool, threads, err);
}

const char *cpu_isa(const struct backend *backend) {
  return backend->isa->name;
}

/* Tall, for what is summed over a panel; but a few cores should find work even in a small batch. */
size_t cpu_panels(size_t rows) {
  enum { FEW = 4, ROWS_FEW = 16 };
  size_t count = (rows + CPU_PANEL_ROWS - 1) / CPU_PANEL_ROWS, few = (rows + ROWS_FEW - 1) / ROWS_FEW;
  if (count < FEW)
    count = few < FEW ? few : FEW;
  return count > CPU_PANELS_MAX ? CPU_PANELS_MAX : count;
}

size_t cpu_panel(size_t *first, size_t rows, size_t index, size_t count) {
  size_t from = rows * index / count, to = rows * (index + 1) / count;
  *first = from;
  return to - from;
}
