#include "worker/train/course.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/train/training.h"

/* Packing needs no special rows, since batches are never padded: it only changes what ends a micro-batch. */
struct batch_rule course_rule(const struct task *task) {
  const struct hyperparameters *h = &task->spec.hyperparameters;
  size_t examples = (size_t)h->batch_size, tokens = (size_t)h->max_batch_tokens;
  if (!h->packing)
    return (struct batch_rule){.examples = examples, .tokens = tokens};
  size_t packed = examples * (size_t)h->max_seq_length;
  return (struct batch_rule){.tokens = tokens && tokens < packed ? tokens : packed};
}

/* How many examples from `first` on the next optimiser step takes: gradient_accumulation_steps micro-batches. */
size_t course_step(const struct training *t, const uint32_t *order, size_t first) {
  size_t done = first, count = t->training->count;
  for (int64_t i = 0; i < t->task->spec.hyperparameters.gradient_accumulation_steps && done < count; i++)
    done += batch_next(t->training, order, count, done, &t->rule);
  return done - first;
}

static void next_order(const struct training *t, struct rng *rng, uint32_t *order) {
  if (t->task->spec.hyperparameters.shuffle)
    rng_shuffle(rng, order, t->training->count);
}

void course_next_epoch(struct training *t) {
  next_order(t, &t->rng, t->order);
  t->progress.epoch++;
  t->progress.position = 0;
}

/* Where tokens end a batch the number of steps depends on each epoch's order, so the orders are made once ahead of
   time; where max_steps decides, one of them tells how much that is of the data. */
static enum status count_steps(struct training *t, struct error *err) {
  const struct hyperparameters *h = &t->task->spec.hyperparameters;
  const struct corpus *c = t->training;
  int64_t epochs = h->max_steps ? 1 : h->n_epochs, steps = 0;
  struct rng rng = t->rng;
  uint32_t *order = malloc(c->count * sizeof *order);
  if (!order)
    return error_no_memory(err, "the order of the examples");
  memcpy(order, t->order, c->count * sizeof *order);
  for (int64_t epoch = 0; epoch < epochs; epoch++) {
    next_order(t, &rng, order);
    for (size_t first = 0; first < c->count; steps++)
      first += course_step(t, order, first);
  }
  free(order);
  double passes = h->max_steps ? (double)h->max_steps / (double)steps : (double)epochs;
  t->total_steps = h->max_steps ? h->max_steps : steps;
  t->total_examples = (int64_t)((double)c->count * passes);
  t->total_tokens = (int64_t)((double)c->cu_seqlens[c->count * corpus_texts(c)] * passes);
  return STATUS_OK;
}

/* The number of steps is known only now: a warm-up that leaves nothing to learn with ends the job, one that does not
   end is told. */
static enum status check_schedule(const struct training *t, struct error *err) {
  const struct hyperparameters *h = &t->task->spec.hyperparameters;
  int64_t warmup = job_warmup_steps(h, t->total_steps), last = t->total_steps - 1;
  double highest = job_learning_rate(h, last, t->total_steps);
  if (warmup < t->total_steps)
    return STATUS_OK;
  if (highest == 0)
    return error_set(err, STATUS_INVALID_VALUE, "warmup_steps",
                     "a warm-up begins with a learning rate of 0, and the job has one step: it would learn nothing; "
                     "set warmup_steps to 0, n_epochs higher or batch_size lower");
  report_message(t->report, LOG_WARN,
                 "the warm-up of %" PRId64 " steps is not over when the job ends, after %" PRId64 ": the learning rate "
                 "rises to %.3g, not to its peak of %.3g",
                 warmup, t->total_steps, highest, h->learning_rate * h->learning_rate_multiplier);
  return STATUS_OK;
}

enum status course_plan(struct training *t, struct error *err) {
  enum status status = count_steps(t, err);
  return status ? status : check_schedule(t, err);
}
