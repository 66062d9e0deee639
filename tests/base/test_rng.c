/* Philox gives the published known answers; positions are independent of how they are reached; the
   helpers are unbiased enough to be told from broken ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* philox4x32-10 of Random123's kat_vectors: counter words are (counter, stream), key words the seed. */
static void gives_known_answers(void **state) {
  (void)state;
  static const struct {
    uint64_t seed, stream, counter;
    uint32_t want[4];
  } cases[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    uint32_t got[4];
    rng_philox(got, cases[i].seed, cases[i].stream, cases[i].counter);
    assert_memory_equal(got, cases[i].want, sizeof got);
  }
}

static void walks_the_blocks_in_order(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, 42, RNG_SHUFFLE);
  for (uint64_t block = 0; block < 3; block++) {
    uint32_t want[4];
    rng_philox(want, 42, RNG_SHUFFLE, block);
    for (int i = 0; i < 4; i++)
      assert_int_equal(rng_u32(&rng), want[i]);
  }
}

static void keeps_streams_and_seeds_apart(void **state) {
  (void)state;
  struct rng a, b, c;
  rng_init(&a, 1, RNG_INIT);
  rng_init(&b, 1, RNG_DROPOUT);
  rng_init(&c, 2, RNG_INIT);
  uint32_t x = rng_u32(&a);
  assert_int_not_equal(x, rng_u32(&b));
  assert_int_not_equal(x, rng_u32(&c));
}

static void stays_in_range(void **state) {
  (void)state;
  struct rng rng;
  unsigned seen[7] = {0};
  double sum = 0;
  rng_init(&rng, 7, 0);
  for (int i = 0; i < 70000; i++) {
    uint64_t below = rng_below(&rng, 7);
    float uniform = rng_uniform(&rng);
    assert_true(below < 7 && uniform >= 0 && uniform < 1);
    seen[below]++;
    sum += (double)uniform;
  }
  for (int i = 0; i < 7; i++)
    assert_in_range(seen[i], 9600, 10400); /* 10,000 +- 4 standard deviations */
  assert_true(sum > 34600 && sum < 35400);
  assert_int_equal(rng_below(&rng, 1), 0);
}

static void normal_numbers_have_their_moments(void **state) {
  (void)state;
  enum { COUNT = 40000 };
  struct rng rng;
  double sum[5] = {0};
  rng_init(&rng, 11, RNG_INIT);
  for (int i = 0; i < COUNT; i++) {
    double x = rng_normal(&rng), power = 1;
    assert_true(isfinite(x));
    for (int p = 1; p < 5; p++)
      sum[p] += (power *= x) / COUNT;
  }
  assert_true(fabs(sum[1]) < 0.02 && fabs(sum[2] - 1) < 0.03 && fabs(sum[3]) < 0.08 && fabs(sum[4] - 3) < 0.2);
}

static void shuffles_to_a_permutation(void **state) {
  (void)state;
  uint32_t items[100], again[100];
  struct rng rng;
  for (uint32_t i = 0; i < 100; i++)
    items[i] = again[i] = i;
  rng_init(&rng, 3, RNG_SHUFFLE);
  rng_shuffle(&rng, items, 100);
  rng_init(&rng, 3, RNG_SHUFFLE);
  rng_shuffle(&rng, again, 100);
  assert_memory_equal(items, again, sizeof items);
  unsigned char seen[100] = {0}, moved = 0;
  for (uint32_t i = 0; i < 100; i++) {
    seen[items[i]]++;
    moved += items[i] != i;
  }
  for (int i = 0; i < 100; i++)
    assert_int_equal(seen[i], 1);
  assert_true(moved > 80);
  rng_shuffle(&rng, items, 0);
}

static void makes_identifiers(void **state) {
  (void)state;
  char a[40], b[40];
  rng_id(a, sizeof a, "file-");
  rng_id(b, sizeof b, "file-");
  assert_int_equal(strlen(a), 5 + 24);
  assert_int_equal(strncmp(a, "file-", 5), 0);
  assert_int_equal(strspn(a + 5, "abcdefghijklmnopqrstuvwxyz0123456789"), 24);
  assert_string_not_equal(a, b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_known_answers),           cmocka_unit_test(walks_the_blocks_in_order),
      cmocka_unit_test(keeps_streams_and_seeds_apart), cmocka_unit_test(stays_in_range),
      cmocka_unit_test(normal_numbers_have_their_moments),
      cmocka_unit_test(shuffles_to_a_permutation),     cmocka_unit_test(makes_identifiers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
