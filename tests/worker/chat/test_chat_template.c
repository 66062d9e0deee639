/* Conversations render as Transformers renders them: every case that make_fixtures.py recorded, byte for byte, and what
   it refuses is refused. What the assistant said is known in the text however the template got it there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/chat/chat_template.h"

#define CASES "tests/worker/chat/cases/"

/* --- the recorded cases --------------------------------------------------------------------------- */

/* Is the text, or the refusal, the recorded one? */
static bool is_as_recorded(const json_t *c, enum status status, const struct chat_text *text, const struct error *err) {
  const json_t *want = json_object_get(c, "text"), *refuses = json_object_get(c, "refuses");
  /* What leaves no trace is refused, where the reference is silent. */
  if (want && strstr(err->text, "nothing of the tool calls"))
    return status == STATUS_DATASET_INVALID && !strstr(json_string_value(want), "get_weather");
  if (refuses)
    return status == STATUS_DATASET_INVALID && strcmp(err->text, json_string_value(refuses)) == 0;
  if (!want)
    return status && strncmp(err->text, "line ", 5) == 0;
  return !status && text->text.length == json_string_length(want) &&
         memcmp(text->text.text, json_string_value(want), text->text.length) == 0;
}

/* The reference has one span a block; ours are joined where they touch. */
static bool has_spans(const json_t *want, const struct chat_text *text) {
  size_t at = 0;
  for (size_t i = 0; i < json_array_size(want); at++) {
    json_int_t begin = json_integer_value(json_array_get(json_array_get(want, i), 0)), end = begin;
    for (; i < json_array_size(want) && json_integer_value(json_array_get(json_array_get(want, i), 0)) == end; i++)
      end = json_integer_value(json_array_get(json_array_get(want, i), 1));
    if (at >= text->span_count || text->spans[at].begin != (size_t)begin || text->spans[at].end != (size_t)end)
      return false;
  }
  return at == text->span_count;
}

static void check_case(const json_t *c, const char *source, size_t length, const json_t *specials, const json_t *chat) {
  struct chat_template *template = NULL;
  struct chat_text text;
  struct error err = {0};
  chat_text_init(&text);
  enum status status = chat_template_parse(&template, source, length, specials, &err);
  AUTO(json_release) json_t *nothing = json_array();
  const json_t *messages = chat ? json_object_get(chat, "messages") : nothing;
  if (!status)
    status = chat_template_render(template, &text, messages, json_object_get(chat, "tools"),
                                  json_is_true(json_object_get(chat, "generate")), &err);
  char *shown = json_dumps(c, JSON_ENSURE_ASCII);
  if (!is_as_recorded(c, status, &text, &err))
    fail_msg("%s\ngot: %s", shown, status ? err.text : text.text.text);
  bool exact = strstr(source, "generation %}") != NULL;
  if (!status && (text.has_generation != exact || (exact && !has_spans(json_object_get(c, "spans"), &text))))
    fail_msg("%s\ngot %zu spans, exact %d", shown, text.span_count, text.has_generation);
  free(shown);
  chat_text_done(&text);
  chat_template_free(template);
}

/* Calls `use` on every line; the count. */
static size_t each_line(const char *name, void (*use)(const json_t *c, const json_t *more), const json_t *more) {
  char path[128];
  char *line = NULL;
  size_t size = 0, count = 0;
  snprintf(path, sizeof path, CASES "%s", name);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  for (; getline(&line, &size, file) > 0; count++) {
    json_t *c = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(c);
    use(c, more);
    json_decref(c);
  }
  free(line);
  fclose(file);
  return count;
}

static void keep_conversation(const json_t *c, const json_t *all) {
  json_object_set((json_t *)(uintptr_t)all, json_string_value(json_object_get(c, "conversation")),
                  (json_t *)(uintptr_t)c);
}

static void use_rendered(const json_t *c, const json_t *conversations) {
  const char *name = json_string_value(json_object_get(c, "conversation"));
  const char *path = json_string_value(json_object_get(c, "file"));
  char *source;
  size_t length;
  struct error err;
  json_t *specials = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
  if (file_read(&source, &length, path, 1 << 20, &err))
    fail_msg("%s", err.text);
  assert_non_null(json_object_get(conversations, name));
  check_case(c, source, length, specials, json_object_get(conversations, name));
  json_decref(specials);
  free(source);
}

