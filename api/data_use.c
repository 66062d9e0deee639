#include "api/data_use.h"

#include <stdio.h>
#include <string.h>

#include "api/chat_feature.h"
#include "api/glue.h"
#include "api/label.h"
#include "api/objective.h"
#include "api/pair_columns.h"
#include "api/tag_columns.h"
#include "base/json.h"
#include "base/str.h"

/* --- facts ---------------------------------------------------------------------------------------- */

static const json_t *column(const json_t *report, const char *name) {
  return name ? json_object_get(json_object_get(report, "facts"), name) : NULL;
}

static const char *text_of(const json_t *facts, const char *key) {
  return json_string_value(json_object_get(facts, key));
}

static bool first(const json_t *report, const char *name) {
  return json_is_true(json_object_get(column(report, name), "first"));
}

static bool given(const json_t *report, const char *name) {
  return text_of(column(report, name), "given") != NULL;
}

/* Is there such a column? A file of too many has them not all in its report. */
static bool listed(const json_t *report, const char *name) {
  const json_t *columns = json_object_get(report, "columns");
  size_t i;
  json_t *item;
  json_array_foreach(columns, i,
                     item) if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) return true;
  return false;
}

/* The job with its columns as they are called in this file, where its task knows them by several names. */
static struct job_spec settled(const struct job_spec *spec, const json_t *report) {
  enum { COLUMNS_MAX = 256 };
  const json_t *columns = json_object_get(report, "columns");
  const char *names[COLUMNS_MAX];
  size_t i, count = 0;
  json_t *item;
  struct job_spec own = *spec;
  const char **taken[] = {&own.columns.text, &own.columns.text_pair, &own.columns.label};
  json_array_foreach(columns, i, item) if (json_is_string(item) && count < COLUMNS_MAX) names[count++] =
      json_string_value(item);
  for (i = 0; i < COUNT_OF(taken); i++)
    *taken[i] = glue_column(glue_of(spec), *taken[i], names, count);
  return own;
}

bool data_use_is_language(enum data_use use) {
  return use != USE_LABELLED && use != USE_LABELS && use != USE_TAGS && use != USE_EMBEDDING && use != USE_RANKED;
}

/* Pairs that the task asks for; or those whose columns say it, in a file that gives nothing else. */
static enum job_output wants_pairs(const struct job_spec *spec, const struct data_given *given,
                                   struct data_tasks tasks) {
  bool other = (given->text && (given->label || given->labels || tasks.language)) || given->chat || given->completion;
  enum job_output output = spec->task != JOB_TASK_AUTO ? job_task_output((enum job_task)spec->task)
                           : other                     ? OUTPUT_COUNT
                                                       : given->pairs;
  return output != OUTPUT_COUNT && data_tasks_allow(tasks, output) ? output : OUTPUT_COUNT;
}

/* A list of labels that the task asks for; or that the first record gives, where it has no label. */
static bool wants_lists(const struct job_spec *spec, const struct data_given *given, struct data_tasks tasks) {
  if (spec->task != JOB_TASK_AUTO)
    return job_task_output((enum job_task)spec->task) == OUTPUT_LABELS;
  return tasks.classifier && given->text && given->labels && !given->label;
}

/* Words and tags that the task asks for; or that the first record gives, where it is no text with a label. */
static bool wants_tags(const struct job_spec *spec, const struct data_given *given, struct data_tasks tasks) {
  if (spec->task != JOB_TASK_AUTO)
    return job_task_output((enum job_task)spec->task) == OUTPUT_TAGS;
  return tasks.tags && given->tags && !(given->text && given->label);
}

/* What the task needs; or what the first record gives. */
static bool wants_labels(const struct job_spec *spec, const struct data_given *given, struct data_tasks tasks) {
  if (spec->task != JOB_TASK_AUTO)
    return job_task_output((enum job_task)spec->task) != OUTPUT_TEXT;
  return !tasks.language || (tasks.classifier && given->text && given->label);
}

