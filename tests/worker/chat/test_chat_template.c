/* Templates render as Transformers renders them: every case that make_fixtures.py recorded, byte for
   byte, and what it refuses is refused. What the assistant said is known in the text however the
   template got it there. Errors name line and column; hostile templates end soon, with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
  if (!status && (text.exact != exact || (exact && !has_spans(json_object_get(c, "spans"), &text))))
    fail_msg("%s\ngot %zu spans, exact %d", shown, text.span_count, text.exact);
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

static void use_snippet(const json_t *c, const json_t *context) {
  const json_t *source = json_object_get(c, "template");
  check_case(c, json_string_value(source), json_string_length(source), context, NULL);
}

static void snippets_equal_the_reference(void **state) {
  struct error err;
  json_t *context;
  (void)state;
  assert_int_equal(json_parse_file(&context, CASES "context.json", NULL, &err), STATUS_OK);
  size_t count = each_line("snippets.jsonl", use_snippet, context);
  json_decref(context);
  assert_true(count >= 600);
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

static void marks_survive_what_templates_do_to_texts(void **state) {
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
    char source[256], messages[256], got[512];
    snprintf(source, sizeof source, "{%% set a = messages[1].content %%}ask {{ %s }} end", rows[i].expression);
    snprintf(messages, sizeof messages, ANSWER, rows[i].answer);
    spans_of(got, sizeof got, source, messages);
    if (strcmp(got, rows[i].spans) != 0)
      fail_msg("%s of \"%s\": %s, not %s", rows[i].expression, rows[i].answer, got, rows[i].spans);
  }
}

static void marks_pass_macros_blocks_and_lists_of_parts(void **state) {
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
    char got[512];
    spans_of(got, sizeof got, rows[i].source, rows[i].messages);
    if (strcmp(got, rows[i].spans) != 0)
      fail_msg("%s: %s, not %s", rows[i].source, got, rows[i].spans);
  }
}

static void an_answer_that_leaves_no_trace_is_a_fault(void **state) {
  char got[512];
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

/* --- errors --------------------------------------------------------------------------------------- */

struct fault {
  const char *source;
  enum status status;
  const char *text;
};

static void check_fault(const struct fault *fault) {
  struct chat_template *template = NULL;
  struct chat_text text;
  struct error err = {0};
  chat_text_init(&text);
  AUTO(json_release) json_t *messages = json_loads(USER, 0, NULL);
  enum status status = chat_template_parse(&template, fault->source, strlen(fault->source), NULL, &err);
  if (!status)
    status = chat_template_render(template, &text, messages, NULL, false, &err);
  chat_template_free(template);
  chat_text_done(&text);
  if (status != fault->status || strcmp(err.text, fault->text) != 0)
    fail_msg("%s: %s: %s", fault->source, status_code(status), err.text);
}

static void errors_name_line_and_column(void **state) {
  static const struct fault faults[] = {
      {"a\nb\n{{ x['k'] | xmlattr }}", STATUS_UNSUPPORTED_VALUE,
       "line 3, column 13: the filter \"xmlattr\" is not supported"},
      {"{{ messages is sunny }}", STATUS_UNSUPPORTED_VALUE, "line 1, column 16: the test \"sunny\" is not supported"},
      {"\xC3\xA9\xC3\xA9 {% include 'x' %}", STATUS_UNSUPPORTED_VALUE,
       "line 1, column 7: the tag \"include\" is not supported"},
      {"{% for x in y recursive %}{% endfor %}", STATUS_UNSUPPORTED_VALUE,
       "line 1, column 15: a recursive for loop is not supported"},
      {"{{ f(*a) }}", STATUS_UNSUPPORTED_VALUE, "line 1, column 6: * and ** arguments are not supported"},
      {"\r\n\r\n{{ 'x'.zfill(3) }}", STATUS_UNSUPPORTED_VALUE,
       "line 3, column 13: \"zfill\" of a str is not supported"},
      {"{{ cycler('a') }}", STATUS_UNSUPPORTED_VALUE, "line 1, column 4: the function \"cycler\" is not supported"},
      {"{{ messages.append(1) }}", STATUS_UNSUPPORTED_VALUE,
       "line 1, column 19: a method that changes a list is not supported: Transformers refuses it too"},
      {"x {{ 1 + }}", STATUS_INVALID_VALUE, "line 1, column 10: expected an expression, got \"}}\""},
      {"{% if x %}\n", STATUS_INVALID_VALUE, "line 1, column 4: the block has no {% endif %}"},
      {"{{ 'x }}", STATUS_INVALID_VALUE, "line 1, column 4: the string has no end"},
      {"{{ (1] }}", STATUS_INVALID_VALUE, "line 1, column 6: unexpected \"]\", expected \")\""},
      {"{% break %}", STATUS_INVALID_VALUE, "line 1, column 4: break outside of a loop"},
      {"{% endfor %}", STATUS_INVALID_VALUE, "line 1, column 4: \"endfor\" closes nothing that is open here"},
      {"a\xFF", STATUS_INVALID_VALUE, "line 1, column 2: the template is not UTF-8"},
      {"\n{{ messages[0].name.x }}", STATUS_DATASET_INVALID,
       "line 2, column 21: 'dict object' has no attribute 'name'"},
      {"{{ 'a' + messages }}", STATUS_DATASET_INVALID,
       "line 1, column 8: can only concatenate str (not \"list\") to str"},
      {"{{ raise_exception('Only ' ~ 'users!') }}", STATUS_DATASET_INVALID, "Only users!"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(faults); i++)
    check_fault(&faults[i]);
}

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

/* --- limits --------------------------------------------------------------------------------------- */

/* Of the processor, for this process: the machine may be busy with others. */
static double own_seconds(void) {
  return (double)clock() / CLOCKS_PER_SEC;
}

static void hostile_templates_end(void **state) {
  static const char *const sources[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
      "{{ 'x' * 1000000000000 }}",
      "{{ [0] * 1000000000000 }}",
      "{{ '' * 1000000000000 }}{{ [] * 1000000000000 }}{{ 'xxxxxxxx' * 1000000 * 9 }}",
      "{% set ns = namespace(s='xx') %}{% for i in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}"
      "{{ ns.l | tojson }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}"
      "{{ ns.l == [ns.l[0], ns.l[0][:]] }}",
      "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m(x) %}{{ m(x + 1) + m(x + 1) }}{% endmacro %}{{ m(1) }}",
      "{% set x = 'ab' * 100000 %}{% for i in range(99999) %}{{ x.count('b') }}{% endfor %}",
      "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{{ x == 'a' * 1000000 }}{% endfor %}",
      "{{ ('a' * 4000000).rsplit('a' * 2000000 ~ 'b') }}",
      "{{ ('a' * 4000000).rfind('b' ~ 'a' * 2000000) }}",
      "{% set l = range(99999) | list %}{{ l | unique | list | length }}",
      "{% set l = range(99999) | list %}{{ l | map('string') | unique | list | sort | join }}{{ l | dictsort }}",
      "{% for i in range(99999) %}{% if 99999 in range(99999) %}{% endif %}{% endfor %}",
      "{{ '%.30f' % 1e308 }}{{ range(-9223372036854775807, 9223372036854775807) }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ -9223372036854775807 - 2 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ 3 ** 99999 }}",
      "{{ (0 - 9223372036854775807 - 1) | abs }}",
      "{{ [1, 2, 3][::9223372036854775807] }}{{ [1, 2, 3][::-9223372036854775807] }}{{ x.y }}",
      "{{ 'x' | tojson(indent=9999999) }}",
      "{{ ('\\n' * 4000000) | indent(1000, true, true) }}",
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sources); i++) {
    struct chat_template *template = NULL;
    struct chat_text text;
    struct error err = {0};
    chat_text_init(&text);
    AUTO(json_release) json_t *messages = json_array();
    double start = own_seconds();
    enum status status = chat_template_parse(&template, sources[i], strlen(sources[i]), NULL, &err);
    if (!status)
      status = chat_template_render(template, &text, messages, NULL, false, &err);
    double seconds = own_seconds() - start;
    bool named = strncmp(err.text, "line 1, column ", 15) == 0;
    if (!status || !named || seconds > 20)
      fail_msg("%s: %s after %.1f s: %s", sources[i], status_code(status), seconds, err.text);
    chat_text_done(&text);
    chat_template_free(template);
  }
}

