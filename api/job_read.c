/* Parsing and checking a job's body. Every part reports its faults and goes on, so that a caller
   learns of all of them at once. */
#include "api/device.h"
#include "api/job.h"

#include <stdio.h>
#include <string.h>

#include "api/glue.h"
#include "api/job_fields.h"
#include "api/job_task.h"
#include "api/objective.h"
#include "api/recipe.h"
#include "api/task_settings.h"
#include "base/json.h"
#include "base/str.h"

/* What `method` and the deprecated `hyperparameters` lead to. NULL: absent. */
struct parts {
  enum objective objective;
  json_t *hyper, *adapter; /* new references */
  char hyper_path[64], adapter_path[64];
};

/* jansson counts references in the value itself, so that even a borrower of a const document must
   write to it. */
static json_t *hold(const json_t *value) {
  return json_incref((json_t *)(uintptr_t)value);
}

static const json_t *member(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return value && json_is_null(value) ? NULL : value;
}

static bool object_or_fault(const json_t *value, const char *param, struct fault_list *faults) {
  if (json_is_object(value))
    return true;
  fault_add(faults, STATUS_INVALID_VALUE, param, "%s must be an object, not %s", param, json_kind(value));
  return false;
}

/* Refuses every member that is not one of two names; null is as good as absent. */
static void only_members(const json_t *object, const char *path, const char *a, const char *b,
                         struct fault_list *faults) {
  const char *const names[] = {a, b, NULL};
  const struct field_table none = {0};
  char param[96], near[96];
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, name, value) {
    if (strcmp(name, a) == 0 || (b && strcmp(name, b) == 0) || json_is_null(value))
      continue;
    field_suggest(near, sizeof near, &none, names, name);
    snprintf(param, sizeof param, "%s.%s", path, strlen(name) < 32 ? name : "(a long name)");
    fault_add(faults, STATUS_UNKNOWN_PARAMETER, param, "%s is not a known parameter%s", param, near);
  }
}

/* method.<type>.hyperparameters, or NULL. `path` gets its name. */
static const json_t *hyperparameters_of(const json_t *method, const char *type, char path[64],
                                        struct fault_list *faults) {
  snprintf(path, 64, "method.%s", type);
  const json_t *block = member(method, type);
  if (!block || !object_or_fault(block, path, faults))
    return NULL;
  only_members(block, path, "hyperparameters", NULL, faults);
  snprintf(path, 64, "method.%s.hyperparameters", type);
  const json_t *hyper = member(block, "hyperparameters");
  return hyper && object_or_fault(hyper, path, faults) ? hyper : NULL;
}

/* method {"type":"hra","hra":{"hyperparameters":{...}}}: one object carries members of both kinds. */
static void split_sugar(struct parts *parts, const json_t *both, const struct method *method,
                        struct fault_list *faults) {
  const char *name;
  json_t *value;
  parts->hyper = json_object();
  parts->adapter = json_pack("{ss}", "peft_type", method->peft_type);
  bool ok = parts->hyper && parts->adapter;
  json_object_foreach((json_t *)(uintptr_t)both, name, value) {
    bool adapter = job_adapter_has(method, name);
    ok = ok && json_object_set(adapter ? parts->adapter : parts->hyper, name, value) == 0;
  }
  if (!ok)
    fault_add(faults, STATUS_OUT_OF_MEMORY, "method", "method does not fit into memory");
}

static const struct method *method_named(const char *name) {
  for (int i = 0; i < PEFT_COUNT; i++)
    if (strcmp(method_of((enum peft_type)i)->name, name) == 0)
      return method_of((enum peft_type)i);
  return NULL;
}

