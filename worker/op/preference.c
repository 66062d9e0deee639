#include "worker/op/preference.h"

#include <math.h>
#include <stdbool.h>

/* No exponential of a positive number: it would overflow. */
static double log_sigmoid(double x) {
  return (x < 0 ? x : 0) - log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
  double small = exp(-fabs(x));
  return (x < 0 ? small : 1) / (1 + small);
}

/* One completion: what its tokens sum up to, and what the loss makes of it. */
struct completion {
  size_t first, end;  /* its next tokens */
  size_t tokens;      /* those that are not the prompt's; at least 1 is counted */
  double logp, ratio; /* ratio: logp - ref */
  double slope;       /* d loss / d logp */
};

static bool of_prompt(const struct completions *of, size_t row) {
  return of->prompt && of->prompt[row];
}

static struct completion read_completion(const struct completions *of, size_t index, const float *losses) {
  struct completion c = {.first = of->cu_rows[index], .end = of->cu_rows[index + 1]};
  for (size_t i = c.first; i < c.end; i++)
    if (!of_prompt(of, i)) {
      c.logp -= (double)losses[i];
      c.tokens++;
    }
  c.tokens += c.tokens == 0;
  c.ratio = c.logp - (of->reference ? of->reference[index] : 0);
  if (of->logps)
    of->logps[index] = c.logp;
  return c;
}

/* --- pairs ---------------------------------------------------------------------------------------- */

/* log(1 - exp(x)) of x < 0, by two forms that do not cancel. */
static double log1mexp(double x) {
  return x < -0.6931471805599453 ? log1p(-exp(x)) : log(-expm1(x));
}

static double odds_ratio(struct completion *c, struct completion *r, double beta) {
  static const double certain = -1e-12; /* a probability of 1 has no odds */
  double p = fmin(c->logp / (double)c->tokens, certain), q = fmin(r->logp / (double)r->tokens, certain);
  double h = (p - q) - (log1mexp(p) - log1mexp(q)), slope = -beta * sigmoid(-h);
  c->slope = slope / -expm1(p) / (double)c->tokens;
  r->slope = -slope / -expm1(q) / (double)r->tokens;
  return -beta * log_sigmoid(h);
}

static double squared_margin(struct completion *c, struct completion *r, double beta) {
  double m = c->ratio / (double)c->tokens - r->ratio / (double)r->tokens - 1 / (2 * beta);
  c->slope = 2 * m / (double)c->tokens;
  r->slope = -2 * m / (double)r->tokens;
  return m * m;
}

/* -a s(h) - b s(-h) */
static double log_sigmoids(struct completion *c, struct completion *r, double beta, double a, double b) {
  double h = beta * (c->ratio - r->ratio);
  c->slope = beta * (b * sigmoid(h) - a * sigmoid(-h));
  r->slope = -c->slope;
  return -a * log_sigmoid(h) - b * log_sigmoid(-h);
}

/* The pair's loss, and its slopes. */
static double pair_loss(const struct preference *how, struct completion *c, struct completion *r) {
  double e = how->label_smoothing;
  switch (how->loss) {
  case PREFERENCE_SIGMOID: return log_sigmoids(c, r, how->beta, 1 - e, e);
  case PREFERENCE_ROBUST: return log_sigmoids(c, r, how->beta, (1 - e) / (1 - 2 * e), -e / (1 - 2 * e));
  case PREFERENCE_IPO: return squared_margin(c, r, how->beta);
  case PREFERENCE_ORPO: return odds_ratio(c, r, how->beta);
  case PREFERENCE_NONE:
  case PREFERENCE_KTO: break;
  }
  return 0;
}

/* What is told of it. */
static double reward(const struct preference *how, const struct completion *c) {
  return how->beta * (how->loss == PREFERENCE_ORPO ? c->logp / (double)c->tokens : c->ratio);
}

static double told_logp(const struct preference *how, const struct completion *c) {
  return how->loss == PREFERENCE_ORPO ? c->logp / (double)c->tokens : c->logp;
}

/* A token's loss is minus its log-probability. */
static void weigh(float *losses, const struct completions *of, const struct completion *c, double token_weight) {
  for (size_t i = c->first; i < c->end; i++)
    losses[i] = (float)(token_weight - (of_prompt(of, i) ? 0 : of->weight * c->slope));
}

static double add_pair(struct preference_scores *out, const struct preference *how, const struct completions *of,
                       size_t index, float *losses) {
  struct completion c = read_completion(of, index, losses);
  struct completion r = read_completion(of, index + of->count / 2, losses);
  double token_weight = how->sft_weight * of->token_weight, sft = 0;
  if (token_weight > 0)
    for (size_t i = c.first; i < c.end; i++)
      sft += (double)losses[i];
  double loss = of->weight * pair_loss(how, &c, &r) + token_weight * sft;
  out->pairs++;
  out->chosen++;
  out->rejected++;
  out->right += reward(how, &c) > reward(how, &r);
  out->chosen_rewards += reward(how, &c);
  out->rejected_rewards += reward(how, &r);
  out->chosen_logps += told_logp(how, &c);
  out->rejected_logps += told_logp(how, &r);
  weigh(losses, of, &c, token_weight);
  weigh(losses, of, &r, 0);
  return loss;
}

/* --- rated completions ---------------------------------------------------------------------------- */

static double add_rated(struct preference_scores *out, const struct preference *how, const struct completions *of,
                        size_t index, float *losses) {
  struct completion c = read_completion(of, index, losses);
  bool good = of->desirable[index];
  double weight = good ? how->desirable_weight : how->undesirable_weight, sign = good ? 1 : -1;
  double p = sigmoid(sign * how->beta * (c.ratio - of->kl));
  c.slope = -weight * sign * how->beta * p * (1 - p);
  *(good ? &out->chosen : &out->rejected) += 1;
  *(good ? &out->chosen_rewards : &out->rejected_rewards) += reward(how, &c);
  *(good ? &out->chosen_logps : &out->rejected_logps) += c.logp;
  weigh(losses, of, &c, 0);
  return of->weight * weight * (1 - p);
}

double preference_weigh(struct preference_scores *out, const struct preference *how, const struct completions *of,
                        float *losses) {
  bool pairs = how->loss != PREFERENCE_NONE && how->loss != PREFERENCE_KTO;
  double loss = 0;
  *out = (struct preference_scores){0};
  for (size_t i = 0; i < (pairs ? of->count / 2 : of->count); i++)
    if (how->loss == PREFERENCE_NONE)
      read_completion(of, i, losses);
    else
      loss += pairs ? add_pair(out, how, of, i, losses) : add_rated(out, how, of, i, losses);
  return loss;
}

void preference_scores_add(struct preference_scores *to, const struct preference_scores *from) {
  to->chosen += from->chosen;
  to->rejected += from->rejected;
  to->chosen_rewards += from->chosen_rewards;
  to->rejected_rewards += from->rejected_rewards;
  to->chosen_logps += from->chosen_logps;
  to->rejected_logps += from->rejected_logps;
  to->pairs += from->pairs;
  to->right += from->right;
}
