/* A conversation reaches the templates in one form, however OpenAI's format leaves it open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "worker/chat/conversation.h"

struct row {
  const char *line, *messages, *tools;
};

static void check_row(const struct row *row) {
  struct conversation c;
  AUTO(json_release) json_t *line = json_loads(row->line, 0, NULL);
  AUTO(json_release) json_t *messages = json_loads(row->messages, 0, NULL);
  AUTO(json_release) json_t *tools = row->tools ? json_loads(row->tools, 0, NULL) : NULL;
  assert_non_null(line);
  assert_non_null(messages);
  assert_true(conversation_read(&c, line, "messages"));
  char *got = json_dumps(c.messages, 0), *got_tools = c.tools ? json_dumps(c.tools, 0) : NULL;
  if (!json_equal(c.messages, messages))
    fail_msg("%s\ngives %s", row->line, got);
  if ((c.tools != NULL) != (tools != NULL) || (tools && !json_equal(c.tools, tools)))
    fail_msg("%s\ngives the tools %s", row->line, got_tools ? got_tools : "none");
  free(got);
  free(got_tools);
  conversation_done(&c);
}

static void contents(void **state) {
  static const struct row rows[] = {
      {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a "
       "\"},{\"type\":\"text\",\"text\":\"b\"}]}]}",
       "[{\"role\":\"user\",\"content\":\"a b\"}]", NULL},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"refusal\":\"No.\",\"audio\":null,\"tool_calls\":null}"
       "]}",
       "[{\"role\":\"assistant\",\"content\":\"No.\"}]", NULL},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"No.\"}]}]}",
       "[{\"role\":\"assistant\",\"content\":\"No.\"}]", NULL},
      {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"Yes.\",\"refusal\":null,\"name\":\"bob\",\"weight\":1}]}",
       "[{\"role\":\"assistant\",\"content\":\"Yes.\",\"name\":\"bob\",\"weight\":1}]", NULL},
      {"{\"messages\":[{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"tool_calls\":[]}],\"tools\":[]}",
       "[{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":null}]", NULL},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    check_row(&rows[i]);
}

#define CALLED(arguments)                                                                                              \
  "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{"      \
  "\"name\":\"f\",\"arguments\":" arguments "}}]}]"

static void calls(void **state) {
  static const struct row rows[] = {
      {"{\"messages\":" CALLED("\"{\\\"city\\\": \\\"Oslo\\\", \\\"n\\\": 2}\"") "}",
       CALLED("{\"city\":\"Oslo\",\"n\":2}"), NULL},
      {"{\"messages\":" CALLED("{\"city\":\"Oslo\"}") "}", CALLED("{\"city\":\"Oslo\"}"), NULL},
      {"{\"messages\":" CALLED("\" \"") "}", CALLED("{}"), NULL},
      {"{\"messages\":" CALLED("null") "}", CALLED("{}"), NULL},
      /* What is no object stays what it is. */
      {"{\"messages\":" CALLED("\"[1]\"") "}", CALLED("\"[1]\""), NULL},
      {"{\"messages\":" CALLED("\"print(1)\"") "}", CALLED("\"print(1)\""), NULL},
      {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"name\":\"f\",\"arguments\":{\"a\":1},\"id\":\"c1\"}]}"
       "]}",
       CALLED("{\"a\":1}"), NULL},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    check_row(&rows[i]);
}

static void the_older_format(void **state) {
  static const struct row row = {
      "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
      "{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
      "{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"},"
      "{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"g\",\"arguments\":\"{}\"}},"
      "{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
      "{\"role\":\"function\",\"name\":\"g\",\"content\":\"2\"},{\"role\":\"function\",\"name\":\"f\",\"content\":"
      "\"3\"},"
      "{\"role\":\"function\",\"name\":\"h\",\"content\":null}],\"functions\":[{\"name\":\"f\",\"parameters\":{}}]}",
      "[{\"role\":\"user\",\"content\":\"q\"},"
      "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call00001\",\"type\":\"function\","
      "\"function\":{\"name\":\"f\",\"arguments\":{}}}]},"
      "{\"role\":\"tool\",\"name\":\"f\",\"content\":\"1\",\"tool_call_id\":\"call00001\"},"
      "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call00002\",\"type\":\"function\","
      "\"function\":{\"name\":\"g\",\"arguments\":{}}}]},"
      "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call00003\",\"type\":\"function\","
      "\"function\":{\"name\":\"f\",\"arguments\":{}}}]},"
      "{\"role\":\"tool\",\"name\":\"g\",\"content\":\"2\",\"tool_call_id\":\"call00002\"},"
      "{\"role\":\"tool\",\"name\":\"f\",\"content\":\"3\",\"tool_call_id\":\"call00003\"},"
      "{\"role\":\"tool\",\"name\":\"h\",\"content\":null}]",
      "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]"};
  (void)state;
  check_row(&row);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(contents),
      cmocka_unit_test(calls),
      cmocka_unit_test(the_older_format),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
