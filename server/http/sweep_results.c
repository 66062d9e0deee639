#include "server/http/sweep_results.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "server/http/reply.h"

static double number(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* ---- what is known of a job ---- */

static void read_result(struct sweep_result *out, const struct sweep_row *sweep, const struct sweep_member *job,
                        int64_t now) {
  char name[80];
  AUTO(json_release) json_t *progress = reply_stored(job->progress);
  AUTO(json_release) json_t *estimate = reply_stored(job->estimate);
  const json_t *best = json_object_get(progress, "best");
  *out = (struct sweep_result){.job = job, .values = reply_stored(job->values)};
  snprintf(name, sizeof name, "valid_%s", sweep->metric);
  out->train_loss = number(progress, "train_loss");
  out->last = number(json_object_get(progress, "last"), name);
  out->best = number(best, name);
  out->best_step = json_integer_value(json_object_get(best, "step"));
  out->parameters = json_integer_value(json_object_get(estimate, "trainable_parameters"));
  out->value = job->best_at_end ? out->best : out->last;
  if (strcmp(sweep->metric, "train_loss") == 0)
    out->value = out->last = out->train_loss;
  out->duration = !job->started_at ? -1 : (job->finished_at ? job->finished_at : now) - job->started_at;
  if (job->state == JOB_QUEUED || job->state == JOB_PAUSED || job->state == JOB_VALIDATING)
    out->duration = -1; /* started_at is of its last run */
}

static bool is_ranked(const struct sweep_result *result) {
  return isfinite(result->value) && result->job->state != JOB_FAILED && result->job->state != JOB_CANCELLED;
}

/* Is a to stand before b? Of equal ones that which was made first stays first. */
static bool is_before(const struct sweep_result *a, const struct sweep_result *b, bool lower) {
  if (!is_ranked(a) || !is_ranked(b))
    return is_ranked(a) && !is_ranked(b);
  return lower ? a->value < b->value : a->value > b->value;
}

static void rank(struct sweep_results *results) {
  bool lower = strcmp(results->sweep->goal, "minimize") == 0;
  for (size_t i = 1; i < results->count; i++)
    for (size_t k = i; k > 0 && is_before(&results->item[k], &results->item[k - 1], lower); k--) {
      struct sweep_result swapped = results->item[k];
      results->item[k] = results->item[k - 1];
      results->item[k - 1] = swapped;
    }
  for (size_t i = 0; i < results->count; i++)
    results->item[i].rank = is_ranked(&results->item[i]) ? i + 1 : 0;
}

enum status sweep_results_make(struct sweep_results *out, const struct sweep_row *sweep,
                               const struct sweep_member *jobs, size_t count, int64_t now, struct arena *arena,
                               struct error *err) {
  *out = (struct sweep_results){.sweep = sweep, .fields = reply_stored(sweep->fields)};
  out->item = arena_array(arena, count + 1, sizeof *out->item);
  if (!out->item)
    return error_no_memory(err, "the sweep");
  for (size_t i = 0; i < count; i++)
    read_result(&out->item[out->count++], sweep, &jobs[i], now);
  rank(out);
  return STATUS_OK;
}

void sweep_results_done(struct sweep_results *results) {
  for (size_t i = 0; i < results->count; i++)
    json_decref(results->item[i].values);
  json_decref(results->fields);
  *results = (struct sweep_results){0};
}

/* ---- as JSON ---- */

static json_t *real(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

static json_t *result_json(const struct sweep_result *result) {
  const struct sweep_member *job = result->job;
  bool done = job->state == JOB_SUCCEEDED, failed = job->error_code != NULL;
  return json_pack("{s:o, s:s, s:s, s:O, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:o}", "rank",
                   reply_number((int64_t)result->rank), "job_id", job->id, "status", job_state_name(job->state),
                   "values", result->values, "trainable_parameters", reply_number(result->parameters), "value",
                   real(result->value), "last", real(result->last), "best", real(result->best), "best_step",
                   reply_number(result->best_step), "train_loss", real(result->train_loss), "duration_seconds",
                   result->duration >= 0 ? json_integer(result->duration) : json_null(), "fine_tuned_model",
                   done ? job->fine_tuned_model : NULL, "error", failed ? json_string(job->error_code) : json_null());
}

json_t *sweep_results_best(const struct sweep_results *results) {
  return results->count && results->item[0].rank ? result_json(&results->item[0]) : json_null();
}

json_t *sweep_results_json(const struct sweep_results *results) {
  const struct sweep_row *sweep = results->sweep;
  json_t *data = json_array();
  for (size_t i = 0; i < results->count; i++)
    if (json_array_append_new(data, result_json(&results->item[i])) != 0) {
      json_decref(data);
      return NULL;
    }
  return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:O, s:o}", "object", "fine_tuning.sweep.results", "sweep_id", sweep->id,
                   "name", sweep->name, "metric", sweep->metric, "goal", sweep->goal, "fields", results->fields, "data",
                   data);
}

