/* Cases of attention for test_conformance.c. */
#ifndef TESTS_WORKER_OP_CASES_ATTENTION_H
#define TESTS_WORKER_OP_CASES_ATTENTION_H

#include "tests/worker/op/trial.h"

static void make_attention(struct trial *t) {
  t->attention = (struct attention){.heads = HEADS, .kv_heads = KV, .scale = 0.7f};
}

static void make_causal(struct trial *t) {
  make_attention(t);
  t->attention.causal = true;
  t->attention.window = 6;
  t->attention.dropout = dropout_make(0.3, 3, 4, 5);
}

static void make_softcap(struct trial *t) {
  make_causal(t);
  t->attention.softcap = 0.6f;
}

static void make_window(struct trial *t) {
  make_causal(t);
  t->attention.causal = false;
}

static void make_last_query(struct trial *t) {
  make_attention(t);
  t->attention.causal = true;
  t->attention.queries = POOLING_LAST;
}

static int32_t distance_rows[2 * 17 - 1];
static struct place all_rows(struct trial *t) {
  for (int d = -16; d <= 16; d++) /* 3 .. 11, near ones one each */
    distance_rows[d + 16] = 3 + (d < -3 ? 0 : d > 3 ? 8 : d + 4);
  return import(t, distance_rows, sizeof distance_rows);
}

static void make_distances(struct trial *t) {
  t->attention = (struct attention){.heads = HEADS, .kv_heads = HEADS, .scale = 0.7f};
  t->attention.distances = (struct distances){.index = all_rows(t), .longest = longest, .first = 3};
}

static void make_bias(struct trial *t) {
  make_distances(t);
  t->attention.distances.bias = numbers(t, 9 * HEADS, 25);
  t->attention.dropout = dropout_make(0.3, 3, 4, 5);
}

static void make_first_query(struct trial *t) {
  make_bias(t);
  t->attention.queries = POOLING_CLS;
}

/* q, and tables of keys and of queries; k and v are the first of them. */
static struct tensor *distances(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct attention how = t->attention;
  struct tensor *q = op_pooling(tape, in[0], &t->sequences, how.queries);
  how.distances.keys = in[1];
  how.distances.queries = in[2];
  return op_attention(tape, q, in[0], in[0], &t->sequences, &how);
}

/* Only one of the tables. */
static struct tensor *keys_only(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct attention how = t->attention;
  how.distances.keys = in[1];
  return op_attention(tape, in[0], in[0], in[0], &t->sequences, &how);
}

static struct tensor *queries_only(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct attention how = t->attention;
  how.distances.queries = in[1];
  return op_attention(tape, in[0], in[0], in[0], &t->sequences, &how);
}

static struct tensor *attention(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_attention(tape, in[0], in[1], in[2], &t->sequences, &t->attention);
}

#endif
