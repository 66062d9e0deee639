/* Proves attention in all its kinds (full, causal, windowed, heads that share k and v, dropout, distances) against the
   formula in double, its gradients too, and these against differences through the op. */
#include "tests/worker/engine_cpu.h"
#include "worker/backend/cpu/isa.h"

static const uint32_t offsets[] = {0, 5, 6, 19, 30};
static struct sequences four;

static int setup(void **state) {
  four = sequences_host(4, 30, 13, offsets, NULL, NULL);
  return engine_setup(state);
}

static void build(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *q = graph_input(tape, g->x), *k = graph_input(tape, g->y), *v = graph_input(tape, g->z);
  graph_loss(tape, op_attention(tape, q, k, v, &g->sequences, g->extra), loss);
}

static void check_gradients(const struct attention *how) {
  int64_t D = 12, heads = (int64_t)how->heads, kv_heads = (int64_t)how->kv_heads;
  int64_t queries = how->queries == POOLING_NONE ? 30 : 4;
  struct graph g = {.build = build,
                    .backend = &backend,
                    .x = matrix("q", queries, heads * D, 1),
                    .y = matrix("k", 30, kv_heads * D, 2),
                    .z = matrix("v", 30, kv_heads * D, 3),
                    .sequences = four,
                    .extra = how};
  graph_check(&g, g.x, 60, 2e-3);
  graph_check(&g, g.y, 60, 2e-3);
  graph_check(&g, g.z, 60, 2e-3);
}

static void gradients(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 3, .kv_heads = 3, .scale = 0.7f});
  check_gradients(&(struct attention){.heads = 3, .kv_heads = 3, .scale = 0.7f, .causal = true});
}

/* q, k and v are used by two attentions, and are one another: gradients are added wherever there are some already. */
static void build_shared(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *x = graph_input(tape, g->x), *y = graph_input(tape, g->y);
  struct tensor *one = op_attention(tape, x, y, y, &g->sequences, g->extra);
  struct tensor *two = op_attention(tape, y, x, one, &g->sequences, g->extra);
  struct tensor *three = op_attention(tape, x, x, x, &g->sequences, g->extra);
  graph_loss(tape, op_add(tape, op_add(tape, two, three), op_add(tape, x, y)), loss);
}

static void gradients_of_shared_inputs(void **state) {
  (void)state;
  struct attention how = {.heads = 3, .kv_heads = 3, .scale = 0.7f, .causal = true};
  struct graph g = {.build = build_shared,
                    .backend = &backend,
                    .x = matrix("x", 30, 36, 1),
                    .y = matrix("y", 30, 36, 2),
                    .sequences = four,
                    .extra = &how};
  graph_check(&g, g.x, 60, 2e-3);
  graph_check(&g, g.y, 60, 2e-3);
}

static void gradients_of_shared_heads(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 6, .kv_heads = 2, .scale = 0.7f, .causal = true});
  check_gradients(&(struct attention){.heads = 4, .kv_heads = 1, .scale = 0.7f});
}

static void build_prefixed(struct tape *tape, const struct graph *g, double *loss) {
  struct tensor *q = graph_input(tape, g->x), *k = graph_input(tape, g->y), *v = graph_input(tape, g->z);
  struct tensor *one = op_attention(tape, q, k, v, &g->sequences, g->extra); /* twice: gradients are added */
  graph_loss(tape, op_add(tape, one, op_attention(tape, q, k, v, &g->sequences, g->extra)), loss);
}

/* Sequences that begin with rows of another: one each, or two of the same. */
static void gradients_of_shared_prefixes(void **state) {
  (void)state;
  static const struct shared_prefix prefixes[][4] = {{{0}, {0, 3}, {0}, {2, 9}}, {{0}, {0, 5}, {0, 4}, {0}}};
  static const struct attention hows[] = {{.heads = 3, .kv_heads = 3, .scale = 0.7f, .causal = true},
                                          {.heads = 4, .kv_heads = 2, .scale = 0.7f, .causal = true, .window = 6}};
  for (size_t i = 0; i < 2 * COUNT_OF(hows); i++) {
    struct attention how = hows[i / 2];
    how.dropout = dropout_make(i == 3 ? 0.3 : 0, 3, 4, 5);
    struct graph g = {.build = build_prefixed,
                      .backend = &backend,
                      .x = matrix("q", 30, (int64_t)how.heads * 12, 1),
                      .y = matrix("k", 30, (int64_t)how.kv_heads * 12, 2),
                      .z = matrix("v", 30, (int64_t)how.kv_heads * 12, 3),
                      .sequences = four,
                      .extra = &how};
    g.sequences.longest = 20;
    g.sequences.prefixes = prefixes[i % 2];
    graph_check(&g, g.x, 60, 2e-3);
    graph_check(&g, g.y, 60, 2e-3);
    graph_check(&g, g.z, 60, 2e-3);
  }
}

