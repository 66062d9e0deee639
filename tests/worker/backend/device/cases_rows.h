/* Cases of the kernels that go over elements and rows: each against plain loops in double. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_ROWS_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_ROWS_H

#include "tests/worker/backend/device/cases_products.h"

enum { ITEMS = 256, NORM_EACH = 8 }; /* elements, or rows of a norm, of a group */

/* The same bits as the CPU's masks. */
static void test_dropout(void **state) {
  (void)state;
  const size_t shapes[][2] = {{1, 1}, {3, 63}, {70, 64}, {5, 200}};
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    size_t N = shapes[s][0], C = shapes[s][1];
    float *x = random_floats(N * C, 1), *y = random_floats(N * C, 2), *mask = cpu_mask(&some_dropout, N, C);
    struct dropout_rows_args args = {some_dropout, (int)N, (int)C, 0};
    struct place to = put_floats(y, N * C), from = put_floats(x, N * C);
    launch(DEVICE_dropout_rows, groups_of(N * groups_of(C, 64) * 8, ITEMS), 1, 1, POINTERS(to, from), &args);
    float *got = get_floats(to, N * C);
    size_t dropped = 0;
    for (size_t i = 0; i < N * C; i++) {
      assert_true(got[i] == x[i] * mask[i]);
      dropped += mask[i] == 0;
    }
    assert_true(N * C < 1000 || (dropped > N * C / 4 && dropped < N * C * 3 / 8));
    args.accumulate = 1;
    launch(DEVICE_dropout_rows, groups_of(N * groups_of(C, 64) * 8, ITEMS), 1, 1, POINTERS(to, from), &args);
    got = get_floats(to, N * C);
    for (size_t i = 0; i < N * C; i++)
      assert_true(fabs((double)got[i] - 2 * (double)(x[i] * mask[i])) < 1e-6);
    drop_all();
  }
}

enum { COUNT = 600 };
static float *elements_x, *elements_y, *elements_dy;

/* Runs a kernel whose first `outputs` pointers are written, once plain and once added to 1; `want` fills `outputs`
   arrays. */
static void check_elements(enum device_kernel kernel, int outputs, const float *const *inputs, int input_count,
                           bool accumulates, void (*want)(double *out[2])) {
  for (int accumulate = 0; accumulate <= accumulates; accumulate++) {
    struct place p[DEVICE_POINTERS_MAX];
    double *wanted[2];
    for (int i = 0; i < outputs; i++) {
      float *ones = array(COUNT * sizeof *ones);
      for (size_t j = 0; j < COUNT; j++)
        ones[j] = 1;
      p[i] = put_floats(ones, COUNT);
      wanted[i] = array(COUNT * sizeof(double));
    }
    for (int i = 0; i < input_count; i++)
      p[outputs + i] = put_floats(inputs[i], COUNT);
    const struct elements_args args = {COUNT, accumulate, accumulate};
    launch(kernel, groups_of(COUNT, ITEMS), 1, 1, p, &args);
    want(wanted);
    for (int i = 0; i < outputs; i++) {
      for (size_t j = 0; j < COUNT; j++)
        wanted[i][j] += accumulate;
      assert_near(get_floats(p[i], COUNT), wanted[i], COUNT, 2e-6, device_kernels[kernel].name);
    }
  }
}

#define WANT(name, ...)                                                                                                \
  static void name(double *out[2]) {                                                                                   \
    for (size_t i = 0; i < COUNT; i++) {                                                                               \
      double x = (double)elements_x[i], y = (double)elements_y[i], dy = (double)elements_dy[i];                        \
      (void)x, (void)y, (void)dy;                                                                                      \
      __VA_ARGS__;                                                                                                     \
    }                                                                                                                  \
  }
#define SIGMOID(x) (1 / (1 + exp(-(x))))
WANT(want_add_to, out[0][i] = x)
WANT(want_add, out[0][i] = x + y)
WANT(want_multiply, out[0][i] = x * y)
WANT(want_gelu, out[0][i] = x * 0.5 * erfc(-x / sqrt(2)))
WANT(want_gelu_slope, out[0][i] = dy * (0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI)))
WANT(want_gelu_tanh, out[0][i] = x * 0.5 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))))
WANT(want_gelu_tanh_slope, double u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x), t = tanh(u);
     out[0][i] = dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x)))
