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
};

static bool attention_visible(const struct attention_args *a, size_t row, size_t key) {
  return !a->causal || (key <= row && (!a->window || row - key < (size_t)a->window));
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
    double score = 0;
    for (size_t c = 0; c < D; c++)
      score += (double)q[c] * (double)p->k[(first + j) * KC + kv * D + c];
    e[j] = attention_visible(&p->a, place, j) ? exp(score * (double)p->a.scale) : 0;
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
  for (size_t j = 0; j < length; j++)
    for (size_t c = 0; c < D; c++) {
      size_t at = (first + j) * KC + kv * D + c;
      double ds = (double)p->a.scale * e[j] / sum * (slope[j] - delta);
      dq[c] += ds * (double)p->k[at];
      p->dk[at] += ds * (double)q[c];
    }
}

static void make_problem(struct attention_problem *p) {
  const struct attention_args *a = &p->a;
  p->H = (size_t)a->heads, p->KV = (size_t)a->kv_heads, p->D = (size_t)a->head_size, p->N = (size_t)a->q_rows;
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

static void check_attention(struct attention_args a) {
  a.q_rows = a.queries == QUERIES_ALL ? TOKENS : SEQUENCES;
  a.scale = 6.0f / sqrtf((float)a.head_size);
  struct attention_problem p = {.a = a};
  make_problem(&p);
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
  launch(DEVICE_attention_forward, blocks, p.H, SEQUENCES, POINTERS(out, lse, q, k, v, offsets), &a);
  assert_near(get_floats(out, count), p.out, count, 1e-5, "attention");
  assert_near(get_floats(lse, rows), p.lse, rows, 1e-5, "log-sum-exp");
  launch(DEVICE_attention_delta, groups_of(rows, 8), 1, 1, POINTERS(delta, dout, out), &a);
  launch(DEVICE_attention_backward_q, blocks, p.H, SEQUENCES, POINTERS(dq, dout, q, k, v, lse, delta, offsets), &a);
  launch(DEVICE_attention_backward_kv, groups_of(LONGEST, BLOCK_ROWS), p.KV, SEQUENCES,
         POINTERS(dk, dv, dout, q, k, v, lse, delta, offsets), &a);
  expect_gradient(dq, p.dq, count, a.accumulate, "dq");
  expect_gradient(dk, p.dk, kv_count, a.accumulate, "dk");
  expect_gradient(dv, p.dv, kv_count, a.accumulate_v, "dv");
  drop_all();
}

static void test_attention(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 2, .kv_heads = 2, .head_size = 32});
  check_attention((struct attention_args){.heads = 2, .kv_heads = 1, .head_size = 5, .accumulate = 1});
  check_attention((struct attention_args){.heads = 1, .kv_heads = 1, .head_size = 100, .accumulate_v = 1});
}

static void test_attention_causal(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 4, .kv_heads = 2, .head_size = 16, .causal = 1});
  const int windows[] = {1, 5, 32, 33, 64};
  for (size_t i = 0; i < COUNT_OF(windows); i++)
    check_attention(
        (struct attention_args){.heads = 2, .kv_heads = 1, .head_size = 8, .causal = 1, .window = windows[i]});
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
    for (int causal = 0; causal < 2; causal++)
      check_attention((struct attention_args){.dropout = causal ? some_dropout : no_dropout, .heads = 4, .kv_heads = 2,
                                              .head_size = 10, .queries = queries, .causal = causal,
                                              .window = causal * 7});
}

static void test_attention_wide(void **state) {
  (void)state;
  check_attention((struct attention_args){.heads = 1, .kv_heads = 1, .head_size = 256, .causal = 1});
}

#endif