static void gradients_in_a_window(void **state) {
  (void)state;
  check_gradients(&(struct attention){.heads = 4, .kv_heads = 2, .scale = 0.7f, .causal = true, .window = 4});
  check_gradients(&(struct attention){.heads = 4, .kv_heads = 2, .scale = 0.7f, .window = 4});
  check_gradients(&(struct attention){.heads = 3, .kv_heads = 3, .scale = 0.7f, .window = 2});
}

static void gradients_under_a_softcap(void **state) {
  (void)state;
  struct attention how = {.heads = 4, .kv_heads = 2, .scale = 0.7f, .softcap = 0.9f, .causal = true};
  check_gradients(&how);
  how.window = 4;
  how.dropout = dropout_make(0.3, 3, 4, 5);
  check_gradients(&how);
}

static void gradients_with_dropout(void **state) {
  (void)state;
  struct attention how = {.heads = 3, .kv_heads = 3, .scale = 0.7f, .dropout = dropout_make(0.3, 3, 4, 5)};
  check_gradients(&how);
  how.window = 5;
  check_gradients(&how);
  how.causal = true;
  check_gradients(&how);
}

/* Tables that distances share rows of: those of 9 are for -5 .. 5, clamped. */
static struct distances distances_of_nine(void) {
  static int32_t index[2 * 13 - 1];
  for (int d = -12; d <= 12; d++)
    index[d + 12] = 2 + (d < -4 ? 0 : d > 4 ? 8 : d + 4);
  return (struct distances){.index = place_host(index), .longest = 13, .first = 2};
}

struct with_tables {
  struct attention how;
  struct parameter *keys, *queries, *bias;
};

/* Twice, so that gradients are added to. */
static void build_distances(struct tape *tape, const struct graph *g, double *loss) {
  const struct with_tables *t = g->extra;
  struct attention how = t->how;
  struct tensor *q = graph_input(tape, g->x), *k = graph_input(tape, g->y), *v = graph_input(tape, g->z);
  how.distances.keys = t->keys ? graph_input(tape, t->keys) : NULL;
  how.distances.queries = t->queries ? graph_input(tape, t->queries) : NULL;
  how.distances.bias = t->bias ? place_host(t->bias->data) : (struct place){0};
  struct tensor *one = op_attention(tape, q, k, v, &g->sequences, &how);
  graph_loss(tape, op_add(tape, one, op_attention(tape, q, k, v, &g->sequences, &how)), loss);
}

static void check_distances(struct attention how, bool keys, bool queries, bool bias) {
  struct with_tables t = {.how = how};
  how.distances = t.how.distances = distances_of_nine();
  t.keys = keys ? matrix("keys", 9, 36, 4) : NULL;
  t.queries = queries ? matrix("queries", 9, 36, 5) : NULL;
  t.bias = bias ? matrix("bias", 9, 3, 6) : NULL;
  struct graph g = {.build = build_distances,
                    .backend = &backend,
                    .x = matrix("q", how.queries == POOLING_NONE ? 30 : 4, 36, 1),
                    .y = matrix("k", 30, 36, 2),
                    .z = matrix("v", 30, 36, 3),
                    .sequences = four,
                    .extra = &t};
  struct parameter *all[] = {g.x, g.y, g.z, t.keys, t.queries};
  for (size_t i = 0; i < COUNT_OF(all); i++)
    if (all[i])
      graph_check(&g, all[i], 60, 2e-3);
}