WANT(want_relu, out[0][i] = x > 0 ? x : 0)
WANT(want_relu_slope, out[0][i] = y > 0 ? dy : 0)
WANT(want_tanh, out[0][i] = tanh(x))
WANT(want_tanh_slope, out[0][i] = dy * (1 - y * y))
WANT(want_swiglu, out[0][i] = x * SIGMOID(x) * y)
WANT(want_swiglu_slopes, out[0][i] = dy * y * SIGMOID(x) * (1 + x * (1 - SIGMOID(x))), out[1][i] = dy * x * SIGMOID(x))
WANT(want_geglu_tanh, double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); out[0][i] = x * 0.5 * (1 + t) * y)
WANT(want_geglu_tanh_slopes, double u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x), t = tanh(u);
     out[0][i] = dy * y * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x));
     out[1][i] = dy * x * 0.5 * (1 + t))

static void test_elements(void **state) {
  (void)state;
  elements_x = malloc(COUNT * sizeof(float));
  elements_y = malloc(COUNT * sizeof(float));
  elements_dy = malloc(COUNT * sizeof(float));
  assert_true(elements_x && elements_y && elements_dy);
  for (size_t i = 0; i < COUNT; i++) {
    elements_x[i] = i == 0 ? -100 : i == 1 ? 100 : 8.0f * sinf((float)i - 2);
    elements_y[i] = cosf((float)i * 3);
    elements_dy[i] = sinf((float)i * 7);
  }
  const float *x = elements_x, *y = elements_y, *dy = elements_dy;
  check_elements(DEVICE_add_to, 1, (const float *[]){x}, 1, true, want_add_to);
  check_elements(DEVICE_add_forward, 1, (const float *[]){x, y}, 2, false, want_add);
  check_elements(DEVICE_multiply_to, 1, (const float *[]){x, y}, 2, true, want_multiply);
  check_elements(DEVICE_gelu_forward, 1, (const float *[]){x}, 1, false, want_gelu);
  check_elements(DEVICE_gelu_backward, 1, (const float *[]){dy, x}, 2, true, want_gelu_slope);
  check_elements(DEVICE_gelu_tanh_forward, 1, (const float *[]){x}, 1, false, want_gelu_tanh);
  check_elements(DEVICE_gelu_tanh_backward, 1, (const float *[]){dy, x}, 2, true, want_gelu_tanh_slope);
  drop_all();
  check_elements(DEVICE_relu_forward, 1, (const float *[]){x}, 1, false, want_relu);
  check_elements(DEVICE_relu_backward, 1, (const float *[]){dy, y}, 2, true, want_relu_slope);
  check_elements(DEVICE_tanh_forward, 1, (const float *[]){x}, 1, false, want_tanh);
  check_elements(DEVICE_tanh_backward, 1, (const float *[]){dy, y}, 2, true, want_tanh_slope);
  check_elements(DEVICE_swiglu_forward, 1, (const float *[]){x, y}, 2, false, want_swiglu);
  check_elements(DEVICE_swiglu_backward, 2, (const float *[]){dy, x, y}, 3, true, want_swiglu_slopes);
  check_elements(DEVICE_geglu_tanh_forward, 1, (const float *[]){x, y}, 2, false, want_geglu_tanh);
  check_elements(DEVICE_geglu_tanh_backward, 2, (const float *[]){dy, x, y}, 3, true, want_geglu_tanh_slopes);
  struct place to = put_floats(x, COUNT);
  const struct strided_copy_args turned = {3, 5, 2, 1, 3, 7, 1, 2.0f, 1};
  launch(DEVICE_strided_copy, 1, 1, 1, POINTERS(to, put_floats(y, COUNT)), &turned);
  float *copied = get_floats(to, COUNT);
  const struct inverse_norms_args rows_of_4 = {COUNT / 4, 4};
  float *squared = array(COUNT * sizeof *squared);
  for (size_t i = 0; i < COUNT; i++)
    squared[i] = dy[i] * dy[i];
  struct place norms = put_floats(x, COUNT), squares = put_floats(squared, COUNT), u = put_floats(x, COUNT);
  launch(DEVICE_inverse_norms, groups_of(COUNT / 4, ITEMS), 1, 1, POINTERS(norms, squares, u, u), &rows_of_4);
  const float *inverse = get_floats(norms, COUNT);
  for (size_t i = 0; i < COUNT / 4; i++) {
    double sum = pow((double)dy[i], 2);
    for (size_t j = 0; j < 4; j++)
      sum += pow((double)x[4 * i + j], 2);
    assert_true(fabs((double)inverse[i] * sqrt(sum) - 1) < 1e-5);
  }
  for (size_t i = 0; i < 20; i++)
    assert_true(fabs((double)copied[i] -
                     (double)(x[i] + (i >= 2 && i < 17 ? 2 * y[(i - 2) % 3 * 7 + (i - 2) / 3] : 0))) < 1e-5);
  launch(DEVICE_fill_with, groups_of(COUNT, ITEMS), 1, 1, &to, &(struct fill_args){COUNT - 1, 2.5f});
  float *got = get_floats(to, COUNT);
  assert_true(got[0] == 2.5f && got[COUNT - 2] == 2.5f && got[COUNT - 1] == x[COUNT - 1]);
  drop_all();
  free(elements_x);
  free(elements_y);
  free(elements_dy);
}

