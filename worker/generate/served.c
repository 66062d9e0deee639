#include "worker/generate/served.h"

#include <stdlib.h>

#include "worker/adapter/adapter.h"
#include "worker/peft/peft.h"

/* What the base alone gives, where its files say it. */
static enum status base_output(enum job_output *output, struct classes *classes, const char *path,
                               enum job_output asked, struct arena *arena, struct error *err) {
  struct base_head head;
  *output = asked;
  *classes = (struct classes){0};
  if (asked != OUTPUT_CLASS)
    return STATUS_OK;
  enum status status = model_base_head(&head, path, OUTPUT_CLASS, arena, err);
  if (!status && (head.classes.count == 0 || head.architecture))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model",
                     "the base model has no classifier's head; name a fine-tuned model");
  *classes = head.classes;
  if (!status && head.multi_label)
    *output = OUTPUT_LABELS;
  return status;
}

static enum status settle_embedding(struct served *s, const char *path, enum embedding_pooling pooling,
                                    struct error *err) {
  struct sentence_modules modules;
  enum status status = sentence_modules_read(&modules, path, err);
  s->normalised = modules.normalised;
  return status ? status : sentence_settle(s->model, &modules, pooling, err);
}

static enum status open_model(struct served *s, const char *path, const char *folder, enum job_output asked,
                              enum embedding_pooling pooling, struct backend *backend, struct error *err) {
  struct peft_head head = {0};
  enum status status = folder ? peft_read_head(&head, folder, &s->arena, err)
                              : base_output(&head.output, &head.classes, path, asked, &s->arena, err);
  if (!status && folder)
    status = peft_read_config(&s->spec, folder, &s->arena, err);
  status = status ? status : model_open(s->model, path, head.output, head.classes.count, 0, backend, err);
  if (!status && head.output == OUTPUT_EMBEDDING)
    status = settle_embedding(s, path, pooling, err);
  if (status)
    return status;
  s->model->label_names = head.classes.names;
  if (!folder)
    return STATUS_OK;
  status = model_adapt_again(s->model, &s->spec, 0, err);
  status = status ? status : peft_load(s->model, folder, err);
  return status ? status : adapter_forward_factors(s->model->adapters, s->model->adapter_count, backend, err);
}

enum status served_borrow(struct served **out, struct model *model, struct error *err) {
  struct served *s = *out = calloc(1, sizeof *s);
  if (!s)
    return error_no_memory(err, "a model");
  arena_init(&s->arena, (size_t)64 << 20);
  s->model = model;
  return STATUS_OK;
}

enum status served_open(struct served **out, const char *path, const char *folder, enum job_output asked,
                        enum embedding_pooling pooling, struct backend *backend, struct error *err) {
  enum status status = served_borrow(out, NULL, err);
  struct served *s = *out;
  if (status)
    return status;
  s->model = &s->own;
  status = open_model(s, path, folder, asked, pooling, backend, err);
  if (status) {
    served_close(s);
    *out = NULL;
  }
  return status;
}

static struct tensor *forward(struct served *s, struct tape *tape, const struct sequences *sequences) {
  const struct model *m = s->model;
  struct tensor *x = m->ops->forward(tape, m, sequences);
  return m->language ? op_linear(tape, op_pooling(tape, x, sequences, POOLING_LAST), m->head) : x;
}

enum status served_plan(struct served *s, struct tape *tape, const struct served_limits *limits, struct error *err) {
  struct sequences sequences = {.count = limits->sequences, .tokens = limits->tokens, .longest = limits->longest};
  enum status status = s->model->ops->reserve ? s->model->ops->reserve(s->model, limits->longest, err) : STATUS_OK;
  if (status)
    return status;
  tape_plan_begin(tape, false);
  forward(s, tape, &sequences);
  return tape_plan_end(tape, &s->plan, err);
}

enum status served_forward(const float **out, size_t *cols, struct served *s, struct tape *tape,
                           const struct sequences *sequences, struct error *err) {
  tape_begin(tape, s->plan, false);
  struct tensor *x = forward(s, tape, sequences);
  *out = place_floats(x->data);
  *cols = x->cols;
  return tape->backend->ops->synchronise(tape->backend, err);
}

void served_close(struct served *s) {
  tape_plan_free(s->plan);
  if (s->model == &s->own)
    model_close(s->model);
  arena_done(&s->arena);
  free(s);
}
