/* The distributions that warpers leave, token by token: each token is drawn as often as its share says, and none that
   is cut off ever. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/generate/sampler.h"

enum { V = 6, DRAWS = 20000 };
static const float logits[V] = {1.0f, 3.0f, 0.5f, 3.5f, -2.0f, 2.0f};
static const struct sampling plain = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 7};

/* Shares of so many draws; each draw has a sampler of its own, so that no penalty gathers. */
static void shares_of(double out[V], const struct sampling *how, const int32_t *prompt, size_t count) {
  memset(out, 0, V * sizeof *out);
  for (size_t i = 0; i < DRAWS; i++) {
    struct sampler s;
    struct error err;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    assert_int_equal(sampler_init(&s, how, V, prompt, count, &arena, &err), STATUS_OK);
    out[sampler_next(&s, logits, i)] += 1.0 / DRAWS;
    arena_done(&arena);
  }
}

/* `want` are weights; 0: never. */
static void gives(const struct sampling *how, const int32_t *prompt, size_t count, const double want[V]) {
  double got[V], sum = 0;
  shares_of(got, how, prompt, count);
  for (size_t i = 0; i < V; i++)
    sum += want[i];
  for (size_t i = 0; i < V; i++) {
    double share = want[i] / sum, deviation = sqrt(share * (1 - share) / DRAWS);
    if (want[i] == 0)
      assert_true(got[i] == 0);
    else if (fabs(got[i] - share) > 4.5 * deviation + 1e-9)
      fail_msg("token %zu: %g, not %g", i, got[i], share);
  }
}

static void weights(double out[V], double temperature) {
  for (size_t i = 0; i < V; i++)
    out[i] = exp((double)logits[i] / temperature);
}

static void temperatures(void **state) {
  double want[V];
  struct sampling how = plain;
  (void)state;
  weights(want, 1);
  gives(&how, NULL, 0, want);
  how.temperature = 0.5;
  weights(want, 0.5);
  gives(&how, NULL, 0, want);
}

static void greedy_takes_the_first_of_the_largest(void **state) {
  static const float even[4] = {1, 5, 5, 2};
  struct sampler s;
  struct error err;
  struct arena arena;
  struct sampling how = plain;
  (void)state;
  how.temperature = 0;
  arena_init(&arena, 1 << 16);
  assert_int_equal(sampler_init(&s, &how, 4, NULL, 0, &arena, &err), STATUS_OK);
  for (size_t i = 0; i < 10; i++)
    assert_int_equal(sampler_next(&s, even, i), 1);
  arena_done(&arena);
}

static void warpers_cut(void **state) {
  double want[V];
  struct sampling how = plain;
  (void)state;
  how.top_k = 2; /* 3 and 1 */
  weights(want, 1);
  want[0] = want[2] = want[4] = want[5] = 0;
  gives(&how, NULL, 0, want);
  how.top_k = 5; /* by the other way: more than half of the vocabulary */
  weights(want, 1);
  want[4] = 0;
  gives(&how, NULL, 0, want);
  how.top_k = 0;
  how.top_p = 0.8; /* shares 0.501, 0.304, 0.112, ...: three reach it, since two have 0.8048 only with them */
  weights(want, 1);
  double sum = 0;
  for (size_t i = 0; i < V; i++)
    sum += want[i];
  bool two = (want[3] + want[1]) / sum >= 0.8;
  want[0] = want[2] = want[4] = 0;
  want[5] = two ? 0 : want[5];
  gives(&how, NULL, 0, want);
  how.top_p = 0.01; /* always one */
  weights(want, 1);
  want[0] = want[1] = want[2] = want[4] = want[5] = 0;
  gives(&how, NULL, 0, want);
  how.top_p = 1;
  how.min_p = 0.2; /* of the likeliest: e^-1.5 = 0.223 stays, e^-2.5 goes */
  weights(want, 1);
  want[0] = want[2] = want[4] = 0;
  gives(&how, NULL, 0, want);
}

