/* Cases of attention's kernels: forward and backward against plain loops in double that store all probabilities. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_ATTENTION_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_ATTENTION_H

#include "tests/worker/backend/device/on_device.h"

enum { SEQUENCES = 4, BLOCK_ROWS = 32 };
static const int attention_offsets[SEQUENCES + 1] = {0, 1, 34, 104, 136};
enum { TOKENS = 136, LONGEST = 70 };

struct attention_problem {
  struct attention_args a;
  size_t N, H, D, KV; /* rows of q, heads, head_size, heads of k and v */
  float *q, *k, *v, *dout, *mask;
  double *out, *lse, *dq, *dk, *dv;
  unsigned tables;              /* bit 0: keys, 1: queries, 2: bias */
  float *keys, *queries, *bias; /* TABLE_ROWS x heads * D, x heads */
  int *index;                   /* of distance 1 - LONGEST */
  double *dkeys, *dqueries;
};
enum { TABLE_ROWS = 47, TABLE_FIRST = 5 };

/* Where the table's row for a distance begins. */
static size_t distance_at(const struct attention_problem *p, size_t row, size_t key) {
  return (size_t)(p->index[(int)row - (int)key + LONGEST - 1] - TABLE_FIRST) * p->H * p->D;
}

/* The score of `row`, the q of one head, and key j; or its gradients, from that of the score. */
static double score_or_gradients(struct attention_problem *p, size_t head, size_t place, size_t j, const float *q,
                                 const float *k, double *dq, double *dk, double ds) {
  size_t at = p->tables ? distance_at(p, place, j) + head * p->D : 0;
  double sum = 0, unused = 0;
  for (size_t c = 0; c < p->D; c++) {
    double key = p->tables & 1 ? (double)p->keys[at + c] : 0, query = p->tables & 2 ? (double)p->queries[at + c] : 0;
    sum += (double)q[c] * ((double)k[c] + key) + (double)k[c] * query;
    if (dq) {
      dq[c] += ds * ((double)k[c] + key);
      dk[c] += ds * ((double)q[c] + query);
      *(p->tables & 1 ? &p->dkeys[at + c] : &unused) += ds * (double)q[c];
      *(p->tables & 2 ? &p->dqueries[at + c] : &unused) += ds * (double)k[c];
    }
  }
  double bias = p->tables & 4 ? (double)p->bias[at / p->D / p->H * p->H + head] : 0;
  return sum * (double)p->a.scale + bias;
}

static bool attention_visible(const struct attention_args *a, size_t row, size_t key) {
  size_t apart = key < row ? row - key : key - row;
  return (!a->causal || key <= row) && (!a->window || apart < (size_t)a->window);
}

/* One row of q, the `place`-th token of a sequence whose keys begin at row `first`. */
static void reference_row(struct attention_problem *p, size_t head, size_t row, size_t place, size_t first,
                          size_t length) {
  size_t D = p->D, C = p->H * D, KC = p->KV * D, kv = head / (p->H / p->KV);
  double e[LONGEST], slope[LONGEST], sum = 0, delta = 0;
  const float *q = p->q + row * C + head * D, *dout = p->dout + row * C + head * D;
  const float *mask = p->mask + (head * p->N + row) * LONGEST;
  double *out = p->out + row * C + head * D, *dq = p->dq + row * C + head * D;
  for (size_t j = 0; j < length; j++) {
    double score = score_or_gradients(p, head, place, j, q, p->k + (first + j) * KC + kv * D, NULL, NULL, 0);
    e[j] = attention_visible(&p->a, place, j) ? exp(score) : 0;
    sum += e[j];
  }
  p->lse[head * p->N + row] = log(sum);
  for (size_t j = 0; j < length; j++) {
    double probability = e[j] / sum, product = 0;
    for (size_t c = 0; c < D; c++) {
      size_t at = (first + j) * KC + kv * D + c;
      out[c] += probability * (double)mask[j] * (double)p->v[at];
      p->dv[at] += probability * (double)mask[j] * (double)dout[c];
      product += (double)dout[c] * (double)p->v[at];
    }
    slope[j] = (double)mask[j] * product;
    delta += probability * slope[j];
  }
  for (size_t j = 0; j < length; j++) {
    size_t at = (first + j) * KC + kv * D;
    double ds = (double)p->a.scale * e[j] / sum * (slope[j] - delta);
    score_or_gradients(p, head, place, j, q, p->k + at, dq, p->dk + at, ds);
  }
}

/* Twenty near distances have a row each on both sides of 0, further ones share those of three. */
static void make_tables(struct attention_problem *p) {
  size_t floats = TABLE_ROWS * p->H * p->D;
  p->keys = random_floats(floats, 7), p->queries = random_floats(floats, 8), p->bias = random_floats(floats, 9);
  p->dkeys = array(floats * sizeof(double)), p->dqueries = array(floats * sizeof(double));
  p->index = array((2 * LONGEST - 1) * sizeof *p->index);
  for (int d = 1 - LONGEST; d < LONGEST; d++) {
    int far = abs(d) <= 20 ? abs(d) : 20 + (abs(d) - 4) / 22;
    p->index[d + LONGEST - 1] = TABLE_FIRST + TABLE_ROWS / 2 + (d < 0 ? -far : far);
  }
}

