#include "worker/train/estimate.h"

#include <math.h>

#include "base/clock.h"
#include "base/memory.h"
#include "worker/train/course.h"
#include "worker/train/generation_eval.h"
#include "worker/train/image_samples.h"
#include "worker/train/image_training.h"
#include "worker/train/preferences.h"
#include "worker/train/training.h"

/* Batches are measured for about so long; the first one, which meets cold memory, counts only where it is the only one.
 */
enum { BATCHES_MAX = 8, BATCHES_MIN = 3 };
static const double MEASURE_SECONDS = 2, LONG_SECONDS = 8;
/* An evaluation goes forward only. */
static const double EVALUATION_LOW = 0.25, EVALUATION_HIGH = 0.5;
/* What else runs on the machine, other lengths of batches, checkpoints. */
static const double FASTER = 0.85, SLOWER = 1.4;
enum { FOLDER_BYTES = 1 << 16 }; /* of an adapter beside its weights */

struct pace {
  size_t batches;
  double seconds, tokens;
  double fastest, slowest;                /* seconds a token */
  double generation_low, generation_high; /* seconds of evaluation.generate, an evaluation */
};

static void pace_add(struct pace *pace, double seconds, double tokens) {
  double rate = seconds / tokens;
  pace->fastest = !pace->batches || rate < pace->fastest ? rate : pace->fastest;
  pace->slowest = !pace->batches || rate > pace->slowest ? rate : pace->slowest;
  pace->seconds += seconds;
  pace->tokens += tokens;
  pace->batches++;
}

/* --- what follows from the plan ------------------------------------------------------------------- */

static int64_t epochs(const struct training *t) {
  int64_t count = (int64_t)t->training->count;
  return (t->total_examples + count - 1) / count;
}

/* How often something is done that is due every so many steps (0: at the end of each epoch), and at the last. */
static int64_t occasions(const struct training *t, int64_t every) {
  return every > 0 ? (t->total_steps + every - 1) / every : epochs(t);
}

static int64_t evaluations(const struct training *t) {
  return t->validation ? 1 + occasions(t, t->task->spec.evaluation.every_steps) : 0;
}

static double evaluation_tokens(const struct training *t) {
  const struct corpus *c = t->validation;
  double examples = (double)t->task->spec.evaluation.max_examples;
  if (!c || !c->count)
    return 0;
  double tokens = (double)c->cu_seqlens[c->count * corpus_texts(c)];
  return examples > 0 && examples < (double)c->count ? tokens * examples / (double)c->count : tokens;
}

/* What the reference of preference tuning goes over, forward only, before the first step. */
static double reference_tokens(const struct training *t) {
  double tokens = 0;
  const struct corpus *const of[] = {t->training, t->validation};
  for (size_t i = 0; preference_has_reference(&t->learner->preference) && i < COUNT_OF(of); i++)
    tokens += of[i] ? (double)of[i]->cu_seqlens[of[i]->count * corpus_texts(of[i])] : 0;
  return tokens;
}

/* Bytes of the exports beside the adapter, which is there as a folder and as an archive. */
static double export_bytes(const struct training *t, double adapter) {
  static const double bytes[] = {[EXPORT_TYPE_NONE] = 0,
                                 [EXPORT_TYPE_F32] = 4,
                                 [EXPORT_TYPE_F16] = 2,
                                 [EXPORT_TYPE_BF16] = 2,
                                 [EXPORT_TYPE_Q8_0] = 34.0 / 32};
  const struct string_list *exports = &t->task->spec.exports;
  double weights = (double)t->learner->model->weight_bytes / sizeof(float), sum = 0;
  for (size_t i = 0; i < exports->count; i++) {
    struct export_choice choice;
    CHECK(export_parse(&choice, exports->item[i]));
    sum += bytes[choice.type] > 0 ? bytes[choice.type] * weights : adapter;
  }
  return sum + adapter;
}

/* The most that the job's folder holds. */
static double disk_bytes(const struct training *t) {
  const struct job_spec *spec = &t->task->spec;
  const struct parameter_list *parameters = &t->learner->model->parameters;
  double adapter = (double)parameter_elements(parameters) * sizeof(float) + FOLDER_BYTES;
  double moments = 2 * (double)parameter_trained(parameters) * sizeof(float), state = adapter + moments;
  int64_t made = occasions(t, spec->checkpointing.every_steps), kept = spec->checkpointing.keep_last;
  kept = made < kept ? made : kept;
  kept += spec->checkpointing.keep_best;
  return (double)kept * adapter + RESUME_KEPT * state + export_bytes(t, adapter);
}

/* Likewise of pictures that a training makes. */
static double sampled_tokens(const struct training *t) {
  if (!t->images)
    return 0;
  double previews = 1 + (double)occasions(t, t->task->spec.evaluation.every_steps);
  double passes = previews * (double)image_samples_passes(t->task, false) + (double)image_samples_passes(t->task, true);
  return passes * (double)t->images->encoder.pipeline->text_tokens;
}

static json_t *duration(const struct training *t, const struct pace *pace) {
  double tokens = (double)t->total_tokens, count = (double)evaluations(t), judged = count * evaluation_tokens(t);
  judged += reference_tokens(t) + sampled_tokens(t);
  double low = t->prepared + pace->fastest * FASTER * (tokens + EVALUATION_LOW * judged);
  double high = t->prepared + 1 + pace->slowest * SLOWER * (tokens + EVALUATION_HIGH * judged);
  low += count * FASTER * pace->generation_low;
  high += count * SLOWER * pace->generation_high;
  double limit = (double)t->task->spec.scheduling.max_runtime; /* of training */
  if (limit > 0) {
    low = fmin(low, t->prepared + limit);
    high = fmin(high, t->prepared + limit * SLOWER);
  }
  return json_pack("{s:f, s:f}", "low", low, "high", high);
}