static void conversations_equal_the_reference(void **state) {
  json_t *conversations = json_object();
  (void)state;
  assert_int_equal(each_line("conversations.jsonl", keep_conversation, conversations), 17);
  size_t count = each_line("rendered.jsonl", use_rendered, conversations);
  json_decref(conversations);
  assert_true(count >= 20 * 17);
}

/* --- spans ---------------------------------------------------------------------------------------- */

/* Renders; the spans, each in brackets, or the error's text. */
static void spans_of(char *out, size_t size, const char *source, const char *messages_text) {
  struct chat_template *template;
  struct chat_text text;
  struct error err = {0};
  size_t used = 0;
  json_t *messages = json_loads(messages_text, 0, NULL);
  assert_non_null(messages);
  if (chat_template_parse(&template, source, strlen(source), NULL, &err))
    fail_msg("%s", err.text);
  chat_text_init(&text);
  *out = '\0';
  if (chat_template_render(template, &text, messages, NULL, false, &err)) {
    snprintf(out, size, "%s", err.text);
  } else {
    for (size_t i = 0; i < text.span_count && used < size; i++)
      used += (size_t)snprintf(out + used, size - used, "[%.*s]", (int)(text.spans[i].end - text.spans[i].begin),
                               text.text.text + text.spans[i].begin);
  }
  chat_text_done(&text);
  chat_template_free(template);
  json_decref(messages);
}

#define ANSWER "[{\"role\": \"user\", \"content\": \"ask\"}, {\"role\": \"assistant\", \"content\": \"%s\"}]"
#define USER "[{\"role\": \"user\", \"content\": \"ask\"}]"