enum data_use data_use_of(const struct job_spec *spec, const struct data_given *given, struct data_tasks tasks) {
  if (spec->objective != OBJECTIVE_SUPERVISED)
    return USE_PREFERENCE;
  enum job_output pairs = wants_pairs(spec, given, tasks);
  if (pairs == OUTPUT_EMBEDDING || pairs == OUTPUT_RELEVANCE)
    return pairs == OUTPUT_EMBEDDING ? USE_EMBEDDING : USE_RANKED;
  if (wants_tags(spec, given, tasks))
    return USE_TAGS;
  if (wants_lists(spec, given, tasks))
    return USE_LABELS;
  if (wants_labels(spec, given, tasks))
    return USE_LABELLED;
  return given->chat         ? USE_CHAT
         : given->completion ? USE_COMPLETION
         : given->text       ? USE_TEXT
         : given->preference ? USE_PREFERENCE
                             : USE_NOTHING;
}

/* The column that tells of the file's pairs of answers, or rated ones; NULL: it has none. `kind` NULL: any. */
static const char *find_completions(const json_t *report, const char *kind) {
  static const char *const names[] = {"preferred_output", "chosen", "label"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const char *found = text_of(column(report, names[i]), "completions");
    if (found && (!kind || strcmp(found, kind) == 0))
      return names[i];
  }
  return NULL;
}

/* By the first record, as the worker does. */
static bool first_has(const void *report, const char *name) {
  return first(report, name);
}

static bool first_is_list(const json_t *report, const char *name) {
  return name && first(report, name) && json_object_get(column(report, name), "unlike");
}

enum data_use data_use(const struct job_spec *spec, const json_t *report, struct data_tasks tasks) {
  const json_t *messages = column(report, spec->columns.messages);
  struct tag_column tags = tag_column_find(spec, first_has, report);
  struct pair_columns pairs;
  pair_columns_find(&pairs, spec, first_has, report);
  const struct data_given given = {
      .text = first(report, spec->columns.text),
      .label = first(report, spec->columns.label),
      .labels = first(report, spec->columns.labels) &&
                json_is_true(json_object_get(column(report, spec->columns.labels), "lists")),
      .chat = first(report, spec->columns.messages) && json_is_true(json_object_get(messages, "chats")),
      .tags = first_is_list(report, spec->columns.tokens) && first_is_list(report, tags.name),
      .completion = column(report, spec->columns.prompt) && first(report, spec->columns.completion),
      .preference = find_completions(report, "pair") != NULL,
      .pairs = pair_columns_output(&pairs)};
  return data_use_of(spec, &given, tasks);
}

bool data_tasks_allow(struct data_tasks tasks, enum job_output output) {
  switch (output) {
  case OUTPUT_CLASS:
  case OUTPUT_LABELS:
  case OUTPUT_NUMBER: return tasks.classifier;
  case OUTPUT_TAGS: return tasks.tags;
  case OUTPUT_TEXT: return tasks.language;
  case OUTPUT_EMBEDDING: return tasks.embeds;
  case OUTPUT_RELEVANCE: return tasks.classifier;
  case OUTPUT_IMAGE: return tasks.images;
  case OUTPUT_COUNT: break;
  }
  CHECK(!"an output");
}

void data_judge_task(const struct job_spec *spec, struct data_tasks tasks, struct fault_list *faults) {
  AUTO(str_done) struct str others;
  str_init(&others, 400);
  bool unnamed = spec->task == JOB_TASK_AUTO && tasks.images && !tasks.language && !tasks.classifier;
  if (!unnamed && (spec->task == JOB_TASK_AUTO || data_tasks_allow(tasks, job_task_output((enum job_task)spec->task))))
    return;
  for (int i = JOB_TASK_AUTO + 1; i < JOB_TASK_COUNT; i++)
    if (data_tasks_allow(tasks, job_task_output((enum job_task)i)))
      str_printf(&others, "%s%s", others.length ? ", " : "", job_task_names[i]);
  if (unnamed)
    fault_add(faults, STATUS_MISSING_PARAMETER, "task",
              "%.200s is a diffusion pipeline: task must say what it learns (%s)", spec->model, others.text);
  else
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "task", "%.200s cannot learn the task %s; it can learn %s", spec->model,
              job_task_names[spec->task], others.text);
}

