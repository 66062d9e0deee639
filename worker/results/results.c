#include "worker/results/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/data/embeddings.h"
#include "worker/export/export.h"
#include "worker/file/event_file.h"
#include "worker/file/tar.h"
#include "worker/model/conditioning_embedding.h"
#include "worker/peft/peft.h"
#include "worker/results/card.h"
#include "worker/results/manifest.h"
#include "worker/results/tensorboard.h"
#include "worker/train/generation_eval.h"
#include "worker/train/image_training.h"

enum { PEFT_FILES_MAX = 5 };

/* Names of an adapter's files. */
static size_t list_files(const char *names[PEFT_FILES_MAX], const struct training *t) {
  size_t count = 0;
  names[count++] = "adapter_config.json";
  names[count++] = "adapter_model.safetensors";
  names[count++] = "README.md";
  if (t->learner->model->num_labels) /* a classifier's only */
    names[count++] = "labels.json";
  if (t->images && t->images->hint)
    names[count++] = conditioning_embedding_file;
  return count;
}

static enum status put_text(struct training *t, const struct export *e, const char *name, const struct str *text,
                            struct error *err) {
  char path[1024];
  if (text->failed)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "%s has become too long", name);
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, name);
  enum status status = file_put(path, text->text, text->length, err);
  return status ? status : export_announce(e, name, name, true, err);
}

static enum status export_adapter(struct training *t, const struct export *e, struct error *err) {
  const struct task *task = t->task;
  const char *names[PEFT_FILES_MAX];
  size_t count = list_files(names, t);
  char folder[1024], path[1100];
  struct card card = {0};
  snprintf(folder, sizeof folder, "%s/adapter", task->output_dir);
  enum status status = file_mkdirs(folder, err);
  if (!status)
    status = card_make(&card, t, err);
  if (!status)
    status = peft_save(t->learner->model, &task->spec.adapter, folder, task->spec.model, &card.text, err);
  card_done(&card);
  for (size_t i = 0; !status && i < count; i++) {
    snprintf(path, sizeof path, "adapter/%s", names[i]);
    status = export_announce(e, names[i], path, false, err);
  }
  snprintf(path, sizeof path, "%s/adapter.tar", task->output_dir);
  status = status ? status : tar_pack(path, folder, names, count, NULL, NULL, err);
  return status ? status : export_announce(e, "adapter.tar", "adapter.tar", true, err);
}

/* The curve, in two forms. */
static enum status export_curve(struct training *t, const struct export *e, struct error *err) {
  char path[1100];
  snprintf(path, sizeof path, "%s/" EVENT_FILE_NAME, t->task->output_dir);
  enum status status = put_text(t, e, "step_metrics.csv", &t->csv, err);
  status = status ? status : tensorboard_write(path, &t->csv, err);
  return status ? status : export_announce(e, EVENT_FILE_NAME, EVENT_FILE_NAME, true, err);
}

static json_t *row_json(const float *row, size_t width) {
  json_t *logits = json_array();
  for (size_t c = 0; c < width; c++)
    json_array_append_new(logits, json_real((double)row[c]));
  return logits;
}

static size_t best_of(const float *row, size_t width) {
  size_t best = 0;
  for (size_t c = 0; c < width; c++)
    best = row[c] > row[best] ? c : best;
  return best;
}

/* By word; null of one that has no token, or was cut off. *first is the row of the first, and then of the next text's.
 */
static void describe_tags(json_t *line, const struct training *t, size_t i, size_t *first,
                          const struct dataset *learnt) {
  const struct corpus *c = t->validation;
  size_t width = t->evaluation.width;
  json_t *labels = json_array(), *predictions = json_array(), *logits = json_array();
  for (size_t k = c->cu_marks[i]; k < c->cu_marks[i + 1]; k++) {
    bool judged = c->mark_rows[k] != WORD_NONE;
    const float *row = t->evaluation.logits + *first * width;
    json_array_append_new(labels, json_string(learnt->label_names[c->marks[k]]));
    json_array_append_new(predictions, judged ? json_string(learnt->label_names[best_of(row, width)]) : json_null());
    json_array_append_new(logits, judged ? row_json(row, width) : json_null());
    *first += judged;
  }
  json_object_set_new(line, "labels", labels);
  json_object_set_new(line, "predictions", predictions);
  json_object_set_new(line, "logits", logits);
}

