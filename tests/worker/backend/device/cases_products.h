/* Cases of the kernels that multiply and add up: each against plain loops in double, at odd sizes. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_PRODUCTS_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_PRODUCTS_H

#include "tests/worker/backend/device/on_device.h"
#include "worker/file/ggml.h"

enum { TILE = 64, SKINNY_TILE = 128, SKINNY_ACROSS = 8 }; /* of the kernels matmul and skinny */

/* --- matmul --------------------------------------------------------------------------------------- */

struct product {
  int rows, cols, depth;
  int rank;
  enum ggml_type type;
  bool a_transposed, b_transposed, accumulate, bias, dropout;
  int heads;
  bool bf16;
};

/* As a type of ggml has it. */
static void round_floats(float *x, size_t count) {
  unsigned char *rounded = array(2 * count);
  assert_true(ggml_from_f32(rounded, x, GGML_BF16, count));
  ggml_to_f32(x, rounded, GGML_BF16, count);
}

static struct weight_args weight_args_of(enum ggml_type type, int row, int head_rows) {
  const struct ggml_type_info *info = ggml_type_info(type);
  return (struct weight_args){(int)type, (int)info->block, (int)info->bytes, row, head_rows, 0};
}

/* rows x cols numbers in a type: any bytes, but for the scales, which are small. */
static unsigned char *random_weight(enum ggml_type type, size_t rows, size_t cols, size_t *bytes) {
  const struct ggml_type_info *info = ggml_type_info(type);
  *bytes = rows * cols / info->block * info->bytes;
  unsigned char *data = array(*bytes);
  if (ggml_from_f32(data, random_floats(rows * cols, 77), type, rows * cols))
    return data;
  struct rng rng;
  rng_init(&rng, 78, 1);
  for (size_t i = 0; i < *bytes; i++)
    data[i] = (unsigned char)rng_below(&rng, 256);
  bool two = type == GGML_Q4_1 || type == GGML_Q5_1 || type == GGML_Q2_K || type == GGML_Q4_K || type == GGML_Q5_K;
  size_t at = type == GGML_Q6_K ? 208 : type == GGML_Q3_K ? 108 : type == GGML_Q2_K ? 80 : 0;
  for (unsigned char *block = data; block < data + *bytes; block += info->bytes)
    for (size_t i = 0; i < (two ? 2 : 1); i++) /* some 2^-9 */
      if (type == GGML_MXFP4)
        block[0] = (unsigned char)(117 + rng_below(&rng, 4));
      else
        (block + at + 2 * i)[1] = (unsigned char)(0x18 + rng_below(&rng, 4));
  return data;
}

/* The weight in floats, rows in order. */
static float *decoded(const unsigned char *bytes, enum ggml_type type, size_t rows, size_t cols, size_t heads) {
  float *file = array(rows * cols * sizeof *file), *out = array(rows * cols * sizeof *out);
  ggml_to_f32(file, bytes, type, rows * cols);
  for (size_t i = 0; i < rows; i++) {
    size_t D = heads ? rows / heads : 0, from = i;
    if (heads)
      from = i / D * D + i % D % (D / 2) * 2 + i % D / (D / 2);
    memcpy(out + i * cols, file + from * cols, cols * sizeof *out);
  }
  return out;
}

