/* The check of an upload reports what is in a file, and refuses at its place what no job could use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/event.h"
#include "api/openapi.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "worker/data/check.h"

static enum status check(json_t **report, const char *name, const char *text, struct error *err) {
  *err = (struct error){0};
  put_data(text);
  return check_file(report, data_file, name, err);
}

/* JSON with ' for ", so that it can be read here. */
static char *unquote(char *json) {
  for (char *p = json; *p; p++)
    if (*p == '"')
      *p = '\'';
  return json;
}

/* The OpenAPI document has every member of a report. */
static void is_described(const json_t *report) {
  json_t *document = openapi_document(), *value;
  const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
  const json_t *schema = json_object_get(schemas, "Validation");
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)report, name,
                      value) if (!json_object_get(json_object_get(schema, "properties"), name))
      fail_msg("the OpenAPI document does not have validation.%s", name);
  json_decref(document);
}

static void reports(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *want;
  } cases[] = {
      {"x.csv", "text,label\nab,x\nabcd,y\n\nab,x\n",
       "{'format':'csv','kind':'classification','lines':5,'examples':3,'bytes':29,'columns':['text','label'],"
       "'labels':{'kind':'class','count':2,'names':['x','y']},'text_bytes':{'min':2,'mean':2.6666666666666665,'max':4},"
       "'chat':null,'warnings':['1 empty lines were skipped','1 records are repeated']}"},
      {"x.tsv", "text\tlabel\na\t0.5\n",
       "{'format':'tsv','kind':'regression','lines':2,'examples':1,'bytes':17,'columns':['text','label'],"
       "'labels':{'kind':'float','count':1,'names':[]},'text_bytes':{'min':1,'mean':1.0,'max':1},"
       "'chat':null,'warnings':[]}"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":10}\n{\"label\":9,\"text\":\"b\"}",
       "{'format':'jsonl','kind':'classification','lines':2,'examples':2,'bytes':46,'columns':['text','label'],"
       "'labels':{'kind':'class','count':2,'names':['9','10']},'text_bytes':{'min':1,'mean':1.0,'max':1},"
       "'chat':null,'warnings':[]}"},
      {"x.jsonl", "{\"text\":\"abc\"}\n",
       "{'format':'jsonl','kind':'text','lines':1,'examples':1,'bytes':15,'columns':['text'],'labels':null,"
       "'text_bytes':{'min':3,'mean':3.0,'max':3},'chat':null,'warnings':[]}"},
      {"x.jsonl", CHAT(USER("q") "," SAYS("a")) CHAT(CALLS(CALL("f", "\"{}\""))),
       "{'format':'jsonl','kind':'chat','lines':2,'examples':2,'bytes':207,'columns':['messages'],'labels':null,"
       "'text_bytes':null,'chat':{'turns':3,'assistant_messages':2},'warnings':['in 1 conversations, the first in line "
       "2, the assistant speaks before any user']}"},
      {"x.jsonl", "{\"prompt\":\"\",\"completion\":\"a\"}\n",
       "{'format':'jsonl','kind':'completion','lines':1,'examples':1,'bytes':31,'columns':['prompt','completion'],"
       "'labels':null,'text_bytes':null,'chat':null,'warnings':[]}"},
      {"x.tsv", "completion\tprompt\na\t\n",
       "{'format':'tsv','kind':'completion','lines':2,'examples':1,'bytes':21,'columns':['completion','prompt'],"
       "'labels':null,'text_bytes':null,'chat':null,'warnings':[]}"},
      {"x.jsonl",
       "{\"tools\":[{\"type\":\"function\"}],\"functions\":null,\"messages\":[" MESSAGE(
           "developer",
           "\"s\"") "," MESSAGE("user", "[" PART("q") "," PART("") "]") "," WEIGHED("a", "0") "," WEIGHED("b",
                                                                                                          "1") "]}\n",
       "{'format':'jsonl','kind':'chat','lines':1,'examples':1,'bytes':270,'columns':['tools','functions','messages'],"
       "'labels':null,'text_bytes':null,'chat':{'turns':3,'assistant_messages':2},'warnings':[]}"},
      {"x.jsonl", "{\"tokens\":[\"a\",\"b\"],\"tags\":[\"O\",\"B-X\"]}\n",
       "{'format':'jsonl','kind':'token_classification','lines':1,'examples':1,'bytes':40,'columns':['tokens','tags'],"
       "'labels':{'kind':'class','count':2,'names':['B-X','O']},'text_bytes':null,'chat':null,'warnings':[]}"},
      {"x.csv", "text,category\na,x\n",
       "{'format':'csv','kind':'text','lines':2,'examples':1,'bytes':18,'columns':['text','category'],'labels':null,"
       "'text_bytes':{'min':1,'mean':1.0,'max':1},'chat':null,'warnings':[]}"},
      {"x.csv", "question,category\na,x\n",
       "{'format':'csv','kind':'table','lines':2,'examples':1,'bytes':22,'columns':['question','category'],"
       "'labels':null,'text_bytes':null,'chat':null,'warnings':['no column is named text; a job must name its columns "
       "(dataset.text, dataset.label)']}"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *report;
    struct error err;
    if (check(&report, cases[i].name, cases[i].text, &err))
      fail_msg("%s: %s", cases[i].text, err.text);
    assert_int_equal(json_object_del(report, "facts"), 0); /* what jobs are judged by has a test of its own */
    is_described(report);
    char *text = unquote(json_dumps(report, JSON_COMPACT));
    assert_string_equal(text, cases[i].want);
    free(text);
    json_decref(report);
  }
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *param, *says;
  } cases[] = {
      {"x.jsonl", "{\"text\":1}", "text", "line 1, column 9: text must be a string, not an integer"},
      {"x.jsonl", "{\"text\":\"a\"}\n{\"text\":null}\n{\"text\":\"\"}", "text", "line 2, column 9: text is null"},
      {"x.csv", "text,label\na,x\n,y\nb,\n", "text", "line 3, column 1: text is empty"},
      {"x.jsonl", CHAT(SAYS("a")) "{\"prompt\":\"a\",\"completion\":\"b\"}", "messages",
       "line 2, column 1: no member messages"},
      {"x.jsonl", "{\"id\":1}", "", "no column has a text in every line, and none a chat"},
      {"x.jsonl", "{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n{\"tokens\":[\"a\"],\"tags\":[\"O\",\"O\"]}", "tags",
       "line 2, column 24: tags has 2 entries, tokens has 1; each word has one tag"},
      {"x.jsonl", "{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n{\"tokens\":[\"\"],\"tags\":[\"O\"]}", "tokens",
       "line 2, column 11: tokens has an empty word as its entry 1"},
      {"x.jsonl", "{\"tokens\":[\"a\"],\"tags\":[0]}", "tags",
       "line 1, column 24: tags has an integer as its entry 1; each label must be a string, the name of a class"},
      {"x.csv", "text,label\na,x\nb\n", "", "line 3, column 1: 1 field, but the header has 2"},
      {"x.jsonl", "{\"messages\":[]}", "messages", "line 1, column 13: messages must be an array of at least one"},
      {"x.jsonl", "{\"messages\":[1]}", "messages", "message 1 must be an object, not an integer"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"boss\",\"content\":\"x\"}]}", "messages",
       "message 1: the role boss is none of"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "messages",
       "message 1: content must be a string or a list of parts, not an integer"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"user\"}]}", "messages",
       "message 1: content must be a string or a list of parts, not absent"},
      {"x.jsonl", CHAT(MESSAGE("user", "[" PART("") ",{\"type\":\"image_url\",\"image_url\":{}}]")), "messages",
       "line 1, column 13: message 1: content part 2 is of type image_url; only text is supported"},
      {"x.jsonl", CHAT(MESSAGE("user", "[\"hi\"]")), "messages",
       "message 1: content part 1 must be an object, not a string"},
      {"x.jsonl", CHAT(MESSAGE("user", "[{\"text\":\"hi\"}]")), "messages",
       "the type of content part 1 must be a string, not absent"},
      {"x.jsonl", CHAT(MESSAGE("user", "[{\"type\":\"text\"}]")), "messages",
       "the text of content part 1 must be a string, not absent"},
      {"x.jsonl", CHAT(WEIGHED("a", "0.5")), "messages", "message 1: weight must be 0 or 1"},
      {"x.jsonl", CHAT(WEIGHED("a", "\"1\"")), "messages", "message 1: weight must be 0 or 1"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}],\"tools\":{}}", "messages",
       "line 1, column 58: tools must be a list, not an object"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}],\"functions\":[1]}", "messages",
       "item 1 of functions must be an object, not an integer"},
      {"x.jsonl", "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"cat\",\"value\":\"a\"}]}",
       "conversations", "line 1, column 18: turn 2: nobody here is called cat"},
      {"x.jsonl", "{\"instruction\":\"a\",\"output\":\"b\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}", "",
       "line 2, column 1: this line is of another form, and the first one is Alpaca's"},
      {"x.jsonl", "{\"input\":{\"messages\":[]},\"preferred_output\":[],\"non_preferred_output\":[]}",
       "preferred_output", "line 1, column 10: input.messages must be a list of at least one message, not empty"},
      {"x.jsonl", "{\"data\":[{\"text\":\"a\"}]}", "", "the line is one object around a list of objects"},
      {"x.jsonl", "nonsense", "", "line 1, column 8: invalid token"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *report;
    struct error err;
    enum status status = check(&report, cases[i].name, cases[i].text, &err);
    if (status != STATUS_DATASET_INVALID || report || strcmp(err.param, cases[i].param) != 0 ||
        !strstr(err.text, cases[i].says))
      fail_msg("%s: status %d, param %s, \"%s\" should say \"%s\"", cases[i].text, (int)status, err.param, err.text,
               cases[i].says);
  }
}

