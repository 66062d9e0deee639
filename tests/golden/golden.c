/* golden [OPTION VALUE]... DIR...: runs every reference case found beneath each DIR (made by make_golden.py with
   PyTorch and PEFT, by make_preferences.py with TRL) and compares outputs, loss, gradients, five AdamW steps and a
   merged weight. Prints one line a case with the worst errors; exits non-zero when any fails or none was found. A model
   or method that is not built counts as a failure. --backend: an instruction set or a matmul library of the CPU, or a
   device. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/job_fields.h"
#include "api/objective.h"
#include "base/json.h"
#include "tests/golden/images.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/isa.h"
#include "worker/device.h"
#include "worker/peft/peft.h"
#include "worker/train/preferences.h"

/* The tolerances of each comparison. The references are float32's: bf16 has 8 bits, and AdamW makes steps of one length
   from gradients that are all but zero. */
static const struct tolerance {
  double output, gradient, parameter;
} tolerances[PRECISION_COUNT] = {[PRECISION_FP32] = {2e-5, 1e-4, 1e-3}, [PRECISION_BF16] = {5e-2, 4e-1, 2e-1}};

enum { ROWS_MAX = 64, CELLS_MAX = 4096 };

struct given {
  struct sequences sequences;
  struct targets targets;
  uint32_t offsets[ROWS_MAX + 1];
  int32_t ids[CELLS_MAX];
  size_t cell[CELLS_MAX]; /* where a token was among the padded ones */
  uint32_t labels[CELLS_MAX], rows[CELLS_MAX];
  float values[ROWS_MAX];
  size_t texts;    /* sequences of an example: of an embedding's several, first the first ones */
  size_t examples; /* what the loss is a mean of */
};

static size_t texts_of(struct reference *ref) {
  float *texts;
  size_t count;
  struct error err;
  return safetensors_find(&ref->io, "in.texts") && !reference_get(&texts, &count, ref, "in.texts", &err)
             ? (size_t)texts[0]
             : 1;
}

/* What a case's model gives: by the kind of its labels. */
static enum job_output output_of(bool *scored, struct reference *ref) {
  const struct st_tensor *labels = safetensors_find(&ref->io, "in.labels");
  *scored = labels && labels->dtype == ST_F32;
  if (texts_of(ref) > 1 && !(labels && labels->rank == 2))
    return OUTPUT_EMBEDDING;
  if (safetensors_find(&ref->io, "in.tags"))
    return OUTPUT_TAGS;
  if (labels && labels->rank == 2) /* a label a token */
    return OUTPUT_TEXT;
  return *scored ? OUTPUT_RELEVANCE : OUTPUT_CLASS;
}

static enum pooling pooling_of(struct reference *ref) {
  float *cls;
  size_t count;
  struct error err;
  return safetensors_find(&ref->io, "in.cls") && !reference_get(&cls, &count, ref, "in.cls", &err) && cls[0] != 0
             ? POOLING_CLS
             : POOLING_MEAN;
}

/* Language models: token i predicts token i + 1 where that has a label (not -100). */
static void read_next(struct given *b, const float *labels) {
  size_t n = 0;
  for (size_t s = 0; s < b->sequences.count; s++)
    for (uint32_t i = b->offsets[s]; i + 1 < b->offsets[s + 1]; i++)
      if (labels[b->cell[i + 1]] >= 0) {
        b->rows[n] = i;
        b->labels[n++] = (uint32_t)labels[b->cell[i + 1]];
      }
  b->targets = (struct targets){.ids = b->labels, .rows = b->rows, .count = n};
  b->examples = n;
}

/* Tokens with a label (not -100) have its tag. */
static void read_tags(struct given *b, const float *labels) {
  size_t n = 0;
  for (uint32_t i = 0; i < b->sequences.tokens; i++)
    if (labels[b->cell[i]] >= 0) {
      b->rows[n] = i;
      b->labels[n++] = (uint32_t)labels[b->cell[i]];
    }
  b->sequences.rows = place_host(b->rows);
  b->sequences.row_count = b->examples = n;
  b->targets = (struct targets){.ids = b->labels, .count = n};
}

