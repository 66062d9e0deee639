/* The ops' bodies on CUDA, against the CPU's. */
#include "tests/worker/backend/cuda/with_cuda.h"
#include "tests/worker/backend/device/cases_ops.h"
#include "worker/backend/cuda/cuda.h"
#include "worker/backend/device/device_op.h"

static int open_first(void **state) {
  (void)state;
  struct device *device;
  struct error err;
  if (cuda_open(&device, "cuda:0", &err) != STATUS_OK) {
    print_error("%s\n", err.text);
    return 1;
  }
  open_sides(device);
  return 0;
}

static int close_both(void **state) {
  if (!sides[ON_DEVICE].device || sides[ON_DEVICE].device->device->launches == 0)
    return 1; /* nothing ran there */
  return close_sides(state);
}

/* --- matmuls by the library ----------------------------------------------------------------------- */

enum { BF16 = 1, TRANSPOSED = 2, ACCUMULATE = 4, BIAS = 8, LOW = 16, HEADS = 32 };

static float rounded(float value, bool bf16) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
  if (bf16)
    memcpy(&value, &bits, sizeof value);
  return value;
}

static float *host_numbers(size_t count, uint64_t seed) {
  float *x = arena_array(&ops_arena, count + 1, sizeof *x);
  assert_non_null(x);
  fill(x, count, seed);
  return x;
}

static struct place on_device(struct buffers *owner, const void *host, size_t bytes) {
  struct place place;
  struct error err;
  assert_int_equal(buffers_import(owner, &place, host, bytes, &err), STATUS_OK);
  return place;
}

/* C = [C +] alpha (A W - Q V) + bias against sums in double. */
static void check_matmul(struct backend *b, size_t M, size_t w_rows, size_t w_cols, enum ggml_type type, int flags) {
  enum { RANKS = 8, OF_HEADS = 4 };
  bool t = flags & TRANSPOSED, bf16 = flags & BF16;
  size_t N = t ? w_rows : w_cols, K = t ? w_cols : w_rows, R = flags & LOW ? RANKS : 0;
  struct buffers owner = {.backend = b};
  float *a = host_numbers(M * K, 1), *w = host_numbers(w_rows * w_cols, 2), *c = host_numbers(M * N, 3);
  float *q = host_numbers(M * R, 4), *v = host_numbers(R * N, 5), *bias = host_numbers(N, 6);
  const struct ggml_type_info *info = ggml_type_info(type);
  size_t bytes = w_rows * w_cols / info->block * info->bytes;
  unsigned char *coded = arena_alloc(&ops_arena, bytes);
  assert_true(coded && ggml_from_f32(coded, w, type, w_rows * w_cols));
  struct weight weight = {
      .rows = w_rows, .cols = w_cols, .type = type, .bytes = coded, .heads = flags & HEADS ? OF_HEADS : 0};
  weight_read(w, &weight);
  weight.place = on_device(&owner, coded, bytes);
  const struct device_matmul m = {.c = on_device(&owner, c, M * N * sizeof *c),
                                  .a = on_device(&owner, a, M * K * sizeof *a),
                                  .rows = M,
                                  .weight = &weight,
                                  .transposed = t,
                                  .precision = bf16 ? PRECISION_BF16 : PRECISION_FP32,
                                  .accumulate = flags & ACCUMULATE,
                                  .q = on_device(&owner, q, (M * R + 1) * sizeof *q),
                                  .v = on_device(&owner, v, (R * N + 1) * sizeof *v),
                                  .R = R,
                                  .sign = -1,
                                  .alpha = 0.5f,
                                  .bias = flags & BIAS ? on_device(&owner, bias, N * sizeof *bias) : NOWHERE};
  float *got = host_numbers(M * N, 7);
  assert_true(device_library_matmul(b, &m));
  b->ops->read(b, got, m.c, M * N * sizeof *got);
  for (size_t i = 0; i < M; i += 1 + M / 40)
    for (size_t j = 0; j < N; j += 1 + N / 40) {
      double sum = 0;
      for (size_t k = 0; k < K; k++)
        sum += (double)rounded(a[i * K + k], bf16) * (double)rounded(t ? w[j * K + k] : w[k * N + j], bf16);
      for (size_t k = 0; k < R; k++)
        sum -= (double)q[i * R + k] * (double)v[k * N + j];
      double want = 0.5 * sum + (flags & ACCUMULATE ? (double)c[i * N + j] : 0) + (flags & BIAS ? (double)bias[j] : 0);
      if (!(fabs((double)got[i * N + j] - want) <= 1e-6 * (double)K + 1e-5))
        fail_msg("%zu x %zu x %zu, %s, flags %d: (%zu, %zu) is %.9g, not %.9g", M, N, K, info->name, flags, i, j,
                 (double)got[i * N + j], want);
    }
  buffers_release(&owner);
}