/* What only some jobs could not use is told, and left to them. */
static void warns_of_columns(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *kind, *says;
  } cases[] = {
      {"x.jsonl", "{\"text\":\"a\",\"label\":{}}", "classification",
       "line 1, column 21: label must be a string, a number, true or false, not an object; a job that uses it"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":0}\n{\"text\":\"a\"}", "classification",
       "line 2, column 1: no member label; a classifier needs a label in every line, a language model in none; a job"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":null}\n{\"text\":\"a\",\"label\":1}", "text",
       "line 1, column 21: label is null; a classifier needs"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":null}\n{\"text\":\"b\",\"label\":null}", "text", NULL},
      {"x.csv", "text,label\na,x\n,y\n", "classification", "line 3, column 1: text is empty; a job"},
      {"x.csv", "text,label\na,x\nb,\nc,\n", "classification",
       "line 3, column 3: label is empty (and so it is in 1 more); a"},
      {"x.csv", "text,text_pair,label\na,,x\nb,c,y\n", "classification", NULL},
      {"x.csv", "text,review,category\n,a,x\n,b,y\n", "table",
       "line 2, column 1: text is empty (and so it is in 1 more); a job"},
      {"x.jsonl",
       CHAT(USER("q") "," SAYS("a")) "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
                                     "{\"role\":\"assistant\",\"content\":\"a\"}],\"text\":\"\",\"label\":null}\n",
       "chat", NULL},
      {"x.jsonl", "{\"prompt\":\"p\",\"completion\":\"\"}", "table", "line 1, column 28: completion is empty; a job"},
      {"x.jsonl", "{\"prompt\":1,\"completion\":\"a\"}", "completion", "line 1, column 11: prompt must be a string"},
      {"x.jsonl", "{\"instruction\":\"a\",\"input\":\"\",\"output\":\"b\"}", "completion",
       "the lines are Alpaca's (instruction, input, output): instruction and input are taken as the prompt"},
      {"x.csv", "instruction,input,output\na,b,c\n", "table", "write the instruction and the input as prompt"},
      {"x.jsonl", "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}]}",
       "chat", "the lines are ShareGPT's (conversations with from and value): they are taken as messages"},
      {"x.csv", "instruction,output\na,b\n", "table",
       "dataset.prompt \"instruction\" and dataset.completion \"output\""},
      {"x.jsonl", "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "preference", NULL},
      {"x.jsonl", "{\"chosen\":\"b\",\"rejected\":\"b\"}", "preference",
       "line 1, column 26: chosen and rejected are equal: such a pair teaches nothing; a job that uses it is refused"},
      {"x.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\",\"label\":true}", "completion",
       "method.type \"kto\" learns from their labels"},
      {"x.jsonl", "{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}", "table",
       "the lines are requests of OpenAI's Batch API"},
      {"x.csv", "prompt,completion\na,b\nc,\n", "completion", "line 3, column 3: completion is empty; a job"},
      {"x.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\",\"messages\":null,\"text\":null}", "completion", NULL},
      {"x.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"messages\":[" SAYS("a") "]}", "text",
       "line 2, column 24: this line has messages, but the first has not"},
      {"x.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}", "chat",
       "line 1, column 13: no message has the role assistant"},
      {"x.jsonl", CHAT(WEIGHED("a", "0") "," SAYS("")), "chat",
       "every message of the assistant is empty or has the weight 0"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *report;
    struct error err;
    if (check(&report, cases[i].name, cases[i].text, &err))
      fail_msg("%s: %s", cases[i].text, err.text);
    assert_string_equal(json_string_value(json_object_get(report, "kind")), cases[i].kind);
    const char *warning = json_string_value(json_array_get(json_object_get(report, "warnings"), 0));
    if (cases[i].says ? !warning || !strstr(warning, cases[i].says) : warning != NULL)
      fail_msg("%s: \"%s\"", cases[i].text, warning ? warning : "(no warning)");
    json_decref(report);
  }
}

static void shows_a_hundred_labels(void **state) {
  (void)state;
  char text[8192] = "text,label\n";
  size_t used = strlen(text);
  for (int i = 0; i < 150; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "t%d,label %03d\n", i, i);
  json_t *report;
  struct error err;
  assert_int_equal(check(&report, "x.csv", text, &err), STATUS_OK);
  const json_t *labels = json_object_get(report, "labels");
  assert_int_equal(json_integer_value(json_object_get(labels, "count")), 150);
  assert_int_equal(json_array_size(json_object_get(labels, "names")), 100);
  assert_string_equal(json_string_value(json_array_get(json_object_get(labels, "names"), 99)), "label 099");
  json_decref(report);
}

/* A report is one event, whatever the table: of a wide one it says less. */
static void wide_tables_fit(void **state) {
  (void)state;
  static const struct {
    int columns, name;
    bool facts;
  } cases[] = {{20, 10, true}, {250, 12, true}, {250, 120, false}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *report;
    struct error err;
    struct str text;
    str_init(&text, 1 << 20);
    for (int row = 0; row < 9; row++)
      for (int k = 0; k < cases[i].columns; k++)
        str_printf(&text, "%s%0*d%s", row ? "w" : "", row ? 1 : cases[i].name, row ? row + k : k,
                   k + 1 < cases[i].columns ? "," : "\n");
    if (check(&report, "x.csv", text.text, &err))
      fail_msg("%s", err.text);
    assert_true(json_dumpb(report, NULL, 0, JSON_COMPACT) < EVENT_LINE_MAX);
    assert_int_equal(json_object_size(json_object_get(report, "facts")) > 0, cases[i].facts);
    assert_int_equal(json_array_size(json_object_get(report, "columns")), cases[i].columns);
    json_decref(report);
    str_done(&text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reports),
      cmocka_unit_test(refuses),
      cmocka_unit_test(warns_of_columns),
      cmocka_unit_test(wide_tables_fit),
      cmocka_unit_test(shows_a_hundred_labels),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
