/* Batches: whatever the order and the rule, every example is in one batch, no batch goes beyond the limits that memory
   was planned for, none is smaller than it must be, and a batch holds what its examples hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/train/batch.h"

enum { VOCABULARY = 1000, LONGEST = 60, COUNT = 200 };

/* `count` examples of 1 to `longest` random tokens, each in the loss mask or not by a coin. */
static void make(struct corpus *c, size_t count, size_t longest, struct rng *rng) {
  int32_t ids[LONGEST];
  uint8_t loss_mask[LONGEST];
  struct error err = {0};
  *c = (struct corpus){0};
  for (size_t i = 0; i < count; i++) {
    size_t length = 1 + rng_below(rng, longest);
    for (size_t t = 0; t < length; t++) {
      ids[t] = (int32_t)rng_below(rng, VOCABULARY);
      loss_mask[t] = rng_below(rng, 2) == 1;
    }
    assert_int_equal(corpus_append(c, ids, NULL, loss_mask, length, VOCABULARY, &err), STATUS_OK);
  }
}

static void shuffle(uint32_t *order, size_t count, struct rng *rng) {
  for (size_t i = 0; i < count; i++)
    order[i] = (uint32_t)i;
  rng_shuffle(rng, order, count);
}

static size_t length_of(const struct corpus *c, uint32_t example) {
  return c->cu_seqlens[example + 1] - c->cu_seqlens[example];
}

/* What the trainer would do with one order: the sizes of its batches keep the rule and are as large as it allows. */
static void walk(const struct corpus *c, const uint32_t *order, const struct batch_rule *rule) {
  struct batch_limits limits = batch_limits_for(c, rule);
  assert_int_equal(limits.longest, c->longest);
  for (size_t first = 0, n; first < c->count; first += n) {
    n = batch_next(c, order, c->count, first, rule);
    size_t tokens = 0;
    assert_in_range(n, 1, c->count - first);
    for (size_t i = first; i < first + n; i++)
      tokens += length_of(c, order[i]);
    assert_true(!rule->examples || n <= rule->examples);
    assert_true(!rule->tokens || n == 1 || tokens <= rule->tokens);
    assert_true(n <= limits.sequences && tokens <= limits.tokens);
    bool full = rule->examples && n == rule->examples;
    if (first + n < c->count && !full)
      assert_true(rule->tokens && tokens + length_of(c, order[first + n]) > rule->tokens);
  }
}

static void plans_every_order(void **state) {
  (void)state;
  static const struct batch_rule rules[] = {{1, 0},   {7, 0},  {1000, 0}, {0, 1},     {0, 40},
                                            {0, 500}, {3, 90}, {50, 90},  {0, 100000}};
  struct rng rng;
  uint32_t order[COUNT];
  rng_init(&rng, 17, RNG_SHUFFLE);
  for (size_t round = 0; round < 40; round++) {
    struct corpus c;
    make(&c, 1 + rng_below(&rng, COUNT), 1 + rng_below(&rng, LONGEST), &rng);
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
      shuffle(order, c.count, &rng);
      walk(&c, order, &rules[r]);
    }
    corpus_done(&c);
  }
}

/* The limits are those that some order reaches, not only bounds: memory is not wasted. */
static void limits_are_reached(void **state) {
  (void)state;
  static const size_t lengths[] = {5, 1, 9, 2, 2, 7};
  struct corpus c = {0};
  struct error err = {0};
  int32_t ids[9] = {0};
  uint8_t loss_mask[9] = {0};
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(corpus_append(&c, ids, NULL, loss_mask, lengths[i], VOCABULARY, &err), STATUS_OK);
  static const struct {
    struct batch_rule rule;
    size_t sequences, tokens;
  } cases[] = {
      {{2, 0}, 2, 16}, {{100, 0}, 6, 26}, {{0, 10}, 4, 10},  {{2, 10}, 2, 10},
      {{0, 4}, 2, 9},  {{1, 100}, 1, 9},  {{0, 100}, 6, 26},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct batch_limits limits = batch_limits_for(&c, &cases[i].rule);
    assert_int_equal(limits.sequences, cases[i].sequences);
    assert_int_equal(limits.tokens, cases[i].tokens);
    assert_int_equal(limits.longest, 9);
  }
  corpus_done(&c);
}

/* Every answer is the next token of the same sequence, and every token of the loss mask but a first one has its row. */
static void fills_batches(void **state) {
  (void)state;
  struct rng rng;
  struct error err = {0};
  struct corpus c;
  struct batch b;
  uint32_t order[COUNT];
  struct batch_rule rule = {9, 200};
  rng_init(&rng, 3, RNG_SHUFFLE);
  make(&c, COUNT, LONGEST, &rng);
  struct batch_limits limits = batch_limits_for(&c, &rule);
  assert_int_equal(batch_init(&b, &limits, 1, true, &err), STATUS_OK);
  shuffle(order, COUNT, &rng);
  for (size_t first = 0, n; first < COUNT; first += n) {
    n = batch_next(&c, order, COUNT, first, &rule);
    batch_fill(&b, &c, order + first, n);
    assert_int_equal(b.sequences.count, n);
    size_t row = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
      size_t from = c.cu_seqlens[order[first + i]], length = length_of(&c, order[first + i]);
      assert_int_equal(b.cu_seqlens[i], at);
      assert_memory_equal(b.token_ids + at, c.token_ids + from, length * sizeof *c.token_ids);
      for (size_t t = 1; t < length; t++)
        if (c.loss_mask[from + t]) {
          assert_true(row < b.targets.count);
          assert_int_equal(b.targets.rows[row], at + t - 1);
          assert_int_equal(b.targets.ids[row++], c.token_ids[from + t]);
        }
      at += length;
    }
    assert_int_equal(b.sequences.tokens, at);
    assert_int_equal(b.cu_seqlens[n], at);
    assert_int_equal(b.targets.count, row);
  }
  batch_done(&b);
  corpus_done(&c);
}