/* Drops the padding: rows of in.input_ids where in.attention_mask is 1. */
static enum status read_batch(struct given *b, struct reference *ref, enum job_output output, struct error *err) {
  bool each = output == OUTPUT_TEXT || output == OUTPUT_TAGS; /* token has a label */
  float *ids = NULL, *mask = NULL, *labels = NULL;
  size_t cells = 0, rows = 0, count = 0;
  enum status s = reference_get(&ids, &cells, ref, "in.input_ids", err);
  s = s ? s : reference_get(&mask, &cells, ref, "in.attention_mask", err);
  s = s ? s : reference_get(&labels, &count, ref, "in.labels", err);
  if (s)
    return s;
  rows = (size_t)safetensors_find(&ref->io, "in.input_ids")->shape[0];
  CHECK(rows > 0 && rows <= ROWS_MAX && cells <= CELLS_MAX && cells % rows == 0);
  b->texts = texts_of(ref);
  CHECK(count == (each ? cells : rows / b->texts) && rows % b->texts == 0);
  size_t tokens = 0, width = cells / rows;
  for (size_t r = 0; r < rows; r++) {
    b->offsets[r] = (uint32_t)tokens;
    if (!each && r < count) {
      b->labels[r] = (uint32_t)fabsf(labels[r]);
      b->values[r] = labels[r];
    }
    for (size_t i = 0; i < width; i++)
      if (mask[r * width + i] != 0) {
        b->cell[tokens] = r * width + i;
        b->ids[tokens++] = (int32_t)ids[r * width + i];
      }
  }
  b->offsets[rows] = (uint32_t)tokens;
  b->sequences = sequences_host(rows, tokens, width, b->offsets, b->ids, NULL);
  b->targets = (struct targets){.ids = b->labels, .values = b->values};
  b->examples = count;
  if (output == OUTPUT_TEXT)
    read_next(b, labels);
  if (output == OUTPUT_TAGS)
    read_tags(b, labels);
  return STATUS_OK;
}

/* Rows of padding are left out of what is compared. */
static enum status compare_logits(double *worst, const struct logits *logits, const struct given *b,
                                  struct reference *ref, enum job_output output, struct error *err) {
  float *want;
  size_t count, V = logits->cols;
  enum status s = reference_get(&want, &count, ref, "out.logits", err);
  if (s)
    return s;
  float *kept = arena_array(&ref->arena, logits->rows * V, sizeof *kept);
  bool each = output == OUTPUT_TEXT || output == OUTPUT_TAGS;
  CHECK(kept && (each || count == logits->rows * V));
  for (size_t i = 0; i < logits->rows; i++) {
    size_t from = output == OUTPUT_TEXT ? b->cell[i] : output == OUTPUT_TAGS ? b->cell[b->rows[i]] : i;
    CHECK((from + 1) * V <= count);
    memcpy(kept + i * V, want + from * V, V * sizeof *kept);
  }
  *worst = reference_max_error(logits->data, kept, logits->rows * V);
  return STATUS_OK;
}

/* --- preference tuning ---------------------------------------------------------------------------- */

/* The rows as a corpus: an example has one of the first half and one of the second. */
struct pairs {
  struct corpus corpus;
  struct batch batch;
  uint32_t order[ROWS_MAX];
};

