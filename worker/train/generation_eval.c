#include "worker/train/generation_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/json.h"
#include "worker/generate/sampler.h"

enum { IN_FLIGHT_MAX = 32, CACHES_BYTES_MAX = 1 << 30, ANSWER_BYTES_MAX = 4 << 20, SAMPLES_BYTES_MAX = 1 << 30 };

/* --- opening -------------------------------------------------------------------------------------- */

static void hear(void *context, const struct generation_event *event);

/* As many requests at a time as their KV caches have room for, so that none must make room: the batches, and so the
   last bits, follow from the questions alone. */
static enum status open_generator(struct generation_eval *e, struct model *m, const char *path,
                                  const struct tokenizer *tokenizer, struct error *err) {
  size_t tokens = (size_t)e->spec->max_tokens, context = size_min(e->questions.corpus.longest + tokens, m->positions);
  size_t cache = 2 * m->kv_layers * m->kv_cols * sizeof(float) * context, room = CACHES_BYTES_MAX / cache;
  e->in_flight = size_min(size_min(IN_FLIGHT_MAX, e->questions.count), room ? room : 1);
  struct generator_base base = {m, tokenizer, path, context, e->in_flight * cache};
  enum status status = generator_over(&e->generator, &base, hear, e, err);
  if (status)
    return status;
  size_t sampler = m->vocabulary * (sizeof(float) + sizeof(uint32_t) + sizeof(struct token_share));
  e->bytes = base.memory + generator_bytes(e->generator) + e->in_flight * sampler;
  return STATUS_OK;
}

enum status generation_eval_open(struct generation_eval *e, const struct task *task, struct model *model,
                                 const struct tokenizer *tokenizer, struct error *err) {
  const struct checkpoint *checkpoint = &model->checkpoint;
  const struct generate_spec *spec = &task->spec.generate;
  bool choice = spec->extractor == EXTRACT_CHOICE;
  struct questions_source source = {.path = task->validation.path,
                                    .filename = task->validation.filename,
                                    .model_path = task->model_dir,
                                    .gguf = checkpoint->is_gguf ? &checkpoint->gguf : NULL,
                                    .tokenizer = tokenizer,
                                    .spec = &task->spec,
                                    .longest = choice ? model->positions : model->positions - 1,
                                    .vocabulary = model->vocabulary};
  *e = (struct generation_eval){.spec = spec};
  str_init(&e->samples, SAMPLES_BYTES_MAX);
  if (!spec->present)
    return STATUS_OK;
  if (!model->language)
    return error_set(err, STATUS_INVALID_VALUE, "evaluation.generate",
                     "evaluation.generate is for language models; this job learns %s",
                     job_output_of(model->output)->words);
  enum status status = extract_open(&e->extract, spec, err);
  status = status ? status : questions_read(&e->questions, &source, &e->extract, err);
  if (status)
    return status;
  e->answers = calloc(e->questions.count, sizeof *e->answers);
  if (!e->answers)
    return error_no_memory(err, "the answers");
  for (size_t i = 0; i < e->questions.count; i++)
    str_init(&e->answers[i].text, ANSWER_BYTES_MAX);
  size_t longest = e->questions.corpus.longest;
  if (choice)
    return batch_init(&e->batch, &(struct batch_limits){1, longest, longest}, 1, true, err);
  return open_generator(e, model, task->model_dir, tokenizer, err);
}

void generation_eval_done(struct generation_eval *e) {
  generator_close(e->generator);
  for (size_t i = 0; e->answers && i < e->questions.count; i++)
    str_done(&e->answers[i].text);
  free(e->answers);
  batch_done(&e->batch);
  questions_done(&e->questions);
  extract_done(&e->extract);
  str_done(&e->samples);
  *e = (struct generation_eval){0};
}

void generation_eval_limits(const struct generation_eval *e, struct batch_limits *limits) {
  size_t longest = e->questions.count && e->spec->extractor == EXTRACT_CHOICE ? e->questions.corpus.longest : 0;
  limits->tokens = longest > limits->tokens ? longest : limits->tokens;
  limits->longest = longest > limits->longest ? longest : limits->longest;
}

