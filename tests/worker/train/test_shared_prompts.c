/* On every tiny golden language model: two completions that share the rows of their prompt have the losses, gradients
   and references that they have each with rows of its own. */
#include "tests/worker/engine_cpu.h"
#include "worker/train/preferences.h"

enum { VOCABULARY = 99, PAIRS = 5 };
static const struct batch_limits limits = {2 * PAIRS, 512, 48};

static const char *const models[] = {
    "gemma-hra",   "gemma2-hra", "gemma3-hra", "gpt2-lora", "granite-hra",   "llama-hra",
    "llama3-hra",  "mistral-hra", "mixtral-hra", "olmo2-hra", "phi3-hra",      "phi3-long-hra",
    "phi4-mini-hra", "qwen2-hra", "qwen3-hra",  "qwen3-yarn-hra", "qwen3moe-lora", "smollm3-hra"};

/* Prompts of 1 to 33 tokens, then completions of 1 to 8; the last two begin alike. */
static void make_pairs(struct corpus *c) {
  static const size_t prompts[PAIRS] = {1, 9, 20, 33, 6}, lengths[PAIRS][2] = {{3, 8}, {1, 5}, {8, 2}, {4, 4}, {6, 7}};
  struct error err;
  for (size_t e = 0; e < PAIRS; e++)
    for (size_t text = 0; text < 2; text++) {
      int32_t ids[64];
      uint8_t mask[64];
      size_t count = prompts[e] + lengths[e][text];
      for (size_t i = 0; i < count; i++) {
        bool answer = i >= prompts[e];
        size_t other = answer && (e < PAIRS - 1 || i > prompts[e] + 2) ? text : 0;
        ids[i] = (int32_t)((7 * e + 13 * i + 31 * other) % VOCABULARY);
        mask[i] = answer;
      }
      assert_int_equal(corpus_append(c, ids, NULL, mask, count, VOCABULARY, &err), STATUS_OK);
    }
  c->texts = 2;
  c->count = PAIRS;
  c->learns_prompts = true;
}

struct outcome {
  double loss;
  double reference[2 * PAIRS];
  size_t rows, tokens;
  float *gradients;
  size_t count;
};

static void train(struct outcome *o, struct model *m, bool shares) {
  static const struct preference how = {.loss = PREFERENCE_SIGMOID, .beta = 0.5, .sft_weight = 0.7};
  static const uint32_t order[PAIRS] = {3, 0, 4, 1, 2};
  struct learner l = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};
  struct corpus c = {0};
  struct batch b;
  struct error err = {0};
  make_pairs(&c);
  preference_configure(&l, m, how, true);
  assert_true(l.shares_prompts && l.reference_base);
  l.shares_prompts = shares;
  preference_share_prompts(&c, &l, m);
  assert_int_equal(batch_init(&b, &limits, 1, true, &err), STATUS_OK);
  if (learner_init(&l, m, &limits, &limits, &err) || preference_references(&c, &(struct corpus){0}, &l, NULL, &err) ||
      learner_begin(&l, NULL, &err) || preference_fill(&b, &l, &c, order, PAIRS, 1.0 / PAIRS, 0.01, &err) ||
      learner_accumulate(&l, &b.sequences, &b.targets, 1, 0, &o->loss, NULL, &err))
    fail_msg("%s", err.text);
  learner_finish(&l);
  o->rows = b.sequences.tokens;
  o->tokens = b.tokens;
  memcpy(o->reference, c.reference, sizeof o->reference);
  o->count = parameter_elements(&m->parameters);
  o->gradients = malloc(o->count * sizeof *o->gradients);
  assert_non_null(o->gradients);
  float *to = o->gradients;
  for (size_t i = 0; i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    memcpy(to, p->grad, p->count * sizeof *to);
    to += p->count;
  }
  corpus_done(&c);
  batch_done(&b);
  learner_done(&l);
}

/* How many rows the pairs save, of which only such share whose lengths are on the same side of `most`. */
static size_t saved(size_t most) {
  static const size_t alike[PAIRS][3] = {{0, 4, 9}, {8, 10, 14}, {19, 28, 22}, {32, 37, 37}, {5, 12, 13}};
  size_t rows = 0;
  for (size_t e = 0; e < PAIRS; e++)
    rows += !most || (alike[e][1] > most) == (alike[e][2] > most) ? alike[e][0] : 0;
  return rows;
}

static void compare(const char *name) {
  struct model model = {0};
  struct adapter_spec spec = {.peft_type = PEFT_LORA,
                              .lora = {.r = 4, .lora_alpha = 4, .init_lora_weights = LORA_INIT_FALSE,
                                       .loraplus_lr_ratio = 1}};
  struct outcome shared, apart;
  struct error err = {0};
  char path[200];
  snprintf(path, sizeof path, "tests/golden/cases/%s/model", name);
  if (model_open(&model, path, OUTPUT_TEXT, 0, 5, &backend, &err) || model_adapt(&model, &spec, 5, &err))
    fail_msg("%s: %s", name, err.text);
  train(&apart, &model, false);
  train(&shared, &model, true);
  if (shared.rows + saved(model.cache_most) != shared.tokens || shared.tokens != apart.tokens)
    fail_msg("%s: %zu rows of %zu tokens", name, shared.rows, shared.tokens);
  assert_int_equal(apart.rows, apart.tokens);
  assert_true(apart.loss > 0.1 && fabs(shared.loss - apart.loss) < 2e-6 * apart.loss);
  for (size_t i = 0; i < 2 * PAIRS; i++)
    assert_true(apart.reference[i] < -1 && fabs(shared.reference[i] - apart.reference[i]) < 2e-5);
  double largest = 0, error = 0;
  for (size_t i = 0; i < apart.count; i++) {
    largest = fmax(largest, fabs((double)apart.gradients[i]));
    error = fmax(error, fabs((double)shared.gradients[i] - (double)apart.gradients[i]));
  }
  if (largest < 1e-4 || error > 1e-4 * largest)
    fail_msg("%s: gradients up to %g, %g apart", name, largest, error);
  free(shared.gradients);
  free(apart.gradients);
  model_close(&model);
}

static void prompts_are_shared(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(models); i++)
    compare(models[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(prompts_are_shared)};
  return cmocka_run_group_tests(tests, engine_setup, engine_teardown);
}