/* Rows of gate and up side by side, and what is added to. */
static void test_geglu(void **state) {
  (void)state;
  enum { N = 9, F = 37 };
  float *x = random_floats(2 * N * F, 1), *dy = random_floats(N * F, 2), *start = random_floats(2 * N * F, 3);
  double *y = array(N * F * sizeof *y), *dx = array(2 * N * F * sizeof *dx);
  for (int variant = 0; variant < 4; variant++) {
    int add = variant % 2, first = variant / 2 * F;
    for (size_t i = 0; i < N * F; i++) {
      size_t row = i / F * 2 * F + i % F, at = row + (size_t)first, other = row + F - (size_t)first;
      double gate = (double)x[at], up = (double)x[other], below = 0.5 * erfc(-gate / sqrt(2));
      double slope = below + gate * exp(-gate * gate / 2) / sqrt(2 * M_PI);
      y[i] = gate * below * up;
      dx[at] = (add ? (double)start[at] : 0) + (double)dy[i] * up * slope;
      dx[other] = (add ? (double)start[other] : 0) + (double)dy[i] * gate * below;
    }
    const struct halves_args args = {N * F, F, first, add};
    struct place from = put_floats(x, 2 * N * F), to = put_floats(dy, N * F), back = put_floats(start, 2 * N * F);
    launch(DEVICE_geglu_forward, groups_of(N * F, ITEMS), 1, 1, POINTERS(to, from), &args);
    assert_near(get_floats(to, N * F), y, N * F, 2e-6, "geglu");
    launch(DEVICE_geglu_backward, groups_of(N * F, ITEMS), 1, 1, POINTERS(back, put_floats(dy, N * F), from), &args);
    assert_near(get_floats(back, 2 * N * F), dx, 2 * N * F, 2e-6, "dx of geglu");
  }
  drop_all();
}

static void test_columns(void **state) {
  (void)state;
  enum { N = 9, WIDE = 40, FIRST = 11, COLS = 13 };
  float *x = random_floats(N * WIDE, 1), *dy = random_floats(N * COLS, 2), *start = random_floats(N * WIDE, 3);
  struct place from = put_floats(x, N * WIDE), to = put_floats(dy, N * COLS), on_dy = put_floats(dy, N * COLS);
  struct columns_args args = {N * COLS, WIDE, FIRST, COLS, 0};
  launch(DEVICE_columns_forward, groups_of(N * COLS, ITEMS), 1, 1, POINTERS(to, from), &args);
  float *y = get_floats(to, N * COLS);
  for (size_t i = 0; i < N * COLS; i++)
    assert_true(y[i] == x[i / COLS * WIDE + FIRST + i % COLS]);
  args.count = N * WIDE;
  for (args.accumulate = 0; args.accumulate < 2; args.accumulate++) {
    struct place dx = put_floats(start, N * WIDE);
    launch(DEVICE_columns_backward, groups_of(N * WIDE, ITEMS), 1, 1, POINTERS(dx, on_dy), &args);
    float *got = get_floats(dx, N * WIDE);
    for (size_t i = 0; i < N * WIDE; i++) {
      size_t col = i % WIDE;
      float own = col >= FIRST && col < FIRST + COLS ? dy[i / WIDE * COLS + col - FIRST] : 0;
      assert_true(got[i] == (args.accumulate ? start[i] : 0) + own);
    }
  }
  drop_all();
}

static void test_scale(void **state) {
  (void)state;
  enum { N = 11, C = 37 };
  float *x = random_floats(N * C, 1), *s = random_floats(C, 2), *bias = random_floats(C, 3);
  float *y = random_floats(N * C, 4);
  for (int add = 0; add < 2; add++) {
    double *want = array(N * C * sizeof *want);
    for (size_t i = 0; i < N * C; i++)
      want[i] = (double)x[i] * (double)s[i % C] + (add ? (double)y[i] : (double)bias[i % C]);
    struct place to = put_floats(y, N * C);
    const struct scale_args args = {N, C, add};
    launch(DEVICE_scale_columns, groups_of(N * C, ITEMS), 1, 1,
           POINTERS(to, put_floats(x, N * C), put_floats(s, C), add ? none : put_floats(bias, C)), &args);
    assert_near(get_floats(to, N * C), want, N * C, 1e-6, "scale");
  }
  drop_all();
}

