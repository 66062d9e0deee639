/* Proves the ops of image models: a convolution, plain and with a low-rank adapter, against the sum that defines it,
   in double, for kernels that are not square, strides, uneven padding and weights in fp16, and of HRA against its
   reflections; GroupNorm, Swish and cross attention against their formulas; every gradient by differences; and that a
   backend that lacks an op says which. */
#include "tests/worker/engine_cpu.h"
#include "worker/adapter/adapter.h"
#include "worker/op/attributes.h"

static float *numbers(size_t count, uint64_t seed) {
  float *x = arena_array(&arena, count, sizeof *x);
  assert_non_null(x);
  fill(x, count, seed);
  return x;
}

static void check(struct graph *g) {
  struct parameter *inputs[] = {g->x, g->y, g->z};
  for (int recompute = 0; recompute < 2; recompute++) {
    g->recompute = recompute;
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
      if (inputs[i])
        graph_check(g, inputs[i], 60, 3e-3);
  }
}

/* --- convolutions --------------------------------------------------------------------------------- */

enum { RANK = 8 };

struct conv_case {
  struct convolution convolution;
  struct images images;
  size_t out;
};

static const struct conv_case conv_cases[] = {
    {{5, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, {2, 6, 7}, 11},
    {{40, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, {1, 9, 8}, 70},  /* more than one chunk of channels */
    {{4, {3, 2}, {2, 1}, {1, 0}, {1, 1}}, {2, 7, 5}, 6},    /* not square */
    {{3, {1, 5}, {1, 3}, {0, 2}, {0, 2}}, {1, 4, 11}, 17},  /* steps beyond what padding adds */
    {{6, {3, 3}, {2, 2}, {0, 0}, {1, 1}}, {2, 8, 6}, 5},    /* AutoencoderKL's way down */
    {{9, {1, 1}, {2, 2}, {0, 0}, {0, 0}}, {1, 5, 5}, 4},    /* pixels that nothing reads */
    {{32, {4, 4}, {4, 4}, {0, 0}, {0, 0}}, {1, 8, 12}, 33}, /* patches */
};

struct conv_world {
  struct images images;
  struct linear linear;
  struct low_rank low;
};

static struct conv_world make_conv(const struct conv_case *c, bool adapter) {
  const struct convolution *conv = &c->convolution;
  size_t in = conv->channels * conv->kernel[0] * conv->kernel[1], out = c->out;
  struct conv_world w = {.images = c->images};
  w.linear = (struct linear){.name = "conv", .in = in, .out = out, .convolution = conv};
  w.linear.weight = weight_of(numbers(in * out, 4), out, in);
  w.linear.bias = place_host(numbers(out, 5));
  if (adapter)
    w.low = (struct low_rank){.R = RANK,
                              .sign = -1,
                              .down = place_host(numbers(in * RANK, 6)),
                              .up_t = place_host(numbers(RANK * out, 7)),
                              .up_back = place_host(numbers(out * RANK, 8)),
                              .down_back_t = place_host(numbers(RANK * in, 9)),
                              .grad_down = place_host(arena_array(&arena, in * RANK, sizeof(float))),
                              .grad_up = place_host(arena_array(&arena, out * RANK, sizeof(float))),
                              .grad_core = place_host(arena_array(&arena, (size_t)RANK * RANK, sizeof(float)))};
  return w;
}

/* The patch that the kernel sees at a pixel of the output, in the weight's order; zeros outside. */
static void patch_of(double *to, const struct conv_case *c, const double *x, size_t image, size_t y, size_t at) {
  const struct convolution *v = &c->convolution;
  for (size_t ch = 0; ch < v->channels; ch++)
    for (size_t i = 0; i < v->kernel[0]; i++)
      for (size_t j = 0; j < v->kernel[1]; j++) {
        long row = (long)(y * v->stride[0] + i) - (long)v->before[0];
        long col = (long)(at * v->stride[1] + j) - (long)v->before[1];
        bool inside = row >= 0 && row < (long)c->images.height && col >= 0 && col < (long)c->images.width;
        size_t pixel = inside ? (image * c->images.height + (size_t)row) * c->images.width + (size_t)col : 0;
        *to++ = inside ? x[pixel * v->channels + ch] : 0;
      }
}

static void build_conv(struct tape *tape, const struct graph *g, double *loss) {
  const struct conv_world *w = g->extra;
  struct images images = w->images;
  struct tensor *x = graph_input(tape, g->x), *y = op_conv2d(tape, x, &images, &w->linear);
  assert_int_equal(y->rows, images_rows(&images));
  graph_loss(tape, y, loss);
}

static double loss_weight_of(size_t i) {
  return (double)(0.25f * (float)(i * 5 % 7) - 0.6f);
}

/* The sum over all pixels of loss_weight * y, and what the factors gather, in double. */
struct conv_reference {
  double loss, *weight, *down, *up, *core;
};

static void add_pixel(struct conv_reference *r, const struct conv_world *w, const double *patch, size_t pixel) {
  size_t in = w->linear.in, out = w->linear.out;
  const float *weight = (const float *)(const void *)w->linear.weight.bytes, *bias = place_floats(w->linear.bias);
  double q[RANK] = {0}, c[RANK] = {0};
  for (size_t i = 0; w->low.R && i < in; i++)
    for (size_t k = 0; k < RANK; k++)
      q[k] += patch[i] * (double)place_floats(w->low.down)[i * RANK + k];
  for (size_t o = 0; o < out; o++) {
    double y = (double)bias[o], dy = loss_weight_of(pixel * out + o);
    for (size_t i = 0; i < in; i++) {
      y += patch[i] * (double)weight[o * in + i];
      r->weight[o * in + i] += dy * patch[i];
    }
    for (size_t k = 0; w->low.R && k < RANK; k++) {
      y += (double)w->low.sign * q[k] * (double)place_floats(w->low.up_t)[k * out + o];
      c[k] += dy * (double)place_floats(w->low.up_back)[o * RANK + k];
      r->up[o * RANK + k] += dy * q[k];
    }
    r->loss += dy * y;
  }
  for (size_t k = 0; w->low.R && k < RANK; k++) {
    for (size_t i = 0; i < in; i++)
      r->down[i * RANK + k] += patch[i] * c[k];
    for (size_t m = 0; m < RANK; m++)
      r->core[k * RANK + m] += c[k] * q[m];
  }
}

static struct conv_reference reference_of(const struct conv_case *c, const struct conv_world *w, const double *x) {
  size_t in = w->linear.in, height = op_convolution_size(&c->convolution, c->images.height, 0),
         width = op_convolution_size(&c->convolution, c->images.width, 1);
  struct conv_reference r = {.weight = arena_array(&arena, w->linear.out * in, sizeof(double)),
                             .down = arena_array(&arena, in * RANK, sizeof(double)),
                             .up = arena_array(&arena, w->linear.out * RANK, sizeof(double)),
                             .core = arena_array(&arena, (size_t)RANK * RANK, sizeof(double))};
  double *patch = arena_array(&arena, in, sizeof *patch);
  assert_true(r.weight && r.down && r.up && r.core && patch);
  for (size_t pixel = 0; pixel < c->images.count * height * width; pixel++) {
    patch_of(patch, c, x, pixel / width / height, pixel / width % height, pixel % width);
    add_pixel(&r, w, patch, pixel);
  }
  return r;
}

static double *doubles_of(const struct parameter *p) {
  double *numbers = arena_array(&arena, p->count, sizeof *numbers);
  assert_non_null(numbers);
  for (size_t i = 0; i < p->count; i++)
    numbers[i] = (double)p->data[i];
  return numbers;
}

static void near(const float *got, const double *want, size_t count) {
  double top = 1e-3;
  for (size_t i = 0; i < count; i++)
    top = fmax(top, fabs(want[i]));
  for (size_t i = 0; i < count; i++)
    if (!(fabs((double)got[i] - want[i]) <= 2e-6 * top))
      fail_msg("number %zu is %g, not %g", i, (double)got[i], want[i]);
}

static void convolutions(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(conv_cases); i++)
    for (int adapter = 0; adapter < 2; adapter++) {
      const struct conv_case *c = &conv_cases[i];
      struct conv_world w = make_conv(c, adapter);
      w.linear.low_rank = adapter ? &w.low : NULL;
      struct graph g = {.build = build_conv, .backend = &backend, .extra = &w};
      g.x = matrix("x", images_rows(&c->images), c->convolution.channels, 9);
      double loss = graph_run(&g, true);
      struct conv_reference want = reference_of(c, &w, doubles_of(g.x));
      assert_true(fabs(loss - want.loss) <= 1e-5 * (1 + fabs(want.loss)));
      if (adapter) {
        near(place_floats(w.low.grad_down), want.down, w.linear.in * RANK);
        near(place_floats(w.low.grad_up), want.up, w.linear.out * RANK);
        near(place_floats(w.low.grad_core), want.core, (size_t)RANK * RANK);
      } else
        graph_check(&g, g.x, 60, 3e-3); /* with an adapter, `back` factors that belong together are needed */
    }
}

/* dW is the sum over pixels of what the kernel saw there. */
static void trained_weights(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(conv_cases); i++) {
    const struct conv_case *c = &conv_cases[i];
    struct conv_world w = make_conv(c, false);
    struct parameter *weight = matrix("w", c->out, w.linear.in, 4);
    w.linear.trained_weight = weight;
    w.linear.weight = weight_of(weight->data, c->out, w.linear.in);
    struct graph g = {.build = build_conv, .backend = &backend, .extra = &w};
    g.x = matrix("x", images_rows(&c->images), c->convolution.channels, 9);
    graph_run(&g, true);
    near(weight->grad, reference_of(c, &w, doubles_of(g.x)).weight, weight->count);
    graph_check(&g, weight, 20, 3e-3);
    graph_check(&g, g.x, 20, 3e-3);
  }
}

