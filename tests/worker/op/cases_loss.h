/* Cases of test_conformance.c: losses. */
#ifndef TESTS_WORKER_OP_CASES_LOSS_H
#define TESTS_WORKER_OP_CASES_LOSS_H

#include "tests/worker/op/trial.h"

static void make_targets(struct trial *t) {
  t->targets = import(t, targets, sizeof targets);
}

static struct tensor *cross_entropy(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  op_cross_entropy(tape, in[0], t->targets, 0.25f, tape_attributes(tape, sizeof(double)));
  return NULL;
}

static void make_values(struct trial *t) {
  t->targets = import(t, values, sizeof values);
}

static struct tensor *squared_error(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  op_squared_error(tape, in[0], t->targets, 0.25f, tape_attributes(tape, sizeof(double)));
  return NULL;
}

static void make_answers(struct trial *t) {
  static const float answers[B * 7] = {1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                       1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0};
  t->targets = import(t, answers, sizeof answers);
}

static struct tensor *binary_cross_entropy(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  op_binary_cross_entropy(tape, in[0], t->targets, 0.25f, tape_attributes(tape, sizeof(double)));
  return NULL;
}

static void make_head(struct trial *t) {
  t->linear = (struct linear){.name = "lm_head", .in = IN, .out = V, .weight = weight(t, GGML_F32, V, IN, 24)};
  make_targets(t);
  t->next = (struct next_tokens){import(t, target_rows, sizeof target_rows), t->targets, COUNT_OF(target_rows)};
}

static void make_capped_head(struct trial *t) {
  make_head(t);
  t->linear.softcap = 0.8f;
}

/* A head whose weight is the token embedding. */
static void tie_head(struct trial *t) {
  t->bare = t->linear;
  add_token_rows(t, &t->bare.weight);
  t->linear.token_rows = &t->token_rows;
}

static void make_tied_head(struct trial *t) {
  make_capped_head(t);
  tie_head(t);
}

static struct tensor *linear_cross_entropy(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  op_linear_cross_entropy(tape, in[0], &t->linear, &t->next, 0.1f, tape_attributes(tape, sizeof(double)), &t->correct);
  return NULL;
}

static void make_pairs(struct trial *t) {
  static const uint32_t cu_rows[] = {0, 2, 3, 5, 6};
  static const double reference[] = {-7, -3, -9, -4};
  static const uint8_t prompt[] = {1, 0, 0, 0, 0, 0};
  make_head(t);
  t->preference =
      (struct preference){.loss = PREFERENCE_SIGMOID, .beta = 0.5, .label_smoothing = 0.1, .sft_weight = 0.3};
  t->completions = (struct completions){
      .count = 4, .cu_rows = cu_rows, .prompt = prompt, .reference = reference, .weight = 0.5, .token_weight = 1.0 / 3};
}

static void make_tied_pairs(struct trial *t) {
  make_pairs(t);
  tie_head(t);
}

static struct tensor *linear_preference(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  op_linear_preference(tape, in[0], &t->linear, &t->next, &t->preference, &t->completions,
                       tape_attributes(tape, sizeof(double)), &t->scores);
  return NULL;
}

static void see_scores(struct trial *t) {
  const struct preference_scores *s = &t->scores;
  see_host(t, "rewards", (float[]){(float)s->chosen_rewards, (float)s->rejected_rewards}, 2);
  see_host(t, "log-probabilities", (float[]){(float)s->chosen_logps, (float)s->rejected_logps}, 2);
  see_host(t, "counts", (float[]){(float)s->chosen, (float)s->rejected, (float)s->right}, 3);
}

#endif
