#include "worker/results/card.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/objective.h"
#include "base/json.h"
#include "worker/results/manifest.h"

enum { CARD_MAX = 1 << 20, CURVE_ROWS = 12, COLUMNS = 7 };

/* Text of others in a cell of a table, as code, so that a pattern's signs are shown as they are. There is no way to
   write a backquote or the end of a line there. */
static void put_cell(struct str *out, const char *text) {
  str_putc(out, '`');
  for (; *text; text++) {
    if (*text == '|')
      str_putc(out, '\\');
    str_putc(out, *text == '\n' || *text == '\r' || *text == '`' ? ' ' : *text);
  }
  str_putc(out, '`');
}

/* --- data ----------------------------------------------------------------------------------------- */

static enum status put_file(struct str *out, const char *use, const struct task_file *file, size_t examples,
                            struct error *err) {
  AUTO(json_release) json_t *data = NULL;
  enum status status = manifest_data(&data, file, err);
  if (status)
    return status;
  str_printf(out, "| %s | ", use);
  put_cell(out, file->filename);
  str_printf(out, " | %zu | %" JSON_INTEGER_FORMAT " | `%s` |\n", examples,
             json_integer_value(json_object_get(data, "bytes")), json_string_value(json_object_get(data, "sha256")));
  return STATUS_OK;
}

static enum status put_data(struct str *out, const struct training *t, struct error *err) {
  str_puts(out, "## Data\n\n| use | file | examples | bytes | SHA-256 |\n|---|---|---|---|---|\n");
  enum status status = put_file(out, "training", &t->task->training, t->training->count, err);
  if (!status && t->validation)
    status = put_file(out, "validation", &t->task->validation, t->validation->count, err);
  str_printf(out, "\n%" PRId64 " steps, %" PRId64 " tokens.\n\n", t->progress.step, t->progress.tokens);
  return status;
}

/* --- results -------------------------------------------------------------------------------------- */

/* The hub's name of a metric, or NULL where it has none. */
static const char *hub_metric(const char *name) {
  static const struct {
    const char *ours, *hub;
  } known[] = {{"valid_accuracy", "accuracy"},    {"valid_f1", "f1"},
               {"valid_precision", "precision"},  {"valid_recall", "recall"},
               {"valid_f1_micro", "f1"},          {"valid_matthews_correlation", "matthews_correlation"},
               {"valid_pearson", "pearsonr"},     {"valid_spearman", "spearmanr"},
               {"valid_perplexity", "perplexity"}};
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(known[i].ours, name) == 0)
      return known[i].hub;
  return NULL;
}

static void put_results(struct str *out, const struct training *t) {
  const char *name;
  json_t *value;
  if (!t->validation)
    return;
  str_printf(out,
             "## Results\n\nOn the validation data, of this adapter (step %" PRId64
             "):\n\n| metric | value |\n|---|---|\n",
             t->adapter_step);
  str_printf(out, "| loss | %.6g |\n", t->evaluation.loss);
  json_object_foreach(t->evaluation.scores, name, value) {
    if (json_is_number(value))
      str_printf(out, "| %s | %.6g |\n", strncmp(name, "valid_", 6) == 0 ? name + 6 : name, json_number_value(value));
  }
  str_putc(out, '\n');
}

/* As the hub reads them. */
static void put_front(struct str *out, const struct training *t) {
  const char *name;
  json_t *value;
  size_t count = 0;
  AUTO(str_done) struct str results;
  str_init(&results, CARD_MAX);
  if (!t->validation)
    return;
  json_object_foreach(t->evaluation.scores, name, value) {
    const char *hub = hub_metric(name);
    if (!hub || !json_is_number(value))
      continue;
    str_printf(out, "%s- %s\n", count++ ? "" : "metrics:\n", hub);
    str_printf(&results, "    - type: %s\n      name: %s\n      value: %.6g\n", hub, name, json_number_value(value));
  }
  if (count == 0)
    return;
  AUTO(json_release) json_t *file = json_string(t->task->validation.filename); /* a JSON string is YAML too */
  AUTO(json_release) json_t *model = json_pack("s+", t->task->spec.model, " adapter");
  str_puts(out, "model-index:\n- name: ");
  json_append(out, model);
  str_printf(out, "\n  results:\n  - task:\n      type: %s\n    dataset:\n      name: ",
             job_output_of(t->learner->model->output)->pipeline_tag);
  json_append(out, file);
  str_puts(out, "\n      type: file\n    metrics:\n");
  str_puts(out, results.text);
}

