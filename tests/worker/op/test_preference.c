/* Proves the losses of completions: gradients by differences, and values by their formulas, of every kind; what is far
   out stays finite; log-probabilities alone are the sums of the tokens'. */
#include "tests/worker/engine_cpu.h"

enum { N = 40, C = 11, V = 37, SEQUENCES = 6, ROWS = 30 };

static uint32_t rows[ROWS], labels[ROWS];
static const uint32_t cu_rows[SEQUENCES + 1] = {0, 4, 9, 14, 20, 23, ROWS};
static uint8_t prompt[ROWS];
static const double reference[SEQUENCES] = {-14, -19, -18, -22, -10, -27};
static const uint8_t desirable[SEQUENCES] = {1, 0, 0, 1, 1, 0};

static int setup(void **state) {
  for (uint32_t i = 0; i < ROWS; i++) {
    rows[i] = i + i / 4;
    labels[i] = i * 7 % V;
    prompt[i] = i == 0 || i == 4 || i == 5;
  }
  return engine_setup(state);
}

struct speech {
  struct linear head;
  struct next_tokens tokens;
  struct preference how;
  struct completions completions;
};
static struct preference_scores scores;

static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct speech *s = g->extra;
  op_linear_preference(tape, graph_input(tape, g->x), &s->head, &s->tokens, &s->how, &s->completions, loss, &scores);
}

static struct speech make_speech(enum preference_loss loss) {
  static struct parameter *w;
  w = w ? w : matrix("w", V, C, 3);
  return (struct speech){
      .head = {.name = "lm_head", .in = C, .out = V, .weight = weight_of(w->data, V, C)},
      .tokens = {place_host(rows), place_host(labels), ROWS},
      .how = {.loss = loss, .beta = 0.3, .desirable_weight = 1, .undesirable_weight = 1.5},
      .completions = {SEQUENCES, cu_rows, prompt, reference, desirable, 0.7, 1.0 / 3, 1.0 / 14, NULL},
  };
}

/* A completion's log-probability by its definition. */
static double logp_of(const struct speech *s, const struct parameter *x, size_t sequence, size_t *tokens, double *all) {
  double sum = 0;
  *tokens = 0;
  for (size_t i = cu_rows[sequence]; i < cu_rows[sequence + 1]; i++) {
    float logits[V] = {0};
    const float *w = place_floats(s->head.weight.place);
    for (size_t v = 0; v < V; v++)
      for (size_t c = 0; c < C; c++)
        logits[v] += w[v * C + c] * x->data[rows[i] * C + c];
    double loss = op_row_loss(logits, V, labels[i]);
    *all += loss;
    if (!prompt[i]) {
      sum -= loss;
      ++*tokens;
    }
  }
  return sum;
}

static double log_sigmoid(double x) {
  return -log(1 + exp(-x));
}

static double want_pair(const struct speech *s, const struct parameter *x, size_t pair, double *sft) {
  size_t n, m;
  double e = s->how.label_smoothing, beta = s->how.beta, rest = 0;
  double c = logp_of(s, x, pair, &n, sft), r = logp_of(s, x, pair + SEQUENCES / 2, &m, &rest);
  double p = c / (double)n, q = r / (double)m;
  double h = beta * ((c - reference[pair]) - (r - reference[pair + SEQUENCES / 2]));
  double margin = (c - reference[pair]) / (double)n - (r - reference[pair + SEQUENCES / 2]) / (double)m;
  switch (s->how.loss) {
  case PREFERENCE_SIGMOID: return -(1 - e) * log_sigmoid(h) - e * log_sigmoid(-h);
  case PREFERENCE_ROBUST: return (-(1 - e) * log_sigmoid(h) + e * log_sigmoid(-h)) / (1 - 2 * e);
  case PREFERENCE_IPO: return pow(margin - 1 / (2 * beta), 2);
  case PREFERENCE_ORPO: return -beta * log_sigmoid(log(exp(p) / (1 - exp(p))) - log(exp(q) / (1 - exp(q))));
  case PREFERENCE_KTO:
  case PREFERENCE_NONE: break;
  }
  return 0;
}