static json_t *describe(const struct training *t, const struct pace *pace) {
  const struct learner *l = t->learner;
  const struct backend *b = l->model->backend;
  json_t *out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "steps", (json_int_t)t->total_steps, "examples",
                          (json_int_t)t->total_examples, "tokens", (json_int_t)t->total_tokens, "evaluations",
                          (json_int_t)evaluations(t), "training_examples", (json_int_t)t->training->count,
                          "truncated_examples", (json_int_t)t->training->truncated, "trainable_parameters",
                          (json_int_t)parameter_trained(&l->model->parameters), "adapted_modules",
                          (json_int_t)l->model->adapter_count);
  json_t *rest =
      json_pack("{s:I, s:I, s:s, s:i, s:b, s:o, s:{s:I, s:I, s:f}}", "peak_memory_bytes", (json_int_t)l->estimate,
                "disk_bytes", (json_int_t)disk_bytes(t), "device", b->device_name, "threads", pool_threads(b->pool),
                "recomputes_activations", l->recompute_segments > 0, "duration_seconds", duration(t, pace), "measured",
                "batches", (json_int_t)pace->batches, "tokens", (json_int_t)pace->tokens, "seconds", pace->seconds);
  json_object_update(out, rest);
  json_decref(rest);
  return out;
}

static bool takes_host_memory(const struct training *t) {
  return t->learner->model->backend->ops->host_memory;
}

void estimate_tell_plan(const struct training *t, struct report *report) {
  if (takes_host_memory(t))
    report_data(report, EVENT_REPORT, "", json_pack("{s:I}", "peak_memory_bytes", (json_int_t)t->learner->estimate));
}

size_t estimate_room(const struct task *task) {
  size_t limit = (size_t)task->spec.scheduling.memory_limit << 20, available = memory_available();
  size_t room = limit ? limit : available ? available + memory_resident() : 0, most = (size_t)task->memory_bytes_max;
  return most && (!room || most < room) ? most : room;
}

enum status estimate_check(const struct training *t, struct error *err) {
  size_t most = (size_t)t->task->memory_bytes_max, takes = t->learner->estimate;
  if (!most || !takes_host_memory(t) || takes <= most)
    return STATUS_OK;
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL,
                   "the job takes %zu MiB of memory, and this server's memory_budget_mib is %zu MiB. A smaller "
                   "batch_size or max_seq_length needs less.",
                   takes >> 20, most >> 20);
}

/* --- what is measured ----------------------------------------------------------------------------- */

/* Forward and backward of one micro-batch of the job, whose gradients nobody uses. */
static enum status run_batch(struct training *t, size_t first, size_t count, uint64_t number, struct error *err) {
  double loss = 0;
  size_t correct;
  enum status status = learner_begin(t->learner, NULL, err);
  if (status)
    return status;
  if (t->images) {
    status = image_training_accumulate(t->images, t, first, first + count, &loss, err);
  } else {
    status = training_fill(t, first, count, 1, 1, err);
    if (!status)
      status = learner_accumulate(t->learner, &t->batch.sequences, &t->batch.targets, 1, number, &loss, &correct, err);
  }
  if (!status)
    learner_finish(t->learner);
  return status;
}

enum status estimate_measure(json_t **out, struct training *t, struct error *err) {
  struct pace pace = {0};
  size_t first = 0, count = t->training->count;
  double spent = 0, began = clock_seconds();
  course_next_epoch(t);
  for (uint64_t n = 0; first < count && n < BATCHES_MAX; n++) {
    size_t taken = batch_next(t->training, t->order, count, first, &t->rule);
    int64_t before = t->progress.tokens;
    double start = clock_seconds();
    enum status status = run_batch(t, first, taken, n, err);
    status = status ? status : report_poll(t->report, err);
    if (status)
      return status;
    if (n == 1)
      pace = (struct pace){0};
    double tokens = t->images ? (double)(t->progress.tokens - before) : (double)t->batch.tokens;
    pace_add(&pace, clock_seconds() - start, tokens);
    spent = clock_seconds() - began;
    first += taken;
    training_progress(t, "estimate", false);
    if (spent >= LONG_SECONDS || (spent >= MEASURE_SECONDS && n + 1 >= BATCHES_MIN))
      break;
  }
  if (t->generation) {
    enum status status = generation_eval_measure(&pace.generation_low, &pace.generation_high, t->generation, t->learner,
                                                 training_beat, t, err);
    if (status)
      return status;
  }
  *out = describe(t, &pace);
  return *out ? STATUS_OK : error_no_memory(err, "an estimate");
}

json_t *estimate_of_run(const struct training *t) {
  const struct progress *p = &t->progress;
  double seconds = training_seconds(t);
  struct pace pace = {0};
  if (p->step < t->total_steps && (p->step < BATCHES_MIN || seconds < MEASURE_SECONDS))
    return NULL;
  pace_add(&pace, seconds, (double)p->tokens);
  if (t->generation)
    pace.generation_low = pace.generation_high = t->generation->seconds;
  return describe(t, &pace);
}