static void check_product(struct product p) {
  size_t M = (size_t)p.rows, N = (size_t)p.cols, K = (size_t)p.depth, R = (size_t)p.rank, bytes;
  size_t w_rows = p.b_transposed ? N : K, w_cols = p.b_transposed ? K : N;
  float *a = random_floats(M * K, 1), *q = random_floats(M * R + 1, 2), *v = random_floats(R * N + 1, 3);
  float *bias = random_floats(N, 4), *c = random_floats(M * N, 5);
  unsigned char *weight = random_weight(p.type, w_rows, w_cols, &bytes);
  float *b = decoded(weight, p.type, w_rows, w_cols, (size_t)p.heads);
  struct matmul_args args = {.weight = weight_args_of(p.type, (int)w_cols, p.heads ? (int)w_rows / p.heads : 0),
                                   .dropout = p.dropout ? some_dropout : no_dropout,
                                   .rows = p.rows, .cols = p.cols, .depth = p.depth,
                                   .a_row = p.a_transposed ? 1 : p.depth, .a_col = p.a_transposed ? p.rows : 1,
                                   .c_row = p.cols, .c_col = 1, .transposed = p.b_transposed, .rank = p.rank,
                                   .sign = -1.0f, .alpha = 0.5f, .accumulate = p.accumulate, .splits = 1};
  float *mask = cpu_mask(&args.dropout, M, N), *rounded_a = array(M * K * sizeof *a);
  memcpy(rounded_a, a, M * K * sizeof *a);
  args.weight.bf16 = p.bf16;
  if (p.bf16) {
    round_floats(rounded_a, M * K);
    round_floats(b, w_rows * w_cols);
  }
  double *want = array(M * N * sizeof *want);
  for (size_t i = 0; i < M; i++)
    for (size_t j = 0; j < N; j++) {
      double sum = 0;
      for (size_t k = 0; k < K; k++)
        sum += (double)(p.a_transposed ? rounded_a[k * M + i] : rounded_a[i * K + k]) *
               (double)(p.b_transposed ? b[j * K + k] : b[k * N + j]);
      for (size_t r = 0; r < R; r++)
        sum -= (double)q[i * R + r] * (double)v[r * N + j];
      want[i * N + j] = (p.accumulate ? (double)c[i * N + j] : 0) + 0.5 * sum * (double)mask[i * N + j] +
                        (p.bias ? (double)bias[j] : 0);
    }
  struct place to = put_floats(c, M * N);
  launch(DEVICE_matmul, groups_of(N, TILE), groups_of(M, TILE), 1,
         POINTERS(to, put_floats(a, M * K), put(weight, bytes), put_floats(q, M * R + 1), put_floats(v, R * N + 1),
                  p.bias ? put_floats(bias, N) : none), &args);
  assert_near(get_floats(to, M * N), want, M * N, 1e-5, ggml_type_info(p.type)->name);
  drop_all();
}

static void test_matmul(void **state) {
  (void)state;
  const int shapes[][3] = {{1, 1, 1}, {3, 130, 15}, {65, 63, 17}, {64, 64, 16}, {70, 66, 50}};
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (int flags = 0; flags < 8; flags++)
      check_product((struct product){shapes[s][0], shapes[s][1], shapes[s][2], flags & 1 ? 8 : 0, GGML_F32,
                                     flags & 4, flags & 2, flags & 1, flags & 2, false, 0, flags % 3 == 1});
  check_product((struct product){33, 70, 40, 24, GGML_F32, false, true, true, true, true, 0, false});
  check_product((struct product){33, 70, 40, 8, GGML_F32, false, false, false, false, true, 0, true});
}

static void test_matmul_weights(void **state) {
  (void)state;
  const enum ggml_type types[] = {GGML_F32,  GGML_F16,  GGML_BF16, GGML_Q8_0, GGML_Q4_0,   GGML_Q4_1,
                                  GGML_Q5_0, GGML_Q5_1, GGML_Q2_K, GGML_Q3_K, GGML_Q4_K,   GGML_Q5_K,
                                  GGML_Q6_K, GGML_IQ4_NL, GGML_IQ4_XS, GGML_MXFP4};
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (int transposed = 0; transposed < 2; transposed++)
      for (int heads = 0; heads < 4; heads += 3) {
        int wide = ggml_type_info(types[t])->block == 256 ? 512 : 96, other = 36;
        check_product((struct product){7, transposed ? other : wide, transposed ? wide : other, 0, types[t], false,
                                       transposed, false, false, false, heads, false});
        check_product((struct product){5, transposed ? other : wide, transposed ? wide : other, 8, types[t], false,
                                       transposed, false, true, false, heads, true});
      }
  for (size_t t = 0; t < 3; t++) /* rows that end within the four */
    for (int transposed = 0; transposed < 2; transposed++)
      check_product((struct product){5, 33, 19, 0, types[t], false, transposed, false, false, false, 0, false});
}