/* --- faults --------------------------------------------------------------------------------------- */

struct judging {
  const struct job_spec *spec;
  const struct data_file *file;
  struct fault_list *faults;
};

/* What the job's task asks for. "" where none is named. */
static const char *asked(char out[200], const struct judging *j) {
  enum job_task task = (enum job_task)j->spec->task;
  out[0] = '\0';
  if (task != JOB_TASK_AUTO)
    snprintf(out, 200, "; the task %s learns from %s", job_task_names[task],
             job_output_of(job_task_output(task))->needs);
  return out;
}

/* A column that is not there. */
static void lacks(const struct judging *j, const char *param, const char *name) {
  const json_t *columns = json_object_get(j->file->report, "columns");
  char why[200];
  size_t i;
  json_t *item;
  AUTO(str_done) struct str names;
  str_init(&names, 300);
  json_array_foreach(columns, i, item) if (json_is_string(item))
      str_printf(&names, "%s\"%s\"", i ? ", " : "", json_string_value(item));
  if (glue_of(j->spec) && strcmp(name, j->spec->columns.label) == 0)
    snprintf(why, sizeof why, "%s", glue_unlabelled);
  else
    asked(why, j);
  fault_add(j->faults, STATUS_INVALID_VALUE, param, "%s has no column \"%.64s\"; its columns are %s%s",
            j->file->id ? j->file->id : "the file", name, names.text, why);
}

static void invalid(const struct judging *j, const char *name, const char *fault, const char *why) {
  const char *id = j->file->id;
  fault_add(j->faults, STATUS_DATASET_INVALID, j->file->param ? j->file->param : name, "%s%s%s%s", id ? id : "",
            id ? ": " : "", fault, why);
}

/* A column that the use needs, and the fault that it must not have. */
static bool need(const struct judging *j, const char *param, const char *name, const char *fault, const char *why) {
  if (!listed(j->file->report, name)) {
    lacks(j, param, name);
    return false;
  }
  const char *text = text_of(column(j->file->report, name), fault);
  char task[200];
  if (text)
    invalid(j, name, text, *why || first(j->file->report, name) ? why : asked(task, j));
  return !text;
}

static const char in_every_line[] = "; a classifier needs a label in every line, a language model in none";

static void judge_texts(const struct judging *j) {
  const char *pair = j->spec->columns.text_pair;
  need(j, "dataset.text", j->spec->columns.text, "text", "");
  const char *fault = pair ? text_of(column(j->file->report, pair), "pair") : NULL;
  if (fault)
    invalid(j, pair, fault, "");
  else if (pair && strcmp(pair, "text_pair") != 0 && !listed(j->file->report, pair))
    lacks(j, "dataset.text_pair", pair);
}

static void judge_labelled(const struct judging *j, struct data_tasks tasks) {
  const char *label = j->spec->columns.label;
  const json_t *facts = column(j->file->report, label);
  judge_texts(j);
  bool mixed = tasks.language && given(j->file->report, label);
  if (!need(j, "dataset.label", label, "unlabelled", mixed ? in_every_line : "") ||
      !need(j, "dataset.label", label, "label", ""))
    return;
  if (j->spec->columns.problem_type == PROBLEM_REGRESSION && text_of(facts, "regression"))
    invalid(j, label, text_of(facts, "regression"), "");
}

/* A column with a list in every line: of labels, or of words. */
static bool need_list(const struct judging *j, const char *param, const char *name, const char *fault) {
  const json_t *facts = column(j->file->report, name);
  char text[300], why[200];
  if (!need(j, param, name, fault, ""))
    return false;
  if (json_is_true(json_object_get(facts, "lists")) || json_object_get(facts, "unlike"))
    return true;
  snprintf(text, sizeof text, "%s: %.64s is no list%s, as [\"a\", \"b\"] in JSON Lines",
           text_of(facts, "given") ? text_of(facts, "given") : "no line", name,
           strcmp(fault, "list") == 0 ? " of labels" : " of words");
  invalid(j, name, text, asked(why, j));
  return false;
}

