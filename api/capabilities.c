/* Allocation failures are not tested one by one: a container refuses a NULL value, which makes it NULL in turn. */
#include "api/capabilities.h"

#include <string.h>

#include "api/field_schema.h"
#include "api/glue.h"
#include "api/job_fields.h"
#include "api/objective.h"
#include "api/recipe.h"
#include "api/sweep.h"
#include "api/variant.h"
#include "base/json.h"

/* Takes the reference of `value`. */
static void put(json_t **object, const char *key, json_t *value) {
  if (*object && json_object_set_new(*object, key, value) == 0)
    return;
  json_decref(*object);
  *object = NULL;
}

static void push(json_t **array, json_t *value) {
  if (*array && json_array_append_new(*array, value) == 0)
    return;
  json_decref(*array);
  *array = NULL;
}

static json_t *names(const char *const *name) {
  json_t *out = json_array();
  for (; *name; name++)
    push(&out, json_string(*name));
  return out;
}

/* --- the body ------------------------------------------------------------------------------------- */

static json_t *section(const char *path, const struct field_table *table) {
  return json_pack("{ss so}", "path", path, "members", field_schema_members(table));
}

/* The one member of the body that no table has: an object of the client's own. */
static json_t *metadata(void) {
  return json_pack("{ss ss sb sn si ss}", "name", "metadata", "type", "object", "required", 0, "default",
                   "maxProperties", JOB_METADATA_PAIRS_MAX, "description",
                   "Names and values of your own, all strings, by which jobs can be listed.");
}

static json_t *job_members(void) {
  json_t *out = json_array(), *top = section("", &job_fields), *members = json_object_get(top, "members");
  if (json_array_append_new(members, metadata()) != 0) {
    json_decref(top);
    top = NULL;
  }
  push(&out, top);
  push(&out, section("method.supervised.hyperparameters", &job_hyper_fields));
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++)
    push(&out, section(job_sections[i].path, &job_sections[i].fields));
  return out;
}

/* --- methods -------------------------------------------------------------------------------------- */

static json_t *modules_member(const char *name, const char *doc) {
  return json_pack("{ss s[ss] ss sb sn ss}", "name", name, "type", "array", "string", "items", "string", "required", 0,
                   "default", "description", doc);
}

static json_t *method_json(const struct method *method) {
  struct field rows[JOB_ADAPTER_ROWS];
  const struct field_table table = job_adapter_fields(rows, method);
  json_t *members = field_schema_members(&table);
  push(&members, modules_member("target_modules",
                                "Which modules are adapted: names (the end of a path is enough), a regular expression "
                                "for the whole path, or \"all-linear\"; null: the model's default_target_modules."));
  push(&members, modules_member("exclude_modules", "Modules that are not, said in the same ways."));
  json_t *out = json_pack("{ss ss sf sb so}", "peft_type", method->peft_type, "name", method->name, "learning_rate",
                          method->learning_rate, "exact_lora", method->low_rank, "members", members);
  json_t *only = json_object();
  for (const struct method_fixed *fixed = method->fixed; fixed->name; fixed++)
    put(&only, fixed->name, json_loads(fixed->value, JSON_DECODE_ANY, NULL));
  put(&out, "fixed", only);
  return out;
}

static json_t *methods(void) {
  json_t *out = json_array();
  for (int i = 0; i < PEFT_COUNT; i++)
    push(&out, method_json(method_of((enum peft_type)i)));
  return out;
}

/* What each objective (method.type) has beside the hyperparameters of all. */
static json_t *objectives(void) {
  json_t *out = json_array();
  for (int i = 0; i < OBJECTIVE_COUNT; i++) {
    const struct field_table fields = objective_fields((enum objective)i);
    push(&out, json_pack("{ss ss so}", "name", objective_names[i], "needs", objective_needs((enum objective)i),
                         "members", field_schema_members(&fields)));
  }
  return out;
}

/* --- tasks, recipes, exports ---------------------------------------------------------------------- */

static json_t *metrics_of(enum job_task task) {
  json_t *out = json_array();
  push(&out, json_string(job_metric_names[METRIC_LOSS]));
  for (int i = 0; i < METRIC_COUNT; i++)
    if (job_task_measures(task, (enum validation_metric)i))
      push(&out, json_string(job_metric_names[i]));
  return out;
}

static json_t *task_json(enum job_task task) {
  const struct job_output_row *row = job_output_of(job_task_output(task));
  const struct glue_task *glue = glue_find(job_task_names[task]);
  json_t *out = json_pack("{ss ss ss ss? sb so}", "name", job_task_names[task], "learns", row->words, "needs",
                          row->needs, "peft_task_type", row->peft_task_type, "images", job_task_images((int)task),
                          "metrics", metrics_of(task));
  put(&out, "default_metric", json_string(job_metric_names[glue ? glue_metric(glue) : METRIC_LOSS]));
  return out;
}

static json_t *tasks(void) {
  json_t *out = json_array();
  for (int i = JOB_TASK_AUTO + 1; i < JOB_TASK_COUNT; i++)
    push(&out, task_json((enum job_task)i));
  return out;
}

json_t *capabilities_tasks(struct data_tasks can) {
  json_t *out = json_array();
  for (int i = JOB_TASK_AUTO + 1; i < JOB_TASK_COUNT; i++)
    if (data_tasks_allow(can, job_task_output((enum job_task)i)))
      push(&out, json_string(job_task_names[i]));
  return out;
}

/* {name, members: {task: what it stands for there, where there is a validation file}} */
static json_t *recipes(void) {
  json_t *out = json_array();
  for (int i = RECIPE_NONE + 1; i < RECIPE_COUNT; i++) {
    json_t *members = json_object();
    for (size_t t = 0; t < GLUE_COUNT; t++) {
      struct fault_list faults = {0};
      AUTO(json_release) json_t *name = json_sprintf("glue/%s", glue_tasks[t].name);
      const char *task = json_string_value(name);
      if (task)
        put(&members, task, recipe_members(recipe_names[i], task, true, &faults));
    }
    push(&out, json_pack("{ss so}", "name", recipe_names[i], "members", members));
  }
  return out;
}

static json_t *precisions(void) {
  const struct field *field = field_find(&job_hyper_fields, "precision");
  return names(field->choices);
}

/* What a sweep has beside its job, its grid and its list. */
static json_t *sweep(void) {
  json_t *methods = json_array();
  for (size_t i = 0; i < VARIANT_COUNT; i++)
    push(&methods, json_string(variants[i].name));
  return json_pack("{so so si}", "members", field_schema_members(&sweep_fields), "methods", methods, "jobs_max",
                   SWEEP_JOBS_MAX);
}

json_t *capabilities_json(void) {
  return json_pack("{so so so so so so so so}", "job", job_members(), "methods", methods(), "objectives", objectives(),
                   "tasks", tasks(), "recipes", recipes(), "precisions", precisions(), "exports",
                   export_formats_json(), "sweep", sweep());
}
