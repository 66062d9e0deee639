#include "api/sweep.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/job_fields.h"
#include "api/objective.h"
#include "api/variant.h"
#include "base/json.h"
#include "base/str.h"

#define HYPER ".hyperparameters."

const char *const sweep_goal_names[] = {"auto", "minimize", "maximize", NULL};
static const char *const matches[] = {"trainable_parameters", NULL};

static const struct field rows[] = {
    {"name", NULL, FIELD_STRING, offsetof(struct sweep_spec, name), 0, 1, SWEEP_NAME_MAX,
     .doc = "What people know the sweep by."},
    {"methods", NULL, FIELD_STRING_LIST, offsetof(struct sweep_spec, methods), 0, 1, VARIANT_COUNT,
     .doc = "Methods that are compared: " VARIANT_NAMES
            " (HRA, HRA with Gram-Schmidt, HRA with orth_lambda, LoRA, OFT, BOFT)."},
    {"match", NULL, FIELD_CHOICE, offsetof(struct sweep_spec, match), 0, 0, 0, matches, "trainable_parameters",
     .doc = "Each method has the size at which it trains as many parameters as the job's own adapter, as near as its "
            "sizes come."},
    {"metric", NULL, FIELD_STRING, offsetof(struct sweep_spec, metric), 0, 1, 64,
     .doc = "What jobs are compared by: the job's evaluation.metric unless it is given here; train_loss where there is "
            "no validation_file."},
    {"goal", NULL, FIELD_CHOICE, offsetof(struct sweep_spec, goal), 0, 0, 0, sweep_goal_names, "auto",
     .doc = "Which way is better; it follows from the metric, and one that contradicts it is refused."},
};
const struct field_table sweep_fields = {rows, COUNT_OF(rows)};

enum sweep_goal sweep_goal_of(const char *metric) {
  static const char *const lower[] = {"loss", "perplexity", SWEEP_TRAIN_LOSS};
  for (size_t i = 0; i < COUNT_OF(lower); i++)
    if (strcmp(metric, lower[i]) == 0)
      return SWEEP_MINIMIZE;
  return SWEEP_MAXIMIZE;
}

/* --- fields ----------------------------------------------------------------------------------------- */

/* As it is shown: a hyperparameter by its name alone. */
static const char *shown(const char *field) {
  const char *found = strncmp(field, "method.", strlen("method.")) == 0 ? strstr(field, HYPER) : NULL;
  return found && found[strlen(HYPER)] ? found + strlen(HYPER) : field;
}

/* Of any objective. */
static bool is_hyper(const char *field) {
  bool found = field_find(&job_hyper_fields, field) != NULL;
  for (int i = 0; i < OBJECTIVE_COUNT; i++) {
    const struct field_table own = objective_fields((enum objective)i);
    found = found || field_find(&own, field);
  }
  return found;
}

/* Where it stands in this job's body, whose hyperparameters are in one of three places. */
static void place(char out[2 * SWEEP_PATH_MAX], const char *field, const json_t *job) {
  const char *type = json_string_value(json_object_get(json_object_get(job, "method"), "type"));
  field = shown(field);
  bool hyper = !strchr(field, '.') && !field_find(&job_fields, field) && is_hyper(field);
  if (!hyper)
    snprintf(out, 2 * SWEEP_PATH_MAX, "%s", field);
  else if (json_is_object(json_object_get(job, "hyperparameters")))
    snprintf(out, 2 * SWEEP_PATH_MAX, "hyperparameters.%s", field);
  else
    snprintf(out, 2 * SWEEP_PATH_MAX, "method.%.40s.hyperparameters.%s", type ? type : "supervised", field);
}

/* False: something that stands there already has no room for it. */
static bool set_at(json_t *object, const char *path, const json_t *value) {
  for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
    json_t *next = json_object_getn(object, path, (size_t)(dot - path));
    if (!next && json_object_setn_new(object, path, (size_t)(dot - path), next = json_object()) != 0)
      return false;
    if (!json_is_object(next))
      return false;
    object = next;
  }
  return !json_object_get(object, path) && json_object_set_new(object, path, json_deep_copy(value)) == 0;
}

