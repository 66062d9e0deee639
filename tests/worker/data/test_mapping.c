/* Lines of Alpaca's and ShareGPT's form become lines of ours, what they had stays, and what is not clear is refused at
   its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "worker/data/records.h"

#define ALPACA                                                                                                         \
  "Below is an instruction that describes a task. Write a response that appropriately completes the request."
#define WITH_INPUT                                                                                                     \
  "Below is an instruction that describes a task, paired with an input that provides further context. Write a "        \
  "response"                                                                                                           \
  " that appropriately completes the request."

/* The last record's object as text with ' for ", or the fault of the first that is bad. */
static void expect(const char *lines, enum mapping mapping, const char *name, const char *want) {
  struct records *records;
  const struct record *record;
  struct error err = {0};
  AUTO(str_done) struct str text;
  json_t *last = NULL;
  str_init(&text, 1 << 16);
  assert_int_equal(records_open_memory(&records, lines, strlen(lines), RECORD_JSONL, &err), STATUS_OK);
  enum status status;
  while (!(status = records_next(records, &record, &err)) && record) {
    json_decref(last);
    last = json_incref(json_object_get(record->object, name));
  }
  if (status)
    str_printf(&text, "! %s: %s", err.param, err.text);
  else if (!last || !json_append(&text, last))
    str_puts(&text, "nothing");
  if (!status)
    assert_int_equal(records_mapping(records), mapping);
  for (size_t i = 0; i < text.length; i++)
    if (text.text[i] == '"')
      text.text[i] = '\'';
  if (status ? !strstr(text.text, want) : strcmp(text.text, want) != 0)
    fail_msg("%s: %s\nshould be: %s", lines, text.text, want);
  json_decref(last);
  records_close(records);
}

static void alpaca(void **state) {
  (void)state;
  static const char line[] = "{\"instruction\":\"Say it.\",\"input\":\"hello\",\"output\":\"Hello!\"}";
  expect(line, MAPPING_ALPACA, "prompt",
         "'" WITH_INPUT "\\n\\n### Instruction:\\nSay it.\\n\\n### Input:\\nhello\\n\\n### Response:\\n'");
  expect(line, MAPPING_ALPACA, "completion", "'Hello!'");
  expect(line, MAPPING_ALPACA, "instruction", "'Say it.'");
  expect("{\"instruction\":\"Say it.\",\"output\":\"a\"}\n{\"instruction\":\"b\",\"input\":null,\"output\":\"c\"}",
         MAPPING_ALPACA, "prompt", "'" ALPACA "\\n\\n### Instruction:\\nb\\n\\n### Response:\\n'");
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"system\":\"\",\"history\":[]}", MAPPING_ALPACA, "completion",
         "'b'");
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"text\":\"all of it\"}", MAPPING_ALPACA, "completion", "'b'");
  /* what these say is no Alpaca's */
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"system\":\"s\"}", MAPPING_NONE, "prompt", "nothing");
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"q\",\"a\"]]}", MAPPING_NONE, "prompt", "nothing");
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"label\":\"x\"}", MAPPING_NONE, "prompt", "nothing");
  expect("{\"instruction\":\"a\",\"output\":\"b\",\"prompt\":\"p\"}", MAPPING_NONE, "prompt", "'p'");
  expect("{\"instruction\":\"a\",\"output\":\"\"}", MAPPING_ALPACA, "", "! output: line 1, column 29: output is empty");
  expect("{\"instruction\":\"a\",\"output\":null}", MAPPING_ALPACA, "",
         "! output: line 1, column 29: output must be a string");
  expect("{\"instruction\":\"\",\"input\":\"\",\"output\":\"b\"}", MAPPING_ALPACA, "",
         "! instruction: line 1, column 16: instruction and input are empty");
  expect("{\"instruction\":\"a\",\"input\":7,\"output\":\"b\"}", MAPPING_ALPACA, "",
         "! input: line 1, column 28: input must be");
  expect(
      "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"text\":\"a\"}", MAPPING_ALPACA, "",
      "! : line 3, column 1: this line is of another form, and the first one is Alpaca's (instruction, input, output)");
  expect("{\"text\":\"a\"}\n{\"instruction\":\"a\",\"output\":\"b\"}", MAPPING_NONE, "",
         "! : line 2, column 1: this line is Alpaca's (instruction, input, output), and the first one is of another");
}

