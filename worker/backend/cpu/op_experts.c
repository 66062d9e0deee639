/* A mixture of experts. Rows are gathered expert by expert, so that each of its products is one matmul of the rows that
   chose it, a part of them at a time: scratch memory does not grow with the batch. */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/op.h"
#include "worker/tensor/dot.h"

enum { PART_ROWS = 1024 };

/* Where the rows go. A slot is one row at one of its experts; slots are in the order of the experts, those of one
   expert in that of the rows. */
struct routes {
  float *p;         /* N x E */
  uint32_t *choice; /* N x K: a row's experts */
  uint32_t *slot;   /* N x K: and its slots at them */
  uint32_t *row;    /* [N * K]: a slot's row */
  float *weight;    /* [N * K]: a slot's w */
  float *dweight;   /* [N * K] */
  uint32_t *first;  /* [E + 1]: an expert's slots end where the next one's begin */
};

struct experts_pass {
  const struct node *node;
  const struct experts *experts;
  const struct backend *backend;
  const struct kernels *kernels;
  struct routes routes;
  float *rows;                 /* of a part, C wide: gathered, then what the expert makes of them */
  float *inner, *dinner, *dup; /* likewise, F wide; the last two in the backward pass alone */
  float *matmul;               /* scratch of matmul_run */
  const struct expert *expert; /* of the part */
  size_t slot, count;          /* its slots */
  const float *from;           /* what is gathered: x, or dy */
  float *to;                   /* what is added to: y, or dx; NULL: not asked for */
  float *dlogits;              /* NULL: not asked for */
  bool add_dlogits;
};

static size_t part_rows(const struct node *node) {
  return node->in[0]->rows < PART_ROWS ? node->in[0]->rows : PART_ROWS;
}

static bool has_backward(const struct node *node) {
  return node->in[0]->needs_grad || node->in[1]->needs_grad;
}

static size_t experts_scratch(const struct tape *tape, const struct node *node) {
  const struct experts *x = node->attributes;
  size_t N = node->in[0]->rows, part = part_rows(node), widest = x->channels > x->inner ? x->channels : x->inner;
  size_t routes = N * x->count + 5 * N * x->chosen + x->count + 1;
  return routes + part * (x->channels + (has_backward(node) ? 3 : 1) * x->inner) +
         matmul_scratch(tape->backend, part, widest, 0);
}

static struct experts_pass make_pass(const struct tape *tape, const struct node *node) {
  const struct experts *x = node->attributes;
  size_t N = node->in[0]->rows, slots = N * x->chosen, part = part_rows(node);
  struct experts_pass pass = {.node = node, .experts = x, .backend = tape->backend, .kernels = tape->backend->kernels};
  struct routes *r = &pass.routes;
  r->p = cpu_scratch(tape);
  r->weight = r->p + N * x->count;
  r->dweight = r->weight + slots;
  r->choice = (uint32_t *)(void *)(r->dweight + slots);
  r->slot = r->choice + slots;
  r->row = r->slot + slots;
  r->first = r->row + slots;
  pass.rows = (float *)(void *)(r->first + x->count + 1);
  pass.inner = pass.rows + part * x->channels;
  pass.dinner = pass.inner + part * x->inner;
  pass.dup = pass.dinner + part * x->inner;
  pass.matmul = pass.inner + (has_backward(node) ? 3 : 1) * part * x->inner;
  return pass;
}

/* --- routes --------------------------------------------------------------------------------------- */

/* The expert of the largest p that is none of the `count` before it. */
static uint32_t next_choice(const float *p, size_t E, const uint32_t *before, size_t count) {
  size_t best = E;
  for (size_t e = 0; e < E; e++) {
    bool taken = false;
    for (size_t k = 0; k < count; k++)
      taken = taken || before[k] == e;
    if (!taken && (best == E || p[e] > p[best]))
      best = e;
  }
  return (uint32_t)best;
}

static void choose_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  const struct routes *r = &pass->routes;
  size_t E = pass->experts->count, K = pass->experts->chosen, first;
  size_t rows = cpu_panel(&first, pass->node->in[0]->rows, index, cpu_panels(pass->node->in[0]->rows));
  for (size_t i = first; i < first + rows; i++) {
    const float *logits = cpu_data(pass->node->in[1]) + i * E;
    double lse = op_log_sum_exp(logits, E);
    for (size_t e = 0; e < E; e++)
      r->p[i * E + e] = (float)exp((double)logits[e] - lse);
    for (size_t k = 0; k < K; k++)
      r->choice[i * K + k] = next_choice(r->p + i * E, E, r->choice + i * K, k);
  }
}