static bool is_path(const char *text) {
  size_t length = strlen(text);
  return length > 0 && length < SWEEP_PATH_MAX && text[0] != '.' && text[length - 1] != '.' && !strstr(text, "..");
}

/* A field that may be varied. `where` names it for a fault. */
static void check_field(const char *field, const char *where, bool methods, struct fault_list *faults) {
  static const char *const sizes[] = {"adapter",
                                      "adapter.peft_type",
                                      "adapter.r",
                                      "adapter.apply_GS",
                                      "adapter.orth_lambda",
                                      "adapter.oft_block_size",
                                      "adapter.boft_block_num",
                                      "adapter.boft_block_size"};
  static const char *const metric[] = {"evaluation", "evaluation.metric", "evaluation.metric_for_best_model"};
  if (!is_path(field))
    fault_add(faults, STATUS_INVALID_VALUE, where,
              "%s: a field is a path in a job's body, as learning_rate or adapter.r", where);
  for (size_t i = 0; i < COUNT_OF(metric); i++)
    if (strcmp(field, metric[i]) == 0)
      fault_add(faults, STATUS_INVALID_VALUE, where, "%s: all jobs of a sweep are judged by one metric, its own member",
                where);
  for (size_t i = 0; methods && i < COUNT_OF(sizes); i++)
    if (strcmp(field, sizes[i]) == 0)
      fault_add(faults, STATUS_INVALID_VALUE, where,
                "%s: where methods are compared, their sizes and switches follow from methods", where);
}

/* --- reading ---------------------------------------------------------------------------------------- */

/* A combination's fields must have room beside each other: "adapter" and "adapter.r" have not. */
static void check_room(const json_t *fields, const char *where, const json_t *job, struct fault_list *faults) {
  AUTO(json_release) json_t *patch = json_object();
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
    char path[2 * SWEEP_PATH_MAX];
    place(path, shown(name), job);
    if (!set_at(patch, path, value))
      fault_add(faults, STATUS_INVALID_VALUE, where, "%s: %.100s is set by another field too", where, name);
  }
}

/* Returns the product of the numbers of values, at most SWEEP_JOBS_MAX + 1. */
static size_t read_grid(const struct sweep_spec *sweep, struct fault_list *faults) {
  const char *name;
  json_t *values;
  size_t count = 1;
  AUTO(json_release) json_t *first = json_object();
  if (!json_is_object(sweep->grid) || json_object_size(sweep->grid) == 0 ||
      json_object_size(sweep->grid) > SWEEP_FIELDS_MAX) {
    fault_add(faults, STATUS_INVALID_VALUE, "grid",
              "grid must be an object of 1 to %d fields with a list of values each", SWEEP_FIELDS_MAX);
    return 1;
  }
  json_object_foreach((json_t *)(uintptr_t)sweep->grid, name, values) {
    char where[SWEEP_PATH_MAX + 8];
    size_t n = json_array_size(values);
    snprintf(where, sizeof where, "grid.%.90s", name);
    check_field(shown(name), where, sweep->methods.count > 0, faults);
    if (n == 0)
      fault_add(faults, STATUS_INVALID_VALUE, where, "%s must be a list of values, and not an empty one", where);
    for (size_t i = 0; i < n && n <= SWEEP_JOBS_MAX; i++)
      for (size_t k = 0; k < i; k++)
        if (json_equal(json_array_get(values, i), json_array_get(values, k)))
          fault_add(faults, STATUS_INVALID_VALUE, where, "%s has the same value at [%zu] and [%zu]", where, k, i);
    if (n > 0)
      json_object_set(first, name, json_array_get(values, 0));
    count = n == 0 || count * n > SWEEP_JOBS_MAX ? (n == 0 ? count : SWEEP_JOBS_MAX + 1) : count * n;
  }
  check_room(first, "grid", sweep->job, faults);
  return count;
}