static void gradients_of_distances(void **state) {
  (void)state;
  struct attention how = {.heads = 3, .kv_heads = 3, .scale = 0.7f};
  for (int which = 0; which < 8; which++)
    check_distances(how, which & 1, which & 2, which & 4);
  how.dropout = dropout_make(0.3, 3, 4, 5);
  check_distances(how, true, true, true);
  how.queries = POOLING_CLS;
  check_distances(how, true, true, true);
  how.queries = POOLING_LAST;
  check_distances(how, true, true, false);
}

/* One row a sequence: a causal last row sees all that a full one does, a first row itself alone. */
static void gradients_of_one_row(void **state) {
  (void)state;
  struct attention how = {.heads = 4, .kv_heads = 2, .queries = POOLING_CLS, .scale = 0.7f};
  check_gradients(&how);
  how.dropout = dropout_make(0.3, 3, 4, 5);
  check_gradients(&how);
  how.window = 4;
  check_gradients(&how);
  how.queries = POOLING_LAST;
  how.causal = true;
  check_gradients(&how);
  how.window = 4;
  check_gradients(&how);
}

/* Heads of one sequence that share k and v, with all their numbers. */
struct heads {
  struct attention_heads h;
  float *q, *k, *v, *dout, *out, *lse, *dq, *dk, *dv, *mask;
  double *dkeys, *dqueries; /* what is added to the tables' gradients; h.stride a row, as the tables have */
};

static double tolerance; /* times what floats are allowed */

/* Where the row of the tables for key j begins. */
static size_t table_row(const struct attention_heads *h, size_t row, size_t j) {
  return ((size_t)h->distances.index[(ptrdiff_t)row - (ptrdiff_t)j] - h->distances.first) * h->stride;
}

/* The products of row i of q and key j, before their scale; or their gradients, from that of the scaled sum. */
static double score_of(const struct heads *t, size_t m, size_t i, size_t j, double *dq, double *dk, double ds) {
  const struct attention_heads *h = &t->h;
  const struct attention_distances *x = &h->distances;
  const float *q = t->q + i * h->stride + m * h->head_size, *k = t->k + j * h->kv_stride;
  size_t at = x->index ? table_row(h, h->first + i, j) : 0;
  double sum = 0;
  for (size_t d = 0; d < h->head_size; d++) {
    double key = x->keys ? (double)x->keys[at + d] : 0, query = x->queries ? (double)x->queries[at + d] : 0;
    sum += (double)q[d] * ((double)k[d] + key) + (double)k[d] * query;
    if (dq) {
      dq[d] += ds * ((double)k[d] + key);
      dk[d] += ds * ((double)q[d] + query);
      t->dkeys[at + d] += ds * (double)q[d];
      t->dqueries[at + d] += ds * (double)k[d];
    }
  }
  return sum;
}

static double bias_of(const struct attention_heads *h, size_t row, size_t j) {
  const struct attention_distances *x = &h->distances;
  return x->bias ? (double)x->bias[table_row(h, row, j) / h->stride * x->bias_stride] : 0;
}

/* tanh of the scaled score, which the softcap is times; 0: there is none. */
static double ratio_of(const struct attention_heads *h, double score) {
  return h->softcap > 0 ? tanh((double)h->scale * score / (double)h->softcap) : 0;
}