/* dX of the adapter's part is its own convolution's: with up_back = up and down_back = down, that of the whole. */
static void adapted_gradients(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(conv_cases); i++) {
    const struct conv_case *c = &conv_cases[i];
    struct conv_world w = make_conv(c, true);
    size_t in = w.linear.in, out = w.linear.out;
    for (size_t r = 0; r < RANK; r++) {
      for (size_t o = 0; o < out; o++)
        place_floats(w.low.up_back)[o * RANK + r] = place_floats(w.low.up_t)[r * out + o];
      for (size_t k = 0; k < in; k++)
        place_floats(w.low.down_back_t)[r * in + k] = place_floats(w.low.down)[k * RANK + r];
    }
    w.linear.low_rank = &w.low;
    struct graph g = {.build = build_conv, .backend = &backend, .extra = &w};
    g.x = matrix("x", images_rows(&c->images), c->convolution.channels, 9);
    check(&g);
    w.low.dropout = 0.3; /* the same mask each time */
    check(&g);
  }
}

/* HRA by its definition: what the kernel sees is reflected, by the last column of U first, then multiplied. */
static double reflected_loss(const struct conv_case *c, const struct conv_world *w, const double *x, const double *u,
                             size_t r) {
  size_t in = w->linear.in, out = w->linear.out, height = op_convolution_size(&c->convolution, c->images.height, 0),
         width = op_convolution_size(&c->convolution, c->images.width, 1);
  const float *weight = (const float *)(const void *)w->linear.weight.bytes, *bias = place_floats(w->linear.bias);
  double *patch = calloc(in, sizeof *patch), loss = 0;
  assert_non_null(patch);
  for (size_t pixel = 0; pixel < c->images.count * height * width; pixel++) {
    patch_of(patch, c, x, pixel / width / height, pixel / width % height, pixel % width);
    for (size_t k = r; k-- > 0;) {
      double dot = 0, square = 0;
      for (size_t i = 0; i < in; i++) {
        dot += u[i * r + k] * patch[i];
        square += u[i * r + k] * u[i * r + k];
      }
      for (size_t i = 0; i < in; i++)
        patch[i] -= 2 * dot / square * u[i * r + k];
    }
    for (size_t o = 0; o < out; o++) {
      double y = (double)bias[o];
      for (size_t i = 0; i < in; i++)
        y += patch[i] * (double)weight[o * in + i];
      loss += loss_weight_of(pixel * out + o) * y;
    }
  }
  free(patch);
  return loss;
}