static size_t read_list(const struct sweep_spec *sweep, struct fault_list *faults) {
  size_t i, count = json_array_size(sweep->list);
  const json_t *item;
  if (count == 0)
    fault_add(faults, STATUS_INVALID_VALUE, "list",
              "list must be a list of objects {field: value}, and not an empty one");
  if (count == 0 || count > SWEEP_JOBS_MAX)
    return count ? SWEEP_JOBS_MAX + 1 : 1;
  json_array_foreach(sweep->list, i, item) {
    const char *name;
    json_t *value;
    char where[SWEEP_PATH_MAX + 24];
    snprintf(where, sizeof where, "list[%zu]", i);
    if (!json_is_object(item) || json_object_size(item) > SWEEP_FIELDS_MAX) {
      fault_add(faults, STATUS_INVALID_VALUE, where, "%s must be an object {field: value} of at most %d fields", where,
                SWEEP_FIELDS_MAX);
      continue;
    }
    json_object_foreach((json_t *)(uintptr_t)item, name, value) {
      snprintf(where, sizeof where, "list[%zu].%.80s", i, name);
      check_field(shown(name), where, sweep->methods.count > 0, faults);
    }
    snprintf(where, sizeof where, "list[%zu]", i);
    check_room(item, where, sweep->job, faults);
    for (size_t k = 0; k < i; k++)
      if (json_equal(item, json_array_get(sweep->list, k)))
        fault_add(faults, STATUS_INVALID_VALUE, where, "%s is the same as list[%zu]", where, k);
  }
  return count;
}

static void read_methods(const struct sweep_spec *sweep, struct fault_list *faults) {
  const struct string_list *methods = &sweep->methods;
  for (size_t i = 0; i < methods->count; i++) {
    char where[40];
    snprintf(where, sizeof where, "methods[%zu]", i);
    if (!variant_find(methods->item[i], strlen(methods->item[i])))
      fault_add(faults, STATUS_INVALID_VALUE, where, "methods has %.60s; it may have " VARIANT_NAMES, methods->item[i]);
    for (size_t k = 0; k < i; k++)
      if (strcmp(methods->item[i], methods->item[k]) == 0)
        fault_add(faults, STATUS_INVALID_VALUE, where, "methods has %.60s twice", methods->item[i]);
  }
  if (methods->count && isnan(variant_cost(json_object_get(sweep->job, "adapter"))))
    fault_add(faults, STATUS_INVALID_VALUE, "methods",
              "methods are matched to the size of job.adapter, which must be a number: r of HRA and LORA, "
              "oft_block_size of OFT, boft_block_size of BOFT");
}

static void read_metric(const struct sweep_spec *sweep, struct fault_list *faults) {
  const char *metric = sweep->metric;
  const json_t *evaluation = json_object_get(sweep->job, "evaluation");
  const char *own = json_string_value(json_object_get(evaluation, "metric"));
  const char *alias = json_string_value(json_object_get(evaluation, "metric_for_best_model"));
  bool known = metric && strcmp(metric, SWEEP_TRAIN_LOSS) == 0;
  own = own ? own : alias;
  for (int i = 0; metric && i < METRIC_COUNT; i++)
    known |= strcmp(job_metric_names[i], metric) == 0;
  if (metric && !known)
    fault_add(faults, STATUS_INVALID_VALUE, "metric",
              "metric is \"%.64s\"; it may be " SWEEP_TRAIN_LOSS " or what evaluation.metric of a job may be", metric);
  else if (metric && own && strcmp(metric, own) != 0)
    fault_add(faults, STATUS_INVALID_VALUE, "metric", "metric is %s, and job.evaluation.metric is %.64s: one is enough",
              metric, own);
  if (metric && known && sweep->goal != SWEEP_GOAL_AUTO && sweep->goal != (int)sweep_goal_of(metric))
    fault_add(faults, STATUS_INVALID_VALUE, "goal", "goal is %s, and %s is better %s", sweep_goal_names[sweep->goal],
              metric, sweep_goal_of(metric) == SWEEP_MINIMIZE ? "lower" : "higher");
}