/* The formula in double for row i of those that ask: adds to the gradients of k and v that `want` has. */
static void check_row(const struct heads *t, size_t m, size_t i, double *want_dk, double *want_dv) {
  const struct attention_heads *h = &t->h;
  size_t D = h->head_size, row = h->first + i, to = h->causal ? row + 1 : h->length, at = i * h->stride + m * D;
  size_t from = h->window && row >= h->window ? row + 1 - h->window : 0;
  to = h->window && row + h->window < to ? row + h->window : to;
  double *p = calloc(h->length, sizeof *p), *dp = calloc(h->length, sizeof *dp), sum = 0, delta = 0;
  double *dq = calloc(D, sizeof *dq), *ratio = calloc(h->length, sizeof *ratio);
  assert_true(p && dp && dq && ratio);
  for (size_t j = from; j < to; j++) {
    double score = score_of(t, m, i, j, NULL, NULL, 0);
    ratio[j] = ratio_of(h, score);
    score = h->softcap > 0 ? (double)h->softcap * ratio[j] : (double)h->scale * score;
    sum += p[j] = exp(score + bias_of(h, row, j));
  }
  assert_true(fabs(log(sum) - (double)t->lse[m * h->row_step + i]) < 2e-6 * tolerance);
  for (size_t j = from; j < to; j++) {
    double mask = (double)t->mask[(m * h->row_step + i) * h->length + j];
    p[j] /= sum;
    for (size_t d = 0; d < D; d++) {
      dp[j] += (double)t->dout[at + d] * (double)t->v[j * h->kv_stride + d] * mask;
      want_dv[j * D + d] += p[j] * mask * (double)t->dout[at + d];
    }
    delta += p[j] * dp[j];
  }
  for (size_t j = from; j < to; j++)
    score_of(t, m, i, j, dq, want_dk + j * D, p[j] * (dp[j] - delta) * (double)h->scale * (1 - ratio[j] * ratio[j]));
  for (size_t d = 0; d < D; d++) {
    double out = 0;
    for (size_t j = from; j < to; j++)
      out += p[j] * (double)t->mask[(m * h->row_step + i) * h->length + j] * (double)t->v[j * h->kv_stride + d];
    assert_true(fabs(out - (double)t->out[at + d]) < 4e-6 * tolerance);
    assert_true(fabs(dq[d] - (double)t->dq[at + d]) < 1e-5 * tolerance);
  }
  free(p), free(dp), free(dq), free(ratio);
}

enum { TABLE_ROWS = 90 };

/* Random numbers, or (seed 0) such that show that all were written. */
static float *numbers(size_t count, uint64_t seed) {
  float *out = malloc(count * sizeof *out);
  assert_non_null(out);
  memset(out, 0xFF, count * sizeof *out);
  if (seed)
    fill(out, count, seed);
  return out;
}

/* Of all rows, if h does not say which. Two more columns beside the heads' must stay as they are. */
static void check_values(const struct backend *b, struct attention_heads h) {
  const struct attention_kernels *attention = b->attention;
  size_t T = h.length, D = h.head_size, scratch_bytes = attention->scratch(T, D, h.distances.index) * sizeof(float);
  h.rows = h.rows ? h.rows : T;
  h.scale = 0.3f;
  h.stride = h.count * D + 2;
  h.kv_stride = D + 2;
  h.row_first = 7;
  h.row_step = h.rows + 3;
  struct heads t = {h,
                    numbers(h.rows * h.stride, 1),
                    numbers(T * h.kv_stride, 2),
                    numbers(T * h.kv_stride, 3),
                    numbers(h.rows * h.stride, 4),
                    numbers(h.rows * h.stride, 0),
                    numbers(h.count * h.row_step, 0),
                    numbers(h.rows * h.stride, 0),
                    numbers(T * h.kv_stride, 0),
                    numbers(T * h.kv_stride, 0),
                    numbers(h.count * h.row_step * T, 0),
                    calloc(TABLE_ROWS * h.stride, sizeof(double)),
                    calloc(TABLE_ROWS * h.stride, sizeof(double))};
  for (size_t i = 0; i < h.count * h.row_step * T; i++)
    t.mask[i] = 1;
  if (h.dropout.threshold)
    b->kernels->dropout(t.mask, t.mask, h.row_first, h.count * h.row_step, T, &h.dropout);
  float *scratch = malloc(scratch_bytes);
  double *dk = calloc(T * D, sizeof *dk), *dv = calloc(T * D, sizeof *dv);
  assert_true(scratch && dk && dv && t.dkeys && t.dqueries);
  memset(scratch, 0xFF, scratch_bytes);
  attention->forward(t.out, t.lse, t.q, t.k, t.v, &h, scratch);
  memset(scratch, 0xFF, scratch_bytes);
  attention->backward(t.dq, t.dk, t.dv, t.dout, t.q, t.k, t.v, t.out, t.lse, &h, scratch);
  for (size_t m = 0; m < h.count; m++)
    for (size_t i = 0; i < h.rows; i++) {
      check_row(&t, m, i, dk, dv);
      assert_true(isnan(t.out[i * h.stride + h.count * D]) && isnan(t.dq[i * h.stride + h.count * D + 1]));
    }
  for (size_t j = 0; j < T; j++)
    for (size_t d = 0; d < D + 2; d++)
      if (d < D) {
        assert_true(fabs(dk[j * D + d] - (double)t.dk[j * h.kv_stride + d]) < 2e-5 * tolerance);
        assert_true(fabs(dv[j * D + d] - (double)t.dv[j * h.kv_stride + d]) < 2e-5 * tolerance);
      } else {
        assert_true(isnan(t.dk[j * h.kv_stride + d]));
      }
  free(t.q), free(t.k), free(t.v), free(t.dout), free(t.out), free(t.lse), free(t.dq), free(t.dk), free(t.dv);
  for (size_t i = 0; i < TABLE_ROWS * h.stride; i++) { /* gradients were 1 before */
    double more = i % h.stride < D;
    if (h.distances.dkeys)
      assert_true(fabs(1 + more * t.dkeys[i] - (double)h.distances.dkeys[i]) < 4e-5);
    if (h.distances.dqueries)
      assert_true(fabs(1 + more * t.dqueries[i] - (double)h.distances.dqueries[i]) < 4e-5);
  }
  free(t.mask), free(scratch), free(dk), free(dv), free(t.dkeys), free(t.dqueries);
}