static void reflected_convolutions(void **state) {
  (void)state;
  enum { R = 3, POINTS = 40 };
  static const struct adapter_spec spec = {.peft_type = PEFT_HRA, .hra = {.r = R}};
  for (size_t i = 0; i < COUNT_OF(conv_cases); i++) {
    const struct conv_case *c = &conv_cases[i];
    struct conv_world w = make_conv(c, false);
    struct parameter_list parameters = {.arena = &arena};
    struct adapter *adapter;
    struct error err;
    assert_int_equal(adapter_new(&adapter, &spec, &w.linear, &parameters, 1, &err), STATUS_OK);
    struct parameter *u = parameters.item[0];
    fill(u->data, u->count, 21);
    adapter_put(&w.linear, adapter);
    struct graph g = {.build = build_conv, .backend = &backend, .extra = &w};
    g.x = matrix("x", images_rows(&c->images), c->convolution.channels, 9);
    parameter_upload(&parameters);
    assert_int_equal(adapter_forward_factors(&adapter, 1, &backend, &err), STATUS_OK);
    double loss = graph_run(&g, true), *ud = doubles_of(u), *xd = doubles_of(g.x);
    adapter_backward_factors(&adapter, 1, &backend, 0);
    double want = reflected_loss(c, &w, xd, ud, R);
    assert_true(fabs(loss - want) <= 1e-5 * (1 + fabs(want)));
    for (size_t n = 0; n < 2 * POINTS; n++) {
      const struct parameter *p = n % 2 ? u : g.x;
      double *at = n % 2 ? ud : xd, step = 1e-5;
      size_t k = (n / 2 * 7919 + 13) % p->count;
      double old = at[k];
      at[k] = old + step;
      double above = reflected_loss(c, &w, xd, ud, R);
      at[k] = old - step;
      double slope = (above - reflected_loss(c, &w, xd, ud, R)) / (2 * step);
      at[k] = old;
      if (!(fabs(slope - (double)p->grad[k]) <= 2e-4 * (1 + fabs(slope))))
        fail_msg("case %zu: the gradient %zu of %s is %g, not %g", i, k, p->key, (double)p->grad[k], slope);
    }
  }
}