static void test_rope(void **state) {
  (void)state;
  enum { N = 9, HEADS = 3, HALF = 5, C = HEADS * 2 * HALF, POSITIONS = 6 };
  float *x = random_floats(N * C, 1), *cosines = random_floats(POSITIONS * HALF, 2);
  float *sines = random_floats(POSITIONS * HALF, 3);
  const int positions[N] = {0, 1, 2, 3, 4, 5, 0, 1, 2}, cu_seqlens[] = {0, 6, 9};
  for (int back = 0; back < 2; back++) {
    double *want = array(N * C * sizeof *want);
    for (size_t i = 0; i < N; i++)
      for (size_t j = 0; j < C; j++) {
        size_t in_head = j % (2 * HALF), angle = (size_t)positions[i] * HALF + in_head % HALF;
        double other = (double)x[i * C + (in_head < HALF ? j + HALF : j - HALF)] * (in_head < HALF ? -1 : 1);
        want[i * C + j] = (double)x[i * C + j] * (double)cosines[angle] +
                          other * (double)sines[angle] * (back ? -1 : 1) + (back ? (double)x[i * C + j] : 0);
      }
    struct place to = put_floats(x, N * C);
    const struct rope_args args = {.rows = N,
                                   .heads = HEADS,
                                   .half_head = HALF,
                                   .turning = HALF,
                                   .sequences = 2,
                                   .direction = back ? -1.0f : 1.0f,
                                   .accumulate = back};
    launch(DEVICE_rope, groups_of(N * C / 2, ITEMS), 1, 1,
           POINTERS(to, put_floats(x, N * C), put_floats(cosines, POSITIONS * HALF),
                    put_floats(sines, POSITIONS * HALF), put(cu_seqlens, sizeof cu_seqlens)),
           &args);
    assert_near(get_floats(to, N * C), want, N * C, 1e-6, "rope");
  }
  drop_all();
}

static void test_embeddings(void **state) {
  (void)state;
  enum { N = 7, WORDS = 12 };
  const enum ggml_type types[] = {GGML_F32, GGML_F16, GGML_Q8_0, GGML_Q4_0};
  const int ids[N] = {3, 0, 11, 5, 5, 2, 9}, at[N] = {0, 1, 2, 0, 1, 0, 1}, cu_seqlens[] = {0, 3, 5, 7};
  const unsigned char of_type[N] = {0, 0, 1, 1, 0, 1, 1};
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (int tables = 0; tables < 3; tables++) {
      size_t C = t < 2 ? 37 : 64, bytes;
      unsigned char *words = random_weight(types[t], WORDS, C, &bytes);
      float *word = decoded(words, types[t], WORDS, C, 0), *positions = random_floats(3 * C, 2);
      float *type_table = random_floats(2 * C, 3);
      double *want = array(N * C * sizeof *want);
      for (size_t i = 0; i < N; i++)
        for (size_t c = 0; c < C; c++)
          want[i * C + c] = (double)word[(size_t)ids[i] * C + c] +
                            (tables ? (double)positions[(size_t)at[i] * C + c] : 0) +
                            (tables ? (double)type_table[(tables == 2 ? of_type[i] : 0) * C + c] : 0);
      struct place to = put_floats(random_floats(N * C, 4), N * C);
      const struct embeddings_args args = {weight_args_of(types[t], (int)C, 0), N, (int)C, 3};
      launch(DEVICE_embeddings, groups_of(N * groups_of(C, 4), ITEMS), 1, 1,
             POINTERS(to, put(words, bytes), tables ? put_floats(positions, 3 * C) : none,
                      tables ? put_floats(type_table, 2 * C) : none, put(ids, sizeof ids),
                      tables ? put(cu_seqlens, sizeof cu_seqlens) : none,
                      tables == 2 ? put(of_type, sizeof of_type) : none),
             &args);
      assert_near(get_floats(to, N * C), want, N * C, 1e-6, "embeddings");
      drop_all();
    }
}

