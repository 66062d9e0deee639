/* The body's member evaluation.generate: its presets and what may not stand together in it. */
#include <stdio.h>
#include <string.h>

#include "api/device.h"
#include "api/job_fields.h"
#include "api/job_task.h"
#include "api/recipe.h"
#include "base/json.h"
#include "base/str.h"

enum { CHOICES_MIN = 2 };

/* What HRA's authors ask a model that learnt MetaMathQA: Stanford Alpaca's instruction, and MetaMath's way of ending an
   answer; GSM8K's own answers end with #### and the number, MATH's have theirs in \boxed. */
static const struct preset {
  const char *answer_after; /* NULL: not given */
  enum extractor extractor;
  int max_tokens;
} presets[GENERATE_PRESET_COUNT] = {[GENERATE_PRESET_GSM8K] = {"#### ", EXTRACT_FIRST_NUMBER, 1024},
                                    [GENERATE_PRESET_MATH] = {NULL, EXTRACT_MATH, 2048}};

static json_t *preset_members(const struct preset *p) {
  return json_pack("{s:s, s:s, s:s, s:s*, s:[s,s,s,s], s:i}", "prompt_template",
                   "Below is an instruction that describes a task. Write a response that appropriately completes the "
                   "request.\n\n### Instruction:\n" GENERATE_PLACEHOLDER "\n\n### Response: Let's think step by step.",
                   "extractor", job_extractor_names[p->extractor], "after", "The answer is: ", "answer_after",
                   p->answer_after, "stop", "Instruction:", "Instruction", "Response:", "Response", "max_tokens",
                   p->max_tokens);
}

json_t *job_generate_lay(const json_t *given, struct fault_list *faults) {
  static const struct field_table none = {0};
  int preset =
      str_index(job_generate_preset_names, GENERATE_PRESET_COUNT, json_string_value(json_object_get(given, "preset")));
  AUTO(json_release) json_t *members = preset > GENERATE_PRESET_NONE ? preset_members(&presets[preset]) : NULL;
  json_t *out = recipe_lay(members, given, &none);
  if (!out)
    fault_add(faults, STATUS_OUT_OF_MEMORY, "evaluation.generate", "evaluation.generate does not fit into memory");
  return out;
}

/* A member that an extractor needs, and that no other reads. */
static void judge_member(const struct generate_spec *g, enum extractor only, const char *name, bool given,
                         struct fault_list *faults) {
  char param[64];
  bool needed = g->extractor == (int)only;
  snprintf(param, sizeof param, "evaluation.generate.%s", name);
  if (needed && !given)
    fault_add(faults, STATUS_MISSING_PARAMETER, param, "%s is required by the extractor %s", param,
              job_extractor_names[only]);
  else if (!needed && given)
    fault_add(faults, STATUS_INVALID_VALUE, param,
              "%s is for the extractor %s, and evaluation.generate.extractor is %s", param, job_extractor_names[only],
              job_extractor_names[g->extractor]);
}

static void judge_texts(const struct generate_spec *g, struct fault_list *faults) {
  const char *template = g->prompt_template, *at = template ? strstr(template, GENERATE_PLACEHOLDER) : NULL;
  bool numbers =
      g->extractor == EXTRACT_FIRST_NUMBER || g->extractor == EXTRACT_LAST_NUMBER || g->extractor == EXTRACT_MATH;
  if (template && (!at || strstr(at + 1, GENERATE_PLACEHOLDER)))
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.generate.prompt_template",
              "evaluation.generate.prompt_template must have " GENERATE_PLACEHOLDER
              " once: the prompt is put in its place");
  if (g->compat != GENERATE_COMPAT_NONE && !numbers)
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.generate.compat",
              "evaluation.generate.compat is about how numbers are read; the extractor %s reads none",
              job_extractor_names[g->extractor]);
  if (g->extractor == EXTRACT_CHOICE && g->after)
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.generate.after",
              "the extractor choice generates no answer that evaluation.generate.after could be found in");
}

/* KV caches are in the host's memory. */
static void settle_device(struct job_spec *spec, struct fault_list *faults) {
  const char *device = spec->scheduling.device;
  if (!device || strcmp(device, "auto") == 0)
    spec->scheduling.device = "cpu";
  else if (strcmp(device, "cpu") != 0)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
              "a job with evaluation.generate runs on the CPU; scheduling.device is \"%.40s\"", device);
}

void job_generate_settle(struct job_spec *spec, struct fault_list *faults) {
  const struct generate_spec *g = &spec->generate;
  if (!g->present) {
    if (spec->evaluation.metric == METRIC_EXACT_MATCH)
      fault_add(faults, STATUS_MISSING_PARAMETER, "evaluation.generate",
                "evaluation.metric is %s, which evaluation.generate measures", job_metric_names[METRIC_EXACT_MATCH]);
    return;
  }
  judge_member(g, EXTRACT_REGEX, "pattern", g->pattern != NULL, faults);
  judge_member(g, EXTRACT_CHOICE, "choices", g->choices.count > 0, faults);
  if (g->choices.count > 0 && g->choices.count < CHOICES_MIN)
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.generate.choices",
              "evaluation.generate.choices has one text: there is nothing to choose");
  judge_texts(g, faults);
  settle_device(spec, faults);
}