/* The same convolution twice on what it made: gradients are added; one thread gives the same bits as two. */
static void build_two_convs(struct tape *tape, const struct graph *g, double *loss) {
  const struct conv_world *w = g->extra;
  struct images images = w->images;
  struct tensor *x = graph_input(tape, g->x), *y = op_conv2d(tape, x, &images, &w->linear);
  graph_loss(tape, op_add(tape, op_add(tape, op_conv2d(tape, y, &images, &w->linear), x), y), loss);
}

static void shared_inputs_and_threads(void **state) {
  (void)state;
  const struct conv_case c = {{24, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, {2, 20, 20}, 24};
  struct conv_world w = make_conv(&c, true);
  struct backend one;
  struct error err;
  w.linear.low_rank = &w.low;
  for (size_t i = 0; i < 24 * 9 * 24; i++)
    ((float *)(uintptr_t)w.linear.weight.bytes)[i] *= 0.1f;
  struct graph g = {.build = build_two_convs, .backend = &backend, .extra = &w};
  g.x = matrix("x", images_rows(&c.images), 24, 9);
  double two = graph_run(&g, true);
  float *first = arena_array(&arena, g.x->count, sizeof *first),
        *down = arena_array(&arena, 24 * 9 * RANK, sizeof *down);
  assert_true(first && down);
  memcpy(first, g.x->grad, g.x->count * sizeof *first);
  memcpy(down, place_floats(w.low.grad_down), 24 * 9 * RANK * sizeof *down);
  memset(g.x->grad, 0, g.x->count * sizeof *first);
  memset(place_floats(w.low.grad_down), 0, 24 * 9 * RANK * sizeof *down);
  assert_int_equal(cpu_open(&one, 1, NULL, &err), STATUS_OK);
  g.backend = &one;
  assert_true(graph_run(&g, true) == two);
  assert_memory_equal(first, g.x->grad, g.x->count * sizeof *first);
  assert_memory_equal(down, place_floats(w.low.grad_down), 24 * 9 * RANK * sizeof *down);
  backend_close(&one);
  w.linear.low_rank = NULL;
  g.backend = &backend;
  check(&g);
}

/* fp16 as a file has it gives what its numbers give. */
static void half_weights(void **state) {
  (void)state;
  const struct conv_case *c = &conv_cases[1];
  struct conv_world w = make_conv(c, false);
  size_t count = w.linear.in * w.linear.out;
  unsigned char *half = arena_alloc(&arena, count * 2);
  float *rounded = arena_array(&arena, count, sizeof *rounded);
  assert_true(half && rounded);
  assert_true(ggml_from_f32(half, (const float *)(const void *)w.linear.weight.bytes, GGML_F16, count));
  w.linear.weight.bytes = half;
  w.linear.weight.type = GGML_F16;
  weight_read(rounded, &w.linear.weight);
  struct graph g = {.build = build_conv, .backend = &backend, .extra = &w};
  g.x = matrix("x", images_rows(&c->images), c->convolution.channels, 9);
  double got = graph_run(&g, true);
  float *dx = arena_array(&arena, g.x->count, sizeof *dx);
  assert_non_null(dx);
  memcpy(dx, g.x->grad, g.x->count * sizeof *dx);
  memset(g.x->grad, 0, g.x->count * sizeof *dx);
  w.linear.weight = weight_of(rounded, w.linear.out, w.linear.in);
  assert_true(graph_run(&g, true) == got);
  assert_memory_equal(dx, g.x->grad, g.x->count * sizeof *dx);
}

/* --- between convolutions ------------------------------------------------------------------------- */

struct group_world {
  struct images images;
  struct norm norm;
  size_t groups;
  bool silu;
};

static void build_group_norm(struct tape *tape, const struct graph *g, double *loss) {
  const struct group_world *w = g->extra;
  graph_loss(tape, op_group_norm(tape, graph_input(tape, g->x), &w->images, &w->norm, w->groups, w->silu), loss);
}

static void build_shared_norm(struct tape *tape, const struct graph *g, double *loss) {
  const struct group_world *w = g->extra;
  struct tensor *x = graph_input(tape, g->x), *y = op_group_norm(tape, x, &w->images, &w->norm, w->groups, w->silu);
  y = op_add(tape, op_group_norm(tape, x, &w->images, &w->norm, 1, !w->silu), op_add(tape, x, y));
  graph_loss(tape, op_group_norm(tape, y, &w->images, &w->norm, w->groups, w->silu), loss);
}

static double group_norm_loss(const struct group_world *w, const float *x) {
  size_t pixels = w->images.height * w->images.width, C = w->norm.channels, each = C / w->groups;
  double loss = 0;
  for (size_t b = 0; b < w->images.count; b++)
    for (size_t group = 0; group < w->groups; group++) {
      double sum = 0, squares = 0, n = (double)(pixels * each);
      for (size_t i = 0; i < pixels * each; i++)
        sum += (double)x[(b * pixels + i / each) * C + group * each + i % each];
      for (size_t i = 0; i < pixels * each; i++) {
        double d = (double)x[(b * pixels + i / each) * C + group * each + i % each] - sum / n;
        squares += d * d;
      }
      for (size_t i = 0; i < pixels * each; i++) {
        size_t c = group * each + i % each, at = (b * pixels + i / each) * C + c;
        double z = ((double)x[at] - sum / n) / sqrt(squares / n + (double)w->norm.epsilon);
        z = z * (double)place_floats(w->norm.weight)[c] + (double)place_floats(w->norm.bias)[c];
        loss += loss_weight_of(at) * (w->silu ? z / (1 + exp(-z)) : z);
      }
    }
  return loss;
}

static void group_norms(void **state) {
  (void)state;
  for (int silu = 0; silu < 2; silu++) {
    struct group_world w = {{2, 9, 16}, {.channels = 12, .epsilon = 1e-5f}, 3, silu};
    w.norm.weight = place_host(numbers(12, 7));
    w.norm.bias = place_host(numbers(12, 8));
    struct graph g = {.build = build_group_norm, .backend = &backend, .extra = &w};
    g.x = matrix("x", images_rows(&w.images), 12, 9);
    for (size_t i = 0; i < g.x->count; i++) /* a mean that is far from zero */
      g.x->data[i] += 5;
    double want = group_norm_loss(&w, g.x->data);
    assert_true(fabs(graph_run(&g, false) - want) < 1e-4 * (1 + fabs(want)));
    for (size_t i = 0; i < g.x->count; i++) /* differences need their digits */
      g.x->data[i] -= 4.5f;
    check(&g);
    g.build = build_shared_norm;
    check(&g);
  }
}

static void trained_group_norm_bias(void **state) {
  (void)state;
  struct group_world w = {{2, 4, 4}, {.channels = 6, .epsilon = 1e-5f}, 2, true};
  struct parameter *bias = matrix("b", 1, 6, 8);
  w.norm.weight = place_host(numbers(6, 7));
  w.norm.bias = bias->at;
  w.norm.trained_bias = bias;
  struct graph g = {.build = build_group_norm, .backend = &backend, .extra = &w, .x = matrix("x", 32, 6, 9)};
  graph_check(&g, bias, 6, 3e-3);
}

static void build_moves(struct tape *tape, const struct graph *g, double *loss) {
  struct images images = {2, 3, 5};
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y), *rows = graph_input(tape, g->z);
  struct tensor *both = op_concat(tape, op_concat(tape, x, y), op_add_rows(tape, x, rows));
  struct tensor *up = op_upsample(tape, both, &images);
  assert_true(images.height == 6 && images.width == 10 && up->rows == 120 && up->cols == 25);
  struct images again = {2, 3, 5};
  graph_loss(tape, op_add(tape, up, op_upsample(tape, op_concat(tape, op_concat(tape, x, x), y), &again)), loss);
}

