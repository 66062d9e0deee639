/* Conformance of the instruction sets: each that runs here is run beside the generic one, on the same random inputs at
   odd sizes. Every kernel must give the same numbers within its tolerance, NaN where the other gives NaN, and
   write nothing else. A new instruction set takes part by itself; a new kernel needs a row.
   That the numbers are right is proved in test_kernels_values.c and by the tests of the ops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/backend/cpu/isa.h"

enum { IN = 6, OUT = 4, ROOM = 24000 };
typedef float outputs[OUT][ROOM];

static float range; /* of the inputs: in [-range, range) */
static float in[IN][ROOM];
static outputs start; /* what outputs hold before: in [0, 1) */

struct shape {
  size_t m, n, k;
};

/* Tails of all vector widths, and of microtiles; a row beyond the block of log_sum_exp. */
static const struct shape shapes[] = {
    {1, 1, 1},    {2, 3, 5},    {3, 7, 8},    {5, 8, 9},   {6, 9, 16},  {7, 15, 31},  {12, 16, 17}, {13, 17, 33},
    {25, 31, 12}, {24, 33, 64}, {11, 47, 65}, {4, 64, 24}, {48, 65, 3}, {2, 130, 40}, {1, 1037, 7},
};

/* --- one function a kernel: what it writes goes to `out` ---------------------------------------------- */

typedef void run_function(outputs out, const struct isa *isa, struct shape s);

static void gemm(outputs out, const struct isa *isa, struct shape s) {
  bool transposed = s.m % 2, accumulate = s.n % 2;
  isa->kernels->gemm(out[0], s.n + 1, in[0], transposed ? 1 : s.k, transposed ? s.m : 1, in[1], s.n, s.m, s.n, s.k,
                     0.7f, accumulate);
}

static void gemm_skinny(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->gemm_skinny(out[0], in[0], in[1], s.m, s.k, 8 + s.n / 8 % 5 * 8, in[2], s.n);
}

static void gemv(outputs out, const struct isa *isa, struct shape s) {
  const unsigned char *rows[1037];
  size_t k = (s.k + GEMV_GROUP - 1) / GEMV_GROUP * GEMV_GROUP, n = s.n < ROOM / k ? s.n : ROOM / k;
  for (size_t j = 0; j < n; j++)
    rows[j] = (const unsigned char *)(in[1] + j * k);
  isa->kernels->gemv(
      &(struct gemv){.y = out[0], .ldy = n + 1, .x = in[0], .ldx = k, .rows = rows, .m = s.m, .n = n, .k = k});
}

/* Rows in fixed point, and their groups' scales and sums. */
static void gemv_fixed(outputs out, const struct isa *isa, struct shape s) {
  size_t k = (s.k + GEMV_GROUP - 1) / GEMV_GROUP * GEMV_GROUP;
  int16_t fixed[1024];
  struct gemv_group groups[1024 / GEMV_GROUP];
  isa->kernels->gemv_fixed(fixed, groups, in[0], k);
  for (size_t i = 0; i < k; i++)
    out[0][i] = groups[i / GEMV_GROUP].scale * (float)fixed[i];
  for (size_t i = 0; i < k / GEMV_GROUP; i++)
    memcpy(out[1] + 3 * i, &groups[i].sum, 3 * sizeof(float));
}

/* One block, packed as the microkernel wants it; B from columns or from rows. */
static void gemm_of(outputs out, const struct gemm_ukernel *u, struct shape s) {
  size_t R = s.n % 3 ? 4 : 0, rank_k = u->rank_k && R ? u->rank_k(R) : 0, rank_rows = u->rank_k ? 0 : R;
  size_t k = (s.k + u->k_block - 1) / u->k_block * u->k_block, lda = k + rank_k, m = (s.m + u->mr - 1) / u->mr * u->mr;
  size_t panel = (1 + lda / u->vnni + rank_rows) * u->nr, panels = (s.n + u->nr - 1) / u->nr;
  float *b = calloc(panels * panel, sizeof *b);
  void *a = u->pack_a ? aligned_alloc(64, (m * lda * u->element_size + 63) / 64 * 64) : in[0];
  assert_true(a && b);
  if (u->pack_a)
    u->pack_a(a, in[0], in[1], s.m, s.k, R);
  for (size_t p = 0; p < panels; p++) {
    size_t j = p * u->nr, n = s.n - j < u->nr ? s.n - j : u->nr;
    float *row = b + p * panel;
    memcpy(row, in[2] + j, n * sizeof *row);
    row += u->nr;
    const float *columns[GEMM_NR_MAX], *rows[GEMM_VNNI_MAX];
    for (size_t i = 0; i < n; i++)
      columns[i] = in[3] + (j + i) * s.k;
    if (s.m % 2)
      u->pack_b_columns(row, columns, n, s.k);
    for (size_t i = 0; s.m % 2 == 0 && i < k; i += u->vnni) {
      for (size_t v = 0; v < u->vnni; v++)
        rows[v] = i + v < s.k ? in[3] + (i + v) * s.n + j : NULL;
      u->pack_b_rows(row + i / u->vnni * u->nr, rows, n);
    }
    row += k / u->vnni * u->nr;
    if (rank_k)
      u->pack_v(row, in[4] + j, s.n, n, R, 1);
    for (size_t r = 0; r < rank_rows; r++)
      memcpy(row + r * u->nr, in[4] + r * s.n + j, n * sizeof *row);
  }
  u->macrokernel(&(struct gemm_block){.c = out[0],
                                      .ldc = s.n + 1,
                                      .a = a,
                                      .lda = lda,
                                      .q = in[1],
                                      .panels = b,
                                      .m = s.m,
                                      .n = s.n,
                                      .k = lda,
                                      .R = rank_rows,
                                      .accumulate = s.k % 2});
  free(b);
  if (u->pack_a)
    free(a);
}

