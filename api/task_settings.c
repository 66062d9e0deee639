#include "api/task_settings.h"

#include <stdio.h>
#include <string.h>

#include "api/job_fields.h"
#include "base/json.h"

#define LEARNS(output) (1U << OUTPUT_##output)
static const struct owned {
  const char *name; /* a section's path, or a hyperparameter */
  unsigned outputs; /* of the tasks that read it */
  const char *words;
} owned[] = {
    {"image", LEARNS(IMAGE), "image generation (the tasks subject-driven and controllable)"},
    {"embedding", LEARNS(EMBEDDING), "sentence embeddings"},
    {"evaluation.generate", LEARNS(TEXT), "language models"},
    {"train_on_inputs", LEARNS(TEXT), "language models"},
    {"train_head", LEARNS(CLASS) | LEARNS(NUMBER) | LEARNS(LABELS) | LEARNS(TAGS) | LEARNS(RELEVANCE), "classifiers"},
};

static const struct job_section *section_of(const char *path) {
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++)
    if (strcmp(job_sections[i].path, path) == 0)
      return &job_sections[i];
  return NULL;
}

/* Adds a fault where the field is not at its default. */
static void judge_field(const struct field *field, const void *in, const char *param, const struct owned *rule,
                        const char *why, struct fault_list *faults) {
  const struct field_table one = {field, 1};
  AUTO(json_release) json_t *own = field_write(&one, in), *usual = field_default_json(field);
  if (!own || !usual)
    fault_add(faults, STATUS_OUT_OF_MEMORY, param, "%s does not fit into memory", param);
  else if (!json_equal(json_object_get(own, field->name), usual))
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s is for %s; %s", param, rule->words, why);
}

static void judge_section(const struct job_section *section, const void *in, const struct owned *rule, const char *why,
                          struct fault_list *faults) {
  char param[96];
  if (section->parent && *(const bool *)in) /* it may be absent, and is there */
    fault_add(faults, STATUS_INVALID_VALUE, section->path, "%s is for %s; %s", section->path, rule->words, why);
  for (size_t i = 0; !section->parent && i < section->fields.count; i++) {
    snprintf(param, sizeof param, "%s.%s", section->path, section->fields.fields[i].name);
    judge_field(&section->fields.fields[i], in, param, rule, why, faults);
  }
}

/* What the job learns, and how that is known. */
static enum job_output output_of(char why[120], const struct job_spec *spec, enum job_output learnt) {
  if (spec->task != JOB_TASK_AUTO) {
    snprintf(why, 120, "the task is %s", job_task_names[spec->task]);
    return job_task_output((enum job_task)spec->task);
  }
  if (learnt == OUTPUT_COUNT)
    snprintf(why, 120, "no task is named");
  else
    snprintf(why, 120, "the training file is for %s", job_output_of(learnt)->words);
  return learnt;
}

void task_settings_judge(const struct job_spec *spec, enum job_output learnt, struct fault_list *faults) {
  bool said = spec->task != JOB_TASK_AUTO;
  char why[120];
  enum job_output output = output_of(why, spec, learnt);
  if (said && learnt != OUTPUT_COUNT)
    return;
  for (size_t i = 0; i < COUNT_OF(owned); i++) {
    const struct job_section *section = section_of(owned[i].name);
    bool known = said || (learnt == OUTPUT_COUNT) == (owned[i].outputs == LEARNS(IMAGE));
    if (!known || owned[i].outputs >> output & 1)
      continue;
    if (section)
      judge_section(section, (const char *)spec + section->offset, &owned[i], why, faults);
    else
      judge_field(field_find(&job_hyper_fields, owned[i].name), &spec->hyperparameters, owned[i].name, &owned[i], why,
                  faults);
  }
}