static void test_rows(void **state) {
  (void)state;
  enum { N = 10, C = 33, PICKED = 3 };
  const int picked[PICKED] = {1, 4, 9}, ends[PICKED + 1] = {0, 2, 5, 10};
  float *x = random_floats(N * C, 1), *g = random_floats(PICKED * C, 2);
  struct place on_x = put_floats(x, N * C), on_g = put_floats(g, PICKED * C);
  struct place rows = put(picked, sizeof picked);
  const struct rows_args args = {PICKED, C, 0}, last = {PICKED, C, 1};
  launch(DEVICE_scatter_rows, 1, 1, 1, POINTERS(on_x, on_g, rows), &args);
  launch(DEVICE_pick_rows, 1, 1, 1, POINTERS(on_g, on_x, put(ends, sizeof ends)), &last);
  float *got_x = get_floats(on_x, N * C), *got = get_floats(on_g, PICKED * C);
  for (size_t i = 0; i < PICKED; i++)
    for (size_t c = 0; c < C; c++) {
      size_t from = (size_t)picked[i] * C + c;
      assert_true(got_x[from] == x[from] + g[i * C + c] && got[i * C + c] == got_x[from]);
    }
  assert_memory_equal(got_x + 5 * C, x + 5 * C, 4 * C * sizeof(float));
  const float scale[PICKED] = {2, -0.5f, 0};
  on_g = put_floats(g, PICKED * C);
  launch(DEVICE_scale_rows, 1, 1, 1, POINTERS(on_g, put_floats(scale, PICKED)), &args);
  got = get_floats(on_g, PICKED * C);
  for (size_t i = 0; i < PICKED * C; i++)
    assert_true(got[i] == g[i] * scale[i / C]);
  drop_all();
}

static void test_unfold(void **state) {
  (void)state;
  enum { N = 10, C = 33, B = 4 };
  const int ends[B + 1] = {0, 1, 3, 8, 10}, kernels[] = {1, 3, 5};
  for (size_t n = 0; n < 2 * COUNT_OF(kernels); n++) {
    size_t K = (size_t)kernels[n / 2];
    bool add = n % 2;
    float *x = random_floats(N * C, 1), *dy = random_floats(N * C * K, 2), *start = random_floats(N * C, 3);
    double *y = array(N * C * K * sizeof *y), *dx = array(N * C * sizeof *dx);
    for (size_t i = 0; i < N * C; i++)
      dx[i] = add ? (double)start[i] : 0;
    for (int b = 0; b < B; b++)
      for (int i = ends[b]; i < ends[b + 1]; i++)
        for (size_t j = 0; j < C * K; j++) {
          int seen = i + (int)(j % K) - (int)(K / 2);
          size_t at = (size_t)i * C * K + j;
          y[at] = 0;
          if (seen < ends[b] || seen >= ends[b + 1])
            continue;
          y[at] = (double)x[(size_t)seen * C + j / K];
          dx[(size_t)seen * C + j / K] += (double)dy[at];
        }
    const struct unfold_args args = {N, C, (int)K, B, add};
    struct place on_y = put_floats(random_floats(N * C * K, 4), N * C * K), on_dx = put_floats(start, N * C);
    struct place offsets = put(ends, sizeof ends);
    launch(DEVICE_unfold, groups_of(N * C * K, ITEMS), 1, 1, POINTERS(on_y, put_floats(x, N * C), offsets), &args);
    assert_near(get_floats(on_y, N * C * K), y, N * C * K, 1e-7, "unfolded rows");
    launch(DEVICE_fold, groups_of(N * C, ITEMS), 1, 1, POINTERS(on_dx, put_floats(dy, N * C * K), offsets), &args);
    assert_near(get_floats(on_dx, N * C), dx, N * C, 1e-6, "gradient of unfolded rows");
    drop_all();
  }
}

/* --- trained rows of a token embedding ------------------------------------------------------------ */

enum { OWN = 2, OWN_ROWS = 5, WORDS_OWN = 6, OWN_COLS = 9 };
static const int own_tokens[OWN] = {4, 1}, own_row_of[WORDS_OWN] = {-1, 1, -1, -1, 0, -1};
static const struct token_rows_args own_args = {OWN, OWN_ROWS, OWN_COLS, WORDS_OWN};