static void gemm_fp32(outputs out, const struct isa *isa, struct shape s) {
  gemm_of(out, isa->kernels->gemm_fp32, s);
}

static void gemm_bf16_emulated(outputs out, const struct isa *isa, struct shape s) {
  gemm_of(out, isa->kernels->gemm_bf16_emulated, s);
}

static void gemm_bf16(outputs out, const struct isa *isa, struct shape s) {
  gemm_of(out, isa->bf16 ? isa->bf16 : isa->kernels->gemm_bf16_emulated, s);
}

static void column_sums(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->column_sums(out[0], in[0], s.m, s.n);
}

static void add_bias(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->add_bias(out[0], in[0], s.m, s.n);
}

static void add(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->add(out[0], in[0], s.m * s.n);
}

static void dropout(outputs out, const struct isa *isa, struct shape s) {
  const struct dropout d = {0x123456789ABCDEF0 + s.k, 0xFEDCBA9876543210, 20000, 1.4f};
  isa->kernels->dropout(out[0], in[0], 0xFFFFFFFE, s.m, s.n, &d);
}

static void layernorm(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->layernorm(out[0], out[1], out[2], in[0], in[1], s.n % 2 ? in[2] : NULL, s.m, s.n, 1e-5f);
}

static void layernorm_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->layernorm_backward(out[0], in[0], in[1], in[2], in[3], in[4], s.m, s.n);
}

static void rmsnorm(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->rmsnorm(out[0], out[1], in[0], in[1], s.m, s.n, 1e-5f);
}

static void rmsnorm_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->rmsnorm_backward(out[0], in[0], in[1], in[2], in[3], s.m, s.n);
}

static void rope(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->rope(out[0], in[0], in[1], in[2], s.m, s.k, s.n % 3, s.n % 2 ? 1 : -1);
}

static void swiglu(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->swiglu(out[0], in[0], in[1], s.m * s.n);
}

static void swiglu_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->swiglu_backward(out[0], out[1], in[0], in[1], in[2], s.m * s.n);
}

static void geglu(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->geglu(out[0], in[0], in[1], s.m * s.n);
}

static void geglu_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->geglu_backward(out[0], out[1], in[0], in[1], in[2], s.m * s.n);
}

static void geglu_tanh(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->geglu_tanh(out[0], in[0], in[1], s.m * s.n);
}

static void geglu_tanh_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->geglu_tanh_backward(out[0], out[1], in[0], in[1], in[2], s.m * s.n);
}

static void multiply(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->multiply(out[0], in[0], 0.7f, s.m * s.n);
}

static void column_squares(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->column_squares(out[0], in[0], in[1], s.m, s.n);
}

static struct group_norm_columns group_norm_columns(struct shape s) {
  return (struct group_norm_columns){in[2], in[3], in[4], in[5], in[4] + 1, s.k % 2};
}

static void group_norm(outputs out, const struct isa *isa, struct shape s) {
  struct group_norm_columns columns = group_norm_columns(s);
  isa->kernels->group_norm(out[0], in[0], &columns, s.m, s.n);
}

static void group_norm_sums(outputs out, const struct isa *isa, struct shape s) {
  struct group_norm_columns columns = group_norm_columns(s);
  isa->kernels->group_norm_sums(out[0], out[1], in[0], in[1], &columns, s.m, s.n);
}

static void group_norm_backward(outputs out, const struct isa *isa, struct shape s) {
  struct group_norm_columns columns = group_norm_columns(s);
  isa->kernels->group_norm_backward(out[0], in[0], in[1], &columns, s.m, s.n);
}