/* --- answers that are generated ------------------------------------------------------------------- */

/* A request's id is its question's number, from 1. */
static void hear(void *context, const struct generation_event *event) {
  struct generation_eval *e = context;
  struct generation_answer *a = &e->answers[event->id - 1];
  if (event->type == GENERATION_DELTA)
    str_puts(&a->text, event->text);
  else if (event->type == GENERATION_FINISHED)
    a->reason = event->finish_reason;
  else if (event->type == GENERATION_FAILED)
    (void)error_set(&a->error, event->code, event->param, "%s", event->message);
}

static enum status ask(struct generation_eval *e, size_t question, int64_t max_tokens, struct error *err) {
  const struct corpus *c = &e->questions.corpus;
  size_t from = c->cu_seqlens[question], count = c->cu_seqlens[question + 1] - from;
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST,
                                 .request = {.id = (int64_t)question + 1,
                                             .kind = GENERATION_COMPLETION,
                                             .max_tokens = max_tokens,
                                             .stop = e->spec->stop,
                                             .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1}}};
  struct arena arena;
  arena_init(&arena, (size_t)256 << 20);
  int64_t *ids = arena_array(&arena, count, sizeof *ids);
  if (!ids) {
    arena_done(&arena);
    return error_no_memory(err, "the prompts");
  }
  for (size_t i = 0; i < count; i++)
    ids[i] = c->token_ids[from + i];
  line.request.prompt_ids = (struct int_list){count, ids};
  str_clear(&e->answers[question].text);
  e->answers[question].error = (struct error){0};
  generator_hear(e->generator, &line, &arena, NULL);
  return STATUS_OK;
}

/* The first `count` questions, in order, each as soon as there is a place for it. */
static enum status generate(struct generation_eval *e, size_t count, int64_t max_tokens, generation_beat *beat,
                            void *with, struct error *err) {
  enum status status = STATUS_OK;
  size_t asked = 0;
  while (!status && (asked < count || generator_busy(e->generator))) {
    while (!status && asked < count && generator_requests(e->generator) < e->in_flight)
      status = ask(e, asked++, max_tokens, err);
    status = status ? status : generator_step(e->generator, err);
    status = status ? status : beat(with, err);
  }
  for (size_t i = 0; !status && i < count; i++) {
    const struct generation_answer *a = &e->answers[i];
    if (a->error.status) {
      *err = a->error;
      status = error_prefix(err, "evaluation.generate, line %zu", e->questions.item[i].line);
    } else if (a->text.failed) {
      status = error_no_memory(err, "the answers");
    }
  }
  return status;
}

/* --- answers that are chosen ---------------------------------------------------------------------- */

/* Log-likelihoods of the choices after the prompt: of all tokens of each. */
static enum status weigh(double *likelihoods, struct generation_eval *e, size_t question, struct learner *l,
                         struct error *err) {
  size_t choices = e->spec->choices.count;
  enum status status = STATUS_OK;
  for (size_t k = 0; !status && k < choices; k++) {
    uint32_t example = (uint32_t)(question * choices + k);
    size_t correct;
    double loss;
    batch_fill(&e->batch, &e->questions.corpus, &example, 1);
    status = learner_score(l, &e->batch.sequences, &e->batch.targets, &loss, &correct, err);
    likelihoods[k] = -loss;
  }
  return status;
}

/* `lines`: [count] objects that tell of each, or NULL. */
static enum status choose(struct generation_eval *e, size_t count, json_t *lines, struct learner *l,
                          generation_beat *beat, void *with, struct error *err) {
  const struct string_list *choices = &e->spec->choices;
  double *likelihoods = calloc(choices->count, sizeof *likelihoods);
  enum status status = likelihoods ? STATUS_OK : error_no_memory(err, "the answers");
  for (size_t i = 0; !status && i < count; i++) {
    size_t best = 0;
    status = weigh(likelihoods, e, i, l, err);
    json_t *all = json_array();
    for (size_t k = 0; k < choices->count; k++) {
      best = likelihoods[k] > likelihoods[best] ? k : best;
      json_array_append_new(all, json_real(likelihoods[k]));
    }
    str_clear(&e->answers[i].text);
    str_puts(&e->answers[i].text, choices->item[best]);
    json_object_set_new(json_array_get(lines, i), "logprobs", all);
    status = status ? status : beat(with, err);
  }
  free(likelihoods);
  return status;
}