/* What a row's p are divided by to be its weights. */
static float share_of(const struct experts_pass *pass, size_t row) {
  const struct experts *x = pass->experts;
  float sum = 0;
  for (size_t k = 0; k < x->chosen; k++)
    sum += pass->routes.p[row * x->count + pass->routes.choice[row * x->chosen + k]];
  return x->normalised ? sum : 1;
}

static void make_routes(const struct experts_pass *pass) {
  const struct routes *r = &pass->routes;
  size_t N = pass->node->in[0]->rows, E = pass->experts->count, K = pass->experts->chosen;
  pool_run(pass->backend->pool, cpu_panels(N), choose_panel, (void *)(uintptr_t)pass);
  memset(r->first, 0, (E + 1) * sizeof *r->first);
  for (size_t i = 0; i < N * K; i++)
    r->first[r->choice[i] + 1]++;
  for (size_t e = 0; e < E; e++)
    r->first[e + 1] += r->first[e];
  for (size_t i = 0; i < N; i++) {
    float share = share_of(pass, i);
    for (size_t k = 0; k < K; k++) {
      uint32_t e = r->choice[i * K + k], slot = r->first[e]++;
      r->slot[i * K + k] = slot;
      r->row[slot] = (uint32_t)i;
      r->weight[slot] = r->p[i * E + e] / share;
    }
  }
  memmove(r->first + 1, r->first, E * sizeof *r->first); /* each has moved to where the next one's begin */
  r->first[0] = 0;
}

/* --- a part of an expert's rows ------------------------------------------------------------------- */

static void run_part(struct experts_pass *pass, pool_task *panel) {
  pool_run(pass->backend->pool, cpu_panels(pass->count), panel, pass);
}

static void gather_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  size_t C = pass->experts->channels, first, rows = cpu_panel(&first, pass->count, index, cpu_panels(pass->count));
  for (size_t i = first; i < first + rows; i++)
    memcpy(pass->rows + i * C, pass->from + pass->routes.row[pass->slot + i] * C, C * sizeof(float));
}

/* A row is at an expert once, so that panels never add to the same. */
static void scatter_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  size_t C = pass->experts->channels, first, rows = cpu_panel(&first, pass->count, index, cpu_panels(pass->count));
  for (size_t i = first; i < first + rows; i++)
    pass->kernels->add(pass->to + pass->routes.row[pass->slot + i] * C, pass->rows + i * C, C);
}

static void multiply(const struct experts_pass *pass, float *c, const float *a, const struct weight *weight,
                     bool transposed, bool accumulate) {
  const struct matmul p = {
      .c = c, .a = a, .rows = pass->count, .weight = weight, .transposed = transposed, .accumulate = accumulate};
  matmul_run(pass->backend, &p, pass->matmul);
}

static void each_part(struct experts_pass *pass, void (*part)(struct experts_pass *pass)) {
  const uint32_t *first = pass->routes.first;
  for (size_t e = 0; e < pass->experts->count; e++) {
    pass->expert = &pass->experts->expert[e];
    for (pass->slot = first[e]; pass->slot < first[e + 1]; pass->slot += pass->count) {
      size_t left = first[e + 1] - pass->slot;
      pass->count = left < PART_ROWS ? left : PART_ROWS;
      part(pass);
    }
  }
}

/* Where the part's gate x, or up x, lies. */
static float *at_slot(const struct experts_pass *pass, int out) {
  return cpu_data(pass->node->out[out]) + pass->slot * pass->experts->inner;
}

/* --- forward -------------------------------------------------------------------------------------- */

/* The weight comes before the last product, which is then what is added to y. */
static void gate_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  size_t F = pass->experts->inner, first, rows = cpu_panel(&first, pass->count, index, cpu_panels(pass->count));
  for (size_t i = first; i < first + rows; i++) {
    float *inner = pass->inner + i * F;
    pass->kernels->swiglu(inner, at_slot(pass, 1) + i * F, at_slot(pass, 2) + i * F, F);
    pass->kernels->multiply(inner, inner, pass->routes.weight[pass->slot + i], F);
  }
}

