/* What OpenAI's format has is read, what it has not is named, and what counts as said is one rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker/data/data_file.h"
#include "worker/data/messages.h"

#define ASSISTANT(members) "{\"role\":\"assistant\"," members "}"

/* The facts of one line, or its fault. */
static enum status read_line(struct messages_facts *facts, const char *line, struct error *err) {
  struct records *records;
  const struct record *record;
  *err = (struct error){0};
  put_data(line);
  assert_int_equal(records_open(&records, data_file, "x.jsonl", err), STATUS_OK);
  assert_int_equal(records_next(records, &record, err), STATUS_OK);
  enum status status = messages_check(facts, record, "messages", err);
  status = status ? status : messages_check_learnt(facts, record, "messages", err);
  records_close(records);
  return status;
}

static void what_is_said(void **state) {
  static const struct {
    const char *line;
    size_t learnt;
  } rows[] = {
      {CHAT(USER("q") "," SAYS("a") "," SAYS("") "," WEIGHED("b", "0") "," WEIGHED("c", "1")), 2},
      {CHAT(CALLS(CALL("f", "\"{}\""))), 1},
      {CHAT(CALLS(CALL("f", "{}"))), 1},
      {CHAT(CALLS("{\"name\":\"f\",\"arguments\":{}}")), 1},
      {CHAT(ASSISTANT("\"content\":\"\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}")), 1},
      {CHAT(ASSISTANT("\"content\":null,\"refusal\":\"No.\"")), 1},
      {CHAT(ASSISTANT("\"content\":[{\"type\":\"refusal\",\"refusal\":\"No.\"}]")), 1},
      {CHAT(ASSISTANT("\"reasoning_content\":\"hm\"")), 1},
      {CHAT(ASSISTANT("\"content\":\"a\",\"refusal\":null,\"tool_calls\":null,\"function_call\":null,\"weight\":null")),
       1},
      {CHAT("{\"role\":\"function\",\"name\":\"f\",\"content\":null}," SAYS("a")), 1},
      {"{\"messages\":[" SAYS("a") "],\"parallel_tool_calls\":false,\"tools\":null,\"functions\":[{}]}\n", 1},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct messages_facts facts;
    struct error err;
    if (read_line(&facts, rows[i].line, &err) || facts.learnt != rows[i].learnt)
      fail_msg("%s: %zu learnt, %s", rows[i].line, facts.learnt, err.text);
  }
}

static void what_is_refused(void **state) {
  static const struct {
    const char *line, *says;
  } rows[] = {
      {CHAT(USER("q")), "no message has the role assistant"},
      {CHAT(CALLS("")), "message 1: content must be a string or a list of parts, not null"},
      {CHAT(ASSISTANT("\"content\":\"\",\"tool_calls\":[]")), "every message of the assistant is empty"},
      {CHAT(ASSISTANT("\"content\":\"\",\"tool_calls\":{}")), "message 1: tool_calls must be a list, not an object"},
      {CHAT(CALLS("7")), "message 1: call 1 must be an object"},
      {CHAT(CALLS(CALL("f", "{}") ",{}")), "message 1: the function of call 2 must be an object, not absent"},
      {CHAT(CALLS("{\"function\":{\"arguments\":{}}}")), "message 1: the function of call 1 has no name"},
      {CHAT(CALLS(CALL("f", "[]"))),
       "message 1: the arguments of call 1 must be a JSON text or an object, not an array"},
      {CHAT(CALLS("{\"type\":\"custom\",\"custom\":{}}")), "message 1: call 1 is of type custom"},
      {CHAT(ASSISTANT("\"content\":null,\"function_call\":\"f\"")), "message 1: the function of call 1 must be"},
      {CHAT(ASSISTANT("\"content\":\"a\",\"refusal\":\"b\"")), "message 1 has both content and refusal"},
      {CHAT(ASSISTANT("\"content\":\"a\",\"refusal\":7")), "message 1: refusal must be a string"},
      {CHAT(ASSISTANT("\"content\":\"a\",\"thinking\":[]")), "message 1: thinking must be a string"},
      {CHAT("{\"role\":\"user\",\"content\":\"a\",\"name\":7}"), "message 1: name must be a string"},
      {CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"b\"}]}"), "content part 1 is of type"},
      {CHAT("{\"role\":\"function\",\"content\":\"a\"}"), "message 1: a message of the role function needs the name"},
      {CHAT(WEIGHED("a", "0.5")), "message 1: weight must be 0 or 1"},
      {CHAT(WEIGHED("a", "0")), "every message of the assistant is empty or has the weight 0"},
      {"{\"messages\":[" SAYS("a") "],\"parallel_tool_calls\":1}\n", "parallel_tool_calls must be true or false"},
      {"{\"messages\":[" SAYS("a") "],\"tools\":[{}],\"functions\":[{}]}\n", "the line has both tools and functions"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct messages_facts facts;
    struct error err;
    enum status status = read_line(&facts, rows[i].line, &err);
    if (status != STATUS_DATASET_INVALID || !strstr(err.text, rows[i].says))
      fail_msg("%s: %s: %s", rows[i].line, status_code(status), err.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_said),
      cmocka_unit_test(what_is_refused),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