void sweep_parse(struct sweep_spec *out, const json_t *body, struct arena *arena, struct fault_list *faults) {
  static const char *const elsewhere[] = {"job", "grid", "list", NULL};
  *out = (struct sweep_spec){0};
  field_read(&sweep_fields, out, body, "", elsewhere, arena, faults);
  out->job = json_object_get(body, "job");
  out->grid = json_object_get(body, "grid");
  out->list = json_object_get(body, "list");
  out->grid = json_is_null(out->grid) ? NULL : out->grid;
  out->list = json_is_null(out->list) ? NULL : out->list;
  if (!out->job || json_is_null(out->job))
    fault_add(faults, STATUS_MISSING_PARAMETER, "job",
              "job is missing: the body of the jobs, as of POST /v1/fine_tuning/jobs");
  else if (!json_is_object(out->job))
    fault_add(faults, STATUS_INVALID_VALUE, "job", "job must be an object, not %s", json_kind(out->job));
  if (!out->grid && !out->list && !out->methods.count)
    fault_add(faults, STATUS_MISSING_PARAMETER, "grid", "what is to differ is missing: grid, list or methods");
  if (out->grid && out->list)
    fault_add(faults, STATUS_INVALID_VALUE, "list", "grid and list exclude each other");
  read_methods(out, faults);
  read_metric(out, faults);
  size_t fields = out->grid ? read_grid(out, faults) : out->list ? read_list(out, faults) : 1;
  out->count = fields * (out->methods.count ? out->methods.count : 1);
  if (out->count > SWEEP_JOBS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE,
              out->grid   ? "grid"
              : out->list ? "list"
                          : "methods",
              "the sweep has more than %d jobs, which is the limit", SWEEP_JOBS_MAX);
}

/* --- jobs ------------------------------------------------------------------------------------------- */

static bool add_name(json_t *names, const char *name) {
  for (size_t i = 0; i < json_array_size(names); i++)
    if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
      return true;
  return json_array_append_new(names, json_string(name)) == 0;
}

json_t *sweep_varied(const struct sweep_spec *sweep) {
  json_t *out = sweep->methods.count ? json_pack("[ss]", "method", "size") : json_array();
  const char *name;
  json_t *value;
  const json_t *item;
  size_t i;
  bool whole = out != NULL;
  json_object_foreach((json_t *)(uintptr_t)sweep->grid, name, value) whole = whole && add_name(out, shown(name));
  json_array_foreach(sweep->list, i, item) {
    json_object_foreach((json_t *)(uintptr_t)item, name, value) whole = whole && add_name(out, shown(name));
  }
  if (whole)
    return out;
  json_decref(out);
  return NULL;
}

/* The method's own adapter in place of the job's, and what is told of it. */
static bool put_method(struct sweep_combination *out, const struct sweep_spec *sweep, const char *name) {
  const struct variant *variant = variant_find(name, strlen(name));
  const json_t *adapter = json_object_get(sweep->job, "adapter");
  CHECK(variant);
  int64_t size = variant_matched(variant, variant_cost(adapter));
  return json_object_set_new(out->body, "adapter", variant_adapter(adapter, variant, size)) == 0 &&
         json_object_set_new(out->values, "method", json_string(name)) == 0 &&
         json_object_set_new(out->values, "size", json_sprintf("%s %lld", variant->word, (long long)size)) == 0;
}