static enum status read_pairs(struct pairs *p, const struct given *b, const float *labels, bool learns_prompts,
                              struct reference *ref, struct error *err) {
  size_t examples = b->sequences.count / 2;
  for (size_t e = 0; e < examples; e++)
    for (size_t text = 0; text < 2; text++) {
      size_t row = e + text * examples, from = b->offsets[row], count = b->offsets[row + 1] - from;
      uint8_t mask[CELLS_MAX];
      for (size_t i = 0; i < count; i++)
        mask[i] = labels[b->cell[from + i]] >= 0;
      enum status status = corpus_append(&p->corpus, b->ids + from, NULL, mask, count, SIZE_MAX, err);
      if (status)
        return status;
    }
  p->corpus.texts = 2;
  p->corpus.count = examples;
  p->corpus.learns_prompts = learns_prompts;
  for (uint32_t e = 0; e < examples; e++)
    p->order[e] = e;
  if (safetensors_find(&ref->io, "in.desirable")) {
    float *desirable;
    enum status status = reference_get(&desirable, &examples, ref, "in.desirable", err);
    p->corpus.desirable = calloc(p->corpus.count + 1, 1);
    CHECK(p->corpus.desirable && (status || examples == p->corpus.count));
    for (size_t e = 0; !status && e < examples; e++)
      p->corpus.desirable[e] = desirable[e] != 0;
    if (status)
      return status;
  }
  const struct batch_limits limits = {ROWS_MAX, CELLS_MAX, 128};
  return batch_init(&p->batch, &limits, 1, true, err);
}

/* The reference by the base model, beside TRL's. */
static enum status compare_reference(double *worst, struct pairs *p, struct learner *l, struct reference *ref,
                                     struct error *err) {
  float *want, got[ROWS_MAX];
  size_t count, examples = p->corpus.count;
  enum status status = preference_references(&p->corpus, &(struct corpus){0}, l, NULL, err);
  status = status ? status : reference_get(&want, &count, ref, "out.reference", err);
  for (size_t i = 0; !status && i < 2 * examples; i++)
    got[i] = (float)p->corpus.reference[i % examples * 2 + i / examples];
  if (!status)
    *worst = fmax(*worst, reference_max_error(got, want, count));
  return status;
}

static enum status start_pairs(struct pairs *p, struct worst *worst, struct learner *l, const struct given *b,
                               bool learns_prompts, struct reference *ref, struct error *err) {
  float *labels;
  size_t count;
  if (l->preference.loss == PREFERENCE_NONE)
    return STATUS_OK;
  enum status status = reference_get(&labels, &count, ref, "in.labels", err);
  status = status ? status : read_pairs(p, b, labels, learns_prompts, ref, err);
  preference_share_prompts(&p->corpus, l, l->model);
  if (status || !preference_has_reference(&l->preference))
    return status;
  return compare_reference(&worst->output, p, l, ref, err);
}

/* One micro-batch: the whole case. */
static enum status accumulate(struct pairs *p, struct learner *l, const struct given *b, double *loss,
                              struct error *err) {
  size_t examples = p->corpus.count;
  if (l->preference.loss == PREFERENCE_NONE)
    return learner_accumulate(l, &b->sequences, &b->targets, 1.0f / (float)b->examples, 0, loss, NULL, err);
  double tokens = (double)preference_tokens(&p->corpus, p->order, examples);
  enum status status =
      preference_fill(&p->batch, l, &p->corpus, p->order, examples, 1 / (double)examples, 1 / tokens, err);
  return status ? status : learner_accumulate(l, &p->batch.sequences, &p->batch.targets, 1, 0, loss, NULL, err);
}

/* --- a case --------------------------------------------------------------------------------------- */