/* Where tokens are looked up: 4 twice, 1 once. */
static void test_token_rows(void **state) {
  (void)state;
  const int ids[OWN_ROWS] = {4, 0, 1, 4, 5};
  size_t bytes;
  unsigned char *words = random_weight(GGML_F32, WORDS_OWN, OWN_COLS, &bytes);
  float *word = decoded(words, GGML_F32, WORDS_OWN, OWN_COLS, 0), *x = random_floats(OWN_ROWS * OWN_COLS, 1);
  float *rows = random_floats(OWN * OWN_COLS, 2), *dy = random_floats(OWN_ROWS * OWN_COLS, 3);
  float *grad = random_floats(OWN * OWN_COLS, 4);
  double want[OWN_ROWS * OWN_COLS], want_grad[OWN * OWN_COLS];
  for (size_t k = 0; k < OWN * OWN_COLS; k++)
    want_grad[k] = (double)grad[k];
  for (size_t i = 0; i < OWN_ROWS; i++)
    for (size_t c = 0; c < OWN_COLS; c++) {
      size_t at = i * OWN_COLS + c;
      int own = own_row_of[ids[i]];
      want[at] = (double)x[at];
      if (own < 0)
        continue;
      want[at] += (double)rows[(size_t)own * OWN_COLS + c] - (double)word[(size_t)ids[i] * OWN_COLS + c];
      want_grad[(size_t)own * OWN_COLS + c] += (double)dy[at];
    }
  struct place y = put_floats(x, OWN_ROWS * OWN_COLS), on_grad = put_floats(grad, OWN * OWN_COLS);
  struct place on_ids = put(ids, sizeof ids), row_of = put(own_row_of, sizeof own_row_of);
  const struct embeddings_args args = {weight_args_of(GGML_F32, OWN_COLS, 0), OWN_ROWS, OWN_COLS, 0};
  launch(DEVICE_token_rows, 1, 1, 1,
         POINTERS(y, put_floats(x, OWN_ROWS * OWN_COLS), put(words, bytes), put_floats(rows, OWN * OWN_COLS), on_ids,
                  row_of),
         &args);
  launch(DEVICE_token_rows_backward, 1, 1, 1, POINTERS(on_grad, put_floats(dy, OWN_ROWS * OWN_COLS), on_ids, row_of),
         &own_args);
  assert_near(get_floats(y, OWN_ROWS * OWN_COLS), want, OWN_ROWS * OWN_COLS, 1e-6, "rows");
  assert_near(get_floats(on_grad, OWN * OWN_COLS), want_grad, OWN * OWN_COLS, 1e-6, "rows' gradient");
  drop_all();
}

/* Where a tied head makes logits of them, and the way back. */
static void test_token_logits(void **state) {
  (void)state;
  enum { ROWS = 7 };
  const int picked[OWN_ROWS] = {0, 2, 3, 5, 6};
  const float weights[OWN_ROWS] = {1, -0.5f, 2, 0, 0.25f};
  float *x = random_floats(ROWS * OWN_COLS, 1), *rows = random_floats(OWN * OWN_COLS, 2);
  float *logits = random_floats(OWN_ROWS * WORDS_OWN, 3), *dx = random_floats(OWN_ROWS * OWN_COLS, 4);
  float *grad = random_floats(OWN * OWN_COLS, 5);
  double want[OWN_ROWS * WORDS_OWN], taken[OWN_ROWS * OWN], want_dx[OWN_ROWS * OWN_COLS], want_grad[OWN * OWN_COLS];
  for (size_t k = 0; k < OWN_ROWS * WORDS_OWN; k++)
    want[k] = (double)logits[k];
  for (size_t k = 0; k < OWN_ROWS * OWN_COLS; k++)
    want_dx[k] = (double)dx[k];
  for (size_t k = 0; k < OWN * OWN_COLS; k++)
    want_grad[k] = (double)grad[k];
  for (size_t i = 0; i < OWN_ROWS; i++)
    for (size_t j = 0; j < OWN; j++) {
      double sum = 0;
      for (size_t c = 0; c < OWN_COLS; c++)
        sum += (double)x[i * OWN_COLS + c] * (double)rows[j * OWN_COLS + c];
      want[i * WORDS_OWN + (size_t)own_tokens[j]] = taken[i * OWN + j] = sum;
      for (size_t c = 0; c < OWN_COLS; c++) {
        want_dx[i * OWN_COLS + c] += sum * (double)rows[j * OWN_COLS + c];
        want_grad[j * OWN_COLS + c] += sum * (double)weights[i] * (double)x[(size_t)picked[i] * OWN_COLS + c];
      }
    }
  struct place on_logits = put_floats(logits, OWN_ROWS * WORDS_OWN), on_rows = put_floats(rows, OWN * OWN_COLS);
  struct place on_x = put_floats(x, ROWS * OWN_COLS), tokens = put(own_tokens, sizeof own_tokens);
  struct place on_taken = put_floats(dx, OWN_ROWS * OWN), on_dx = put_floats(dx, OWN_ROWS * OWN_COLS);
  struct place on_grad = put_floats(grad, OWN * OWN_COLS);
  launch(DEVICE_token_logits_put, 1, 1, 1, POINTERS(on_logits, on_x, on_rows, tokens), &own_args);
  assert_near(get_floats(on_logits, OWN_ROWS * WORDS_OWN), want, OWN_ROWS * WORDS_OWN, 1e-5, "logits");
  launch(DEVICE_token_logits_take, 1, 1, 1, POINTERS(on_taken, on_logits, tokens), &own_args);
  assert_near(get_floats(on_taken, OWN_ROWS * OWN), taken, OWN_ROWS * OWN, 1e-5, "their gradient");
  for (size_t i = 0; i < OWN_ROWS; i++)
    for (size_t j = 0; j < OWN; j++)
      want[i * WORDS_OWN + (size_t)own_tokens[j]] = 0;
  assert_near(get_floats(on_logits, OWN_ROWS * WORDS_OWN), want, OWN_ROWS * WORDS_OWN, 1e-5, "the others'");
  launch(DEVICE_token_logits_back, 1, 1, 1, POINTERS(on_dx, on_taken, on_rows), &own_args);
  assert_near(get_floats(on_dx, OWN_ROWS * OWN_COLS), want_dx, OWN_ROWS * OWN_COLS, 1e-5, "dx");
  launch(DEVICE_token_logits_learn, 1, 1, 1,
         POINTERS(on_grad, on_taken, put_floats(weights, OWN_ROWS), on_x, put(picked, sizeof picked)), &own_args);
  assert_near(get_floats(on_grad, OWN * OWN_COLS), want_grad, OWN * OWN_COLS, 1e-5, "rows' gradient");
  drop_all();
}