/* Lengths about the kernels' blocks of 48 or 96 rows and chunks of 64 keys. */
static void values_of(const struct backend *b) {
  static const size_t lengths[] = {1, 7, 16, 48, 57, 64, 65, 97, 130, 200}, windows[] = {0, 1, 3, 17, 50, 64, 70, 120};
  const struct dropout some = dropout_make(0.3, 3, 4, 5);
  for (size_t i = 0; i < COUNT_OF(lengths); i++)
    for (int dropout = 0; dropout < 2; dropout++) {
      struct attention_heads h = {.length = lengths[i], .head_size = 20, .count = 1};
      if (dropout)
        h.dropout = some;
      for (size_t w = 0; w < COUNT_OF(windows); w++) { /* each is causal for every other length */
        h.causal = (w + i + (size_t)dropout) % 2;
        h.window = windows[w];
        h.count = 1 + w / 2 % 2;
        check_values(b, h);
      }
    }
}

/* Some rows of a sequence ask: the first, the last, and more than a block from the middle. */
static void some_rows_of(const struct backend *b) {
  static const size_t rows[][2] = {{0, 1}, {199, 1}, {63, 1}, {64, 130}, {17, 97}};
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    for (size_t window = 0; window < 100; window += 33) {
      struct attention_heads h = {.length = 200, .first = rows[i][0], .rows = rows[i][1], .head_size = 20, .count = 2};
      h.dropout = dropout_make(window ? 0.3 : 0, 3, 4, 5);
      h.window = window;
      check_values(b, h);
      h.causal = true;
      check_values(b, h);
    }
}

/* Bit 0: keys, 1: queries, 2: bias, 3 and 4: gradients of keys and of queries. */
static void check_tables(const struct backend *b, struct attention_heads h, unsigned which) {
  int32_t index[2 * 200 - 1];
  size_t floats = TABLE_ROWS * (h.head_size + 2);
  float *keys = numbers(floats, 6), *queries = numbers(floats, 7), *bias = numbers(floats, 8);
  float *dkeys = numbers(floats, 0), *dqueries = numbers(floats, 0);
  for (size_t i = 0; i < floats; i++)
    dkeys[i] = dqueries[i] = 1;
  for (int d = -199; d <= 199; d++) /* one row each when near, then ten share one */
    index[d + 199] = 11 + 45 + (d < -30 ? -30 + (d + 30) / 12 : d > 30 ? 30 + (d - 30) / 12 : d);
  h.count = 1;
  h.distances = (struct attention_distances){.index = index + 199,
                                             .first = 11,
                                             .keys = which & 1 ? keys : NULL,
                                             .queries = which & 2 ? queries : NULL,
                                             .bias = which & 4 ? bias : NULL,
                                             .bias_stride = 3,
                                             .dkeys = which & 8 ? dkeys : NULL,
                                             .dqueries = which & 16 ? dqueries : NULL};
  check_values(b, h);
  free(keys), free(queries), free(bias), free(dkeys), free(dqueries);
}