static void read_method(struct parts *parts, const json_t *body, struct fault_list *faults) {
  const json_t *method = member(body, "method");
  if (!method || !object_or_fault(method, "method", faults))
    return;
  const json_t *type = member(method, "type");
  if (!json_is_string(type)) {
    fault_add(faults, type ? STATUS_INVALID_VALUE : STATUS_MISSING_PARAMETER, "method.type",
              "method.type is required and must be a string");
    return;
  }
  const char *name = json_string_value(type);
  const struct method *sugar = method_named(name);
  enum objective objective = objective_parse(name);
  if (!sugar && objective == OBJECTIVE_COUNT) {
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "method.type",
              "method.type \"%.40s\" is not supported; it is supervised, dpo, orpo or kto", name);
    return;
  }
  parts->objective = sugar ? OBJECTIVE_SUPERVISED : objective;
  only_members(method, "method", "type", name, faults);
  const json_t *hyper = hyperparameters_of(method, name, parts->hyper_path, faults);
  if (!sugar) {
    parts->hyper = hyper ? hold(hyper) : NULL;
    return;
  }
  snprintf(parts->adapter_path, sizeof parts->adapter_path, "%s", parts->hyper_path);
  split_sugar(parts, hyper, sugar, faults);
  if (!hyper) {
    json_decref(parts->hyper);
    parts->hyper = NULL;
  }
}

/* Brings together the two places of hyperparameters and the two of an adapter. */
static void read_parts(struct parts *parts, const json_t *body, struct fault_list *faults) {
  *parts = (struct parts){.hyper_path = "method.supervised.hyperparameters", .adapter_path = "adapter"};
  read_method(parts, body, faults);
  const json_t *old = member(body, "hyperparameters");
  const json_t *adapter = member(body, "adapter");
  if (old && parts->hyper) {
    fault_add(faults, STATUS_INVALID_VALUE, "hyperparameters", "hyperparameters and %s are both given",
              parts->hyper_path);
  } else if (old && object_or_fault(old, "hyperparameters", faults)) {
    parts->hyper = hold(old);
    snprintf(parts->hyper_path, sizeof parts->hyper_path, "hyperparameters");
  }
  if (adapter && parts->adapter)
    fault_add(faults, STATUS_INVALID_VALUE, "adapter",
              "adapter and a method.type that names an adapter are both given");
  else if (adapter)
    parts->adapter = hold(adapter);
}

static void read_hyperparameters(struct hyperparameters *out, const struct parts *parts, struct arena *arena,
                                 struct fault_list *faults) {
  struct field rows[JOB_HYPER_ROWS];
  const struct field_table fields = job_hyper_fields_of(rows, parts->objective);
  field_defaults(&fields, out);
  if (!parts->hyper)
    return;
  AUTO(json_release) json_t *rest = inert_without(parts->hyper, job_inert_hyper, parts->hyper_path, faults);
  if (rest)
    field_read(&fields, out, rest, parts->hyper_path, NULL, arena, faults);
}

/* Members of sections that are sections of their own. */
static const char *const sections_within[] = {"generate", NULL};

static void read_sections(struct job_spec *out, const json_t *body, struct arena *arena, struct fault_list *faults) {
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++) {
    const struct job_section *section = &job_sections[i];
    void *at = (char *)out + section->offset;
    const json_t *value = member(section->parent ? member(body, section->parent) : body, section->name);
    bool parent = strcmp(section->name, "evaluation") == 0;
    if (value)
      field_read(&section->fields, at, value, section->path, parent ? sections_within : NULL, arena, faults);
    else if (!section->parent)
      field_defaults(&section->fields, at);
    if (section->parent)
      *(bool *)at = value != NULL;
  }
}

/* The members of a recipe go beneath what the body gives: its sections, of which `rest` is a copy, ... */
static void lay_sections(json_t *rest, const json_t *members) {
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++) {
    const char *name = job_sections[i].path;
    const json_t *given = member(rest, name);
    if (json_object_get(members, name) && (!given || json_is_object(given)))
      json_object_set_new(rest, name, recipe_lay(json_object_get(members, name), given, &job_sections[i].fields));
  }
  if (!member(rest, "seed") && json_object_get(members, "seed"))
    json_object_set(rest, "seed", json_object_get(members, "seed"));
}

/* The same of the preset of evaluation.generate. `rest` is a copy, its sections are not. */
static void lay_generate(json_t *rest, struct fault_list *faults) {
  const json_t *evaluation = member(rest, "evaluation"), *generate = member(evaluation, "generate");
  json_t *own = json_is_object(generate) ? json_copy((json_t *)(uintptr_t)evaluation) : NULL;
  json_t *laid = own ? job_generate_lay(generate, faults) : NULL;
  if (laid && json_object_set_new(own, "generate", laid) == 0)
    json_object_set(rest, "evaluation", own);
  json_decref(own);
}