static void swish(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->swish(out[0], in[0], 1.702f, s.m * s.n);
}

static void swish_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->swish_backward(out[0], in[0], in[1], 1.702f, s.m * s.n);
}

/* Where NaN is among the numbers, which one is the largest is nobody's business. */
static void log_sum_exp(outputs out, const struct isa *isa, struct shape s) {
  size_t top;
  out[0][0] = (float)isa->kernels->log_sum_exp(in[0], s.n, &top);
  out[1][0] = isnan(out[0][0]) ? 0 : (float)top;
}

static void softmax_scaled(outputs out, const struct isa *isa, struct shape s) {
  memcpy(out[0], in[0], s.n * sizeof **out);
  isa->kernels->softmax_scaled(out[0], s.n, range, 0.7f);
}

static void softcap(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->softcap(out[0], in[0], s.m * s.n, 0.8f * range);
}

static void softcap_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->softcap_backward(out[0], in[0], in[1], s.m * s.n, 1.5f * range);
}

static void gelu(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->gelu(out[0], in[0], s.m * s.n);
}

static void gelu_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->gelu_backward(out[0], in[0], in[1], s.m * s.n);
}

static void gelu_tanh(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->gelu_tanh(out[0], in[0], s.m * s.n);
}

static void gelu_tanh_backward(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->gelu_tanh_backward(out[0], in[0], in[1], s.m * s.n);
}

static void adamw(outputs out, const struct isa *isa, struct shape s) {
  isa->kernels->adamw(out[0], out[1], out[2], in[0], s.m * s.n, 0.5f, 0.9f, 0.99f, 1e-8f, 0.02f, 1.5f, 0.999f);
}

static void sum_squares(outputs out, const struct isa *isa, struct shape s) {
  out[0][0] = (float)isa->kernels->sum_squares(in[0], s.m * s.n);
}

/* Two heads of k columns that share keys and values; the last m of T rows ask. */
static void attention_of(outputs out, const struct attention_kernels *a, struct shape s, bool backward) {
  size_t T = s.n < 200 ? s.n : 200, D = s.k, m = s.m < T ? s.m : T;
  struct attention_heads h = {.length = T, .first = T - m, .rows = m, .head_size = D, .count = 2, .row_first = 17};
  h.stride = 2 * D + 3, h.kv_stride = D + 2, h.row_step = m + 1;
  h.scale = 0.5f;
  h.causal = s.k % 2;
  h.window = s.m % 3 ? 1 + T / 3 : 0;
  if (s.n % 2)
    h.dropout = (struct dropout){5, 6, 20000, 65536.0f / (65536 - 20000)};
  float *scratch = malloc(a->scratch(T, D, false) * sizeof *scratch);
  assert_true(scratch && T * h.stride <= ROOM);
  memset(scratch, 0xFF, a->scratch(T, D, false) * sizeof *scratch);
  if (backward) /* out and lse need not be what the forward pass gives: probabilities below 1 suffice */
    a->backward(out[0], out[1], out[2], in[0], in[1], in[2], in[3], in[4], start[3], &h, scratch);
  else
    a->forward(out[0], out[1], in[1], in[2], in[3], &h, scratch);
  free(scratch);
}

static void attention(outputs out, const struct isa *isa, struct shape s) {
  attention_of(out, isa->kernels->attention, s, false);
}

static void attention_backward(outputs out, const struct isa *isa, struct shape s) {
  attention_of(out, isa->kernels->attention, s, true);
}

static void attention_bf16(outputs out, const struct isa *isa, struct shape s) {
  attention_of(out, isa->bf16_attention ? isa->bf16_attention : isa->kernels->attention, s, false);
}

static void attention_bf16_backward(outputs out, const struct isa *isa, struct shape s) {
  attention_of(out, isa->bf16_attention ? isa->bf16_attention : isa->kernels->attention, s, true);
}

/* --- the rows ----------------------------------------------------------------------------------------- */

struct row {
  const char *name;
  run_function *run;
  double tolerance; /* of an array's largest difference, relative to its largest number or to 1 */
  bool wide;        /* holds for inputs up to 100, and for NaN, too */
};