static void moves(void **state) {
  (void)state;
  struct graph g = {.build = build_moves, .backend = &backend};
  g.x = matrix("x", 30, 9, 1);
  g.y = matrix("y", 30, 7, 2);
  g.z = matrix("rows", 2, 9, 3);
  check(&g);
}

static void build_swish(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = op_silu(tape, x);
  graph_loss(tape,
             op_add(tape, op_quick_gelu(tape, op_add(tape, x, y)), op_geglu_gate_last(tape, op_concat(tape, x, y))),
             loss);
}

static void swishes(void **state) {
  (void)state;
  struct graph g = {.build = build_swish, .backend = &backend, .x = matrix("x", 40, 13, 1)};
  static const float at[] = {-200, -90, -20, -3, -0.5f, 0, 0.5f, 3, 20, 90, 200};
  enum { N = COUNT_OF(at) };
  float y[N];
  for (int i = 0; i < 2; i++) {
    float beta = i ? 1.702f : 1.0f;
    backend.kernels->swish(y, at, beta, N);
    for (size_t k = 0; k < N; k++) {
      double want = (double)at[k] / (1 + exp(-(double)beta * (double)at[k]));
      assert_true(fabs((double)y[k] - want) <= 1e-6 * fabs(want) + 1e-30);
    }
  }
  check(&g);
}