/* Blocks of an orthogonal rotation: Z_i = X_i R_i, and g_i = X_i^T dZ_i gathered in parts. */
static void test_matmul_batches(void **state) {
  (void)state;
  enum { N = 77, B = 6, BLOCKS = 3, C = B * BLOCKS, SPLITS = 3, EACH = BLOCKS * B * B };
  float *x = random_floats(N * C, 1), *r = random_floats(EACH, 2), *dz = random_floats(N * C, 3);
  double *z = array(N * C * sizeof *z), *g = array(EACH * sizeof *g);
  for (size_t i = 0; i < N; i++)
    for (size_t block = 0; block < BLOCKS; block++)
      for (size_t k = 0; k < B; k++)
        for (size_t c = 0; c < B; c++) {
          double of_x = (double)x[i * C + block * B + k];
          z[i * C + block * B + c] += of_x * (double)r[(block * B + k) * B + c];
          g[(block * B + k) * B + c] += of_x * (double)dz[i * C + block * B + c];
        }
  struct place on_x = put_floats(x, N * C), on_z = put_floats(dz, N * C);
  struct matmul_args args = {.a_step = B, .b_step = B * B, .c_step = B, .weight = weight_args_of(GGML_F32, B, 0),
                             .rows = N, .cols = B, .depth = B, .a_row = C, .a_col = 1, .c_row = C, .c_col = 1,
                             .alpha = 1.0f, .splits = 1};
  launch(DEVICE_matmul, 1, groups_of(N, TILE), BLOCKS, POINTERS(on_z, on_x, put_floats(r, EACH), none, none, none),
         &args);
  assert_near(get_floats(on_z, N * C), z, N * C, 1e-5, "Z");
  struct place parts = put_floats(random_floats(SPLITS * EACH, 4), SPLITS * EACH), sum = put_floats(r, EACH);
  args = (struct matmul_args){.a_step = B, .b_step = B, .c_step = B * B, .split_step = EACH,
                              .weight = weight_args_of(GGML_F32, C, 0), .rows = B, .cols = B, .depth = N, .a_row = 1,
                              .a_col = C, .c_row = B, .c_col = 1, .alpha = 1.0f, .splits = SPLITS};
  launch(DEVICE_matmul, 1, 1, BLOCKS * SPLITS, POINTERS(parts, on_x, put_floats(dz, N * C), none, none, none), &args);
  const struct sum_splits_args of_sum = {EACH, SPLITS, 1, 1.0f};
  launch(DEVICE_sum_splits, 1, 1, 1, POINTERS(sum, parts), &of_sum);
  for (size_t i = 0; i < EACH; i++)
    g[i] += (double)r[i];
  assert_near(get_floats(sum, EACH), g, EACH, 1e-5, "g");
  drop_all();
}

/* --- operands of a library ------------------------------------------------------------------------ */

static uint16_t nearest_bf16(float value) {
  uint32_t bits, down;
  float low, high;
  memcpy(&bits, &value, sizeof bits);
  down = bits & 0xFFFF0000u;
  memcpy(&low, &down, sizeof low);
  down += 0x10000u;
  memcpy(&high, &down, sizeof high);
  double below = fabs((double)value - (double)low), above = fabs((double)high - (double)value);
  bool up = above < below || (above == below && (bits >> 16 & 1));
  return (uint16_t)((bits >> 16) + up);
}

/* Rows [first, first + rows) of `got`, stride numbers each, are those of `want`, and zeros after them. */
static void assert_rows(const void *got, bool bf16, const float *want, int first, int rows, int cols, int stride) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < stride; j++) {
      float number = j < cols ? want[(first + i) * cols + j] : 0;
      if (bf16 ? ((const uint16_t *)got)[i * stride + j] != nearest_bf16(number)
               : ((const float *)got)[i * stride + j] != number)
        fail_msg("row %d, column %d is not %.9g", first + i, j, (double)number);
    }
}

static void test_decode(void **state) {
  (void)state;
  enum { ROWS = 12, FIRST = 3, COUNT = 7 };
  const enum ggml_type types[] = {GGML_F32,  GGML_F16,  GGML_BF16, GGML_Q8_0, GGML_Q4_0,   GGML_Q5_1,
                                  GGML_Q2_K, GGML_Q3_K, GGML_Q4_K, GGML_Q6_K, GGML_IQ4_XS, GGML_MXFP4};
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (int variant = 0; variant < 4; variant++) {
      int cols = ggml_type_info(types[t])->block == 1 ? 21 : 256, stride = (cols + 7) / 8 * 8, bf16 = variant & 1;
      size_t bytes, size = (size_t)(COUNT * stride) * (bf16 ? 2 : 4), heads = variant & 2 ? 3 : 0;
      unsigned char *weight = random_weight(types[t], ROWS, (size_t)cols, &bytes);
      const struct decode_args args = {
          weight_args_of(types[t], cols, heads ? ROWS / (int)heads : 0), FIRST, COUNT, cols, stride, bf16};
      struct place out = put(array(size), size);
      launch(DEVICE_decode_weight, groups_of((size_t)(COUNT * stride / 4), 256), 1, 1,
             POINTERS(out, put(weight, bytes)), &args);
      assert_rows(get(out, size), bf16, decoded(weight, types[t], ROWS, (size_t)cols, heads), FIRST, COUNT, cols,
                  stride);
      drop_all();
    }
}

