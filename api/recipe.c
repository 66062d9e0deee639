#include "api/recipe.h"

#include <string.h>

#include "api/glue.h"

const char *const recipe_names[] = {
    [RECIPE_NONE] = "none", [RECIPE_GLUE] = "glue", [RECIPE_HRA_GLUE] = "hra-glue", [RECIPE_COUNT] = NULL};

/* The two that differ by task. The authors' evaluated every so many steps, and after each epoch. */
static const struct {
  const char *task;
  int tokens;                                   /* of both: max_seq_length */
  int epochs;                                   /* of ours, which learns with each method's own rate */
  double rate;                                  /* the authors' */
  int authors_epochs, warmup, authors_evaluate; /* steps */
} rows[] = {
    {"cola", 64, 10, 8e-4, 28, 100, 100}, {"sst2", 128, 3, 1e-3, 16, 500, 100}, {"mrpc", 320, 10, 2e-3, 55, 50, 100},
    {"stsb", 128, 10, 3e-3, 43, 50, 100}, {"qqp", 320, 3, 9e-4, 10, 1000, 500}, {"mnli", 256, 3, 9e-4, 8, 1000, 1000},
    {"qnli", 512, 3, 1e-3, 12, 500, 100}, {"rte", 320, 10, 1e-3, 20, 50, 100},
};

static size_t row_of(const struct glue_task *task) {
  size_t i = 0;
  while (strcmp(rows[i].task, task->name) != 0)
    i++;
  return i;
}

static json_t *ours(size_t row, bool validated) {
  json_t *out = json_pack("{s:{s:i, s:i, s:i}}", "hyperparameters", "batch_size", 32, "n_epochs", rows[row].epochs,
                          "max_seq_length", rows[row].tokens);
  if (validated)
    json_object_set_new(out, "checkpointing", json_pack("{s:b, s:b}", "keep_best", 1, "load_best_at_end", 1));
  return out;
}

/* Of what they ran, the model in half precision, their cutting of long pairs (which may swap the two texts) and a tenth
   that is left of an epoch are not here. */
static json_t *authors(size_t row, bool validated) {
  static const char layers[] = ".*\\.layer\\.\\d+\\..+\\.(query|key|value|query_proj|key_proj|value_proj|dense)";
  json_t *out = json_pack("{s:{s:f, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:b, s:b, s:f}, s:{s:s, s:i, s:s}, s:i}",
                          "hyperparameters", "learning_rate", rows[row].rate, "n_epochs", rows[row].authors_epochs,
                          "warmup_steps", rows[row].warmup, "max_seq_length", rows[row].tokens, "batch_size", 32,
                          "lr_scheduler_type", "warmup_linear", "weight_decay", 0.01, "adam_epsilon", 1e-6,
                          "adam_bias_correction", 0, "train_head", 0, "max_grad_norm", 1.0, "adapter", "peft_type",
                          "HRA", "r", 8, "target_modules", layers, "seed", 1234);
  if (validated) {
    json_object_set_new(out, "checkpointing", json_pack("{s:b, s:b}", "keep_best", 1, "load_best_at_end", 1));
    json_object_set_new(out, "evaluation", json_pack("{s:i}", "every_steps", rows[row].authors_evaluate));
  }
  if (strcmp(rows[row].task, "qnli") == 0) /* they gave the sentence first */
    json_object_set_new(out, "dataset", json_pack("{s:s, s:s}", "text", "sentence", "text_pair", "question"));
  return out;
}

json_t *recipe_members(const char *recipe, const char *task, bool validated, struct fault_list *faults) {
  const struct glue_task *glue = task ? glue_find(task) : NULL;
  bool is_ours = strcmp(recipe, recipe_names[RECIPE_GLUE]) == 0;
  if (!is_ours && strcmp(recipe, recipe_names[RECIPE_HRA_GLUE]) != 0)
    return NULL;
  if (!glue) {
    fault_add(faults, STATUS_INVALID_VALUE, "recipe",
              "the recipe %s is for GLUE's tasks; task must be one of them, like \"glue/cola\"", recipe);
    return NULL;
  }
  json_t *out = is_ours ? ours(row_of(glue), validated) : authors(row_of(glue), validated);
  if (!out)
    fault_add(faults, STATUS_OUT_OF_MEMORY, "recipe", "the recipe does not fit into memory");
  return out;
}

static bool is_given(const json_t *value, const struct field *field) {
  bool automatic =
      field && field->flags & FIELD_AUTO && json_is_string(value) && strcmp(json_string_value(value), "auto") == 0;
  return !json_is_null(value) && !automatic;
}

json_t *recipe_lay(const json_t *members, const json_t *given, const struct field_table *fields) {
  const char *name;
  json_t *value;
  if (!members)
    return given ? json_incref((json_t *)(uintptr_t)given) : NULL;
  json_t *out = json_copy((json_t *)(uintptr_t)members);
  json_object_foreach((json_t *)(uintptr_t)given, name, value) {
    const struct field *field = field_find(fields, name);
    if (!is_given(value, field))
      continue;
    if (field)
      json_object_del(out, field->name);
    if (json_object_set(out, name, value) != 0) {
      json_decref(out);
      return NULL;
    }
  }
  return out;
}