static void part_forward(struct experts_pass *pass) {
  run_part(pass, gather_panel);
  multiply(pass, at_slot(pass, 1), pass->rows, &pass->expert->gate, true, false);
  multiply(pass, at_slot(pass, 2), pass->rows, &pass->expert->up, true, false);
  run_part(pass, gate_panel);
  multiply(pass, pass->rows, pass->inner, &pass->expert->down, true, false);
  run_part(pass, scatter_panel);
}

static void experts_forward(struct tape *tape, const struct node *node) {
  struct experts_pass pass = make_pass(tape, node);
  const struct tensor *y = node->out[0];
  make_routes(&pass);
  pass.from = cpu_data(node->in[0]);
  pass.to = cpu_data(y);
  memset(pass.to, 0, y->rows * y->cols * sizeof(float));
  each_part(&pass, part_forward);
}

/* --- backward ------------------------------------------------------------------------------------- */

/* From dinner = down^T dy: dw of each slot, and the gradients of gate x (in the place of inner) and up x. */
static void gate_back_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  const struct kernels *k = pass->kernels;
  size_t F = pass->experts->inner, first, rows = cpu_panel(&first, pass->count, index, cpu_panels(pass->count));
  for (size_t i = first; i < first + rows; i++) {
    const float *gate = at_slot(pass, 1) + i * F, *up = at_slot(pass, 2) + i * F;
    float *inner = pass->inner + i * F, *dinner = pass->dinner + i * F;
    k->swiglu(inner, gate, up, F);
    pass->routes.dweight[pass->slot + i] = (float)dot(inner, dinner, F);
    k->multiply(dinner, dinner, pass->routes.weight[pass->slot + i], F);
    k->swiglu_backward(inner, pass->dup + i * F, dinner, gate, up, F);
  }
}

static void part_backward(struct experts_pass *pass) {
  run_part(pass, gather_panel);
  multiply(pass, pass->dinner, pass->rows, &pass->expert->down, false, false);
  run_part(pass, gate_back_panel);
  if (!pass->to)
    return;
  multiply(pass, pass->rows, pass->inner, &pass->expert->gate, false, false);
  multiply(pass, pass->rows, pass->dup, &pass->expert->up, false, true);
  run_part(pass, scatter_panel);
}

/* dp of the chosen: w = p / S has dp = (dw - sum of dw w) / S. Then softmax: dlogits = p (dp - sum of dp p). */
static void logits_panel(void *payload, size_t index, int thread) {
  (void)thread;
  const struct experts_pass *pass = payload;
  const struct routes *r = &pass->routes;
  const struct experts *x = pass->experts;
  size_t E = x->count, K = x->chosen, N = pass->node->in[0]->rows, first;
  size_t rows = cpu_panel(&first, N, index, cpu_panels(N));
  for (size_t i = first; i < first + rows; i++) {
    const float *p = r->p + i * E;
    float *d = pass->dlogits + i * E;
    double along = 0, sum = 0, share = (double)share_of(pass, i);
    for (size_t k = 0; k < K && x->normalised; k++)
      along += (double)r->dweight[r->slot[i * K + k]] * (double)r->weight[r->slot[i * K + k]];
    for (size_t k = 0; k < K; k++)
      sum += ((double)r->dweight[r->slot[i * K + k]] - along) / share * (double)p[r->choice[i * K + k]];
    for (size_t e = 0; e < E; e++)
      d[e] = (pass->add_dlogits ? d[e] : 0.0f) - p[e] * (float)sum;
    for (size_t k = 0; k < K; k++)
      d[r->choice[i * K + k]] +=
          p[r->choice[i * K + k]] * (float)(((double)r->dweight[r->slot[i * K + k]] - along) / share);
  }
}

static void experts_backward(struct tape *tape, const struct node *node) {
  struct experts_pass pass = make_pass(tape, node);
  bool add;
  make_routes(&pass);
  pass.from = cpu_grad(node->out[0]);
  pass.to = cpu_take_grad(node->in[0], &add);
  if (pass.to && !add)
    memset(pass.to, 0, node->in[0]->rows * node->in[0]->cols * sizeof(float));
  each_part(&pass, part_backward);
  pass.dlogits = cpu_take_grad(node->in[1], &pass.add_dlogits);
  if (pass.dlogits)
    pool_run(pass.backend->pool, cpu_panels(node->in[1]->rows), logits_panel, &pass);
}

const struct op_body cpu_experts = {
    .forward = experts_forward, .backward = experts_backward, .scratch = experts_scratch};