/* Of another method only what all methods share stays of the job's adapter. */
static bool drop_adapter(json_t *body, const json_t *patch) {
  const json_t *adapter = json_object_get(body, "adapter");
  const char *from = json_string_value(json_object_get(adapter, "peft_type"));
  const char *to = json_string_value(json_object_get(json_object_get(patch, "adapter"), "peft_type"));
  if (!json_is_object(adapter) || !to || method_parse(from ? from : "HRA") == method_parse(to))
    return true;
  return json_object_set_new(body, "adapter", job_adapter_shared(adapter)) == 0;
}

static bool put_field(struct sweep_combination *out, json_t *patch, const struct sweep_spec *sweep, const char *name,
                      json_t *value) {
  char path[2 * SWEEP_PATH_MAX];
  place(path, shown(name), sweep->job);
  return set_at(patch, path, value) && json_object_set(out->values, shown(name), value) == 0;
}

static bool put_fields(struct sweep_combination *out, json_t *patch, const struct sweep_spec *sweep, size_t index) {
  size_t below = sweep->count / (sweep->methods.count ? sweep->methods.count : 1);
  const char *name;
  json_t *value;
  bool whole = true;
  json_object_foreach(json_array_get(sweep->list, index), name, value) whole =
      whole && put_field(out, patch, sweep, name, value);
  json_object_foreach((json_t *)(uintptr_t)sweep->grid, name, value) {
    below /= json_array_size(value);
    whole = whole && put_field(out, patch, sweep, name, json_array_get(value, index / below));
    index %= below;
  }
  return whole;
}

/* What all jobs of the sweep have. */
static bool put_common(json_t *body, const struct sweep_spec *sweep, int64_t seed) {
  json_t *method = json_object_get(body, "method");
  if (json_is_object(method) && !json_object_get(method, "type") &&
      json_object_set_new(method, "type", json_string("supervised")) != 0)
    return false;
  if ((!json_object_get(body, "seed") || json_is_null(json_object_get(body, "seed"))) &&
      json_object_set_new(body, "seed", json_integer((json_int_t)seed)) != 0)
    return false;
  if (!sweep->metric || strcmp(sweep->metric, SWEEP_TRAIN_LOSS) == 0)
    return true;
  AUTO(json_release) json_t *patch = json_pack("{s{ss}}", "evaluation", "metric", sweep->metric);
  json_object_del(json_object_get(body, "evaluation"), "metric_for_best_model"); /* which says the same */
  return patch && json_merge(body, patch);
}

enum status sweep_combine(struct sweep_combination *out, const struct sweep_spec *sweep, size_t index, int64_t seed,
                          struct error *err) {
  size_t methods = sweep->methods.count, each = sweep->count / (methods ? methods : 1);
  AUTO(json_release) json_t *patch = json_object();
  CHECK(index < sweep->count);
  *out = (struct sweep_combination){json_deep_copy(sweep->job), json_object()};
  bool whole =
      out->body && out->values && patch && (!methods || put_method(out, sweep, sweep->methods.item[index / each]));
  whole = whole && put_fields(out, patch, sweep, index % each) && drop_adapter(out->body, patch) &&
          json_merge(out->body, patch) && put_common(out->body, sweep, seed);
  return whole ? STATUS_OK : error_no_memory(err, "the sweep");
}

void sweep_combination_done(struct sweep_combination *combination) {
  json_decref(combination->body);
  json_decref(combination->values);
  *combination = (struct sweep_combination){0};
}

void sweep_describe(char *out, size_t size, const json_t *values) {
  AUTO(str_done) struct str text;
  const char *name;
  json_t *value;
  str_init(&text, 1 << 16);
  json_object_foreach((json_t *)(uintptr_t)values, name, value) {
    str_printf(&text, "%s%s = ", text.length ? ", " : "", name);
    if (!json_append(&text, value))
      break;
  }
  size_t length = text.length < size ? text.length : size - 1;
  while (length && length < text.length && ((unsigned char)text.text[length] & 0xC0) == 0x80)
    length--; /* between characters */
  memcpy(out, text.text, length);
  out[length] = '\0';
}