/* A list of words in every line, and a list of as many tags. */
static void judge_tags(const struct judging *j) {
  const char *tokens = j->spec->columns.tokens, *id = j->file->id ? j->file->id : "the file";
  const struct tag_column tags = tag_column_find(j->spec, first_has, j->file->report);
  bool words = need_list(j, "dataset.tokens", tokens, "words");
  if (!tags.name)
    fault_add(j->faults, STATUS_INVALID_VALUE, "dataset.tags",
              "%s has no list of tags (%s) in its first line; dataset.tags names it", id, tag_column_words);
  else if (tags.other)
    fault_add(j->faults, STATUS_INVALID_VALUE, "dataset.tags",
              "%s has both %.64s and %.64s; dataset.tags names the one to use", id, tags.name, tags.other);
  else if (need_list(j, "dataset.tags", tags.name, "list") && words) {
    const char *unlike = text_of(json_object_get(column(j->file->report, tags.name), "unlike"), tokens);
    if (unlike)
      invalid(j, tags.name, unlike, "; each word has one tag");
  }
}

/* A column of pairs: its text, or its score. */
static bool need_role(const struct judging *j, const struct pair_columns *c, enum pair_role role) {
  const char *id = j->file->id ? j->file->id : "the file", *param = pair_column_param(role), *name = c->name[role];
  if (!name)
    fault_add(j->faults, STATUS_INVALID_VALUE, param, "%s has no column %s in its first line; %s names it", id,
              pair_column_words(role), param);
  else if (c->other[role])
    fault_add(j->faults, STATUS_INVALID_VALUE, param, "%s has both %.64s and %.64s; %s names the one to use", id, name,
              c->other[role], param);
  else if (role == PAIR_SCORE)
    return need(j, param, name, "unlabelled", "") && need(j, param, name, "label", "") &&
           need(j, param, name, "regression", "");
  else
    return need(j, param, name, "text", "");
  return false;
}

/* What a score may be. */
static void judge_range(const struct judging *j, const char *score, enum job_output output) {
  const json_t *facts = column(j->file->report, score);
  const char *fault = text_of(facts, "beyond_one");
  fault = !fault && pair_score_least(output) == 0 ? text_of(facts, "below_zero") : fault;
  char why[80];
  snprintf(why, sizeof why, "; it must be from %g to 1", pair_score_least(output));
  if (fault)
    invalid(j, score, fault, why);
}

static void judge_pairs(const struct judging *j, enum job_output output) {
  const json_t *report = j->file->report;
  struct pair_columns c;
  pair_columns_find(&c, j->spec, first_has, report);
  bool ranks = output == OUTPUT_RELEVANCE, negative = !ranks && c.name[PAIR_NEGATIVE];
  need_role(j, &c, PAIR_FIRST);
  need_role(j, &c, PAIR_SECOND);
  if (negative)
    need_role(j, &c, PAIR_NEGATIVE);
  if ((ranks || (!negative && c.name[PAIR_SCORE])) && need_role(j, &c, PAIR_SCORE))
    judge_range(j, c.name[PAIR_SCORE], output);
  const char *later = j->spec->columns.negative, *place = text_of(column(report, later), "given");
  if (ranks || negative || !place)
    return;
  AUTO(str_done) struct str text;
  str_init(&text, 300);
  str_printf(&text, "%s: this line has %.64s, but the first has not; all lines must be of one kind", place, later);
  invalid(j, later, text.text, "");
}