static void origins_survive_what_templates_do_to_texts(void **state) {
  /* The template gets the answer as `a`. */
  static const struct {
    const char *expression, *answer, *spans;
  } rows[] = {
      {"a", "yes", "[yes]"},
      {"'<' + a + '>'", "yes", "[yes]"},
      {"'<' ~ a ~ '>'", "yes", "[yes]"},
      {"a | trim", "  yes  ", "[yes]"},
      {"a.strip('-')", "--yes--", "[yes]"},
      {"a[1:-1]", "(yes)", "[yes]"},
      {"a[::-1]", "yes", "[sey]"},
      {"a | upper", "yes \xC3\xA9", "[YES \xC3\x89]"},
      {"a.split('</think>')[-1]", "hm</think>yes", "[yes]"},
      {"a.split(',') | join(',')", "a,b,c", "[a,b,c]"},
      {"a.split(',') | join(' and ')", "a,b", "[a and b]"},
      {"[a, 'x', a] | join('-')", "y", "[y][y]"},
      {"a | replace('o', '0')", "oh no", "[0h n0]"},
      {"a | indent(2)", "a\\nb", "[a\n  b]"},
      {"a | tojson", "a\\\"b", "[a\\\"b]"},
      {"{'k': a}", "yes", "[yes]"},
      {"'%s!' % a", "yes", "[yes]"},
      {"a * 2", "yes", "[yesyes]"},
      {"a | e", "a<b", "[a&lt;b]"},
      {"a | list | join", "yes", "[yes]"},
      {"a if a else 'none'", "yes", "[yes]"},
      {"(a ~ '') | default('x')", "yes", "[yes]"},
      {"messages | map(attribute='content') | join(' ')", "yes", "[yes]"},
      {"messages | tojson", "yes", "[yes]"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char source[256], messages[256], got[ERROR_TEXT];
    snprintf(source, sizeof source, "{%% set a = messages[1].content %%}ask {{ %s }} end", rows[i].expression);
    snprintf(messages, sizeof messages, ANSWER, rows[i].answer);
    spans_of(got, sizeof got, source, messages);
    if (strcmp(got, rows[i].spans) != 0)
      fail_msg("%s of \"%s\": %s, not %s", rows[i].expression, rows[i].answer, got, rows[i].spans);
  }
}

static void origins_pass_macros_blocks_and_lists_of_parts(void **state) {
  static const struct {
    const char *source, *messages, *spans;
  } rows[] = {
      {"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].content) | upper }}",
       "[{\"role\": \"assistant\", \"content\": \"yes\"}]", "[YES]"},
      {"{% set b %}<{{ messages[0].content }}>{% endset %}{{ b }}", "[{\"role\": \"assistant\", \"content\": \"yes\"}]",
       "[yes]"},
      {"{% for m in messages %}{% for p in m.content %}({{ p.text }}){% endfor %}{% endfor %}",
       "[{\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": "
       "\"b\"}]}]",
       "[(a)(b)]"},
      /* Two answers side by side touch: one span. Users' texts are none. */
      {"{% for m in messages %}{{ m.content }}{% endfor %}",
       "[{\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, "
       "{\"role\": \"user\", \"content\": \"c\"}]",
       "[ab]"},
      /* Blocks of the template win over what came from messages. */
      {"{{ messages[0].content }}{% generation %}out{% endgeneration %}{% generation %}!{% endgeneration %}.",
       "[{\"role\": \"assistant\", \"content\": \"yes\"}]", "[out!]"},
      {"{% macro m() %}{% generation %}in{% endgeneration %}{% endmacro %}<{{ m() }}>", "[]", "[in]"},
      {"{{ messages[0].reasoning_content }}{{ messages[0].content }}",
       "[{\"role\": \"assistant\", \"content\": \"yes\", \"reasoning\": \"hm\"}]", "[hmyes]"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char got[ERROR_TEXT];
    spans_of(got, sizeof got, rows[i].source, rows[i].messages);
    if (strcmp(got, rows[i].spans) != 0)
      fail_msg("%s: %s, not %s", rows[i].source, got, rows[i].spans);
  }
}

static void an_answer_that_leaves_no_trace_is_a_fault(void **state) {
  char got[ERROR_TEXT];
  (void)state;
  spans_of(got, sizeof got, "{{ messages[0].content }}",
           "[{\"role\": \"user\", \"content\": \"a\"}, "
           "{\"role\": \"assistant\", \"content\": \"b\"}]");
  assert_non_null(strstr(got, "message 2"));
  spans_of(got, sizeof got, "{{ messages[0].content }}",
           "[{\"role\": \"user\", \"content\": \"a\"}, "
           "{\"role\": \"assistant\", \"content\": \"\"}]");
  assert_string_equal(got, "");
  spans_of(got, sizeof got, "x", "[{\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"b\"}]}]");
  assert_non_null(strstr(got, "message 1"));
}

/* --- what is given -------------------------------------------------------------------------------- */

static void messages_of_the_wrong_shape_are_faults(void **state) {
  static const char *const wrong[] = {"{}", "[1]", "[{\"role\": \"user\", \"content\": \"x\"}, null]"};
  struct chat_template *template;
  struct chat_text text;
  struct error err;
  (void)state;
  assert_int_equal(chat_template_parse(&template, "x", 1, NULL, &err), STATUS_OK);
  chat_text_init(&text);
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    AUTO(json_release) json_t *messages = json_loads(wrong[i], 0, NULL);
    assert_int_equal(chat_template_render(template, &text, messages, NULL, false, &err), STATUS_DATASET_INVALID);
  }
  assert_string_equal(err.text, "message 2 must be an object, not null");
  chat_text_done(&text);
  chat_template_free(template);
}

static void a_chat_text_is_used_again(void **state) {
  struct chat_template *template;
  struct chat_text text;
  struct error err;
  AUTO(json_release) json_t *one = json_loads("[{\"role\": \"assistant\", \"content\": \"long answer\"}]", 0, NULL);
  AUTO(json_release) json_t *two = json_loads(USER, 0, NULL);
  const char *source = "{% for m in messages %}{{ m.content }};{% endfor %}";
  (void)state;
  assert_int_equal(chat_template_parse(&template, source, strlen(source), NULL, &err), STATUS_OK);
  chat_text_init(&text);
  assert_int_equal(chat_template_render(template, &text, one, NULL, false, &err), STATUS_OK);
  assert_string_equal(text.text.text, "long answer;");
  assert_int_equal(text.span_count, 1);
  assert_int_equal(chat_template_render(template, &text, two, NULL, false, &err), STATUS_OK);
  assert_string_equal(text.text.text, "ask;");
  assert_int_equal(text.span_count, 0);
  chat_text_done(&text);
  chat_template_free(template);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conversations_equal_the_reference),
      cmocka_unit_test(origins_survive_what_templates_do_to_texts),
      cmocka_unit_test(origins_pass_macros_blocks_and_lists_of_parts),
      cmocka_unit_test(an_answer_that_leaves_no_trace_is_a_fault),
      cmocka_unit_test(messages_of_the_wrong_shape_are_faults),
      cmocka_unit_test(a_chat_text_is_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
