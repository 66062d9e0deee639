/* Scores of embeddings: the numbers are those of sentence-transformers' losses and evaluators, for four triplets among
   whose texts some are the same. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/embeddings.h"

enum { EXAMPLES = 4, TEXTS = 3, WIDTH = 3 };

static const float given[EXAMPLES * TEXTS][WIDTH] = {{1, 0, 0},       {.9f, .1f, .2f}, {-.2f, 1, 0},    {0, 1, 0},
                                                     {.5f, .6f, 0},   {.4f, .9f, .1f}, {1, 0, 0},       {.2f, .3f, 1},
                                                     {.9f, .1f, .2f}, {0, .1f, 1},     {.9f, .1f, .2f}, {0, .2f, .9f}};
static int32_t token_ids[EXAMPLES * TEXTS];
static size_t ends[EXAMPLES * TEXTS + 1];
static float rows[EXAMPLES * TEXTS][WIDTH];
static struct pool *pool;

static void near(double got, double want) {
  if (!(fabs(got - want) < 1e-6))
    fail_msg("%.9g, not %.9g", got, want);
}

/* A token a text: equal texts have equal ones. */
static void make(struct corpus *c) {
  static const int32_t of[EXAMPLES * TEXTS] = {1, 2, 3, 4, 5, 6, 1, 7, 2, 8, 2, 9};
  for (size_t i = 0; i < EXAMPLES * TEXTS; i++) {
    token_ids[i] = of[i];
    ends[i + 1] = i + 1;
  }
  memcpy(rows, given, sizeof rows);
  *c = (struct corpus){.count = EXAMPLES, .texts = TEXTS, .cu_seqlens = ends, .token_ids = token_ids};
}

static void scores_searches(void **state) {
  (void)state;
  struct corpus corpus;
  struct embeddings_scores s;
  struct error err;
  make(&corpus);
  struct embeddings e = {&rows[0][0], WIDTH, &corpus, EXAMPLES, 20, 3};
  assert_int_equal(embeddings_score(&s, &e, pool, &err), STATUS_OK);
  near(s.loss, 9.215041160583496);
  near(s.triplets, 0.25);
  near(s.accuracy_1, 1.0 / 3);
  near(s.recall_10, 1);
  near(s.mrr_10, 0.5555555555);
  near(s.ndcg_10, 0.62573844);
  near(embeddings_cosine(&e, 1, 1), 0.76822128);
}

/* All alike: nothing is found. */
static void a_collapse_scores_nothing(void **state) {
  (void)state;
  struct corpus corpus;
  struct embeddings_scores s;
  struct error err;
  make(&corpus);
  for (size_t i = 0; i < EXAMPLES * TEXTS; i++)
    memcpy(rows[i], given[1], sizeof rows[i]);
  struct embeddings e = {&rows[0][0], WIDTH, &corpus, EXAMPLES, 20, EXAMPLES};
  assert_int_equal(embeddings_score(&s, &e, pool, &err), STATUS_OK);
  near(s.loss, log(8));
  near(s.triplets, 0);
  near(s.accuracy_1, 0);
  assert_true(s.mrr_10 <= 0.2);
}

/* A vector of zeros has no direction, and is like nothing. */
static void scores_cosines(void **state) {
  (void)state;
  static float targets[] = {1, .5f, -.5f, 0}, pairs[EXAMPLES * 2][WIDTH];
  struct corpus corpus;
  struct embeddings_scores s;
  struct error err;
  make(&corpus);
  corpus.texts = 2;
  corpus.targets = targets;
  for (size_t i = 0; i < EXAMPLES; i++)
    memcpy(pairs[2 * i], given[TEXTS * i], 2 * sizeof pairs[0]);
  struct embeddings e = {&pairs[0][0], WIDTH, &corpus, EXAMPLES, 20, EXAMPLES};
  assert_int_equal(embeddings_score(&s, &e, pool, &err), STATUS_OK);
  near(s.loss, 0.14928173293027452);
  near(s.pearson, 0.9525616699453694);
  near(s.spearman, 1);
  memset(pairs[0], 0, sizeof pairs[0]);
  assert_int_equal(embeddings_score(&s, &e, pool, &err), STATUS_OK);
  near(embeddings_cosine(&e, 0, 1), 0);
}

static int open_pool(void **state) {
  (void)state;
  struct error err;
  return pool_new(&pool, 2, &err) != STATUS_OK;
}

static int close_pool(void **state) {
  (void)state;
  pool_free(pool);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(scores_searches), cmocka_unit_test(a_collapse_scores_nothing),
                                     cmocka_unit_test(scores_cosines)};
  return cmocka_run_group_tests(tests, open_pool, close_pool);
}
