/* Proves what a probe finds that a chat template refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "worker/chat/probe.h"

/* The features that the template refuses, as "system,tools"; NULL: it renders nothing at all. */
static const char *refused(const char *source) {
  static char out[300];
  struct chat_template *chat;
  struct error err;
  AUTO(json_release) json_t *specials = json_object();
  AUTO(json_release) json_t *found = NULL;
  if (chat_template_parse(&chat, source, strlen(source), specials, &err))
    fail_msg("%s", err.text);
  enum status status = probe_chat_template(&found, chat, &err);
  chat_template_free(chat);
  if (status)
    return NULL;
  out[0] = '\0';
  for (int i = 0; i < CHAT_FEATURE_COUNT; i++)
    if (json_object_get(found, chat_feature_name((enum chat_feature)i))) {
      strncat(out, out[0] ? "," : "", sizeof out - strlen(out) - 1);
      strncat(out, chat_feature_name((enum chat_feature)i), sizeof out - strlen(out) - 1);
    }
  return out;
}

#define EACH(body) "{% for m in messages %}" body "<{{ m.role }}>{{ m.content }}{{ m.tool_calls }}</s>{% endfor %}"

static void refusals_are_found(void **state) {
  (void)state;
  assert_string_equal(refused(EACH("")), "");
  assert_string_equal(refused(EACH("{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}")),
                      "system");
  assert_string_equal(
      refused(EACH("{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}{% endif %}")),
      "system,tool_results,assistant_first,repeated_user,repeated_assistant");
  assert_string_equal(refused("{% if tools %}{{ raise_exception('no tools') }}{% endif %}" EACH("")),
                      "tools,tool_calls,tool_results");
  assert_string_equal(refused("{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"),
                      "tool_calls,tool_results");
  assert_null(refused("{{ raise_exception('never') }}"));
  assert_null(refused("nothing of what was said"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(refusals_are_found)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