/* --- curve ---------------------------------------------------------------------------------------- */

/* A line of step_metrics.csv: its first fields, where they begin and end. */
struct line {
  const char *field[COLUMNS];
  int length[COLUMNS];
};

static const char *read_line(struct line *out, const char *at) {
  const char *end = at + strcspn(at, "\n");
  for (size_t i = 0; i < COLUMNS; i++) {
    out->field[i] = at;
    out->length[i] = (int)strcspn(at, ",\n");
    at += out->length[i];
    at += *at == ',';
  }
  return *end ? end + 1 : end;
}

/* Some rows, evenly spread, the last among them, and those of evaluations where few enough. */
static void put_curve(struct str *out, const struct training *t) {
  const char *at = t->csv.text + strcspn(t->csv.text, "\n");
  const bool validated = t->validation != NULL;
  struct line line;
  size_t rows = 0;
  at += *at == '\n';
  for (const char *p = at; *p; rows++)
    p = read_line(&line, p);
  if (rows == 0)
    return;
  str_printf(out,
             "## Curve\n\nAll steps are in `step_metrics.csv` of the job.\n\n| step | epoch | training loss "
             "|%s\n|---|---|---|%s\n",
             validated ? " validation loss |" : "", validated ? "---|" : "");
  for (size_t i = 0; i < rows; i++) {
    at = read_line(&line, at);
    bool chosen =
        rows <= CURVE_ROWS || i * (CURVE_ROWS - 1) / (rows - 1) != (i + 1) * (CURVE_ROWS - 1) / (rows - 1) || i == 0;
    if (!chosen)
      continue;
    str_printf(out, "| %.*s | %.2f | %.*s |", line.length[0], line.field[0], strtod(line.field[1], NULL),
               line.length[2], line.field[2]);
    if (validated)
      str_printf(out, " %.*s |", line.length[6], line.field[6]);
    str_putc(out, '\n');
  }
  str_putc(out, '\n');
}

/* --- settings ------------------------------------------------------------------------------------- */

static void put_settings(struct str *out, const struct training *t) {
  static const char *const shown[] = {"n_epochs",      "batch_size",        "gradient_accumulation_steps",
                                      "learning_rate", "lr_scheduler_type", "warmup_ratio",
                                      "weight_decay",  "max_seq_length",    "precision",
                                      "beta",          "loss_type",         "label_smoothing",
                                      "rpo_alpha",     "desirable_weight",  "undesirable_weight"};
  AUTO(json_release) json_t *spec = job_spec_json(&t->task->spec);
  const char *objective = objective_names[t->task->spec.objective];
  const json_t *method = json_object_get(json_object_get(spec, "method"), objective);
  const json_t *hyper = json_object_get(method, "hyperparameters"), *adapter = json_object_get(spec, "adapter");
  const char *name;
  json_t *value;
  str_puts(out, "## Settings\n\n| setting | value |\n|---|---|\n");
  if (t->task->spec.objective != OBJECTIVE_SUPERVISED)
    str_printf(out, "| objective | %s |\n", objective);
  str_printf(out, "| seed | %" JSON_INTEGER_FORMAT " |\n", json_integer_value(json_object_get(spec, "seed")));
  for (size_t i = 0; i < COUNT_OF(shown); i++) {
    value = json_object_get(hyper, shown[i]);
    if (!value || json_is_null(value))
      continue;
    str_printf(out, "| %s | ", shown[i]);
    json_append(out, value);
    str_puts(out, " |\n");
  }
  json_object_foreach((json_t *)(uintptr_t)adapter, name, value) {
    if (json_is_null(value))
      continue;
    AUTO(str_done) struct str text;
    str_init(&text, CARD_MAX);
    json_append(&text, value);
    str_printf(out, "| %s | ", name);
    put_cell(out, text.text);
    str_puts(out, " |\n");
  }
  str_putc(out, '\n');
}

enum status card_make(struct card *out, const struct training *t, struct error *err) {
  str_init(&out->front, CARD_MAX);
  str_init(&out->body, CARD_MAX);
  put_front(&out->front, t);
  enum status status = put_data(&out->body, t, err);
  put_results(&out->body, t);
  put_curve(&out->body, t);
  put_settings(&out->body, t);
  if (!status && (out->front.failed || out->body.failed))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "README.md has become too long");
  out->text = (struct peft_card){out->front.text, out->body.text};
  return status;
}

void card_done(struct card *card) {
  str_done(&card->front);
  str_done(&card->body);
}