/* --- cross attention ------------------------------------------------------------------------------ */

static const uint32_t of_queries[] = {0, 20, 23}, of_keys[] = {0, 3, 80};

struct crossing {
  struct sequences queries, keys;
  struct attention how;
};

static struct crossing crossing_of(void) {
  return (struct crossing){sequences_host(2, 23, 20, of_queries, NULL, NULL),
                           sequences_host(2, 80, 77, of_keys, NULL, NULL),
                           {.heads = 3, .kv_heads = 3, .scale = 0.4f}};
}

static void build_crossing(struct tape *tape, const struct graph *g, double *loss) {
  const struct crossing *c = g->extra;
  struct tensor *q = graph_input(tape, g->x), *k = graph_input(tape, g->y), *v = graph_input(tape, g->z);
  graph_loss(tape, op_cross_attention(tape, q, k, v, &c->queries, &c->keys, &c->how), loss);
}

static double crossing_loss(const struct crossing *c, const float *q, const float *k, const float *v, size_t D) {
  double loss = 0;
  size_t C = D * c->how.heads;
  for (size_t b = 0; b < c->queries.count; b++)
    for (size_t i = of_queries[b]; i < of_queries[b + 1]; i++)
      for (size_t h = 0; h < c->how.heads; h++) {
        double sum = 0, out[16] = {0};
        for (size_t j = of_keys[b]; j < of_keys[b + 1]; j++) {
          double s = 0;
          for (size_t d = 0; d < D; d++)
            s += (double)q[i * C + h * D + d] * (double)k[j * C + h * D + d];
          double p = exp((double)c->how.scale * s);
          sum += p;
          for (size_t d = 0; d < D; d++)
            out[d] += p * (double)v[j * C + h * D + d];
        }
        for (size_t d = 0; d < D; d++)
          loss += loss_weight_of(i * C + h * D + d) * out[d] / sum;
      }
  return loss;
}