/* One kind of example in all lines. */
static void judge_others(const struct judging *j, enum data_use use) {
  const struct job_spec *s = j->spec;
  const char *other =
      use != USE_CHAT && given(j->file->report, s->columns.messages) ? s->columns.messages
      : use == USE_TEXT && given(j->file->report, s->columns.prompt) && given(j->file->report, s->columns.completion)
          ? s->columns.completion
          : NULL;
  if (!other ||
      (other == s->columns.messages && !json_is_true(json_object_get(column(j->file->report, other), "chats"))))
    return;
  AUTO(str_done) struct str text;
  str_init(&text, 300);
  str_printf(&text, "%s: this line has %.64s, but the first has not; all lines must be of one kind",
             text_of(column(j->file->report, other), "given"), other);
  invalid(j, other, text.text, "");
}

static void judge_text(const struct judging *j, struct data_tasks tasks) {
  const char *label = j->spec->columns.label, *format = text_of(j->file->report, "format");
  need(j, "dataset.text", j->spec->columns.text, "text", "");
  judge_others(j, USE_TEXT);
  if (j->spec->task != JOB_TASK_AUTO) /* no label is missed */
    return;
  /* Text alone trains a language model: the default label is asked for only in a table that has more. */
  bool named = strcmp(label, "label") != 0;
  size_t columns = json_array_size(json_object_get(j->file->report, "columns"));
  bool table = format && strcmp(format, "jsonl") != 0 && columns > 1;
  if ((named || table) && !listed(j->file->report, label))
    lacks(j, "dataset.label", label);
  const char *fault = text_of(column(j->file->report, label), "unlabelled");
  if (tasks.classifier && given(j->file->report, label) && fault)
    invalid(j, label, fault, in_every_line);
}

/* The model's own template must render the chats; one that the job names, training tries. */
static void judge_template(const struct judging *j, const json_t *model) {
  const json_t *refused = json_object_get(model, "chat_template_refuses");
  const char *why = text_of(model, "chat_template_error");
  const json_t *features = json_object_get(column(j->file->report, j->spec->columns.messages), "features");
  if (j->spec->columns.chat_template)
    return;
  if (why) {
    fault_add(j->faults, STATUS_INVALID_VALUE, "dataset.chat_template", "%s", why);
    return;
  }
  for (int i = 0; i < CHAT_FEATURE_COUNT; i++) {
    const char *name = chat_feature_name((enum chat_feature)i), *words = chat_feature_words((enum chat_feature)i);
    const char *place = text_of(features, name), *said = text_of(refused, name);
    if (!place || !said)
      continue;
    AUTO(str_done) struct str text;
    str_init(&text, 2000);
    str_printf(&text, "%s: the model's chat template refuses %s: %s; dataset.chat_template may name another", place,
               words, said);
    invalid(j, j->spec->columns.messages, text.failed ? said : text.text, "");
  }
}

/* What the objective learns from. */
static void judge_preference(const struct judging *j, struct data_tasks tasks) {
  const struct job_spec *s = j->spec;
  const json_t *report = j->file->report;
  const char *name = find_completions(report, s->objective == OBJECTIVE_KTO ? NULL : "pair");
  const char *id = j->file->id ? j->file->id : "the file", *why = text_of(tasks.model, "chat_template_error");
  if (s->objective == OBJECTIVE_SUPERVISED) {
    fault_add(j->faults, STATUS_INVALID_VALUE, "method.type",
              "%s has pairs of answers, which method.type dpo, orpo and kto learn from", id);
    return;
  }
  if (!name) {
    fault_add(j->faults, STATUS_DATASET_INVALID, j->file->param ? j->file->param : "method.type",
              "%s: the first line is not what method.type %s learns from: %s", id, objective_names[s->objective],
              objective_needs((enum objective)s->objective));
    return;
  }
  const char *fault = text_of(column(report, name), "preference");
  if (fault)
    invalid(j, name, fault, "");
  bool chats = json_is_true(json_object_get(column(report, name), "chats")) ||
               json_is_true(json_object_get(column(report, "completion"), "chats"));
  if (chats && why && !s->columns.chat_template)
    fault_add(j->faults, STATUS_INVALID_VALUE, "dataset.chat_template", "%s", why);
}