static void penalties(void **state) {
  static const int32_t prompt[] = {3, 4};
  struct number_entry bias[] = {{"1", -100}, {"0", 1.5}};
  double want[V];
  struct sampling how = plain;
  (void)state;
  how.repetition_penalty = 2; /* 3.5 / 2, -2 * 2 */
  weights(want, 1);
  want[3] = exp(1.75);
  want[4] = exp(-4);
  gives(&how, prompt, 2, want);
  how.repetition_penalty = 1;
  how.presence_penalty = how.frequency_penalty = 2; /* a prompt's tokens are not the completion's */
  weights(want, 1);
  gives(&how, prompt, 2, want);
  how = plain;
  how.logit_bias = (struct number_map){2, bias};
  weights(want, 1);
  want[0] = exp(2.5);
  want[1] = 0; /* e^-97 */
  gives(&how, NULL, 0, want);
}

/* The completion's tokens count: greedy goes from one to the next. */
static void penalties_gather(void **state) {
  static const float row[3] = {3, 2.5f, 0};
  static const int32_t want[] = {0, 1, 0, 1, 0};
  struct sampler s;
  struct error err;
  struct arena arena;
  struct sampling how = plain;
  (void)state;
  how.temperature = 0;
  how.frequency_penalty = 0.6; /* 3, 2.5 | 2.4, 2.5 | 2.4, 1.9 | 1.8, 1.9 | 1.8, 1.3 */
  arena_init(&arena, 1 << 16);
  assert_int_equal(sampler_init(&s, &how, 3, NULL, 0, &arena, &err), STATUS_OK);
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(sampler_next(&s, row, i), want[i]);
  arena_done(&arena);
}

static void the_seed_decides(void **state) {
  int32_t ids[2][64];
  struct error err;
  struct arena arena;
  struct sampling how = plain;
  size_t equal = 0;
  (void)state;
  arena_init(&arena, 1 << 16);
  for (int run = 0; run < 3; run++) {
    struct sampler s;
    how.seed = run == 2 ? 8 : 7;
    assert_int_equal(sampler_init(&s, &how, V, NULL, 0, &arena, &err), STATUS_OK);
    for (size_t i = 0; i < 64; i++)
      ids[run > 0][i] = sampler_next(&s, logits, i);
    if (run == 1)
      assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
  }
  for (size_t i = 0; i < 64; i++)
    equal += ids[0][i] == ids[1][i];
  assert_true(equal < 50);
  arena_done(&arena);
}

static void bad_bias_is_refused(void **state) {
  static const char *const keys[] = {"a", "", "-1", "6", "1x", "99999999999"};
  (void)state;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct number_entry bias = {keys[i], 1};
    struct sampling how = plain;
    struct sampler s;
    struct error err = {0};
    struct arena arena;
    how.logit_bias = (struct number_map){1, &bias};
    arena_init(&arena, 1 << 16);
    assert_int_equal(sampler_init(&s, &how, V, NULL, 0, &arena, &err), STATUS_INVALID_VALUE);
    assert_string_equal(err.param, "logit_bias");
    arena_done(&arena);
  }
}

static void log_probabilities(void **state) {
  struct token_share top[3];
  double sum = 0;
  (void)state;
  for (size_t i = 0; i < V; i++)
    sum += exp((double)logits[i]);
  assert_true(fabs(sampler_logprobs(top, 3, logits, V, 2) - (0.5 - log(sum))) < 1e-9);
  assert_true(top[0].id == 3 && top[1].id == 1 && top[2].id == 5);
  assert_true(fabs(top[2].share - (2.0 - log(sum))) < 1e-9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(temperatures),        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
      cmocka_unit_test(warpers_cut),         cmocka_unit_test(penalties),
      cmocka_unit_test(penalties_gather),    cmocka_unit_test(the_seed_decides),
      cmocka_unit_test(bad_bias_is_refused), cmocka_unit_test(log_probabilities),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