static void test_round(void **state) {
  (void)state;
  enum { ROWS = 9, FIRST = 2, COUNT = 6, COLS = 13, STRIDE = 16 };
  float *x = random_floats(ROWS * COLS, 1);
  const uint32_t special[] = {0x3F808000u, 0x3F818000u, 0x3F808001u, 0x80000000u,
                              0x7F800000u, 0xFF800000u, 0x00018000u};
  memcpy(x + FIRST * COLS, special, sizeof special); /* halves between two, zero, infinities, a small one */
  const struct round_args args = {FIRST, COUNT, COLS, STRIDE};
  size_t size = COUNT * STRIDE * 2;
  struct place out = put(array(size), size);
  launch(DEVICE_round_rows, 1, 1, 1, POINTERS(out, put_floats(x, ROWS * COLS)), &args);
  const uint16_t *got = get(out, size);
  assert_true(got[0] == 0x3F80 && got[1] == 0x3F82 && got[2] == 0x3F81 && got[3] == 0x8000);
  assert_true(got[4] == 0x7F80 && got[5] == 0xFF80 && got[6] == 0x0002);
  assert_rows(got + STRIDE, true, x, FIRST + 1, COUNT - 1, COLS, STRIDE);
  drop_all();
}

/* --- tall-skinny products and sums ---------------------------------------------------------------- */

/* X (rows x depth) times `cols` columns, or its transpose times as many. */
static void check_skinny(int rows, int cols, int depth, bool transposed, int splits, bool dropout) {
  size_t M = (size_t)rows, N = (size_t)cols, K = (size_t)depth, S = (size_t)splits;
  float *a = random_floats(M * K, 1), *b = random_floats(K * N, 2), *c = random_floats(M * N, 3);
  const struct skinny_args args = {.dropout = dropout ? some_dropout : no_dropout, .rows = rows, .cols = cols,
                                   .depth = depth, .a_row = transposed ? 1 : depth, .a_col = transposed ? rows : 1,
                                   .splits = splits};
  float *mask = transposed ? cpu_mask(&args.dropout, K, M) : cpu_mask(&args.dropout, M, K);
  double *want = array(M * N * sizeof *want);
  for (size_t i = 0; i < M; i++)
    for (size_t k = 0; k < K; k++) {
      size_t at = transposed ? k * M + i : i * K + k;
      for (size_t j = 0; j < N; j++)
        want[i * N + j] += 0.25 * (double)(a[at] * mask[at]) * (double)b[k * N + j];
    }
  struct place parts = put_floats(random_floats(S * M * N, 4), S * M * N), out = put_floats(c, M * N);
  launch(DEVICE_skinny, groups_of(M, SKINNY_TILE), groups_of(N, SKINNY_ACROSS), S,
         POINTERS(parts, put_floats(a, M * K), put_floats(b, K * N)), &args);
  const struct sum_splits_args sum = {(long)(M * N), splits, 0, 0.25f};
  launch(DEVICE_sum_splits, groups_of(M * N, 256), 1, 1, POINTERS(out, parts), &sum);
  assert_near(get_floats(out, M * N), want, M * N, 1e-5, "skinny");
  drop_all();
}

static void test_skinny(void **state) {
  (void)state;
  const int shapes[][3] = {{1, 1, 1}, {129, 8, 33}, {128, 16, 64}, {40, 24, 130}, {9, 9, 300}};
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (int flags = 0; flags < 4; flags++)
      check_skinny(shapes[s][0], shapes[s][1], shapes[s][2], flags & 1, flags & 2 ? 3 : 1, s > 0 && flags != 2);
}

static void test_column_sums(void **state) {
  (void)state;
  enum { N = 50, C = 300, SPLITS = 4 };
  float *x = random_floats(N * C, 1), *y = random_floats(N * C, 2), *start = random_floats(C, 3);
  for (int with_y = 0; with_y < 2; with_y++) {
    double *want = array(C * sizeof *want);
    for (size_t c = 0; c < C; c++)
      want[c] = (double)start[c];
    for (size_t i = 0; i < N * C; i++)
      want[i % C] += (double)x[i] * (with_y ? (double)y[i] : 1);
    struct place out = put_floats(start, C), parts = put_floats(random_floats(SPLITS * C, 4), SPLITS * C);
    const struct column_sums_args args = {N, C, SPLITS};
    const struct sum_splits_args sum = {C, SPLITS, 1, 1.0f};
    launch(DEVICE_column_sums, 2, SPLITS, 1,
           POINTERS(parts, put_floats(x, N * C), with_y ? put_floats(y, N * C) : none), &args);
    launch(DEVICE_sum_splits, 2, 1, 1, POINTERS(out, parts), &sum);
    assert_near(get_floats(out, C), want, C, 1e-5, "column sums");
  }
  drop_all();
}

#endif