static const struct row rows[] = {
    {"gemm", gemm, 1e-6, true},
    {"gemm_fp32", gemm_fp32, 1e-6, true},
    {"gemm_bf16_emulated", gemm_bf16_emulated, 1e-6, true},
    {"the set's bf16 GEMM", gemm_bf16, 1e-4, true},
    {"gemm_skinny", gemm_skinny, 1e-6, true},
    {"gemv", gemv, 1e-6, true},
    {"gemv_fixed", gemv_fixed, 2e-5, true},
    {"column_sums", column_sums, 1e-6, true},
    {"add_bias", add_bias, 0, true},
    {"add", add, 0, true},
    {"dropout", dropout, 0, true},
    {"layernorm", layernorm, 1e-6, true},
    {"layernorm_backward", layernorm_backward, 2e-6, true},
    {"rmsnorm", rmsnorm, 1e-6, true},
    {"rmsnorm_backward", rmsnorm_backward, 2e-6, true},
    {"rope", rope, 1e-6, true},
    {"swiglu", swiglu, 1e-6, true},
    {"swiglu_backward", swiglu_backward, 1e-6, true},
    {"geglu", geglu, 1e-6, true},
    {"geglu_backward", geglu_backward, 1e-6, true},
    {"geglu_tanh", geglu_tanh, 1e-6, true},
    {"geglu_tanh_backward", geglu_tanh_backward, 1e-6, true},
    {"multiply", multiply, 0, true},
    {"column_squares", column_squares, 1e-6, true},
    {"group_norm", group_norm, 1e-6, true},
    {"group_norm_sums", group_norm_sums, 2e-6, true},
    {"group_norm_backward", group_norm_backward, 2e-6, true},
    {"swish", swish, 1e-6, true},
    {"swish_backward", swish_backward, 1e-6, true},
    {"log_sum_exp", log_sum_exp, 1e-6, true},
    {"softmax_scaled", softmax_scaled, 1e-6, true},
    {"softcap", softcap, 1e-6, true},
    {"softcap_backward", softcap_backward, 1e-6, true},
    {"gelu", gelu, 1e-6, true},
    {"gelu_backward", gelu_backward, 1e-6, true},
    {"gelu_tanh", gelu_tanh, 1e-6, true},
    {"gelu_tanh_backward", gelu_tanh_backward, 1e-6, true},
    {"adamw", adamw, 1e-6, true},
    {"sum_squares", sum_squares, 1e-6, true},
    {"attention", attention, 2e-6, false},
    {"attention_backward", attention_backward, 2e-6, false},
    {"the set's bf16 attention", attention_bf16, 5e-2, false},
    {"the set's bf16 attention_backward", attention_bf16_backward, 5e-2, false},
};
/* struct kernels has a pointer for `isa`, which is no kernel, and one for both passes of attention; three more rows are
   those of bf16. */
_Static_assert(COUNT_OF(rows) == sizeof(struct kernels) / sizeof(void *) - 1 + 1 + 3, "each kernel has a row");

static void randomise(float *out, size_t count, float from, float to, uint64_t stream) {
  struct rng rng;
  rng_init(&rng, 1, stream);
  for (size_t i = 0; i < count; i++)
    out[i] = from + (to - from) * rng_uniform(&rng);
}

static void compare(const struct row *row, const struct isa *isa, struct shape s) {
  static outputs got, want;
  memcpy(got, start, sizeof got);
  memcpy(want, start, sizeof want);
  row->run(got, isa, s);
  struct isa generic = {.name = "generic", .kernels = &kernels_generic};
  row->run(want, &generic, s);
  for (size_t o = 0; o < OUT; o++) {
    if (memcmp(got[o], want[o], sizeof got[o]) == 0)
      continue;
    double most = 1;
    for (size_t i = 0; i < ROOM; i++)
      if (isfinite(want[o][i]))
        most = fmax(most, fabs((double)want[o][i]));
    for (size_t i = 0; i < ROOM; i++) {
      float g = got[o][i], w = want[o][i];
      if (!(isnan(g) && isnan(w)) && g != w && !(fabs((double)g - (double)w) <= row->tolerance * most))
        fail_msg("%s of %s, m %zu, n %zu, k %zu, inputs up to %g: out[%zu][%zu] is %.9g, not %.9g of at most %g",
                 row->name, isa->name, s.m, s.n, s.k, (double)range, o, i, (double)g, (double)w, most);
    }
  }
}

/* On every shape, with inputs up to 1; then, where the row says so, with NaN among them, and with inputs up to 100. */
static void check_row(void **state) {
  const struct row *row = *state;
  for (size_t o = 0; o < OUT; o++)
    randomise(start[o], ROOM, 0, 1, 10 + o);
  for (int kind = 0; kind < (row->wide ? 3 : 1); kind++) {
    range = kind == 2 ? 100 : 1;
    for (size_t i = 0; i < IN; i++) {
      randomise(in[i], ROOM, -range, range, i);
      for (size_t j = i + 2; kind == 1 && j < ROOM; j += 37)
        in[i][j] = NAN;
    }
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
      for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
        compare(row, isa, shapes[i]);
  }
}

int main(void) {
  struct CMUnitTest tests[COUNT_OF(rows)];
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    tests[i] = (struct CMUnitTest){rows[i].name, check_row, NULL, NULL, (void *)(uintptr_t)&rows[i]};
  return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
