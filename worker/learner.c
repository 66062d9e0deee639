#include "worker/learner.h"

static struct tensor *forward(struct learner *l, const struct sequences *s, const struct answers *answers, float weight,
                              double *loss) {
  struct tensor *logits = l->model->ops->forward(&l->tape, l->model, s);
  if (answers && l->regression)
    op_squared_error(&l->tape, logits, answers->targets, weight, loss);
  else if (answers)
    op_cross_entropy(&l->tape, logits, answers->labels, weight, loss);
  return logits;
}

static enum status plan(struct learner *l, struct plan **out, const struct batch_limits *limits, bool training,
                        struct error *err) {
  struct sequences largest = {.count = limits->sequences, .tokens = limits->tokens, .longest = limits->longest};
  double loss;
  tape_plan_begin(&l->tape, training);
  forward(l, &largest, training ? &(struct answers){0} : NULL, 1, &loss);
  if (training)
    tape_backward(&l->tape);
  return tape_plan_end(&l->tape, out, err);
}

enum status learner_init(struct learner *l, struct model *model, const struct batch_limits *training,
                         const struct batch_limits *evaluation, struct error *err) {
  l->model = model;
  l->training = l->evaluation = NULL;
  l->prepared = false;
  enum status status = tape_init(&l->tape, model->backend, err);
  l->tape.recompute_blocks = l->recompute;
  if (!status)
    status = plan(l, &l->training, training, true, err);
  if (!status)
    status = plan(l, &l->evaluation, evaluation, false, err);
  return status ? status : adamw_init(&l->adamw, &model->parameters, err);
}

void learner_done(struct learner *l) {
  tape_plan_free(l->training);
  tape_plan_free(l->evaluation);
  adamw_done(&l->adamw);
  tape_done(&l->tape);
}

size_t learner_bytes(const struct learner *l) {
  return l->tape.memory_bytes;
}

static enum status prepare(struct learner *l, struct error *err) {
  enum status status = adapter_prepare_all(l->model->adapters, l->model->adapter_count, l->model->backend, err);
  l->prepared = !status;
  return status;
}

enum status learner_begin(struct learner *l, double *penalty, struct error *err) {
  enum status status = prepare(l, err);
  if (status)
    return status;
  parameter_zero_grads(&l->model->parameters);
  double sum = 0;
  for (size_t i = 0; i < l->model->adapter_count; i++)
    sum += l->model->adapters[i]->penalty;
  if (penalty)
    *penalty = l->orth_lambda > 0 ? l->orth_lambda * sum : 0;
  return STATUS_OK;
}

void learner_accumulate(struct learner *l, const struct sequences *s, const struct answers *answers, float weight,
                        uint64_t dropout_step, double *loss) {
  l->tape.seed = l->seed;
  l->tape.step = dropout_step;
  tape_begin(&l->tape, l->training, true);
  forward(l, s, answers, weight, loss);
  tape_backward(&l->tape);
}

void learner_finish(struct learner *l) {
  adapter_finish_all(l->model->adapters, l->model->adapter_count, l->model->backend, l->orth_lambda);
}

enum status learner_update(struct learner *l, double learning_rate, double *grad_norm, struct error *err) {
  l->prepared = false;
  return adamw_update(&l->adamw, &l->model->parameters, l->model->backend, learning_rate, grad_norm, err);
}

enum status learner_predict(struct learner *l, const struct sequences *s, const struct tensor **logits,
                            struct error *err) {
  if (!l->prepared) {
    enum status status = prepare(l, err);
    if (status)
      return status;
  }
  tape_begin(&l->tape, l->evaluation, false);
  *logits = forward(l, s, NULL, 0, NULL);
  return STATUS_OK;
}
