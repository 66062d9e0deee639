/* Ops that know where sequences begin: embeddings, rotary positions, pooling, what convolutions see. */
#include <string.h>

#include "worker/backend/cpu/op.h"

/* --- embeddings ----------------------------------------------------------------------------------- */

static void embeddings_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct embeddings_attributes *a = node->attributes;
  const struct sequences *s = a->sequences;
  const uint32_t *cu_seqlens = place_address(s->cu_seqlens);
  const int32_t *ids = place_address(s->token_ids);
  const uint8_t *type_ids = place_address(s->token_type_ids);
  const float *positions = place_floats(a->position_embedding), *types = place_floats(a->token_type_embedding);
  size_t C = node->out[0]->cols;
  for (size_t b = 0; b < s->count; b++)
    for (size_t i = cu_seqlens[b]; i < cu_seqlens[b + 1]; i++) {
      const float *position = positions ? positions + (sequences_past(s, b) + i - cu_seqlens[b]) * C : NULL;
      const float *type = types ? types + (type_ids ? type_ids[i] : 0) * C : NULL;
      float *y = cpu_data(node->out[0]) + i * C;
      const float *token = weight_part(a->token_embedding, (size_t)ids[i], 0, C, y);
      for (size_t c = 0; c < C; c++)
        y[c] = token[c] + (type ? type[c] : 0.0f) + (position ? position[c] : 0.0f);
    }
}

const struct op_body cpu_embeddings = {.forward = embeddings_forward};

/* --- pooling -------------------------------------------------------------------------------------- */

/* The row of x that the i-th row of the output is. */
static size_t pooled_row(const struct pooling_attributes *a, size_t i) {
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens), *rows = place_address(a->sequences->rows);
  return a->pooling == POOLING_ROWS ? rows[i] : a->pooling == POOLING_LAST ? cu_seqlens[i + 1] - 1 : cu_seqlens[i];
}

struct mean_pass {
  const struct node *node;
  const struct kernels *kernels;
  float *dx; /* backward */
  bool accumulate;
};

static void mean_of_sequence(void *payload, size_t sequence, int thread) {
  (void)thread;
  const struct mean_pass *pass = payload;
  const struct pooling_attributes *a = pass->node->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens);
  size_t C = pass->node->in[0]->cols, first = cu_seqlens[sequence], rows = cu_seqlens[sequence + 1] - first;
  float *y = cpu_data(pass->node->out[0]) + sequence * C, share = 1.0f / (float)rows;
  memset(y, 0, C * sizeof *y);
  pass->kernels->column_sums(y, cpu_data(pass->node->in[0]) + first * C, rows, C);
  for (size_t c = 0; c < C; c++)
    y[c] *= share;
}

static void spread_over_sequence(void *payload, size_t sequence, int thread) {
  (void)thread;
  const struct mean_pass *pass = payload;
  const struct pooling_attributes *a = pass->node->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens);
  size_t C = pass->node->in[0]->cols, first = cu_seqlens[sequence], rows = cu_seqlens[sequence + 1] - first;
  const float *dy = cpu_grad(pass->node->out[0]) + sequence * C;
  float *dx = pass->dx + first * C, share = 1.0f / (float)rows;
  for (size_t r = 0; r < rows; r++, dx += C)
    for (size_t c = 0; c < C; c++)
      dx[c] = share * dy[c] + (pass->accumulate ? dx[c] : 0.0f);
}

static void pooling_forward(struct tape *tape, const struct node *node) {
  const struct pooling_attributes *a = node->attributes;
  struct mean_pass mean = {.node = node, .kernels = tape->backend->kernels};
  size_t C = node->in[0]->cols;
  if (a->pooling == POOLING_MEAN)
    pool_run(tape->backend->pool, a->sequences->count, mean_of_sequence, &mean);
  for (size_t i = 0; a->pooling != POOLING_MEAN && i < node->out[0]->rows; i++)
    memcpy(cpu_data(node->out[0]) + i * C, cpu_data(node->in[0]) + pooled_row(a, i) * C, C * sizeof(float));
}

static void pooling_backward(struct tape *tape, const struct node *node) {
  const struct pooling_attributes *a = node->attributes;
  size_t C = node->in[0]->cols;
  bool accumulate;
  float *dx = cpu_take_grad(node->in[0], &accumulate);
  if (!dx)
    return;
  if (a->pooling == POOLING_MEAN) {
    struct mean_pass spread = {.node = node, .dx = dx, .accumulate = accumulate};
    pool_run(tape->backend->pool, a->sequences->count, spread_over_sequence, &spread);
    return;
  }
  if (!accumulate)
    memset(dx, 0, node->in[0]->rows * C * sizeof *dx);
  for (size_t i = 0; i < node->out[0]->rows; i++)
    tape->backend->kernels->add(dx + pooled_row(a, i) * C, cpu_grad(node->out[0]) + i * C, C);
}

const struct op_body cpu_pooling = {.forward = pooling_forward, .backward = pooling_backward};

/* --- what a convolution sees ---------------------------------------------------------------------- */

struct unfold_pass {
  const struct node *node;
  size_t panels;
  float *dx; /* backward */
  bool accumulate;
};