static void test_library(void **state) {
  (void)state;
  struct backend *b = &sides[ON_DEVICE];
  const enum ggml_type types[] = {GGML_F32, GGML_BF16, GGML_Q8_0};
  for (size_t i = 0; i < COUNT_OF(types); i++)
    for (int flags = 0; flags < 64; flags++) {
      check_matmul(b, 13, 40, 64, types[i], flags);
      arena_reset(&ops_arena);
    }
  /* odd rows, which only plain types have */
  for (int flags = 0; flags < 32; flags++)
    check_matmul(b, 5, 9, 7, flags & 1 ? GGML_BF16 : GGML_F32, flags);
  arena_reset(&ops_arena);
}

/* Operands of more than a panel: of the weight, of the inputs. */
static void test_panels(void **state) {
  (void)state;
  struct backend *b = &sides[ON_DEVICE];
  const int sets[] = {0, TRANSPOSED | BIAS, BF16 | ACCUMULATE | BIAS, BF16 | TRANSPOSED | ACCUMULATE | LOW};
  for (size_t i = 0; i < COUNT_OF(sets); i++) {
    int flags = sets[i];
    check_matmul(b, 3, 4200, flags & BF16 ? 4096 : 2048, GGML_Q8_0, flags);
    arena_reset(&ops_arena);
  }
  for (int flags = BF16; flags < 8; flags += TRANSPOSED) {
    check_matmul(b, 8300, flags & TRANSPOSED ? 6 : 2048, flags & TRANSPOSED ? 2048 : 6, GGML_F32, flags);
    arena_reset(&ops_arena);
  }
}

/* A library that has nothing for a product leaves it to our kernel. */
static void test_no_algorithm(void **state) {
  (void)state;
  struct backend *b = &sides[ON_DEVICE];
  float a[] = {1, 2, 3, 4, 5, 6}, w[] = {1, 0, 2, 0, 1, 0}, got[4];
  struct buffers owner = {.backend = b};
  struct weight weight = weight_of(w, 2, 3);
  weight.place = on_device(&owner, w, sizeof w);
  const struct device_matmul m = {.c = on_device(&owner, got, sizeof got),
                                  .a = on_device(&owner, a, sizeof a),
                                  .rows = 2,
                                  .weight = &weight,
                                  .transposed = true,
                                  .alpha = 1};
  setenv("STANDIN", "algorithms=0", 1);
  device_matmul(b, &m);
  b->ops->read(b, got, m.c, sizeof got);
  assert_true(got[0] == 7 && got[1] == 2 && got[2] == 16 && got[3] == 5);
  unsetenv("STANDIN");
  buffers_release(&owner);
}

int main(void) {
  use_cuda();
  const struct CMUnitTest library[] = {cmocka_unit_test_setup(test_library, fresh_arena),
                                       cmocka_unit_test_setup(test_panels, fresh_arena),
                                       cmocka_unit_test_setup(test_no_algorithm, fresh_arena)};
  int failed = cmocka_run_group_tests_name("matmuls of cuBLASLt", library, open_first, close_both);
  return failed + cmocka_run_group_tests_name("ops on CUDA", ops_cases, open_first, close_both);
}