static void make_problem(struct attention_problem *p) {
  const struct attention_args *a = &p->a;
  p->H = (size_t)a->heads, p->KV = (size_t)a->kv_heads, p->D = (size_t)a->head_size, p->N = (size_t)a->q_rows;
  if (p->tables)
    make_tables(p);
  size_t q = p->N * p->H * p->D, kv = TOKENS * p->KV * p->D;
  p->q = random_floats(q, 1), p->k = random_floats(kv, 2), p->v = random_floats(kv, 3), p->dout = random_floats(q, 4);
  p->mask = cpu_mask(&a->dropout, p->H * p->N, LONGEST);
  p->out = array(q * sizeof(double)), p->dq = array(q * sizeof(double)), p->lse = array(p->H * p->N * sizeof(double));
  p->dk = array(kv * sizeof(double)), p->dv = array(kv * sizeof(double));
  for (size_t b = 0; b < SEQUENCES; b++) {
    size_t first = (size_t)attention_offsets[b], length = (size_t)attention_offsets[b + 1] - first;
    for (size_t head = 0; head < p->H; head++)
      if (a->queries == QUERIES_ALL)
        for (size_t i = 0; i < length; i++)
          reference_row(p, head, first + i, i, first, length);
      else
        reference_row(p, head, b, a->queries == QUERIES_LAST ? length - 1 : 0, first, length);
  }
}

/* Gradients are added to 1 when they accumulate. */
static void expect_gradient(struct place got, const double *want, size_t count, int add, const char *what) {
  double *sum = array(count * sizeof *sum);
  for (size_t i = 0; i < count; i++)
    sum[i] = want[i] + add;
  assert_near(get_floats(got, count), sum, count, 2e-5, what);
}

struct tables_there {
  struct place keys, queries, bias, index;
};

static struct tables_there put_tables(const struct attention_problem *p) {
  struct tables_there t = {none, none, none, none};
  size_t floats = TABLE_ROWS * p->H * p->D;
  if (p->tables & 1)
    t.keys = put_floats(p->keys, floats);
  if (p->tables & 2)
    t.queries = put_floats(p->queries, floats);
  if (p->tables & 4)
    t.bias = put_floats(p->bias, floats);
  if (p->tables)
    t.index = put(p->index, (2 * LONGEST - 1) * sizeof *p->index);
  return t;
}

/* Parts, and what is gathered of them. */
static void check_table(const struct attention_problem *p, struct place parts, struct place index, const double *want,
                        int accumulate, const char *what) {
  size_t cols = p->H * p->D, floats = TABLE_ROWS * cols;
  float *ones = array(floats * sizeof *ones);
  for (size_t i = 0; i < floats; i++)
    ones[i] = 1;
  struct place gradient = put_floats(ones, floats);
  const struct gather_distances_args g = {.rows = TABLE_ROWS,
                                          .cols = (int)cols,
                                          .longest = LONGEST,
                                          .first = TABLE_FIRST,
                                          .blocks = (int)groups_of(LONGEST, 32),
                                          .tokens = LONGEST,
                                          .accumulate = accumulate};
  launch(DEVICE_gather_distances, groups_of(floats, 256), 1, 1, POINTERS(gradient, parts, index), &g);
  expect_gradient(gradient, want, floats, accumulate, what);
}

static void check_table_gradients(const struct attention_problem *p, const struct tables_there *t, struct place dout,
                                  struct place q, struct place k, struct place v, struct place lse, struct place delta,
                                  struct place offsets) {
  size_t blocks = 2 * groups_of(LONGEST, 32), floats = blocks * 32 * p->H * p->D;
  struct place keys = p->tables & 1 ? put_floats(random_floats(floats, 10), floats) : none;
  struct place queries = p->tables & 2 ? put_floats(random_floats(floats, 11), floats) : none;
  launch(DEVICE_attention_backward_distances, blocks, p->H, 1,
         POINTERS(keys, queries, dout, q, k, v, lse, delta, offsets, t->keys, t->queries, t->bias, t->index), &p->a);
  if (p->tables & 1)
    check_table(p, keys, t->index, p->dkeys, 0, "gradient of keys by distance");
  if (p->tables & 2)
    check_table(p, queries, t->index, p->dqueries, 1, "gradient of queries by distance");
}