/* y, every `kernel`-th of whose numbers is this tap's. */
static void unfold_tap(float *y, const float *x, size_t C, size_t kernel) {
  for (size_t c = 0; c < C; c++)
    y[c * kernel] = x ? x[c] : 0.0f;
}

static void fold_tap(float *dx, const float *dy, size_t C, size_t kernel) {
  for (size_t c = 0; c < C; c++)
    dx[c] += dy[c * kernel];
}

/* One panel of rows, whatever sequences they belong to. A row's gradient is gathered from the rows that see it. */
static void unfold_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct unfold_pass *pass = payload;
  const struct node *n = pass->node;
  const struct unfold_attributes *a = n->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens);
  size_t C = n->in[0]->cols, kernel = a->kernel, half = kernel / 2;
  size_t first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels), b = 0;
  for (size_t i = first; i < first + rows; i++) {
    while (cu_seqlens[b + 1] <= i)
      b++;
    if (pass->dx && !pass->accumulate)
      memset(pass->dx + i * C, 0, C * sizeof *pass->dx);
    for (size_t k = 0; k < kernel; k++) {
      size_t other = pass->dx ? i + half - k : i + k - half; /* wraps before row 0, and is too large then */
      bool there = other >= cu_seqlens[b] && other < cu_seqlens[b + 1];
      if (!pass->dx)
        unfold_tap(cpu_data(n->out[0]) + i * C * kernel + k, there ? cpu_data(n->in[0]) + other * C : NULL, C, kernel);
      else if (there)
        fold_tap(pass->dx + i * C, cpu_grad(n->out[0]) + other * C * kernel + k, C, kernel);
    }
  }
}

static void run_unfold(struct tape *tape, const struct node *node, struct unfold_pass pass) {
  pass.node = node;
  pass.panels = cpu_panels(node->in[0]->rows);
  pool_run(tape->backend->pool, pass.panels, unfold_panel, &pass);
}

static void unfold_forward(struct tape *tape, const struct node *node) {
  run_unfold(tape, node, (struct unfold_pass){0});
}

static void unfold_backward(struct tape *tape, const struct node *node) {
  struct unfold_pass pass = {0};
  pass.dx = cpu_take_grad(node->in[0], &pass.accumulate);
  if (pass.dx)
    run_unfold(tape, node, pass);
}

const struct op_body cpu_unfold = {.forward = unfold_forward, .backward = unfold_backward};

/* --- rotary positions ----------------------------------------------------------------------------- */

struct rope_pass {
  const struct node *node;
  const struct kernels *kernels;
  size_t panels;
  const float *from; /* x, or the output's gradient */
  float *to;
  float *sum; /* NULL, or what `to` is added to */
  float direction;
};

/* One panel of rows, whatever sequences they belong to. */
static void rope_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct rope_pass *pass = payload;
  const struct node *n = pass->node;
  const struct rope_attributes *a = n->attributes;
  const uint32_t *cu_seqlens = place_address(a->sequences->cu_seqlens);
  const float *all_cos = place_floats(a->rotary->cos), *all_sin = place_floats(a->rotary->sin);
  const struct rotary *r = a->rotary;
  size_t C = n->in[0]->cols, half = r->turned / 2, heads = C / r->head_size;
  size_t first, rows = cpu_panel(&first, n->in[0]->rows, index, pass->panels), b = 0;
  for (size_t i = first; i < first + rows; i++) {
    while (cu_seqlens[b + 1] <= i)
      b++;
    const struct kv_cache *cache = a->sequences->caches ? a->sequences->caches[b] : NULL;
    size_t past = sequences_past(a->sequences, b), row = past + i - cu_seqlens[b];
    size_t length = cache ? cache->total : past + cu_seqlens[b + 1] - cu_seqlens[b];
    size_t at = (row + (r->short_most && length > r->short_most ? r->long_row : 0)) * half;
    pass->kernels->rope(pass->to + i * C, pass->from + i * C, all_cos + at, all_sin + at, heads, half,
                        r->head_size - r->turned, pass->direction);
    if (pass->sum)
      pass->kernels->add(pass->sum + i * C, pass->to + i * C, C);
  }
}

static void run_rope(struct tape *tape, const struct node *node, struct rope_pass pass) {
  pass.node = node;
  pass.kernels = tape->backend->kernels;
  pass.panels = cpu_panels(node->in[0]->rows);
  pool_run(tape->backend->pool, pass.panels, rope_panel, &pass);
}

static void rope_forward(struct tape *tape, const struct node *node) {
  run_rope(tape, node,
           (struct rope_pass){.from = cpu_data(node->in[0]), .to = cpu_data(node->out[0]), .direction = 1.0f});
}

static void rope_backward(struct tape *tape, const struct node *node) {
  bool add;
  float *dx = cpu_take_grad(node->in[0], &add);
  run_rope(tape, node,
           (struct rope_pass){.from = cpu_grad(node->out[0]),
                              .to = add ? cpu_scratch(tape) : dx,
                              .sum = add ? dx : NULL,
                              .direction = -1.0f});
}

/* Room for a gradient that is added. */
static size_t rope_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct tensor *x = node->in[0];
  return x->needs_grad && tape_grad_apart(node, 0) ? x->rows * x->cols : 0;
}

const struct op_body cpu_rope = {.forward = rope_forward, .backward = rope_backward, .scratch = rope_scratch};
