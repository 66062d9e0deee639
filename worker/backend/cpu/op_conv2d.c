/* Conv2d: the weight's part as an implicit GEMM (conv.h), and an adapter's low-rank product, whose R columns are so few
   that nothing is gathered for them: for one tap of the kernel, the pixels of a line that are seen are rows that lie
   `stride` pixels apart, which is a GEMM where they are. So is the gradient of a weight that is trained. */
#include <string.h>

#include "worker/backend/cpu/conv.h"
#include "worker/backend/cpu/op.h"

struct conv_pass {
  const struct conv2d_attributes *a;
  const struct low_rank *low; /* NULL: no adapter */
  const struct backend *backend;
  struct conv_taps taps; /* forward */
  size_t C, out, R, kernel_taps, panels;
  const float *x, *seen; /* the input, and what `down` reads of it: with dropout another */
  const float *dy;
  float *q, *c;   /* rows of the output x R */
  float *partial; /* per panel: gradients of down (tap by tap, R x C), of up (R x out), of the core */
  size_t partial_floats;
  float *back;    /* down_back_t tap by tap, R x C */
  float *dropped; /* rows of the input x C */
  float *share;   /* the adapter's part of dX: dX itself, or with dropout `dropped` */
  float *slabs;   /* of a trained weight: a tap's out x C each */
  float *scratch; /* of conv_run */
};

static size_t rank_of(const struct linear *l) {
  return l->low_rank ? l->low_rank->R : 0;
}

static size_t partial_floats(const struct linear *l) {
  return (l->in + l->out + rank_of(l)) * rank_of(l);
}

static size_t panels_of(const struct images *out) {
  size_t lines = out->count * out->height;
  return lines < CPU_PANELS_MAX ? lines : CPU_PANELS_MAX;
}

static size_t dropped_floats(const struct conv2d_attributes *a) {
  return a->dropout.threshold ? images_rows(&a->in) * a->linear->convolution->channels : 0;
}

static size_t conv2d_scratch(const struct tape *tape, const struct node *node) {
  const struct conv2d_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  size_t R = rank_of(l);
  size_t slabs = l->trained_weight ? l->out * l->in : 0;
  return images_rows(&a->out) * R + panels_of(&a->out) * partial_floats(l) + R * l->in + dropped_floats(a) + slabs +
         conv_scratch(tape->backend, l, R);
}

static struct conv_pass make_pass(const struct tape *tape, const struct node *node) {
  const struct conv2d_attributes *a = node->attributes;
  const struct linear *l = a->linear;
  struct conv_pass p = {.a = a,
                        .low = l->low_rank,
                        .backend = tape->backend,
                        .taps = {l->convolution, a->in, a->out, false},
                        .C = l->convolution->channels,
                        .out = l->out,
                        .R = rank_of(l),
                        .kernel_taps = conv_taps(l->convolution),
                        .panels = panels_of(&a->out),
                        .x = cpu_data(node->in[0]),
                        .q = l->low_rank ? cpu_data(node->out[1]) : NULL,
                        .c = cpu_scratch(tape),
                        .partial_floats = partial_floats(l)};
  p.partial = p.c + images_rows(&a->out) * p.R;
  p.back = p.partial + p.panels * p.partial_floats;
  p.dropped = p.back + p.R * l->in;
  p.slabs = p.dropped + dropped_floats(a);
  p.scratch = p.slabs + (l->trained_weight ? l->out * l->in : 0);
  p.seen = a->dropout.threshold ? p.dropped : p.x;
  return p;
}

/* --- lines ---------------------------------------------------------------------------------------- */

/* The pixels of a line of the output for which a tap sees the input: columns [from, to), the first of which sees
   column `seen`. */
struct stretch {
  size_t from, to, seen;
};

static struct stretch stretch_of(const struct conv_pass *p, size_t column) {
  const struct convolution *c = p->taps.convolution;
  size_t stride = c->stride[1], before = c->before[1], last = p->a->in.width - 1 + before;
  size_t from = column < before ? (before - column + stride - 1) / stride : 0;
  size_t to = last < column ? 0 : (last - column) / stride + 1;
  to = to < p->a->out.width ? to : p->a->out.width;
  return from < to ? (struct stretch){from, to, from * stride + column - before} : (struct stretch){0, 0, 0};
}

/* Does `each` for every tap that sees something of a line of the output. pixel: of the input, the first that it sees.
 */
typedef void tap_function(const struct conv_pass *p, size_t tap, size_t row, size_t pixel, size_t count, float *to);

static void for_taps(const struct conv_pass *p, size_t line, tap_function *each, float *to) {
  const size_t *kernel = p->taps.convolution->kernel;
  const struct images *in = &p->a->in, *out = &p->a->out;
  size_t image = line / out->height, y = line % out->height;
  for (size_t i = 0; i < kernel[0]; i++) {
    size_t seen = conv_seen(&p->taps, y, i, 0);
    for (size_t j = 0; seen != SIZE_MAX && j < kernel[1]; j++) {
      struct stretch s = stretch_of(p, j);
      if (s.from < s.to)
        each(p, i * kernel[1] + j, line * out->width + s.from, (image * in->height + seen) * in->width + s.seen,
             s.to - s.from, to);
    }
  }
}