/* A text of `count` times `part` between `head` and `tail`. */
static char *repeated(const char *head, const char *part, size_t count, const char *tail) {
  struct str s;
  str_init(&s, 4 << 20);
  str_puts(&s, head);
  for (size_t i = 0; i < count; i++)
    str_puts(&s, part);
  str_puts(&s, tail);
  return str_take(&s, NULL);
}

static void deep_and_long_templates_are_refused_or_read(void **state) {
  static const struct {
    const char *head, *part, *tail;
    size_t count;
    bool fine;
  } rows[] = {
      {"{{ ", "(", "", 100000, false},
      {"{{ ", "[", " }}", 100000, false},
      {"{{ ", "not ", "x }}", 60000, false},
      {"{{ ", "-", "x }}", 100000, false},
      {"{{ 1", " + 1", " }}", 50000, false},
      {"{{ x", ".a", " }}", 50000, false},
      {"{{ x", "|upper", " }}", 30000, false},
      {"", "{% if x %}", "", 20000, false},
      {"", "{% for a in b %}", "", 15000, false},
      {"{{ ", "1 if x else ", "1 }}", 20000, false},
      {"{{ ", "f(", "", 50000, false},
      {"{{ {", "1:{", "", 50000, false},
      {"{% if 0 %}", "{% elif 0 %}", "{% endif %}", 15000, true},
      {"{{ 'a'", " ~ 'a'", " }}", 30000, true},
      {"", "{{ 1 }}", "", 30000, true},
      {"", "{% set a = 1 %}", "", 15000, true},
      {"{{ [", "1,", "] }}", 100000, true},
      {"", "x", "", 262145, false},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct chat_template *template = NULL;
    struct chat_text text;
    struct error err = {0};
    char *source = repeated(rows[i].head, rows[i].part, rows[i].count, rows[i].tail);
    chat_text_init(&text);
    AUTO(json_release) json_t *messages = json_array();
    double start = own_seconds();
    enum status status = chat_template_parse(&template, source, strlen(source), NULL, &err);
    if (!status)
      status = chat_template_render(template, &text, messages, NULL, false, &err);
    double seconds = own_seconds() - start;
    if ((status == STATUS_OK) != rows[i].fine || seconds > 20)
      fail_msg("%s %s ...: %s after %.1f s: %s", rows[i].head, rows[i].part, status_code(status), seconds, err.text);
    chat_text_done(&text);
    chat_template_free(template);
    free(source);
  }
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
      cmocka_unit_test(snippets_equal_the_reference),
      cmocka_unit_test(conversations_equal_the_reference),
      cmocka_unit_test(marks_survive_what_templates_do_to_texts),
      cmocka_unit_test(marks_pass_macros_blocks_and_lists_of_parts),
      cmocka_unit_test(an_answer_that_leaves_no_trace_is_a_fault),
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(messages_of_the_wrong_shape_are_faults),
      cmocka_unit_test(hostile_templates_end),
      cmocka_unit_test(deep_and_long_templates_are_refused_or_read),
      cmocka_unit_test(a_chat_text_is_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