/* ... and the two parts. Of another method than the recipe's only its modules are taken. */
static void lay_parts(struct parts *parts, const json_t *members) {
  static const struct field_table none = {0};
  AUTO(json_release) json_t *adapter = json_copy(json_object_get(members, "adapter"));
  json_t *hyper = recipe_lay(json_object_get(members, "hyperparameters"), parts->hyper, &job_hyper_fields);
  json_decref(parts->hyper);
  parts->hyper = hyper;
  if (!adapter || (parts->adapter && !json_is_object(parts->adapter)))
    return;
  if (member(parts->adapter, "peft_type")) {
    json_object_del(adapter, "peft_type");
    json_object_del(adapter, "r");
  }
  json_t *whole = recipe_lay(adapter, parts->adapter, &none);
  json_decref(parts->adapter);
  parts->adapter = whole;
}

/* A schedule must leave something to learn with; where n_epochs decides, the number of steps is known later. */
static void check_schedule(const struct job_spec *spec, const char *path, struct fault_list *faults) {
  char param[96];
  const struct hyperparameters *h = &spec->hyperparameters;
  snprintf(param, sizeof param, "%s.learning_rate", path);
  if ((float)(h->learning_rate * h->learning_rate_multiplier) == 0)
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "learning_rate %g times learning_rate_multiplier %g is 0 as a 32-bit float: nothing would be learnt",
              h->learning_rate, h->learning_rate_multiplier);
  snprintf(param, sizeof param, "%s.warmup_steps", path);
  if (h->max_steps == 1 && job_warmup_steps(h, 1) > 0)
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "a warm-up begins with a learning rate of 0, and max_steps is 1: the only step would learn nothing");
}

/* What is judged by evaluations needs some. */
static void check_validation(const struct job_spec *spec, struct fault_list *faults) {
  const struct {
    bool asked;
    const char *name;
  } rows[] = {{spec->early_stopping.patience > 0, "early_stopping.patience"},
              {spec->checkpointing.keep_best, "checkpointing.keep_best"},
              {spec->checkpointing.load_best_at_end, "checkpointing.load_best_at_end"},
              {spec->generate.present, "evaluation.generate"}};
  for (size_t i = 0; i < COUNT_OF(rows) && !spec->validation_file; i++)
    if (rows[i].asked)
      fault_add(faults, STATUS_MISSING_PARAMETER, rows[i].name,
                "%s is judged by evaluations: it needs a validation_file", rows[i].name);
}

/* Characters, not bytes. The parser let only valid UTF-8 in. */
static size_t characters(const char *text) {
  size_t count = 0;
  for (; *text; text++)
    count += ((unsigned char)*text & 0xC0) != 0x80;
  return count;
}

static const json_t *read_metadata(const json_t *body, struct fault_list *faults) {
  enum { KEY_MAX = 64, VALUE_MAX = 512 };
  const json_t *metadata = member(body, "metadata");
  if (!metadata || !object_or_fault(metadata, "metadata", faults))
    return NULL;
  if (json_object_size(metadata) > JOB_METADATA_PAIRS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "metadata", "metadata has %zu pairs; at most %d are kept",
              json_object_size(metadata), JOB_METADATA_PAIRS_MAX);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
    char param[96];
    snprintf(param, sizeof param, "metadata.%s", strlen(key) < 80 ? key : "(a long key)");
    if (characters(key) > KEY_MAX)
      fault_add(faults, STATUS_INVALID_VALUE, "metadata", "a key of metadata has more than %d characters", KEY_MAX);
    if (!json_is_string(value))
      fault_add(faults, STATUS_INVALID_VALUE, param, "%s must be a string, not %s", param, json_kind(value));
    else if (characters(json_string_value(value)) > VALUE_MAX)
      fault_add(faults, STATUS_INVALID_VALUE, param, "%s has more than %d characters", param, VALUE_MAX);
  }
  return metadata;
}