static void judge_nothing(const struct judging *j) {
  const struct job_spec *s = j->spec;
  if (listed(j->file->report, s->columns.messages))
    need(j, "dataset.messages", s->columns.messages, "chat", "");
  else if (listed(j->file->report, s->columns.completion) || listed(j->file->report, s->columns.prompt)) {
    need(j, "dataset.prompt", s->columns.prompt, "prompt", "");
    need(j, "dataset.completion", s->columns.completion, "text", "");
  } else {
    need(j, "dataset.text", s->columns.text, "text", "");
    if (strcmp(s->columns.label, "label") != 0 || !listed(j->file->report, s->columns.text))
      need(j, "dataset.label", s->columns.label, "unlabelled", "");
  }
}

void data_judge(const struct job_spec *spec, const struct data_file *file, enum data_use use, struct data_tasks tasks,
                struct fault_list *faults) {
  const struct job_spec own = settled(spec, file->report);
  struct judging j = {&own, file, faults};
  const char *messages = spec->columns.messages;
  switch (use) {
  case USE_LABELLED: judge_labelled(&j, tasks); return;
  case USE_LABELS:
    judge_texts(&j);
    need_list(&j, "dataset.labels", own.columns.labels, "list");
    return;
  case USE_TAGS: judge_tags(&j); return;
  case USE_EMBEDDING: judge_pairs(&j, OUTPUT_EMBEDDING); return;
  case USE_RANKED: judge_pairs(&j, OUTPUT_RELEVANCE); return;
  case USE_CHAT:
    if (need(&j, "dataset.messages", messages, "chat", "") && !spec->hyperparameters.train_on_inputs)
      need(&j, "dataset.messages", messages, "unlearnt", "");
    judge_template(&j, tasks.model);
    return;
  case USE_COMPLETION:
    need(&j, "dataset.prompt", spec->columns.prompt, "prompt", "");
    need(&j, "dataset.completion", spec->columns.completion, "text", "");
    judge_others(&j, use);
    return;
  case USE_TEXT: judge_text(&j, tasks); return;
  case USE_PREFERENCE: judge_preference(&j, tasks); return;
  case USE_NOTHING: judge_nothing(&j); return;
  }
  CHECK(!"a use of data");
}

void data_judge_generate(const struct job_spec *spec, const struct data_file *validation, enum data_use use,
                         struct fault_list *faults) {
  const struct generate_spec *g = &spec->generate;
  const struct {
    const char *param, *name;
  } named[] = {{"evaluation.generate.prompt", g->prompt}, {"evaluation.generate.answer", g->answer}};
  struct judging j = {spec, validation, faults};
  if (!g->present)
    return;
  if (!data_use_is_language(use)) {
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.generate",
              "evaluation.generate is for language models, and %s has data for another kind", validation->id);
    return;
  }
  for (size_t i = 0; i < COUNT_OF(named); i++)
    if (named[i].name && !listed(validation->report, named[i].name))
      lacks(&j, named[i].param, named[i].name);
    else if (!named[i].name && use == USE_TEXT)
      fault_add(faults, STATUS_MISSING_PARAMETER, named[i].param,
                "%s has plain texts: %s must name a column that has it", validation->id, named[i].param);
  if (use == USE_CHAT && g->prompt && !g->answer)
    fault_add(faults, STATUS_MISSING_PARAMETER, named[1].param,
              "evaluation.generate.prompt names a column, and so must %s", named[1].param);
}

void data_judge_names(const struct job_spec *spec, const struct data_file *file, struct fault_list *faults) {
  const struct job_spec own = settled(spec, file->report);
  const struct {
    const char *param, *name, *usual;
  } named[] = {{"dataset.text", own.columns.text, "text"},
               {"dataset.label", own.columns.label, "label"},
               {"dataset.labels", spec->columns.labels, "labels"},
               {"dataset.tokens", spec->columns.tokens, "tokens"},
               {"dataset.tags", spec->columns.tags, "tags"},
               {"dataset.messages", spec->columns.messages, "messages"},
               {"dataset.prompt", spec->columns.prompt, "prompt"},
               {"dataset.completion", spec->columns.completion, "completion"}};
  struct judging j = {&own, file, faults};
  bool any = json_array_size(json_object_get(file->report, "columns")) > 0;
  for (size_t i = 0; any && i < COUNT_OF(named); i++)
    if (strcmp(named[i].name, named[i].usual) != 0 && !listed(file->report, named[i].name))
      lacks(&j, named[i].param, named[i].name);
}

