/* What a job uses of a file, and whether it can, follows from the facts of the file's check and from what the job
   names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/data_use.h"
#include "api/label.h"
#include "base/json.h"

static const struct data_tasks any = {.language = true, .classifier = true};
static const struct data_tasks encoder = {.classifier = true}, language = {.language = true};

/* A report from JSON with ' for ". */
static json_t *report_of(const char *text) {
  char json[2048];
  json_t *report;
  struct error err;
  assert_true(strlen(text) < sizeof json);
  snprintf(json, sizeof json, "%s", text);
  for (char *p = json; *p; p++)
    if (*p == '\'')
      *p = '"';
  if (json_parse(&report, json, strlen(json), NULL, &err))
    fail_msg("%s: %s", text, err.text);
  return report;
}

static struct job_spec spec_of(const char *body) {
  static struct arena arena;
  static json_t *parsed;
  struct fault_list faults = {0};
  struct job_spec spec;
  json_decref(parsed);
  arena_done(&arena);
  arena_init(&arena, 1 << 20);
  parsed = report_of(body);
  job_spec_parse(&spec, parsed, 1, &arena, &faults);
  if (faults.count)
    fail_msg("%s: %s", body, faults.item[0].text);
  return spec;
}

#define JOB "{'model':'m','training_file':'f'"
#define GIVEN "'first':true,'given':'line 1, column 1'"
#define TEXT_LABEL "'columns':['text','label'],'facts':{'text':{" GIVEN "},'label':{" GIVEN

struct use_case {
  const char *job, *report;
  const struct data_tasks *tasks;
  enum data_use use;
  const char *param, *says; /* of the first fault; NULL: none */
};

static void judge(const struct use_case *c) {
  struct job_spec spec = spec_of(c->job);
  struct fault_list faults = {0};
  struct data_file file = {"f", "training_file", report_of(c->report)};
  enum data_use use = data_use(&spec, file.report, *c->tasks);
  data_judge(&spec, &file, use, *c->tasks, &faults);
  bool right =
      c->says ? faults.count > 0 && strstr(faults.item[0].text, c->says) && strcmp(faults.item[0].param, c->param) == 0
              : faults.count == 0;
  if (use != c->use || !right)
    fail_msg("%s with %s: use %d, %s: %s", c->job, c->report, (int)use, faults.item[0].param, faults.item[0].text);
  json_decref((json_t *)(uintptr_t)file.report);
}