/* What was predicted of an example, beside where it stands. */
static void describe_prediction(json_t *line, const struct training *t, size_t i, size_t *first,
                                const struct example *x, const struct dataset *learnt) {
  const struct model *m = t->learner->model;
  const struct evaluation *evaluation = &t->evaluation;
  const float *row = evaluation->logits + i * evaluation->width; /* but of tags */
  const struct embeddings embeddings = {
      .rows = evaluation->logits, .width = evaluation->width, .corpus = t->validation};
  switch (m->output) {
  case OUTPUT_EMBEDDING: /* cosines */
    if (t->validation->targets)
      json_object_set_new(line, "label", json_real((double)x->target));
    json_object_set_new(line, "prediction", json_real(embeddings_cosine(&embeddings, i, 1)));
    if (x->negative)
      json_object_set_new(line, "negative", json_real(embeddings_cosine(&embeddings, i, 2)));
    return;
  case OUTPUT_TAGS: describe_tags(line, t, i, first, learnt); return;
  case OUTPUT_RELEVANCE:
    json_object_set_new(line, "label", json_real((double)x->target));
    json_object_set_new(line, "prediction", json_real(1 / (1 + exp(-(double)row[0]))));
    break;
  case OUTPUT_LABELS: {
    json_t *labels = json_array(), *predictions = json_array();
    for (size_t k = t->validation->cu_marks[i]; k < t->validation->cu_marks[i + 1]; k++)
      json_array_append_new(labels, json_string(learnt->label_names[t->validation->marks[k]]));
    for (size_t c = 0; c < evaluation->width; c++)
      if (row[c] > 0)
        json_array_append_new(predictions, json_string(learnt->label_names[c]));
    json_object_set_new(line, "labels", labels);
    json_object_set_new(line, "predictions", predictions);
    break;
  }
  case OUTPUT_NUMBER:
    json_object_set_new(line, "label", json_real((double)x->target));
    json_object_set_new(line, "prediction", json_real((double)row[0]));
    break;
  default:
    json_object_set_new(line, "label", json_string(learnt->label_names[x->label]));
    json_object_set_new(line, "prediction", json_string(learnt->label_names[best_of(row, evaluation->width)]));
  }
  json_object_set_new(line, "logits", row_json(row, evaluation->width));
}

/* {"index","line","label","prediction","logits"} of each validated example, in the file's order; of embeddings the
   cosines instead, of words {"labels","predictions","logits"} by word. */
static enum status export_predictions(struct training *t, const struct export *e, const struct dataset *validation,
                                      const struct dataset *learnt, struct error *err) {
  struct str text;
  size_t row = 0; /* of tags: the first of the example's */
  str_init(&text, (size_t)1 << 30);
  for (size_t i = 0; i < t->evaluation.count; i++) {
    const struct example *x = &validation->examples[i];
    json_t *line = json_pack("{s:I s:I}", "index", (json_int_t)i, "line", (json_int_t)x->line);
    describe_prediction(line, t, i, &row, x, learnt);
    json_append(&text, line);
    str_putc(&text, '\n');
    json_decref(line);
  }
  enum status status = put_text(t, e, "predictions.jsonl", &text, err);
  str_done(&text);
  return status;
}

static enum status export_manifest(struct training *t, const struct export *e, const struct dataset *learnt,
                                   struct error *err) {
  AUTO(json_release) json_t *manifest = NULL;
  enum status status = manifest_make(&manifest, t, learnt, e->announced, err);
  if (status)
    return status;
  struct str text;
  str_init(&text, (size_t)16 << 20);
  char *pretty = json_dumps(manifest, JSON_INDENT(2));
  str_puts(&text, pretty ? pretty : "");
  text.failed |= !pretty;
  free(pretty);
  status = put_text(t, e, "training_manifest.json", &text, err);
  str_done(&text);
  return status;
}

static struct export export_of(const struct training *t) {
  const struct task *task = t->task;
  return (struct export){.model = t->learner->model,
                         .spec = &task->spec.adapter,
                         .base = task->spec.model,
                         .base_path = task->model_dir,
                         .output_dir = task->output_dir,
                         .report = t->report};
}

enum status results_check(const struct training *t, struct error *err) {
  const struct export e = export_of(t);
  return export_check(&e, &t->task->spec.exports, err);
}

enum status results_publish(struct training *t, const struct dataset *learnt, const struct dataset *validation,
                            struct error *err) {
  struct export e = export_of(t);
  e.announced = json_array();
  enum status status = export_adapter(t, &e, err);
  status = status ? status : export_curve(t, &e, err);
  if (!status && validation)
    status = export_predictions(t, &e, validation, learnt, err);
  if (!status && t->generation)
    status = put_text(t, &e, "generations.jsonl", &t->generation->samples, err);
  status = status ? status : export_manifest(t, &e, learnt, err);
  status = status ? status : export_formats(&e, &t->task->spec.exports, err);
  json_decref(e.announced);
  return status;
}