/* --- two files ------------------------------------------------------------------------------------ */

/* The label of `classes` that means the same. */
static const char *find_same(const json_t *classes, const char *label) {
  const char *name;
  json_t *value;
  if (json_object_get(classes, label))
    return label;
  json_object_foreach((json_t *)(uintptr_t)classes, name, value) if (label_same(name, label)) return name;
  return NULL;
}

/* The validation file's labels must be the training file's. */
static void compare_labels(const struct judging *j, const json_t *known, bool regression) {
  const char *label = j->spec->columns.label, *name;
  const json_t *asked = column(j->file->report, label);
  const json_t *classes = json_object_get(json_object_get(known, "labels"), "classes");
  json_t *place;
  if (regression && text_of(asked, "regression"))
    invalid(j, label, text_of(asked, "regression"), ", as in the training file");
  if (regression || !classes)
    return;
  json_object_foreach(json_object_get(json_object_get(asked, "labels"), "classes"), name,
                      place) if (!find_same(classes, name)) {
    AUTO(str_done) struct str text;
    str_init(&text, 400);
    str_printf(&text, "%s: the label %.80s does not occur in the training file", json_string_value(place), name);
    invalid(j, label, text.text, "");
    return;
  }
}

/* The labels must be the task's, in each file in its own spelling; below 0 are those of files that have none. */
static void judge_task_labels(const struct judging *j, const struct glue_task *task) {
  const char *label = j->spec->columns.label, *name;
  json_t *place;
  json_object_foreach(json_object_get(json_object_get(column(j->file->report, label), "labels"), "classes"), name,
                      place) {
    char why[200] = "", text[300];
    if (task->class_count && glue_class(task, name) == task->class_count)
      glue_refusal(why, sizeof why, task, name);
    else if (task->class_count == 0 && name[0] == '-')
      snprintf(why, sizeof why, "a score below 0%s", glue_unlabelled);
    if (!why[0])
      continue;
    snprintf(text, sizeof text, "%s: %s", json_string_value(place), why);
    invalid(j, label, text, "");
    return;
  }
}

void data_judge_labels(const struct job_spec *spec, enum data_use use, const struct data_file *training,
                       const struct data_file *validation, struct fault_list *faults) {
  const struct data_file *files[] = {training, validation};
  for (size_t i = 0; glue_of(spec) && i < COUNT_OF(files) && files[i]; i++) {
    const struct job_spec own = settled(spec, files[i]->report);
    const struct judging file = {&own, files[i], faults};
    judge_task_labels(&file, glue_of(spec));
  }
  struct job_spec own = settled(spec, training->report);
  if (use == USE_LABELS || use == USE_TAGS) {
    own.columns.label =
        use == USE_LABELS ? own.columns.labels : tag_column_find(spec, first_has, training->report).name;
    if (!json_is_true(json_object_get(column(training->report, own.columns.label), "lists")))
      return; /* that is said already */
  }
  spec = &own;
  const json_t *known = column(training->report, spec->columns.label);
  const char *kind = text_of(json_object_get(known, "labels"), "kind"), *one = text_of(known, "one_class");
  int type = spec->columns.problem_type;
  bool regression = type == PROBLEM_REGRESSION || (type == PROBLEM_AUTO && kind && strcmp(kind, "float") == 0);
  struct judging j = {spec, training, faults};
  if (!regression && one)
    invalid(&j, spec->columns.label, one, "");
  j.file = validation;
  if (use == USE_TAGS && validation)
    own.columns.label = tag_column_find(spec, first_has, validation->report).name;
  if (validation && !glue_of(spec))
    compare_labels(&j, known, regression);
}