static enum status compare(struct worst *worst, struct learner *l, struct reference *ref, const json_t *about,
                           struct error *err) {
  const json_t *optimizer = json_object_get(about, "optimizer");
  int64_t steps = json_integer_value(json_object_get(about, "steps"));
  struct pairs *pairs = arena_alloc(&ref->arena, sizeof *pairs);
  CHECK(pairs);
  *pairs = (struct pairs){0};
  struct given *b = arena_alloc(&ref->arena, sizeof *b);
  CHECK(b);
  enum job_output output = l->model->output;
  enum status s = read_batch(b, ref, output, err);
  struct logits logits;
  s = s ? s : learner_predict(l, &b->sequences, &logits, err);
  s = s ? s : compare_logits(&worst->output, &logits, b, ref, output, err);
  float *want_loss;
  size_t count;
  s = s ? s : reference_get(&want_loss, &count, ref, "step.loss", err);
  double top = 0; /* losses are compared relative to the largest one */
  for (size_t i = 0; !s && i < count; i++)
    top = fmax(top, fabs((double)want_loss[i]));
  bool prompts = json_is_true(json_object_get(json_object_get(about, "preference"), "train_on_inputs"));
  s = s ? s : start_pairs(pairs, worst, l, b, prompts, ref, err);
  double lr = json_number_value(json_object_get(optimizer, "lr")), penalty = 0, loss, norm;
  for (int64_t step = 0; !s && step < steps; step++) {
    s = learner_begin(l, &penalty, err);
    if (s)
      return s;
    s = accumulate(pairs, l, b, &loss, err);
    if (s)
      return s;
    learner_finish(l);
    s = parameter_download(&l->model->parameters, err);
    if (s)
      return s;
    loss += penalty;
    worst->loss = fmax(worst->loss, fabs(loss - (double)want_loss[step]) / top);
    if (step == 0)
      s = reference_parameters(&worst->gradient, l->model, ref, "grad.", true, err);
    s = s ? s : learner_update(l, lr, &norm, err);
  }
  s = s ? s : parameter_download(&l->model->parameters, err);
  s = s ? s : reference_parameters(&worst->parameter, l->model, ref, "step.", false, err);
  corpus_done(&pairs->corpus);
  batch_done(&pairs->batch);
  return s ? s : reference_merged(&worst->merged, l, ref, err);
}

/* What the case learns of completions: the job's hyperparameters. */
static struct preference preference_in(const json_t *about, struct arena *arena) {
  struct field rows[JOB_HYPER_ROWS];
  struct fault_list faults = {0};
  struct job_spec spec = {0};
  const json_t *given = json_object_get(about, "preference");
  const char *elsewhere[] = {"objective", NULL}, *name = json_string_value(json_object_get(given, "objective"));
  spec.objective = name ? (int)objective_parse(name) : OBJECTIVE_SUPERVISED;
  const struct field_table fields = job_hyper_fields_of(rows, spec.objective);
  field_defaults(&fields, &spec.hyperparameters);
  if (given)
    field_read(&fields, &spec.hyperparameters, given, "", elsewhere, arena, &faults);
  CHECK(faults.count == 0);
  return preference_of(&spec);
}

/* --- the adapter ---------------------------------------------------------------------------------- */

/* What PEFT saved; of one that starts from the weights how it was asked for. */
static enum status read_spec(struct adapter_spec *out, const json_t *about, const char *path, struct arena *arena,
                             struct error *err) {
  const json_t *given = json_object_get(about, "adapter");
  struct fault_list faults = {0};
  if (!given)
    return peft_read_config(out, path, arena, err);
  job_adapter_parse(out, given, "adapter", arena, &faults);
  if (faults.count)
    *err = faults.item[0];
  return faults.count ? err->status : STATUS_OK;
}

/* Where A and B begin, beside PEFT's. */
static enum status start(struct worst *worst, const struct model *m, struct reference *ref, struct error *err) {
  enum status status = adapter_start(m->adapters, m->adapter_count, m->backend->pool, 0, err);
  for (size_t i = 0; !status && i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    float *want;
    size_t count;
    char name[600];
    if (p->frozen || !adapter_owns(m->adapters, m->adapter_count, p))
      continue;
    snprintf(name, sizeof name, "start.%s", p->key);
    status = reference_get(&want, &count, ref, name, err);
    CHECK(status || count == p->count);
    if (!status)
      worst->output = fmax(worst->output, reference_norm_error(p->data, want, count));
  }
  return status;
}

/* What is trained beside an adapter that starts from the weights is the base's. */
static enum status take_adapter(struct worst *worst, struct model *m, const json_t *about, const char *path,
                                struct reference *ref, struct error *err) {
  return json_object_get(about, "adapter") ? start(worst, m, ref, err) : peft_load(m, path, err);
}