/* ---- as text ---- */

/* How a table is written: what stands before, between and after the cells, and how a cell's text is. */
struct form {
  const char *before, *between, *after;
  bool (*put)(struct str *out, const char *text);
};

/* On one line; what others wrote makes neither a cell nor markup. Within a word a _ is none. */
static bool put_markdown(struct str *out, const char *text) {
  for (const char *c = text; *c; c++) {
    bool within = *c == '_' && c > text && isalnum((unsigned char)c[-1]) && isalnum((unsigned char)c[1]);
    if (strchr("|\\`*_<>[]&#!~$", *c) && !within)
      str_putc(out, '\\');
    str_putc(out, (unsigned char)*c < ' ' ? ' ' : *c);
  }
  return !out->failed;
}

static const struct form csv = {"", ",", "\r\n", str_csv}, markdown = {"| ", " | ", " |\n", put_markdown};

static void put_value(struct str *out, const struct form *form, const json_t *value) {
  AUTO(str_done) struct str text;
  str_init(&text, 1 << 18);
  if (json_is_string(value))
    form->put(out, json_string_value(value));
  else if (value && json_append(&text, value))
    form->put(out, text.text);
}

static void put_real(struct str *out, double value) {
  if (isfinite(value))
    str_printf(out, "%.15g", value);
}

static void put_titles(struct str *out, const struct form *form, const struct sweep_results *results) {
  static const char *const rest[] = {"trainable_parameters", NULL, "last", "best", "best_step", "train_loss",
                                     "duration_seconds"};
  str_printf(out, "%srank%sjob_id%sstatus", form->before, form->between, form->between);
  for (size_t i = 0; i < json_array_size(results->fields); i++) {
    str_puts(out, form->between);
    put_value(out, form, json_array_get(results->fields, i));
  }
  for (size_t i = 0; i < COUNT_OF(rest); i++) {
    str_puts(out, form->between);
    form->put(out, rest[i] ? rest[i] : results->sweep->metric);
  }
  str_puts(out, form->after);
}

static void put_row(struct str *out, const struct form *form, const struct sweep_results *results,
                    const struct sweep_result *result) {
  str_puts(out, form->before);
  if (result->rank)
    str_printf(out, "%zu", result->rank);
  str_printf(out, "%s%s%s%s", form->between, result->job->id, form->between, job_state_name(result->job->state));
  for (size_t i = 0; i < json_array_size(results->fields); i++) {
    const char *name = json_string_value(json_array_get(results->fields, i));
    str_puts(out, form->between);
    put_value(out, form, name ? json_object_get(result->values, name) : NULL);
  }
  str_puts(out, form->between);
  if (result->parameters)
    str_printf(out, "%lld", (long long)result->parameters);
  const double values[] = {result->value,      result->last,
                           result->best,       result->best_step ? (double)result->best_step : (double)NAN,
                           result->train_loss, result->duration >= 0 ? (double)result->duration : (double)NAN};
  for (size_t i = 0; i < COUNT_OF(values); i++) {
    str_puts(out, form->between);
    put_real(out, values[i]);
  }
  str_puts(out, form->after);
}

static void put_table(struct str *out, const struct form *form, const struct sweep_results *results) {
  put_titles(out, form, results);
  for (size_t i = 0; form == &markdown && i < 10 + json_array_size(results->fields); i++)
    str_puts(out, i == 0 ? "|---|" : "---|");
  if (form == &markdown)
    str_puts(out, "\n");
  for (size_t i = 0; i < results->count; i++)
    put_row(out, form, results, &results->item[i]);
}

void sweep_results_csv(struct str *out, const struct sweep_results *results) {
  put_table(out, &csv, results);
}

void sweep_results_markdown(struct str *out, const struct sweep_results *results) {
  put_table(out, &markdown, results);
}