/* --- norms ---------------------------------------------------------------------------------------- */

/* LN(dropout(x) + residual) or LN(x), and the way back for the sum of y * dy. */
static void check_layernorm(size_t N, size_t C, bool residual, bool biased, const struct dropout_args *dropout,
                            int add) {
  float *x = random_floats(N * C, 1), *r = random_floats(N * C, 2), *w = random_floats(C, 3), *b = random_floats(C, 4);
  float *dy = random_floats(N * C, 5), *start = random_floats(N * C, 6), *mask = cpu_mask(dropout, N, C);
  double *y = array(N * C * sizeof *y), *ds = array(N * C * sizeof *ds), *dx = array(N * C * sizeof *dx);
  for (size_t i = 0; i < N; i++) {
    double s[300], mean = 0, squares = 0, sum = 0, dot = 0;
    for (size_t c = 0; c < C; c++) {
      s[c] = (double)x[i * C + c] * (double)mask[i * C + c] + (residual ? (double)r[i * C + c] : 0);
      mean += s[c] / (double)C;
    }
    for (size_t c = 0; c < C; c++)
      squares += (s[c] - mean) * (s[c] - mean) / (double)C;
    double rstd = 1 / sqrt(squares + 1e-5);
    for (size_t c = 0; c < C; c++) {
      double g = (double)dy[i * C + c] * (double)w[c] / (double)C;
      y[i * C + c] = (s[c] - mean) * rstd * (double)w[c] + (biased ? (double)b[c] : 0);
      sum += g;
      dot += g * (s[c] - mean) * rstd;
    }
    for (size_t c = 0; c < C; c++) {
      double own = rstd * ((double)dy[i * C + c] * (double)w[c] - sum - (s[c] - mean) * rstd * dot);
      ds[i * C + c] = own + (add & 2 ? (double)start[i * C + c] : 0);
      dx[i * C + c] = own * (double)mask[i * C + c] + (add & 1 ? (double)start[i * C + c] : 0);
    }
  }
  struct norm_args args = {*dropout, (int)N, (int)C, 1e-5f, add & 1, add & 2};
  struct place to = put_floats(start, N * C), stats = put_floats(random_floats(2 * N, 7), 2 * N);
  struct place sums = put_floats(start, N * C), on_x = put_floats(x, N * C), weight = put_floats(w, C);
  launch(DEVICE_layernorm_forward, groups_of(N, NORM_EACH), 1, 1,
         POINTERS(to, stats, residual ? sums : none, on_x, residual ? put_floats(r, N * C) : none, weight,
                  biased ? put_floats(b, C) : none),
         &args);
  assert_near(get_floats(to, N * C), y, N * C, 1e-5, "layernorm");
  struct place on_dx = put_floats(start, N * C), dresidual = put_floats(start, N * C);
  launch(DEVICE_layernorm_backward, groups_of(N, NORM_EACH), 1, 1,
         POINTERS(on_dx, residual ? dresidual : none, put_floats(dy, N * C), residual ? sums : on_x, stats, weight),
         &args);
  assert_near(get_floats(on_dx, N * C), dx, N * C, 1e-5, "dx of layernorm");
  if (residual)
    assert_near(get_floats(dresidual, N * C), ds, N * C, 1e-5, "dresidual of layernorm");
  drop_all();
}