/* --- forward -------------------------------------------------------------------------------------- */

static void dropout_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct conv_pass *p = payload;
  size_t width = p->a->in.width, at = index * width;
  p->backend->kernels->dropout(p->dropped + at * p->C, p->x + at * p->C, at, width, p->C, &p->a->dropout);
}

static void drop_input(struct conv_pass *p) {
  if (p->a->dropout.threshold)
    pool_run(p->backend->pool, p->a->in.count * p->a->in.height, dropout_task, p);
}

/* Q += X of one tap times its rows of `down`, which the file's order has `taps` rows apart. */
static void add_down(const struct conv_pass *p, size_t tap, size_t row, size_t pixel, size_t count, float *q) {
  const float *down = place_floats(p->low->down) + tap * p->R;
  p->backend->kernels->gemm(q + row * p->R, p->R, p->seen + pixel * p->C, p->taps.convolution->stride[1] * p->C, 1,
                            down, p->kernel_taps * p->R, count, p->R, p->C, 1.0f, true);
}

static void down_task(void *payload, size_t line, int thread) {
  (void)thread;
  const struct conv_pass *p = payload;
  size_t width = p->a->out.width;
  memset(p->q + line * width * p->R, 0, width * p->R * sizeof *p->q);
  for_taps(p, line, add_down, p->q);
}

static void conv2d_forward(struct tape *tape, const struct node *node) {
  struct conv_pass p = make_pass(tape, node);
  const struct linear *l = p.a->linear;
  struct conv y = {
      .taps = p.taps, .c = cpu_data(node->out[0]), .a = p.x, .weight = &l->weight, .bias = place_floats(l->bias)};
  if (p.low) {
    drop_input(&p);
    pool_run(tape->backend->pool, p.a->out.count * p.a->out.height, down_task, &p);
    y.R = p.R;
    y.q = p.q;
    y.v = place_floats(p.low->up_t);
    y.sign = p.low->sign;
  }
  conv_run(tape->backend, &y, p.scratch);
}

/* --- backward ------------------------------------------------------------------------------------- */

/* Gradient of `down` for one tap, R x C: C^T X. */
static void add_grad_down(const struct conv_pass *p, size_t tap, size_t row, size_t pixel, size_t count, float *to) {
  p->backend->kernels->gemm(to + tap * p->R * p->C, p->C, p->c + row * p->R, 1, p->R, p->seen + pixel * p->C,
                            p->taps.convolution->stride[1] * p->C, p->R, p->C, count, 1.0f, true);
}

/* C = dY up_back, and the gradients of the factors, by the lines of a panel. */
static void factor_gradients_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct conv_pass *p = payload;
  const struct kernels *k = p->backend->kernels;
  size_t R = p->R, width = p->a->out.width, lines = p->a->out.count * p->a->out.height;
  float *grad_down = p->partial + index * p->partial_floats, *grad_up = grad_down + p->kernel_taps * p->C * R,
        *grad_core = grad_up + p->out * R;
  memset(grad_down, 0, p->partial_floats * sizeof *grad_down);
  for (size_t line = lines * index / p->panels; line < lines * (index + 1) / p->panels; line++) {
    const float *dy = p->dy + line * width * p->out, *q = p->q + line * width * R;
    float *c = p->c + line * width * R;
    k->gemm_skinny(c, dy, place_floats(p->low->up_back), width, p->out, R, NULL, 0);
    k->gemm(grad_up, p->out, q, 1, R, dy, p->out, R, p->out, width, 1.0f, true);
    k->gemm(grad_core, R, c, 1, R, q, R, R, R, width, 1.0f, true);
    for_taps(p, line, add_grad_down, grad_down);
  }
}

/* Sums over panels in order, in the first panel's place; then in the order that the factors have. */
static void sum_partials(const struct conv_pass *p) {
  const struct kernels *k = p->backend->kernels;
  size_t R = p->R, taps = p->kernel_taps;
  float *down = place_floats(p->low->grad_down), *up = place_floats(p->low->grad_up);
  for (size_t i = 1; i < p->panels; i++)
    k->add(p->partial, p->partial + i * p->partial_floats, p->partial_floats);
  const float *grad_up = p->partial + taps * p->C * R;
  for (size_t t = 0; t < taps; t++)
    for (size_t r = 0; r < R; r++)
      for (size_t c = 0; c < p->C; c++)
        down[(c * taps + t) * R + r] += p->partial[(t * R + r) * p->C + c];
  for (size_t r = 0; r < R; r++)
    for (size_t o = 0; o < p->out; o++)
      up[o * R + r] += grad_up[r * p->out + o];
  k->add(place_floats(p->low->grad_core), grad_up + p->out * R, R * R);
}