#define TURN(from, value) "{\"from\":\"" from "\",\"value\":" value "}"
#define TURNS(turns) "{\"conversations\":[" turns "]}"

static void sharegpt(void **state) {
  (void)state;
  expect(TURNS(TURN("system", "\"s\"") "," TURN("human", "\"q\"") "," TURN("gpt", "\"a\"")), MAPPING_SHAREGPT,
         "messages",
         "[{'role':'system','content':'s'},{'role':'user','content':'q'},{'role':'assistant','content':'a'}]");
  expect(
      "{\"system\":\"s\",\"conversations\":[" TURN("user",
                                                   "\"q\"") ",{\"from\":\"assistant\",\"value\":\"a\",\"weight\":0}]}",
      MAPPING_SHAREGPT, "messages",
      "[{'role':'system','content':'s'},{'role':'user','content':'q'},{'role':'assistant','content':'a','weight':0}]");
  expect(
      TURNS(TURN("human", "\"q\"") "," TURN(
          "function_call",
          "\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{\\\"x\\\":1}}\"") "," TURN("observation",
                                                                                   "\"7\"") "," TURN("gpt", "\"a\"")),
      MAPPING_SHAREGPT, "messages",
      "[{'role':'user','content':'q'},{'role':'assistant','content':null,'tool_calls':[{'type':'function','function':"
      "{'name':'f','arguments':{'x':1}}}]},{'role':'tool','content':'7'},{'role':'assistant','content':'a'}]");
  expect("{\"conversations\":[" TURN("human", "\"q\"") "],\"tools\":\"[{\\\"name\\\":\\\"f\\\"}]\"}", MAPPING_SHAREGPT,
         "tools", "[{'type':'function','function':{'name':'f'}}]");
  expect("{\"conversations\":[" TURN("human",
                                     "\"q\"") "],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
         MAPPING_SHAREGPT, "tools", "[{'type':'function','function':{'name':'f'}}]");
  expect("{\"conversations\":[" TURN("human", "\"q\"") "],\"tools\":\"\"}", MAPPING_SHAREGPT, "tools", "nothing");
  expect("{\"conversations\":[" TURN("human", "\"q\"") "],\"tools\":\"{\"}", MAPPING_SHAREGPT, "",
         "! tools: line 1, column");
  expect(TURNS(TURN("cat", "\"q\"")), MAPPING_SHAREGPT, "",
         "! conversations: line 1, column 18: turn 1: nobody here is called cat");
  expect(TURNS(TURN("human", "\"q\"") "," TURN("gpt", "7")), MAPPING_SHAREGPT, "",
         "column 18: turn 2: value must be a string");
  expect(TURNS(TURN("human", "\"q\"") ",7"), MAPPING_SHAREGPT, "", "turn 2: from must be a string");
  expect(TURNS(TURN("human", "\"q\"") "," TURN("function_call", "\"f(x)\"")), MAPPING_SHAREGPT, "",
         "turn 2: a function_call is");
  expect(TURNS(TURN("human", "\"q\"")) "\n" TURNS(""), MAPPING_SHAREGPT, "",
         "! : line 2, column 1: this line is of another form");
  expect("{\"conversations\":[{\"role\":\"user\",\"content\":\"q\"}]}", MAPPING_NONE, "messages", "nothing");
  expect("{\"conversations\":[" TURN("human", "\"q\"") "],\"chosen\":{}}", MAPPING_NONE, "messages", "nothing");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(alpaca), cmocka_unit_test(sharegpt)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