/* A language model or an encoder of text with an adapter. */
static enum status run_texts(struct worst *worst, const char *folder, const json_t *about, struct reference *ref,
                             struct backend *backend, struct error *err) {
  const json_t *optimizer = json_object_get(about, "optimizer");
  struct model model = {0};
  struct learner learner = {0};
  struct adapter_spec spec;
  char path[1024], model_path[1024];
  snprintf(path, sizeof path, "%s/adapter", folder);
  snprintf(model_path, sizeof model_path, "%s/model", folder);
  enum status s = read_spec(&spec, about, path, &ref->arena, err);
  enum job_output output = s ? OUTPUT_CLASS : output_of(&learner.scored, ref);
  size_t num_labels = output == OUTPUT_CLASS || output == OUTPUT_TAGS ? 3 : output == OUTPUT_RELEVANCE ? 1 : 0;
  json_t *ratio = json_object_get(optimizer, "loraplus_lr_ratio");
  if (!s && ratio)
    spec.lora.loraplus_lr_ratio = json_number_value(ratio);
  s = s ? s : model_open(&model, model_path, output, num_labels, 0, backend, err);
  s = s ? s : model_adapt(&model, &spec, 0, err);
  s = s ? s : take_adapter(worst, &model, about, path, ref, err);
  if (!s) {
    model.pooling = pooling_of(ref);
    learner.texts = texts_of(ref);
    learner.scale = 20;
    preference_configure(&learner, &model, preference_in(about, &ref->arena), true);
    for (size_t i = 0; !ratio && i < model.parameters.count; i++)
      model.parameters.item[i]->decay = true; /* the reference decays everything, but PEFT's LoRA+ no vectors */
    learner.orth_lambda = json_number_value(json_object_get(about, "lambda_"));
    learner.adamw = (struct adamw){.beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .epsilon = 1e-8,
                                   .weight_decay = json_number_value(json_object_get(optimizer, "weight_decay")),
                                   .max_grad_norm = json_number_value(json_object_get(optimizer, "max_grad_norm"))};
    struct batch_limits limits = {ROWS_MAX / learner.texts * learner.texts, CELLS_MAX, 128};
    s = learner_init(&learner, &model, &limits, &limits, err);
    s = s ? s : compare(worst, &learner, ref, about, err);
    learner_done(&learner);
  }
  model_close(&model);
  return s;
}

static enum status run_case(struct worst *worst, const char *folder, struct backend *backend, struct error *err) {
  char path[1024];
  AUTO(json_release) json_t *about = NULL;
  struct reference ref = {0};
  snprintf(path, sizeof path, "%s/case.json", folder);
  enum status s = json_parse_file(&about, path, NULL, err);
  if (s)
    return s;
  arena_init(&ref.arena, (size_t)1 << 30);
  snprintf(path, sizeof path, "%s/io.safetensors", folder);
  s = safetensors_open(&ref.io, path, err);
  s = s ? s : (images_is_case(about) ? images_run : run_texts)(worst, folder, about, &ref, backend, err);
  safetensors_close(&ref.io);
  arena_done(&ref.arena);
  return s;
}

struct totals {
  int passed, failed;
};

/* Image models and mixtures of experts have no devices yet: that they say so is all there is to see there. */
static bool is_refused(enum status status, const struct backend *backend, const struct error *err) {
  return status == STATUS_UNSUPPORTED_VALUE && !backend->ops->host_memory &&
         strcmp(err->param, "scheduling.device") == 0 &&
         (strstr(err->text, "image models") || strstr(err->text, "mixtures of experts"));
}

