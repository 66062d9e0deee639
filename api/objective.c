#include "api/objective.h"

#include <string.h>

#include "api/job_task.h"
#include "base/str.h"

#define PAIRS_OF_ANSWERS                                                                                               \
  "pairs of answers in each line: input, preferred_output and non_preferred_output as OpenAI has them, or prompt, "    \
  "chosen and rejected as TRL does (prompt may be in both answers instead)"

static const char *const needs[OBJECTIVE_COUNT] = {
#define OBJECTIVE(id, name, needs) [OBJECTIVE_##id] = (needs),
#include "api/objectives.def"
#undef OBJECTIVE
};

const char *const objective_names[] = {
#define OBJECTIVE(id, name, needs) [OBJECTIVE_##id] = (name),
#include "api/objectives.def"
#undef OBJECTIVE
    [OBJECTIVE_COUNT] = NULL};

static const char *const dpo_losses[] = {
    [DPO_LOSS_SIGMOID] = "sigmoid", [DPO_LOSS_IPO] = "ipo", [DPO_LOSS_ROBUST] = "robust", [DPO_LOSS_COUNT] = NULL};

#define AT(member) offsetof(struct hyperparameters, member)
#define BETA(what)                                                                                                     \
  { "beta", NULL, FIELD_NUMBER, AT(beta), FIELD_AUTO | FIELD_EXCLUSIVE, 0, 2, .initial = "0.1", .doc = what }
static const struct field dpo[] = {
    BETA("How strongly the model is held near the reference; rewards are scaled by it."),
    {"loss_type", NULL, FIELD_CHOICE, AT(loss_type), 0, 0, 0, dpo_losses, "sigmoid",
     .doc = "DPO's loss (sigmoid), IPO's, or DPO's for pairs of which some are the wrong way round (robust)."},
    {"label_smoothing", NULL, FIELD_NUMBER, AT(label_smoothing), 0, 0, 0.4999,
     .doc = "The share of pairs that may be the wrong way round; of sigmoid and robust."},
    {"rpo_alpha", NULL, FIELD_NUMBER, AT(rpo_alpha), 0, 0, 1000,
     .doc = "Weight of the preferred answers' mean token loss, which is added."},
};
static const struct field orpo[] = {
    BETA("Weight of the odds ratio beside the preferred answers' mean token loss (lambda in ORPO's paper)."),
};
static const struct field kto[] = {
    BETA("How strongly the model is held near the reference; rewards are scaled by it."),
    {"desirable_weight", NULL, FIELD_NUMBER, AT(desirable_weight), 0, 0, 1000, .initial = "1",
     .doc = "Weight of the losses of completions that are labelled true."},
    {"undesirable_weight", NULL, FIELD_NUMBER, AT(undesirable_weight), 0, 0, 1000, .initial = "1",
     .doc = "Weight of the losses of completions that are labelled false."},
};
#undef BETA
#undef AT

struct field_table objective_fields(enum objective objective) {
  switch (objective) {
  case OBJECTIVE_SUPERVISED: return (struct field_table){0};
  case OBJECTIVE_DPO: return (struct field_table){dpo, COUNT_OF(dpo)};
  case OBJECTIVE_ORPO: return (struct field_table){orpo, COUNT_OF(orpo)};
  case OBJECTIVE_KTO: return (struct field_table){kto, COUNT_OF(kto)};
  case OBJECTIVE_COUNT: break;
  }
  CHECK(!"an objective");
}

enum objective objective_parse(const char *name) {
  int found = str_index(objective_names, OBJECTIVE_COUNT, name);
  return found < 0 ? OBJECTIVE_COUNT : (enum objective)found;
}

const char *objective_needs(enum objective objective) {
  return needs[objective];
}

static void check_task(const struct job_spec *spec, struct fault_list *faults) {
  if (spec->task != JOB_TASK_AUTO && spec->task != JOB_TASK_LANGUAGE_MODEL && spec->task != JOB_TASK_PREFERENCE)
    fault_add(faults, STATUS_INVALID_VALUE, "task",
              "task is %s, but method.type %s is preference tuning of language models; leave task out",
              job_task_names[spec->task], objective_names[spec->objective]);
  if (spec->columns.problem_type != PROBLEM_AUTO)
    fault_add(faults, STATUS_INVALID_VALUE, "dataset.problem_type",
              "dataset.problem_type is %s, but method.type %s is preference tuning of language models; leave it out",
              job_problem_names[spec->columns.problem_type], objective_names[spec->objective]);
}

/* Records of preference tuning have members of fixed names. */
static void check_columns(const struct job_spec *spec, struct fault_list *faults) {
  const struct {
    const char *param, *name, *usual;
  } named[] = {{"dataset.prompt", spec->columns.prompt, "prompt"},
               {"dataset.completion", spec->columns.completion, "completion"},
               {"dataset.label", spec->columns.label, "label"},
               {"dataset.messages", spec->columns.messages, "messages"},
               {"dataset.text", spec->columns.text, "text"}};
  for (size_t i = 0; i < COUNT_OF(named); i++)
    if (named[i].name && strcmp(named[i].name, named[i].usual) != 0)
      fault_add(faults, STATUS_INVALID_VALUE, named[i].param,
                "%s names a column, but those of method.type %s have fixed names: it learns from %s", named[i].param,
                objective_names[spec->objective], objective_needs((enum objective)spec->objective));
}

void objective_settle(struct job_spec *spec, struct fault_list *faults) {
  const struct hyperparameters *h = &spec->hyperparameters;
  if (spec->objective == OBJECTIVE_SUPERVISED) {
    if (spec->task == JOB_TASK_PREFERENCE)
      fault_add(faults, STATUS_INVALID_VALUE, "task",
                "the task preference is learnt by method.type dpo, orpo or kto, which is not given");
    return;
  }
  check_task(spec, faults);
  check_columns(spec, faults);
  if (h->train_on_inputs && spec->objective != OBJECTIVE_ORPO)
    fault_add(faults, STATUS_INVALID_VALUE, "train_on_inputs",
              "train_on_inputs is true, but %s compares answers: only orpo's token loss may have the prompts too",
              objective_names[spec->objective]);
  if (spec->objective == OBJECTIVE_KTO && spec->evaluation.metric == METRIC_REWARDS_ACCURACIES)
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.metric",
              "evaluation.metric is %s, which is measured of pairs, and kto has none; it measures loss and %s",
              job_metric_names[METRIC_REWARDS_ACCURACIES], job_metric_names[METRIC_REWARDS_MARGINS]);
  if (spec->objective == OBJECTIVE_KTO && h->batch_size < 2 && !h->packing)
    fault_add(faults, STATUS_INVALID_VALUE, "batch_size",
              "batch_size is 1: kto measures how far the model is from the reference by the completions of the other "
              "examples in a micro-batch, and there would be none");
  spec->task = JOB_TASK_PREFERENCE;
  spec->columns.problem_type = PROBLEM_AUTO;
}