/* --- an evaluation -------------------------------------------------------------------------------- */

static json_t *new_lines(const struct generation_eval *e) {
  json_t *lines = json_array();
  for (size_t i = 0; i < e->questions.count; i++)
    json_array_append_new(lines,
                          json_pack("{s:I, s:I, s:s}", "index", (json_int_t)i, "line",
                                    (json_int_t)e->questions.item[i].line, "prompt", e->questions.item[i].prompt));
  return lines;
}

/* Completes a question's line; returns whether the answer is right. */
static bool judge(struct generation_eval *e, size_t i, struct str *extracted, json_t *line) {
  const struct question *q = &e->questions.item[i];
  const struct generation_answer *a = &e->answers[i];
  bool found = extract_answer(&e->extract, extracted, a->text.text);
  bool right = found && extract_equal(&e->extract, extracted->text, q->expected);
  json_object_set_new(line, "output", json_string(a->text.text));
  if (e->generator)
    json_object_set_new(line, "finish_reason", json_string(generation_finish_names[a->reason]));
  json_object_set_new(line, "expected", json_string(q->expected));
  json_object_set_new(line, "extracted", found ? json_string(extracted->text) : json_null());
  json_object_set_new(line, "exact_match", json_boolean(right));
  return right;
}

enum status generation_eval_run(struct generation_eval *e, struct learner *l, json_t *scores, generation_beat *beat,
                                void *with, struct error *err) {
  size_t count = e->questions.count, right = 0;
  double began = clock_seconds();
  AUTO(json_release) json_t *lines = new_lines(e);
  AUTO(str_done) struct str extracted;
  str_init(&extracted, ANSWER_BYTES_MAX);
  if (json_array_size(lines) != count)
    return error_no_memory(err, "the answers");
  enum status status = learner_factors(l, err);
  if (!status && e->generator)
    status = generate(e, count, e->spec->max_tokens, beat, with, err);
  else if (!status)
    status = choose(e, count, lines, l, beat, with, err);
  if (status)
    return status;
  str_clear(&e->samples);
  for (size_t i = 0; i < count; i++) {
    right += judge(e, i, &extracted, json_array_get(lines, i));
    json_append(&e->samples, json_array_get(lines, i));
    str_putc(&e->samples, '\n');
  }
  e->seconds = clock_seconds() - began;
  json_object_set_new(scores, "valid_exact_match", json_real((double)right / (double)count));
  return e->samples.failed || extracted.failed ? error_no_memory(err, "the answers") : STATUS_OK;
}

/* --- what it takes -------------------------------------------------------------------------------- */

enum { MEASURED_TOKENS = 8, MEASURED_CHOICES = 4, SHORT_ANSWERS = 4 /* a quarter of max_tokens */ };

enum status generation_eval_measure(double *low, double *high, struct generation_eval *e, struct learner *l,
                                    generation_beat *beat, void *with, struct error *err) {
  size_t count = e->questions.count, some = size_min(count, e->generator ? e->in_flight : MEASURED_CHOICES);
  double rounds = (double)count / (double)some, began = clock_seconds();
  enum status status = learner_factors(l, err);
  if (!e->generator) {
    status = status ? status : choose(e, some, NULL, l, beat, with, err);
    *low = *high = rounds * (clock_seconds() - began);
    return status;
  }
  status = status ? status : generate(e, some, 1, beat, with, err);
  double prefill = clock_seconds() - began;
  began = clock_seconds();
  status = status ? status : generate(e, some, 1 + MEASURED_TOKENS, beat, with, err);
  double token = fmax(clock_seconds() - began - prefill, 0) / MEASURED_TOKENS, tokens = (double)e->spec->max_tokens;
  *low = rounds * (prefill + token * tokens / SHORT_ANSWERS);
  *high = rounds * (prefill + token * tokens);
  return status;
}