static void check_with_tables(struct attention_args a, unsigned tables) {
  a.sequences = SEQUENCES, a.longest = LONGEST, a.first = TABLE_FIRST, a.table_rows = TABLE_ROWS;
  a.q_rows = a.queries == QUERIES_ALL ? TOKENS : SEQUENCES;
  a.scale = 6.0f / sqrtf((float)a.head_size);
  struct attention_problem p = {.a = a, .tables = tables};
  make_problem(&p);
  const struct tables_there t = put_tables(&p);
  size_t count = p.N * p.H * p.D, kv_count = TOKENS * p.KV * p.D, rows = p.H * p.N;
  float *ones = array((count > kv_count ? count : kv_count) * sizeof *ones);
  for (size_t i = 0; i < (count > kv_count ? count : kv_count); i++)
    ones[i] = 1;
  struct place q = put_floats(p.q, count), k = put_floats(p.k, kv_count), v = put_floats(p.v, kv_count);
  struct place out = put_floats(ones, count), lse = put_floats(random_floats(rows, 5), rows);
  struct place offsets = put(attention_offsets, sizeof attention_offsets), dout = put_floats(p.dout, count);
  struct place delta = put_floats(random_floats(rows, 6), rows), dq = put_floats(ones, count);
  struct place dk = put_floats(ones, kv_count), dv = put_floats(ones, kv_count);
  size_t blocks = a.queries == QUERIES_ALL ? groups_of(LONGEST, BLOCK_ROWS) : 1;
  launch(DEVICE_attention_forward, blocks, p.H, SEQUENCES,
         POINTERS(out, lse, q, k, v, offsets, t.keys, t.queries, t.bias, t.index), &a);
  assert_near(get_floats(out, count), p.out, count, 1e-5, "attention");
  assert_near(get_floats(lse, rows), p.lse, rows, 1e-5, "log-sum-exp");
  launch(DEVICE_attention_delta, groups_of(rows, 8), 1, 1, POINTERS(delta, dout, out), &a);
  launch(DEVICE_attention_backward_q, blocks, p.H, SEQUENCES,
         POINTERS(dq, dout, q, k, v, lse, delta, offsets, t.keys, t.queries, t.bias, t.index), &a);
  launch(DEVICE_attention_backward_kv, groups_of(LONGEST, BLOCK_ROWS), p.KV, SEQUENCES,
         POINTERS(dk, dv, dout, q, k, v, lse, delta, offsets, t.keys, t.queries, t.bias, t.index), &a);
  expect_gradient(dq, p.dq, count, a.accumulate, "dq");
  expect_gradient(dk, p.dk, kv_count, a.accumulate, "dk");
  expect_gradient(dv, p.dv, kv_count, a.accumulate_v, "dv");
  if (tables & 3)
    check_table_gradients(&p, &t, dout, q, k, v, lse, delta, offsets);
  drop_all();
}

static void check_attention(struct attention_args a) {
  check_with_tables(a, 0);
}

static void test_attention_distances(void **state) {
  (void)state;
  for (unsigned tables = 1; tables < 8; tables++)
    check_with_tables((struct attention_args){.heads = 2, .kv_heads = 2, .head_size = 12}, tables);
  check_with_tables((struct attention_args){.dropout = some_dropout, .heads = 1, .kv_heads = 1, .head_size = 40}, 7);
  for (int queries = QUERIES_FIRST; queries <= QUERIES_LAST; queries++)
    check_with_tables(
        (struct attention_args){
            .dropout = some_dropout, .heads = 2, .kv_heads = 2, .head_size = 10, .queries = queries, .accumulate = 1},
        3);
}

static void test_attention(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 2, .kv_heads = 2, .head_size = 32});
  check_attention((struct attention_args){.heads = 2, .kv_heads = 1, .head_size = 5, .accumulate = 1});
  check_attention((struct attention_args){.heads = 1, .kv_heads = 1, .head_size = 100, .accumulate_v = 1});
}

static void test_attention_seen(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 4, .kv_heads = 2, .head_size = 16, .causal = 1});
  const int windows[] = {1, 5, 32, 33, 64};
  for (size_t i = 0; i < 2 * COUNT_OF(windows); i++)
    check_attention((struct attention_args){
        .heads = 2, .kv_heads = 1, .head_size = 8, .causal = i % 2 == 0, .window = windows[i / 2]});
}

static void test_attention_dropout(void **state) {
  (void)state;
  check_attention((struct attention_args){.dropout = some_dropout, .heads = 2, .kv_heads = 2, .head_size = 12});
  check_attention(
      (struct attention_args){.dropout = some_dropout, .heads = 2, .kv_heads = 1, .head_size = 12, .causal = 1});
}

static void test_attention_rows(void **state) {
  (void)state;
  for (int queries = QUERIES_FIRST; queries <= QUERIES_LAST; queries++)
    for (int kind = 0; kind < 4; kind++)
      check_attention((struct attention_args){.dropout = kind & 1 ? some_dropout : no_dropout,
                                              .heads = 4,
                                              .kv_heads = 2,
                                              .head_size = 10,
                                              .queries = queries,
                                              .causal = kind & 1,
                                              .window = kind & 2 ? 7 : 0});
}

static void test_attention_wide(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 1, .kv_heads = 1, .head_size = 256, .causal = 1});
}

#endif