/* The adapter's part of one line of dX, from the lines of C that it was seen from. */
static void share_task(void *payload, size_t line, int thread) {
  (void)thread;
  const struct conv_pass *p = payload;
  const struct convolution *conv = p->taps.convolution;
  const struct kernels *k = p->backend->kernels;
  const struct images *in = &p->a->in, *out = &p->a->out;
  const struct conv_taps back = {conv, *out, *in, true};
  size_t R = p->R, C = p->C, image = line / in->height;
  float *share = p->share + line * in->width * C;
  if (p->a->dropout.threshold)
    memset(share, 0, in->width * C * sizeof *share);
  for (size_t i = 0; i < conv->kernel[0]; i++) {
    size_t seen = conv_seen(&back, line % in->height, i, 0);
    for (size_t j = 0; seen != SIZE_MAX && j < conv->kernel[1]; j++) {
      struct stretch s = stretch_of(p, j);
      const float *c = p->c + ((image * out->height + seen) * out->width + s.from) * R;
      k->gemm(share + s.seen * C, conv->stride[1] * C, c, R, 1, p->back + (i * conv->kernel[1] + j) * R * C, C,
              s.to - s.from, C, R, p->low->sign, true);
    }
  }
  if (p->a->dropout.threshold)
    k->dropout(share, share, line * in->width, in->width, C, &p->a->dropout);
}

static void reorder_back(const struct conv_pass *p) {
  const float *from = place_floats(p->low->down_back_t);
  size_t taps = p->kernel_taps;
  for (size_t t = 0; t < taps; t++)
    for (size_t r = 0; r < p->R; r++)
      for (size_t c = 0; c < p->C; c++)
        p->back[(t * p->R + r) * p->C + c] = from[r * p->C * taps + c * taps + t];
}

static void input_gradient(struct conv_pass *p, const struct node *node) {
  const struct images *in = &p->a->in;
  struct conv dx = {.taps = {p->taps.convolution, p->a->out, *in, true}, .a = p->dy, .weight = &p->a->linear->weight};
  dx.c = cpu_take_grad(node->in[0], &dx.accumulate);
  if (!dx.c)
    return;
  conv_run(p->backend, &dx, p->scratch);
  if (!p->low)
    return;
  reorder_back(p);
  p->share = p->a->dropout.threshold ? p->dropped : dx.c;
  pool_run(p->backend->pool, in->count * in->height, share_task, p);
  if (p->a->dropout.threshold)
    p->backend->kernels->add(dx.c, p->share, images_rows(in) * p->C);
}

/* Output channels of a task of a weight's gradient. */
enum { GRAD_ROWS = 32 };

/* dW += dY^T X of one tap, for some of the output channels: line by line, then in the order of the file. */
static void weight_gradient_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct conv_pass *p = payload;
  const struct images *in = &p->a->in, *out = &p->a->out;
  const size_t *kernel = p->taps.convolution->kernel, taps = p->kernel_taps, C = p->C, tap = index % taps;
  const size_t first = index / taps * GRAD_ROWS, rows = p->out - first < GRAD_ROWS ? p->out - first : GRAD_ROWS;
  const struct stretch s = stretch_of(p, tap % kernel[1]);
  float *slab = p->slabs + (tap * p->out + first) * C, *grad = place_floats(p->a->linear->trained_weight->grad_at);
  memset(slab, 0, rows * C * sizeof *slab);
  for (size_t line = 0; line < out->count * out->height; line++) {
    size_t seen = conv_seen(&p->taps, line % out->height, tap / kernel[1], 0), image = line / out->height;
    if (seen == SIZE_MAX || s.from >= s.to)
      continue;
    p->backend->kernels->gemm(slab, C, p->dy + (line * out->width + s.from) * p->out + first, 1, p->out,
                              p->x + ((image * in->height + seen) * in->width + s.seen) * C,
                              p->taps.convolution->stride[1] * C, rows, C, s.to - s.from, 1.0f, true);
  }
  for (size_t o = 0; o < rows; o++)
    for (size_t c = 0; c < C; c++)
      grad[((first + o) * C + c) * taps + tap] += slab[o * C + c];
}

static void conv2d_backward(struct tape *tape, const struct node *node) {
  struct conv_pass p = make_pass(tape, node);
  const struct linear *l = p.a->linear;
  p.dy = cpu_grad(node->out[0]);
  if (p.low) {
    drop_input(&p);
    pool_run(tape->backend->pool, p.panels, factor_gradients_panel, &p);
    sum_partials(&p);
  }
  if (l->trained_weight)
    pool_run(tape->backend->pool, p.kernel_taps * ((l->out + GRAD_ROWS - 1) / GRAD_ROWS), weight_gradient_task, &p);
  input_gradient(&p, node);
  if (l->trained_bias)
    tape->backend->kernels->column_sums(place_floats(l->trained_bias->grad_at), p.dy, images_rows(&p.a->out), l->out);
}

const struct op_body cpu_conv2d = {.forward = conv2d_forward, .backward = conv2d_backward, .scratch = conv2d_scratch};