static void test_layernorm(void **state) {
  (void)state;
  const size_t shapes[][2] = {{1, 2}, {7, 31}, {9, 33}, {20, 300}};
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (int add = 0; add < 4; add++) {
      check_layernorm(shapes[s][0], shapes[s][1], false, add % 2, &no_dropout, add);
      check_layernorm(shapes[s][0], shapes[s][1], true, true, add % 2 ? &some_dropout : &no_dropout, add);
    }
}

/* x and its residual are one tensor: both gradients meet in one place, whichever comes first. */
static void test_layernorm_of_itself(void **state) {
  (void)state;
  enum { N = 3, C = 40 };
  float *x = random_floats(N * C, 1), *w = random_floats(C, 2), *dy = random_floats(N * C, 3);
  struct place on_x = put_floats(x, N * C), weight = put_floats(w, C), sums = put_floats(x, N * C);
  struct place stats = put_floats(x, 2 * N), y = put_floats(x, N * C), on_dy = put_floats(dy, N * C);
  struct norm_args args = {.rows = N, .cols = C, .epsilon = 1e-5f};
  launch(DEVICE_layernorm_forward, 1, 1, 1, POINTERS(y, stats, sums, on_x, on_x, weight, weight), &args);
  struct place alone = put_floats(x, N * C), both = put_floats(x, N * C);
  launch(DEVICE_layernorm_backward, 1, 1, 1, POINTERS(alone, none, on_dy, sums, stats, weight), &args);
  float *one = get_floats(alone, N * C);
  for (int x_first = 0; x_first < 2; x_first++) {
    args.accumulate = !x_first;
    args.accumulate_residual = x_first;
    launch(DEVICE_layernorm_backward, 1, 1, 1, POINTERS(both, both, on_dy, sums, stats, weight), &args);
    float *two = get_floats(both, N * C);
    for (size_t i = 0; i < N * C; i++)
      assert_true(fabs(2 * (double)one[i] - (double)two[i]) < 1e-6);
  }
  drop_all();
}

static void test_rmsnorm(void **state) {
  (void)state;
  const size_t shapes[][2] = {{1, 1}, {17, 8}, {9, 33}, {6, 300}};
  for (size_t n = 0; n < 2 * COUNT_OF(shapes); n++) {
    size_t N = shapes[n / 2][0], C = shapes[n / 2][1];
    bool add = n % 2;
    float *x = random_floats(N * C, 1), *w = random_floats(C, 2), *dy = random_floats(N * C, 3);
    float *start = random_floats(N * C, 4);
    double *y = array(N * C * sizeof *y), *dx = array(N * C * sizeof *dx);
    for (size_t i = 0; i < N; i++) {
      double squares = 0, dot = 0;
      for (size_t c = 0; c < C; c++) {
        squares += (double)x[i * C + c] * (double)x[i * C + c] / (double)C;
        dot += (double)dy[i * C + c] * (double)w[c] * (double)x[i * C + c] / (double)C;
      }
      double r = 1 / sqrt(squares + 1e-6);
      for (size_t c = 0; c < C; c++) {
        y[i * C + c] = (double)x[i * C + c] * r * (double)w[c];
        dx[i * C + c] = r * ((double)dy[i * C + c] * (double)w[c] - (double)x[i * C + c] * dot * r * r) +
                        (add ? (double)start[i * C + c] : 0);
      }
    }
    const struct norm_args args = {.rows = (int)N, .cols = (int)C, .epsilon = 1e-6f, .accumulate = add};
    struct place to = put_floats(start, N * C), rstd = put_floats(start, N), on_x = put_floats(x, N * C);
    struct place weight = put_floats(w, C), on_dx = put_floats(start, N * C);
    launch(DEVICE_rmsnorm_forward, groups_of(N, NORM_EACH), 1, 1, POINTERS(to, rstd, on_x, weight), &args);
    assert_near(get_floats(to, N * C), y, N * C, 1e-5, "rmsnorm");
    launch(DEVICE_rmsnorm_backward, groups_of(N, NORM_EACH), 1, 1,
           POINTERS(on_dx, put_floats(dy, N * C), on_x, rstd, weight), &args);
    assert_near(get_floats(on_dx, N * C), dx, N * C, 1e-5, "dx of rmsnorm");
    drop_all();
  }
}

#endif