static void judges(void **state) {
  (void)state;
  static const struct use_case cases[] = {
      {JOB "}", "{" TEXT_LABEL "}}}", &any, USE_LABELLED, NULL, NULL},
      {JOB "}", "{" TEXT_LABEL "}}}", &language, USE_TEXT, NULL, NULL},
      {JOB "}", "{" TEXT_LABEL ",'unlabelled':'line 4, column 9: label is null'}}}", &any, USE_LABELLED,
       "training_file", "f: line 4, column 9: label is null; a classifier needs a label in every line"},
      {JOB "}",
       "{'columns':['text','label'],'facts':{'text':{" GIVEN "},'label':{'first':false,'given':'line 2, "
       "column 1','unlabelled':'line 1, column 9: label is null'}}}",
       &any, USE_TEXT, "training_file", "line 1, column 9: label is null; a classifier"},
      {JOB "}", "{'columns':['text','label'],'facts':{'text':{" GIVEN "},'label':{'first':false,'unlabelled':'x'}}}",
       &any, USE_TEXT, NULL, NULL},
      {JOB "}", "{" TEXT_LABEL ",'label':'line 4, column 9: label must be'}}}", &any, USE_LABELLED, "training_file",
       "f: line 4, column 9: label must be"},
      {JOB ",'dataset':{'problem_type':'regression'}}", "{" TEXT_LABEL ",'regression':'line 3: no number'}}}", &any,
       USE_LABELLED, "training_file", "line 3: no number"},
      {JOB ",'dataset':{'text':'review','label':'stars'}}",
       "{'columns':['text','review','stars'],'facts':{'text':{'first':false,'text':'line 1: text is "
       "empty'},'review':{" GIVEN "},'stars':{" GIVEN "}}}",
       &any, USE_LABELLED, NULL, NULL},
      {JOB ",'dataset':{'text':'review','label':'stars'}}",
       "{'columns':['review','stars'],'facts':{'review':{" GIVEN ",'text':'line 4, column 7: review is empty'},"
       "'stars':{" GIVEN "}}}",
       &any, USE_LABELLED, "training_file", "f: line 4, column 7: review is empty"},
      {JOB ",'dataset':{'text_pair':'second'}}", "{" TEXT_LABEL "}}}", &any, USE_LABELLED, "dataset.text_pair",
       "f has no column \"second\"; its columns are \"text\", \"label\""},
      {JOB "}", "{'format':'csv','columns':['review','stars'],'facts':{'review':{" GIVEN "},'stars':{" GIVEN "}}}",
       &any, USE_NOTHING, "dataset.text", "has no column \"text\"; its columns are \"review\", \"stars\""},
      {JOB "}", "{'format':'csv','columns':['text','kind'],'facts':{'text':{" GIVEN "},'kind':{" GIVEN "}}}", &any,
       USE_TEXT, "dataset.label", "has no column \"label\""},
      {JOB "}", "{'format':'jsonl','columns':['text','kind'],'facts':{'text':{" GIVEN "},'kind':{" GIVEN "}}}", &any,
       USE_TEXT, NULL, NULL},
      {JOB "}", "{'format':'jsonl','columns':['text'],'facts':{'text':{" GIVEN "}}}", &encoder, USE_LABELLED,
       "dataset.label", "has no column \"label\""},
      {JOB "}", "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true}}}", &any, USE_CHAT, NULL, NULL},
      {JOB "}", "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true,'chat':'line 2: role'}}}", &any,
       USE_CHAT, "training_file", "line 2: role"},
      {JOB "}", "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true,'unlearnt':'line 2: nothing'}}}",
       &any, USE_CHAT, "training_file", "line 2: nothing"},
      {JOB ",'hyperparameters':{'train_on_inputs':true}}",
       "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true,'unlearnt':'line 2: nothing'}}}", &any,
       USE_CHAT, NULL, NULL},
      {JOB "}", "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true}}}", &encoder, USE_LABELLED,
       "dataset.text", "has no column \"text\""},
      {JOB "}",
       "{'columns':['prompt','completion'],'facts':{'prompt':{'first':false},'completion':{" GIVEN
       ",'text':'line 3: completion is empty'}}}",
       &any, USE_COMPLETION, "training_file", "completion is empty"},
      {JOB "}",
       "{'columns':['text','messages'],'facts':{'text':{" GIVEN "},'messages':{'first':false,'chats':true,"
       "'given':'line 2, column 9'}}}",
       &any, USE_TEXT, "training_file", "line 2, column 9: this line has messages, but the first has not"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    judge(&cases[i]);
}

static void a_task_says_what_is_used(void **state) {
  (void)state;
  static const struct use_case cases[] = {
      {JOB ",'task':'language_model'}", "{" TEXT_LABEL "}}}", &any, USE_TEXT, NULL, NULL},
      {JOB ",'task':'language_model'}",
       "{'format':'csv','columns':['text','kind'],'facts':{'text':{" GIVEN "},'kind':{" GIVEN "}}}", &any, USE_TEXT,
       NULL, NULL},
      {JOB ",'task':'classification'}", "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true}}}", &any,
       USE_LABELLED, "dataset.text", "its columns are \"messages\"; the task classification learns from a text with"},
      {JOB "}", "{'columns':['text','labels'],'facts':{'text':{" GIVEN "},'labels':{" GIVEN ",'lists':true}}}", &any,
       USE_LABELS, NULL, NULL},
      {JOB ",'task':'multi_label'}",
       "{'columns':['text','labels'],'facts':{'text':{" GIVEN "},'labels':{" GIVEN
       ",'lists':true,'list':'line 3: labels has an integer'}}}",
       &encoder, USE_LABELS, "training_file", "has an integer"},
      {JOB ",'task':'multi_label'}", "{'columns':['text','labels'],'facts':{'text':{" GIVEN "},'labels':{" GIVEN "}}}",
       &any, USE_LABELS, "training_file", "line 1, column 1: labels is no list of labels, as"},
      {JOB ",'task':'multi_label'}", "{" TEXT_LABEL "}}}", &any, USE_LABELS, "dataset.labels",
       "the task multi_label learns from a text with a list of labels"},
      {JOB ",'task':'regression'}", "{" TEXT_LABEL ",'regression':'line 3: no number'}}}", &any, USE_LABELLED,
       "training_file", "line 3: no number"},
      {JOB ",'task':'language_model'}", "{'columns':['review'],'facts':{'review':{" GIVEN "}}}", &any, USE_NOTHING,
       "dataset.text", "the task language_model learns from chats, prompts with completions, or texts"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    judge(&cases[i]);
}

#define LIST GIVEN ",'lists':true,'unlike':{"
#define TAGS(name, unlike) "{'columns':['tokens','" name "'],'facts':{'tokens':{" LIST "}},'" name "':{" LIST unlike "}"

/* A list of words with a list of as many tags. */
static void words_have_tags(void **state) {
  (void)state;
  static const struct data_tasks tags = {.classifier = true, .tags = true};
  static const struct use_case cases[] = {
      {JOB "}", TAGS("tags", "") "}}}", &tags, USE_TAGS, NULL, NULL},
      {JOB "}", TAGS("ner_tags", "") "}}}", &tags, USE_TAGS, NULL, NULL},
      {JOB "}", TAGS("labels", "") "}}}", &tags, USE_TAGS, NULL, NULL},
      {JOB "}", TAGS("tags", "") "}}}", &language, USE_NOTHING, "dataset.text", "has no column \"text\""},
      {JOB "}", TAGS("pos", "") "}}}", &tags, USE_LABELLED, "dataset.text", "has no column \"text\""},
      {JOB ",'task':'token_classification'}", TAGS("pos", "") "}}}", &tags, USE_TAGS, "dataset.tags",
       "f has no list of tags (tags, ner_tags or labels) in its first line; dataset.tags names it"},
      {JOB ",'dataset':{'tags':'pos'}}", TAGS("pos", "") "}}}", &tags, USE_TAGS, NULL, NULL},
      {JOB "}", TAGS("tags", "'tokens':'line 2, column 9: tags has 1 entries, tokens has 2'") "}}}", &tags, USE_TAGS,
       "training_file", "line 2, column 9: tags has 1 entries, tokens has 2; each word has one tag"},
      {JOB "}", TAGS("tags", "'other':'line 2'") "}}}", &tags, USE_TAGS, NULL, NULL},
      {JOB "}", TAGS("tags", "") ",'list':'line 3: an integer'}}}", &tags, USE_TAGS, "training_file", "an integer"},
      {JOB "}",
       "{'columns':['tokens','tags'],'facts':{'tokens':{" LIST "},'words':'line 4: no words'},'tags':{" LIST "}}}}",
       &tags, USE_TAGS, "training_file", "line 4: no words"},
      {JOB "}",
       "{'columns':['tokens','tags','labels'],'facts':{'tokens':{" LIST "}},'tags':{" LIST "}},'labels':{" LIST "}}}}",
       &tags, USE_TAGS, "dataset.tags", "f has both tags and labels; dataset.tags names the one to use"},
      {JOB ",'task':'token_classification'}", "{" TEXT_LABEL "}}}", &tags, USE_TAGS, "dataset.tokens",
       "the task token_classification learns from a list of tokens with a list of as many tags"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    judge(&cases[i]);
}

#define PAIR(one, two) "'columns':['" one "','" two "'],'facts':{'" one "':{" GIVEN "},'" two "':{" GIVEN
#define SCORED(one, two, three)                                                                                        \
  "'columns':['" one "','" two "','" three "'],'facts':{'" one "':{" GIVEN "},'" two "':{" GIVEN "},'" three "':"      \
                                                                                                             "{" GIVEN

/* Columns say that they are pairs, where the file has nothing else to learn from; else the task does. */
static void pairs_are_known_by_their_names(void **state) {
  (void)state;
  static const struct data_tasks embeds = {.classifier = true, .embeds = true};
  static const struct use_case cases[] = {
      {JOB "}", "{" PAIR("anchor", "positive") "}}}", &embeds, USE_EMBEDDING, NULL, NULL},
      {JOB "}", "{" PAIR("anchor", "positive") "}}}", &any, USE_NOTHING, "dataset.text", "has no column \"text\""},
      {JOB "}", "{" SCORED("sentence1", "sentence2", "score") "}}}", &embeds, USE_EMBEDDING, NULL, NULL},
      {JOB "}", "{" SCORED("sentence1", "sentence2", "label") "}}}", &embeds, USE_LABELLED, "dataset.text",
       "has no column \"text\""},
      {JOB "}", "{" SCORED("query", "passage", "label") "}}}", &embeds, USE_RANKED, NULL, NULL},
      {JOB "}", "{" SCORED("query", "document", "score") "}}}", &any, USE_RANKED, NULL, NULL},
      {JOB "}", "{" SCORED("text", "positive", "label") "}}}", &embeds, USE_LABELLED, NULL, NULL},
      {JOB ",'task':'embedding'}", "{" SCORED("text", "text_pair", "label") "}}}", &embeds, USE_EMBEDDING, NULL, NULL},
      {JOB ",'task':'embedding'}", "{" PAIR("text", "label") "}}}", &embeds, USE_EMBEDDING, "dataset.text_pair",
       "f has no column positive, sentence2, passage, document, answer or text_pair in its first line"},
      {JOB ",'task':'reranking'}", "{" PAIR("query", "passage") "}}}", &embeds, USE_RANKED, "dataset.label",
       "f has no column score or label in its first line; dataset.label names it"},
      {JOB ",'task':'reranking'}", "{" SCORED("query", "passage", "label") ",'below_zero':'line 3: label is -1'}}}",
       &embeds, USE_RANKED, "training_file", "line 3: label is -1; it must be from 0 to 1"},
      {JOB "}", "{" SCORED("sentence1", "sentence2", "score") ",'below_zero':'line 3: score is -1'}}}", &embeds,
       USE_EMBEDDING, NULL, NULL},
      {JOB "}", "{" SCORED("sentence1", "sentence2", "score") ",'beyond_one':'line 3: score is 5'}}}", &embeds,
       USE_EMBEDDING, "training_file", "line 3: score is 5; it must be from -1 to 1"},
      {JOB ",'task':'embedding'}", "{" SCORED("anchor", "query", "positive") "}}}", &embeds, USE_EMBEDDING,
       "dataset.text", "f has both anchor and query; dataset.text names the one to use"},
      {JOB ",'task':'embedding','dataset':{'text':'query'}}", "{" SCORED("anchor", "query", "positive") "}}}", &embeds,
       USE_EMBEDDING, NULL, NULL},
      {JOB ",'task':'embedding'}", "{" PAIR("anchor", "positive") ",'text':'line 7, column 3: positive is empty'}}}",
       &embeds, USE_EMBEDDING, "training_file", "line 7, column 3: positive is empty"},
      {JOB "}",
       "{'columns':['anchor','positive','negative'],'facts':{'anchor':{" GIVEN "},'positive':{" GIVEN
       "},'negative':{'first':false,'given':'line 5, column 9'}}}",
       &embeds, USE_EMBEDDING, "training_file", "line 5, column 9: this line has negative, but the first has not"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    judge(&cases[i]);
}

static void tasks_need_a_model(void **state) {
  (void)state;
  static const struct {
    const char *job;
    const struct data_tasks *tasks;
    const char *says; /* NULL: it can be learnt */
  } cases[] = {
      {JOB "}", &encoder, NULL},
      {JOB ",'task':'regression'}", &encoder, NULL},
      {JOB ",'task':'classification'}", &any, NULL},
      {JOB ",'task':'language_model'}", &encoder,
       "m cannot learn the task language_model; it can learn classification, regression"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct job_spec spec = spec_of(cases[i].job);
    struct fault_list faults = {0};
    data_judge_task(&spec, *cases[i].tasks, &faults);
    assert_int_equal(faults.count, cases[i].says != NULL);
    if (cases[i].says && (!strstr(faults.item[0].text, cases[i].says) || strcmp(faults.item[0].param, "task") != 0))
      fail_msg("%s: %s", cases[i].job, faults.item[0].text);
  }
}

static void compares_labels(void **state) {
  (void)state;
  static const struct {
    const char *training, *validation, *says;
  } cases[] = {
      {"'labels':{'kind':'class','classes':{'a':'x','b':'x'}}", "'labels':{'kind':'class','classes':{'b':'x'}}", NULL},
      {"'labels':{'kind':'class','classes':{'0':'x','1':'x'}}", "'labels':{'kind':'class','classes':{'1.0':'x'}}",
       NULL},
      {"'labels':{'kind':'class','classes':{'a':'x'}}", "'labels':{'kind':'class','classes':{'A':'line 7, column 2'}}",
       "v: line 7, column 2: the label A does not occur in the training file"},
      {"'labels':{'kind':'class'}", "'labels':{'kind':'class','classes':{'A':'line 7, column 2'}}", NULL},
      {"'one_class':'line 2: every example has the label a','labels':{'kind':'class','classes':{'a':'x'}}", NULL,
       "t: line 2: every example has"},
      {"'labels':{'kind':'float'}", "'regression':'line 3: label is \\\"x\\\"','labels':{'kind':'class'}",
       "v: line 3: label is \"x\", as in the training file"},
      {"'labels':{'kind':'float'}", "'labels':{'kind':'class','classes':{'1':'x'}}", NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[512];
    struct job_spec spec = spec_of(JOB "}");
    struct fault_list faults = {0};
    snprintf(text, sizeof text, "{'facts':{'label':{%s}}}", cases[i].training);
    struct data_file training = {"t", "training_file", report_of(text)};
    snprintf(text, sizeof text, "{'facts':{'label':{%s}}}", cases[i].validation ? cases[i].validation : "");
    struct data_file validation = {"v", "validation_file", report_of(text)};
    data_judge_labels(&spec, USE_LABELLED, &training, cases[i].validation ? &validation : NULL, &faults);
    if (cases[i].says ? !faults.count || !strstr(faults.item[0].text, cases[i].says) : faults.count > 0)
      fail_msg("%s and %s: %s", cases[i].training, text, faults.item[0].text);
    json_decref((json_t *)(uintptr_t)training.report);
    json_decref((json_t *)(uintptr_t)validation.report);
  }
}

static void labels_have_meaning(void **state) {
  (void)state;
  assert_true(label_same("1", "1.0") && label_same("-1", "-1.00") && label_same("100", "1e2"));
  assert_true(label_same("yes", "yes") && !label_same("yes", "Yes"));
  assert_true(!label_same("1", "01") && !label_same("1", " 1"));
  assert_false(label_same("123456789012345678", "123456789012345679")); /* no double tells them apart */
  struct label_number half = label_parse("0.50", 4), whole = label_parse("5.0", 3);
  char name[LABEL_NUMBER_MAX];
  assert_int_equal(half.form, LABEL_FRACTION);
  label_number_name(name, &half);
  assert_string_equal(name, "0.5");
  assert_int_equal(whole.form, LABEL_WHOLE);
  label_number_name(name, &whole);
  assert_string_equal(name, "5");
  static const char *const words[] = {"", "-", "007", "1.", ".5", "1e", "nan", "1e999", "+1", "1234567890123456789"};
  for (size_t i = 0; i < COUNT_OF(words); i++)
    assert_int_equal(label_parse(words[i], strlen(words[i])).form, LABEL_WORD);
}

/* What the file has and the model's own template refuses is told with its place, unless the job names a template. */
static void judges_templates(void **state) {
  (void)state;
#define CHATS                                                                                                          \
  "{'columns':['messages'],'facts':{'messages':{" GIVEN ",'chats':true,'features':{'system':'line 7, column 1'}}}}"
  static const struct {
    const char *job, *model, *param, *says;
  } cases[] = {
      {JOB "}", "{'chat_template':true,'chat_template_refuses':{'system':'no rules','tools':'none'}}", "training_file",
       "f: line 7, column 1: the model's chat template refuses a system message: no rules"},
      {JOB "}", "{'chat_template':true,'chat_template_refuses':{'tools':'none'}}", NULL, NULL},
      {JOB ",'dataset':{'chat_template':'chatml'}}", "{'chat_template_refuses':{'system':'no rules'}}", NULL, NULL},
      {JOB "}", "{'chat_template':false,'chat_template_error':'it has none'}", "dataset.chat_template", "it has none"},
      {JOB "}", "{}", NULL, NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    AUTO(json_release) json_t *model = report_of(cases[i].model);
    AUTO(json_release) json_t *report = report_of(CHATS);
    struct data_tasks tasks = {.language = true, .model = model};
    struct job_spec spec = spec_of(cases[i].job);
    struct fault_list faults = {0};
    data_judge(&spec, &(struct data_file){"f", "training_file", report}, USE_CHAT, tasks, &faults);
    if (cases[i].says ? !faults.count || !strstr(faults.item[0].text, cases[i].says) ||
                            strcmp(faults.item[0].param, cases[i].param) != 0
                      : faults.count > 0)
      fail_msg("%s on %s: %s: %s", cases[i].job, cases[i].model, faults.item[0].param, faults.item[0].text);
  }
}

static void generation_asks_of_columns(void **state) {
  (void)state;
  static const struct {
    struct generate_spec generate;
    enum data_use use;
    const char *param; /* NULL: nothing is wrong */
  } rows[] = {
      {{.present = false, .prompt = "none"}, USE_TEXT, NULL},
      {{.present = true}, USE_COMPLETION, NULL},
      {{.present = true, .answer = "number"}, USE_COMPLETION, NULL},
      {{.present = true, .answer = "none"}, USE_COMPLETION, "evaluation.generate.answer"},
      {{.present = true, .answer = "number"}, USE_TEXT, "evaluation.generate.prompt"},
      {{.present = true, .prompt = "number"}, USE_CHAT, "evaluation.generate.answer"},
      {{.present = true}, USE_LABELLED, "evaluation.generate"},
  };
  json_t *report = json_pack("{s:[s,s]}", "columns", "prompt", "number");
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct fault_list faults = {0};
    struct job_spec own = {.generate = rows[i].generate};
    data_judge_generate(&own, &(struct data_file){"file-2", "validation_file", report}, rows[i].use, &faults);
    if (faults.count != (rows[i].param != NULL) || (faults.count && strcmp(faults.item[0].param, rows[i].param) != 0))
      fail_msg("%zu: %zu faults, %s", i, faults.count, faults.item[0].text);
  }
  json_decref(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(judges),
                                     cmocka_unit_test(a_task_says_what_is_used),
                                     cmocka_unit_test(words_have_tags),
                                     cmocka_unit_test(pairs_are_known_by_their_names),
                                     cmocka_unit_test(tasks_need_a_model),
                                     cmocka_unit_test(compares_labels),
                                     cmocka_unit_test(judges_templates),
                                     cmocka_unit_test(generation_asks_of_columns),
                                     cmocka_unit_test(labels_have_meaning)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