static void pairs(void **state) {
  (void)state;
  static const enum preference_loss kinds[] = {PREFERENCE_SIGMOID, PREFERENCE_ROBUST, PREFERENCE_IPO, PREFERENCE_ORPO};
  struct parameter *x = matrix("x", N, C, 9);
  for (size_t k = 0; k < 2 * COUNT_OF(kinds); k++) {
    struct speech s = make_speech(kinds[k / 2]);
    s.how.label_smoothing = k % 2 ? 0.2 : 0;
    s.how.sft_weight = k % 2 ? 0.6 : 0;
    struct graph g = {.build = build, .backend = &backend, .x = x, .extra = &s};
    double loss = graph_run(&g, false), want = 0, sft = 0;
    for (size_t i = 0; i < SEQUENCES / 2; i++)
      want += want_pair(&s, x, i, &sft) / 3;
    want += s.how.sft_weight * sft / 14;
    if (!(fabs(loss - want) <= 2e-5 * fabs(want)))
      fail_msg("kind %zu: %.9g, not %.9g", k, loss, want);
    graph_check(&g, x, 20, 3e-3);
    assert_int_equal(scores.chosen, 3);
    assert_int_equal(scores.rejected, 3);
    assert_true(scores.right <= 3);
  }
}

static void rated(void **state) {
  (void)state;
  struct parameter *x = matrix("x2", N, C, 9);
  struct speech s = make_speech(PREFERENCE_KTO);
  struct graph g = {.build = build, .backend = &backend, .x = x, .extra = &s};
  double loss = graph_run(&g, false), want = 0, rewards[2] = {0}, rest = 0;
  for (size_t i = 0; i < SEQUENCES; i++) {
    size_t n;
    double ratio = logp_of(&s, x, i, &n, &rest) - reference[i];
    double z = s.how.beta * (desirable[i] ? ratio - 0.7 : 0.7 - ratio);
    want += (desirable[i] ? 1 : 1.5) * (1 - 1 / (1 + exp(-z))) / 3;
    rewards[desirable[i]] += s.how.beta * ratio;
  }
  assert_true(fabs(loss - want) <= 2e-5 * fabs(want));
  assert_true(fabs(scores.chosen_rewards - rewards[1]) < 1e-5 && fabs(scores.rejected_rewards - rewards[0]) < 1e-5);
  assert_int_equal(scores.chosen, 3);
  graph_check(&g, x, 20, 3e-3);
}

static void log_probabilities_alone(void **state) {
  (void)state;
  double logps[SEQUENCES], rest = 0;
  struct parameter *x = matrix("x3", N, C, 9);
  struct speech s = make_speech(PREFERENCE_NONE);
  s.completions.reference = NULL;
  s.completions.logps = logps;
  struct graph g = {.build = build, .backend = &backend, .x = x, .extra = &s};
  assert_true(graph_run(&g, false) == 0);
  for (size_t i = 0; i < SEQUENCES; i++) {
    size_t n;
    assert_true(fabs(logps[i] - logp_of(&s, x, i, &n, &rest)) < 1e-4);
  }
}

/* Nothing overflows, and the slopes of what is decided are 0. */
static void far_out(void **state) {
  (void)state;
  static const uint32_t two[] = {0, 1, 2};
  static const double none[2] = {0};
  for (int k = PREFERENCE_SIGMOID; k <= PREFERENCE_ORPO; k++)
    for (int wrong = 0; wrong < 2; wrong++) {
      float losses[] = {wrong ? 9000 : 0, wrong ? 0 : 9000};
      struct preference how = {.loss = (enum preference_loss)k, .beta = 2};
      struct completions of = {.count = 2, .cu_rows = two, .reference = none, .weight = 1};
      double loss = preference_weigh(&scores, &how, &of, losses);
      if (!isfinite(loss) || !isfinite(losses[0]) || !isfinite(losses[1]))
        fail_msg("kind %d: %g, %g, %g", k, loss, (double)losses[0], (double)losses[1]);
      assert_int_equal(scores.right, !wrong);
    }
  float losses[] = {9000};
  const double before = -1;
  struct preference how = {.loss = PREFERENCE_KTO, .beta = 2, .desirable_weight = 1};
  struct completions of = {.count = 1, .cu_rows = two, .reference = &before, .desirable = desirable, .weight = 1};
  assert_true(preference_weigh(&scores, &how, &of, losses) == 1 && losses[0] == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pairs), cmocka_unit_test(rated),
                                     cmocka_unit_test(log_probabilities_alone), cmocka_unit_test(far_out)};
  return cmocka_run_group_tests(tests, setup, engine_teardown);
}