/* Examples of several texts: their tokens count together, and a batch has first all first texts. */
static void texts_stand_by_their_place(void **state) {
  (void)state;
  enum { EXAMPLES = 30, TEXTS = 3 };
  struct corpus c;
  struct rng rng;
  struct batch b;
  struct error err;
  uint32_t order[EXAMPLES];
  rng_init(&rng, 5, 1);
  make(&c, EXAMPLES * TEXTS, LONGEST, &rng);
  free(c.loss_mask);
  c.loss_mask = NULL;
  c.count = EXAMPLES;
  c.texts = TEXTS;
  shuffle(order, EXAMPLES, &rng);
  static const struct batch_rule rules[] = {{.examples = 7}, {.tokens = 200}, {.examples = 4, .tokens = 150}};
  for (size_t r = 0; r < COUNT_OF(rules); r++) {
    struct batch_limits limits = batch_limits_for(&c, &rules[r]);
    assert_int_equal(batch_init(&b, &limits, 1, false, &err), STATUS_OK);
    for (size_t first = 0, n; first < EXAMPLES; first += n) {
      n = batch_next(&c, order, EXAMPLES, first, &rules[r]);
      batch_fill(&b, &c, order + first, n);
      assert_int_equal(b.sequences.count, n * TEXTS);
      assert_true(b.sequences.count <= limits.sequences && b.sequences.tokens <= limits.tokens);
      assert_true(n == 1 || !rules[r].tokens || b.sequences.tokens <= rules[r].tokens);
      for (size_t s = 0; s < n * TEXTS; s++) {
        size_t sequence = order[first + s % n] * TEXTS + s / n, from = c.cu_seqlens[sequence];
        assert_int_equal(b.cu_seqlens[s + 1] - b.cu_seqlens[s], c.cu_seqlens[sequence + 1] - from);
        assert_memory_equal(b.token_ids + b.cu_seqlens[s], c.token_ids + from,
                            (c.cu_seqlens[sequence + 1] - from) * sizeof *c.token_ids);
      }
      for (size_t i = 0; i < n; i++)
        assert_int_equal(b.targets.ids[i], i);
    }
    batch_done(&b);
  }
  corpus_done(&c);
}

/* Of words with tags a batch names the rows that have one, with its class. */
static void tags_stand_on_their_rows(void **state) {
  (void)state;
  enum { EXAMPLES = 20, WORDS = 5 };
  struct corpus c;
  struct rng rng;
  struct batch b;
  struct error err;
  uint32_t order[EXAMPLES];
  static uint32_t marks[EXAMPLES * WORDS], rows[EXAMPLES * WORDS];
  size_t cu_marks[EXAMPLES + 1] = {0};
  rng_init(&rng, 6, 1);
  make(&c, EXAMPLES, LONGEST, &rng);
  free(c.loss_mask);
  c.loss_mask = NULL;
  for (uint32_t i = 0; i < EXAMPLES; i++) {
    cu_marks[i + 1] = cu_marks[i] + WORDS;
    for (uint32_t w = 0; w < WORDS; w++) {
      marks[i * WORDS + w] = (uint32_t)rng_below(&rng, 7);
      rows[i * WORDS + w] = w < length_of(&c, i) ? w : WORD_NONE; /* the others were cut off */
    }
  }
  c.marks = marks;
  c.mark_rows = rows;
  c.cu_marks = cu_marks;
  shuffle(order, EXAMPLES, &rng);
  const struct batch_rule rule = {.examples = 6};
  struct batch_limits limits = batch_limits_for(&c, &rule);
  assert_int_equal(batch_init(&b, &limits, 1, true, &err), STATUS_OK);
  for (size_t first = 0, n; first < EXAMPLES; first += n) {
    n = batch_next(&c, order, EXAMPLES, first, &rule);
    batch_fill(&b, &c, order + first, n);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
      for (size_t w = 0; w < WORDS && w < length_of(&c, order[first + i]); w++, at++) {
        assert_int_equal(b.rows[at], b.cu_seqlens[i] + w);
        assert_int_equal(b.targets.ids[at], marks[order[first + i] * WORDS + w]);
      }
    assert_true(b.sequences.row_count == at && b.targets.count == at && place_address(b.sequences.rows) == b.rows);
  }
  batch_done(&b);
  c.marks = c.mark_rows = NULL;
  c.cu_marks = NULL;
  corpus_done(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_stand_by_their_place),
      cmocka_unit_test(tags_stand_on_their_rows),
      cmocka_unit_test(plans_every_order),
      cmocka_unit_test(limits_are_reached),
      cmocka_unit_test(fills_batches),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