static void distances_of(const struct backend *b) {
  static const size_t lengths[] = {1, 2, 7, 16, 48, 57, 64, 65, 97, 130, 200}, sizes[] = {8, 33, 64};
  static const unsigned which[] = {0, 1, 2, 4, 7, 9, 18, 27, 31};
  if (b->attention != b->kernels->attention)
    return; /* in fp32 only */
  for (size_t i = 0; i < COUNT_OF(lengths); i++)
    for (size_t w = 0; w < COUNT_OF(which); w++) {
      struct attention_heads h = {.length = lengths[i], .head_size = 20};
      h.dropout = dropout_make(w % 2 ? 0.3 : 0, 3, 4, 5);
      check_tables(b, h, which[w]);
    }
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    check_tables(b, (struct attention_heads){.length = 131, .head_size = sizes[i]}, 31);
  for (size_t first = 0; first < 200; first += 33)
    check_tables(b,
                 (struct attention_heads){
                     .length = 200, .first = first, .rows = first % 2 ? 1 : 100 - first / 2, .head_size = 16},
                 31);
}

static void head_sizes_of(const struct backend *b) {
  static const size_t sizes[] = {2, 8, 12, 16, 32, 33, 48, 64, 80, 96, 128, 256};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    struct attention_heads h = {.length = 71, .head_size = sizes[i], .count = 3, .causal = i % 2};
    check_values(b, h);
    h.rows = 1; /* as in decoding */
    h.softcap = i % 3 ? 0 : 1;
    for (h.first = 0; h.first < h.length; h.first += 35)
      for (h.window = 0; h.window < 70; h.window += 23)
        check_values(b, h);
  }
}

/* From one that hardly binds to one that nearly all scores reach; the scale is 0.3. */
static void softcaps_of(const struct backend *b) {
  static const float softcaps[] = {50, 1, 0.2f, 0.01f};
  for (size_t i = 0; i < COUNT_OF(softcaps); i++)
    for (size_t window = 0; window < 100; window += 33) {
      struct attention_heads h = {.length = 131, .head_size = 20, .count = 2, .softcap = softcaps[i], .window = window};
      h.dropout = dropout_make(window ? 0.3 : 0, 3, 4, 5);
      check_values(b, h);
      h.causal = true;
      check_values(b, h);
    }
}

/* For each set that this processor runs. */
static void each_isa(void (*check)(const struct backend *b)) {
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa)) {
    struct backend one;
    struct error err;
    assert_int_equal(cpu_open(&one, 1, isa->name, &err), STATUS_OK);
    tolerance = 1;
    check(&one);
    backend_set_precision(&one, PRECISION_BF16);
    if (one.attention != one.kernels->attention) { /* factors of eight bits */
      tolerance = 6000;
      check(&one);
    }
    backend_close(&one);
  }
}

static void values(void **state) {
  (void)state;
  each_isa(values_of);
}

static void values_of_some_rows(void **state) {
  (void)state;
  each_isa(some_rows_of);
}

static void values_under_a_softcap(void **state) {
  (void)state;
  each_isa(softcaps_of);
}

static void values_of_distances(void **state) {
  (void)state;
  each_isa(distances_of);
}

static void values_at_head_sizes(void **state) {
  (void)state;
  each_isa(head_sizes_of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values),
      cmocka_unit_test(values_of_some_rows),
      cmocka_unit_test(values_at_head_sizes),
      cmocka_unit_test(values_of_distances),
      cmocka_unit_test(gradients_of_shared_inputs),
      cmocka_unit_test(gradients),
      cmocka_unit_test(gradients_of_shared_heads),
      cmocka_unit_test(gradients_of_shared_prefixes),
      cmocka_unit_test(gradients_in_a_window),
      cmocka_unit_test(gradients_under_a_softcap),
      cmocka_unit_test(values_under_a_softcap),
      cmocka_unit_test(gradients_with_dropout),
      cmocka_unit_test(gradients_of_distances),
      cmocka_unit_test(gradients_of_one_row),
  };
  return cmocka_run_group_tests(tests, setup, engine_teardown);
}