static void check_device(const char *device, struct fault_list *faults) {
  if (device && !device_wanted_valid(device))
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
              "scheduling.device \"%.40s\" is no device; it is auto, cpu, opencl, cuda, or one of them, like opencl:0",
              device);
}

static void check_suffix(const char *suffix, struct fault_list *faults) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  size_t good = suffix ? strspn(suffix, letters) : 0;
  if (suffix && suffix[good])
    fault_add(faults, STATUS_INVALID_VALUE, "suffix",
              "suffix may have letters, digits, '.', '_' and '-' only; character %zu is another%s", good + 1,
              suffix[good] == ' ' ? " (a space)" : "");
}

enum matmul_library job_matmul_parse(const char *name) {
  int library = 0;
  while (library < MATMUL_LIBRARY_COUNT && strcmp(name, job_matmul_names[library]) != 0)
    library++;
  return (enum matmul_library)library;
}

/* Preferences move a model that can answer already: a tenth of the method's rate. */
static double default_rate(const struct job_spec *spec) {
  double rate = method_of(spec->adapter.peft_type)->learning_rate;
  return spec->objective == OBJECTIVE_SUPERVISED ? rate : rate / 10;
}

static void check_begins_once(const struct job_spec *spec, const char *path, struct fault_list *faults) {
  char param[96];
  snprintf(param, sizeof param, "%s.init_lora_weights", path);
  if (spec->from_checkpoint && adapter_spec_of_weight(&spec->adapter))
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s says to start from the weights, and from_checkpoint to start from an adapter; leave one out", param);
}

/* Members that are not rows of job_fields. */
static const char *const elsewhere[] = {"method",     "hyperparameters", "adapter",        "dataset",    "embedding",
                                        "image",      "evaluation",      "checkpointing",  "early_stopping",
                                        "scheduling", "metadata",        NULL};

void job_spec_parse(struct job_spec *out, const json_t *body, int64_t seed_if_absent, struct arena *arena,
                    struct fault_list *faults) {
  struct parts parts;
  *out = (struct job_spec){0};
  if (!object_or_fault(body, "body", faults))
    return;
  AUTO(json_release) json_t *rest = inert_without(body, job_inert_top, "", faults);
  if (!rest)
    return;
  const char *task = json_string_value(json_object_get(rest, "task"));
  if (task && strchr(task, '/') && glue_find(task)) /* its other spellings */
    json_object_set_new(rest, "task", json_sprintf("glue/%s", glue_find(task)->name));
  const char *recipe = json_string_value(json_object_get(rest, "recipe"));
  AUTO(json_release)
  json_t *members = recipe ? recipe_members(recipe, task, member(body, "validation_file") != NULL, faults) : NULL;
  if (!members && task)
    members = job_image_members(task, faults);
  lay_sections(rest, members);
  lay_generate(rest, faults);
  field_read(&job_fields, out, rest, "", elsewhere, arena, faults);
  read_parts(&parts, body, faults);
  out->objective = (int)parts.objective;
  lay_parts(&parts, members);
  read_hyperparameters(&out->hyperparameters, &parts, arena, faults);
  job_adapter_parse(&out->adapter, parts.adapter, parts.adapter_path, arena, faults);
  check_begins_once(out, parts.adapter_path, faults);
  read_sections(out, rest, arena, faults);
  out->metadata = read_metadata(body, faults);
  check_suffix(out->suffix, faults);
  check_device(out->scheduling.device, faults);
  check_validation(out, faults);
  glue_settle(out, rest);
  objective_settle(out, faults);
  job_task_settle(out, faults);
  task_settings_judge(out, OUTPUT_COUNT, faults);
  job_generate_settle(out, faults);
  job_exports_settle(&out->exports, &out->adapter, arena, faults);
  job_image_settle(out, faults);
  if (out->seed < 0)
    out->seed = seed_if_absent & INT32_MAX;
  if (out->hyperparameters.learning_rate == 0)
    out->hyperparameters.learning_rate = default_rate(out);
  check_schedule(out, parts.hyper_path, faults);
  json_decref(parts.hyper);
  json_decref(parts.adapter);
}