static void run_one(const char *folder, const char *name, struct backend *backend, struct totals *totals) {
  struct worst w = {0};
  struct error err = {0};
  enum status status = run_case(&w, folder, backend, &err);
  const struct tolerance *most = &tolerances[backend->precision];
  bool ok = !status && w.output <= most->output && w.loss <= most->output && w.gradient <= most->gradient &&
            w.parameter <= most->parameter && w.merged <= most->parameter;
  if (is_refused(status, backend, &err)) {
    printf("ok %-18s # SKIP %s\n", name, err.text);
    return;
  }
  if (status)
    printf("not ok %-18s %s\n", name, err.text);
  else if (w.output_only)
    printf("%s %-18s output %.1e\n", ok ? "ok" : "not ok", name, w.output);
  else
    printf("%s %-18s output %.1e  loss %.1e  gradient %.1e  parameters %.1e  merged %.1e\n", ok ? "ok" : "not ok", name,
           w.output, w.loss, w.gradient, w.parameter, w.merged);
  *(ok ? &totals->passed : &totals->failed) += 1;
}

/* A folder with case.json is a case; others are searched, in the order of their names. */
static void search(const char *folder, const char *name, struct backend *backend, struct totals *totals, int depth) {
  char path[1024];
  struct stat info;
  struct dirent **entries;
  snprintf(path, sizeof path, "%s/case.json", folder);
  if (stat(path, &info) == 0) {
    run_one(folder, name, backend, totals);
    return;
  }
  int count = depth < 4 ? scandir(folder, &entries, NULL, alphasort) : 0;
  for (int i = 0; i < count; i++) {
    if (entries[i]->d_name[0] != '.') {
      snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
      if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        search(path, entries[i]->d_name, backend, totals, depth + 1);
    }
    free(entries[i]);
  }
  if (count > 0)
    free(entries);
}

/* A backend by one name: an instruction set or a matmul library of the CPU, or a device. */
static void choose_backend(const char *name, const char **isa, const char **device, enum matmul_library *matmul) {
  const struct isa *found;
  enum matmul_library library = job_matmul_parse(name);
  if (library != MATMUL_LIBRARY_COUNT)
    *matmul = library;
  else if (isa_find(&found, name, NULL) == STATUS_OK)
    *isa = name;
  else
    *device = name;
}

int main(int argc, char **argv) {
  struct backend backend;
  struct error err;
  struct totals totals = {0};
  enum matmul_library matmul = MATMUL_AUTO;
  enum precision precision = PRECISION_FP32;
  const char *isa = NULL, *device = NULL;
  int first = 1;
  for (; first + 1 < argc && argv[first][0] == '-'; first += 2)
    if (strcmp(argv[first], "--isa") == 0)
      isa = argv[first + 1];
    else if (strcmp(argv[first], "--device") == 0)
      device = argv[first + 1];
    else if (strcmp(argv[first], "--backend") == 0)
      choose_backend(argv[first + 1], &isa, &device, &matmul);
    else if (strcmp(argv[first], "--precision") == 0)
      precision = strcmp(argv[first + 1], "bf16") == 0   ? PRECISION_BF16
                  : strcmp(argv[first + 1], "fp32") == 0 ? PRECISION_FP32
                                                         : PRECISION_COUNT;
    else
      matmul = strcmp(argv[first], "--matmul") == 0 ? job_matmul_parse(argv[first + 1]) : MATMUL_LIBRARY_COUNT;
  if (first >= argc || matmul == MATMUL_LIBRARY_COUNT || precision == PRECISION_COUNT) {
    fprintf(stderr, "usage: golden [--backend NAME] [--device NAME] [--isa NAME] [--matmul native|openblas]\n"
                    "              [--precision fp32|bf16] DIR...\n");
    return 2;
  }
  if (device ? device_open(&backend, device, 2, &err) : cpu_open(&backend, 2, isa, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 2;
  }
  backend_set_precision(&backend, precision);
  backend_set_matmul(&backend, matmul);
  for (int i = first; i < argc; i++) {
    const char *slash = strrchr(argv[i], '/');
    search(argv[i], slash && slash[1] ? slash + 1 : argv[i], &backend, &totals, 0);
  }
  backend_close(&backend);
  printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed > 0 || totals.passed == 0;
}