static void cross_attention(void **state) {
  (void)state;
  struct crossing c = crossing_of();
  struct graph g = {.build = build_crossing, .backend = &backend, .extra = &c};
  g.x = matrix("q", 23, 30, 1);
  g.y = matrix("k", 80, 30, 2);
  g.z = matrix("v", 80, 30, 3);
  double want = crossing_loss(&c, g.x->data, g.y->data, g.z->data, 10);
  assert_true(fabs(graph_run(&g, false) - want) < 1e-5 * (1 + fabs(want)));
  check(&g);
}

/* --- a backend that lacks an op ------------------------------------------------------------------- */

static void lacking_ops_are_named(void **state) {
  (void)state;
  const struct op_body *bodies[OP_KINDS];
  struct backend_ops ops = *backend.ops;
  struct backend lacking = backend;
  struct crossing c = crossing_of();
  struct graph g = {.extra = &c};
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss;
  memcpy(bodies, backend.ops->bodies, sizeof bodies);
  bodies[OP_CROSS_ATTENTION] = bodies[OP_MULTIPLY] = NULL;
  ops.bodies = bodies;
  lacking.ops = &ops;
  g.x = matrix("q", 23, 30, 1);
  g.y = g.z = matrix("k", 80, 30, 2);
  assert_int_equal(tape_init(&tape, &lacking, &err), STATUS_OK);
  tape_plan_begin(&tape, true);
  build_crossing(&tape, &g, &loss);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_UNSUPPORTED_VALUE);
  assert_null(plan);
  assert_non_null(strstr(err.text, "cpu does not have the op cross_attention"));
  tape_done(&tape);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions),
      cmocka_unit_test(trained_weights),
      cmocka_unit_test(adapted_gradients),
      cmocka_unit_test(reflected_convolutions),
      cmocka_unit_test(shared_inputs_and_threads),
      cmocka_unit_test(half_weights),
      cmocka_unit_test(group_norms),
      cmocka_unit_test(trained_group_norm_bias),
      cmocka_unit_test(moves),
      cmocka_unit_test(swishes),
      cmocka_unit_test(cross_attention),
      cmocka_unit_test(lacking_ops_are_named),
  };
  return cmocka_run_group_tests(tests, engine_setup, engine_teardown);
}