/* NULL, and a fault, when it is not there: job_spec_json writes it always. */
static const json_t *written(const json_t *object, const char *name, struct fault_list *faults) {
  const json_t *value = json_object_get(object, name);
  if (json_is_object(value))
    return value;
  fault_add(faults, STATUS_DAMAGED, name, "%s is missing", name);
  return NULL;
}

/* The members of the written document, each in the one place that it has there. */
static void read_written(struct job_spec *out, const json_t *document, struct arena *arena, struct fault_list *faults) {
  const json_t *adapter = written(document, "adapter", faults);
  const json_t *method = json_object_get(document, "method");
  const char *type = json_string_value(json_object_get(method, "type"));
  enum objective objective = objective_parse(type ? type : "");
  objective = objective == OBJECTIVE_COUNT ? OBJECTIVE_SUPERVISED : objective;
  const json_t *hyper = written(written(method, objective_names[objective], faults), "hyperparameters", faults);
  struct field rows[JOB_HYPER_ROWS];
  const struct field_table fields = job_hyper_fields_of(rows, (int)objective);
  *out = (struct job_spec){.objective = (int)objective, .metadata = member(document, "metadata")};
  field_read(&job_fields, out, document, "", elsewhere, arena, faults);
  if (hyper)
    field_read(&fields, &out->hyperparameters, hyper, "hyperparameters", NULL, arena, faults);
  if (adapter)
    job_adapter_restore(&out->adapter, adapter, arena, faults);
  read_sections(out, document, arena, faults);
}

/* Adds a fault for each member that is none of `names` (ended by NULL). */
static void allow(const json_t *changes, const char *path, const char *const *names, struct fault_list *faults) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)changes, name, value) {
    char param[96];
    const char *const *known = names;
    while (*known && strcmp(*known, name) != 0)
      known++;
    snprintf(param, sizeof param, "%s%.64s", path, name);
    if (!*known)
      fault_add(faults, STATUS_UNKNOWN_PARAMETER, param,
                "%s cannot be changed in a job that exists; a clone of the job"
                " can have another",
                param);
  }
}

void job_spec_amend(struct job_spec *out, json_t *document, const json_t *changes, struct arena *arena,
                    struct fault_list *faults) {
  static const char *const top[] = {"suffix", "display_name", "metadata", "scheduling", NULL};
  static const char *const scheduling[] = {"priority", NULL};
  const json_t *planned = member(changes, "scheduling");
  allow(changes, "", top, faults);
  if (json_object_get(changes, "scheduling") &&
      object_or_fault(json_object_get(changes, "scheduling"), "scheduling", faults))
    allow(planned, "scheduling.", scheduling, faults);
  if (faults->count)
    return;
  if (!json_merge(document, changes)) {
    fault_add(faults, STATUS_OUT_OF_MEMORY, NULL, "the change does not fit into memory");
    return;
  }
  read_written(out, document, arena, faults);
  out->metadata = read_metadata(document, faults);
  check_suffix(out->suffix, faults);
}

enum status job_spec_restore(struct job_spec *out, json_t **document, const char *text, struct arena *arena,
                             struct error *err) {
  static const struct json_limits limits = {.bytes_max = 4 << 20, .depth_max = 64, .values_max = 1 << 20};
  struct fault_list faults = {0};
  struct error why;
  enum status status = json_parse(document, text, strlen(text), &limits, &why);
  if (status)
    return error_set(err, status == STATUS_OUT_OF_MEMORY ? status : STATUS_DAMAGED, NULL, "%s", why.text);
  if (!json_is_object(*document))
    fault_add(&faults, STATUS_DAMAGED, NULL, "it is no object");
  else if (out)
    read_written(out, *document, arena, &faults);
  if (faults.count == 0)
    return STATUS_OK;
  json_decref(*document);
  *document = NULL;
  bool memory = faults.item[0].status == STATUS_OUT_OF_MEMORY;
  return error_set(err, memory ? STATUS_OUT_OF_MEMORY : STATUS_DAMAGED, NULL, "%s", faults.item[0].text);
}
