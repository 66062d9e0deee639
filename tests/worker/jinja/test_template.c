/* Templates render as Jinja2 renders them: every snippet that make_fixtures.py recorded, byte for byte, and what it
   refuses is refused. Strings keep their origins. Errors name line and column; hostile templates end soon, with a
   reason. */
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

#include "base/json.h"
#include "base/str.h"
#include "worker/jinja/template.h"

#define CASES "tests/worker/jinja/cases/"

/* --- a run with variables of JSON ----------------------------------------------------------------- */

static struct jinja_value from_json(struct jinja_run *run, const json_t *json) {
  struct jinja_value out = jinja_none();
  const char *key;
  json_t *item;
  if (json_is_boolean(json))
    return jinja_bool(json_is_true(json));
  if (json_is_integer(json))
    return jinja_int(json_integer_value(json));
  if (json_is_real(json))
    return jinja_float(json_real_value(json));
  if (json_is_string(json))
    assert_true(jinja_string_value(
        run, &out, (struct jinja_string){.bytes = json_string_value(json), .length = json_string_length(json)}));
  if (json_is_array(json)) {
    out = (struct jinja_value){.kind = VALUE_LIST, .list = jinja_list_new(run, json_array_size(json))};
    for (size_t i = 0; i < json_array_size(json); i++)
      assert_true(jinja_list_add(run, out.list, from_json(run, json_array_get(json, i))));
  }
  if (json_is_object(json)) {
    out = (struct jinja_value){.kind = VALUE_DICT, .dict = jinja_dict_new(run, json_object_size(json))};
    json_object_foreach((json_t *)(uintptr_t)json, key, item) {
      struct jinja_value name;
      assert_true(jinja_string_value(run, &name, jinja_literal(key)));
      assert_true(jinja_dict_set(run, out.dict, name, from_json(run, item)));
    }
  }
  return out;
}

/* A template and the one run of it. */
struct rendering {
  struct jinja_template template;
  struct jinja_run run;
  struct jinja_string text;
};

static enum status render(struct rendering *r, const char *source, size_t length, const json_t *variables,
                          struct error *err) {
  const char *name;
  json_t *value;
  *r = (struct rendering){0};
  enum status status = jinja_template_parse(&r->template, source, length, err);
  if (status)
    return status;
  struct jinja_scope *scope = jinja_run_init(&r->run, &r->template, err);
  assert_non_null(scope);
  json_object_foreach((json_t *)(uintptr_t)variables, name, value) {
    struct jinja_string key = jinja_literal(name);
    assert_true(jinja_assign(&r->run, scope, &key, from_json(&r->run, value)));
  }
  return jinja_template_render(&r->run, &r->text, &r->template) ? STATUS_OK : r->run.status;
}

static void rendering_done(struct rendering *r) {
  jinja_run_done(&r->run);
  jinja_template_done(&r->template);
}

/* --- the recorded cases --------------------------------------------------------------------------- */

/* Is the text, or the refusal, the recorded one? */
static bool is_as_recorded(const json_t *c, enum status status, const struct jinja_string *text,
                           const struct error *err) {
  const json_t *want = json_object_get(c, "text"), *refuses = json_object_get(c, "refuses");
  if (refuses)
    return status == STATUS_DATASET_INVALID && strcmp(err->text, json_string_value(refuses)) == 0;
  if (!want)
    return status && strncmp(err->text, "line ", 5) == 0;
  return !status && text->length == json_string_length(want) &&
         memcmp(text->bytes, json_string_value(want), text->length) == 0;
}

/* The bytes that {% generation %} blocks made, and no others, have its bit. */
static bool has_spans(const json_t *spans, const struct jinja_string *text) {
  for (size_t at = 0; at < text->length; at++) {
    bool want = false;
    for (size_t i = 0; i < json_array_size(spans); i++) {
      const json_t *span = json_array_get(spans, i);
      want = want || ((json_int_t)at >= json_integer_value(json_array_get(span, 0)) &&
                      (json_int_t)at < json_integer_value(json_array_get(span, 1)));
    }
    if (want != ((jinja_origin(text, at) & JINJA_GENERATED) != 0))
      return false;
  }
  return true;
}

static void check_snippet(const json_t *c, const json_t *context) {
  const json_t *source = json_object_get(c, "template");
  struct rendering r;
  struct error err = {0};
  enum status status = render(&r, json_string_value(source), json_string_length(source), context, &err);
  char *shown = json_dumps(c, JSON_ENSURE_ASCII);
  if (!is_as_recorded(c, status, &r.text, &err))
    fail_msg("%s\ngot: %.*s", shown, status ? (int)strlen(err.text) : (int)r.text.length,
             status ? err.text : r.text.bytes);
  if (!status && !has_spans(json_object_get(c, "spans"), &r.text))
    fail_msg("%s: other bytes are generated", shown);
  free(shown);
  rendering_done(&r);
}

static void snippets_equal_the_reference(void **state) {
  struct error err;
  json_t *context;
  char *line = NULL;
  size_t size = 0, count = 0;
  FILE *file = fopen(CASES "snippets.jsonl", "r");
  (void)state;
  assert_non_null(file);
  assert_int_equal(json_parse_file(&context, CASES "context.json", NULL, &err), STATUS_OK);
  /* What a chat template always gets. */
  json_object_update_new(
      context, json_pack("{s:[], s:n, s:n, s:b}", "messages", "tools", "documents", "add_generation_prompt", 0));
  for (; getline(&line, &size, file) > 0; count++) {
    AUTO(json_release) json_t *c = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(c);
    check_snippet(c, context);
  }
  free(line);
  fclose(file);
  json_decref(context);
  assert_true(count >= 600);
}

/* --- provenance ----------------------------------------------------------------------------------- */

/* Renders with `a`, a string of the origin 7, and `items`, dicts of the origins 1 and 2 with an `x` of these. The text
   as digits: the origin of each byte. */
static void expect_origins(const char *source, const char *text, const char *origins, const char *spans) {
  struct rendering r = {0};
  struct error err = {0};
  struct jinja_value value, name, items;
  char got[64] = "", got_spans[64] = "";
  assert_int_equal(jinja_template_parse(&r.template, source, strlen(source), &err), STATUS_OK);
  struct jinja_scope *scope = jinja_run_init(&r.run, &r.template, &err);
  assert_non_null(scope);
  assert_true(jinja_string_value(&r.run, &value, (struct jinja_string){.bytes = "yes", .length = 3, .origin = 7}));
  struct jinja_string key = jinja_literal("a");
  assert_true(jinja_assign(&r.run, scope, &key, value));
  items = (struct jinja_value){.kind = VALUE_LIST, .list = jinja_list_new(&r.run, 2)};
  for (uint32_t i = 1; i <= 2; i++) {
    struct jinja_value item = {.kind = VALUE_DICT, .dict = jinja_dict_new(&r.run, 1)};
    assert_true(jinja_string_value(&r.run, &value, (struct jinja_string){.bytes = "no", .length = 2, .origin = i}));
    assert_true(jinja_string_value(&r.run, &name, jinja_literal("x")));
    assert_true(jinja_dict_set(&r.run, item.dict, name, value));
    item.dict->origin = i;
    assert_true(jinja_list_add(&r.run, items.list, item));
  }
  key = jinja_literal("items");
  assert_true(jinja_assign(&r.run, scope, &key, items));
  assert_true(jinja_template_render(&r.run, &r.text, &r.template));
  for (size_t i = 0; i < r.text.length; i++)
    got[i] = (char)('0' + (jinja_origin(&r.text, i) & ~JINJA_GENERATED));
  for (size_t i = 0; i < r.run.span_count; i++)
    snprintf(got_spans + strlen(got_spans), sizeof got_spans - strlen(got_spans), "%zu:%u ", r.run.spans[i].begin,
             r.run.spans[i].origin);
  assert_int_equal(r.text.length, strlen(text));
  assert_memory_equal(r.text.bytes, text, r.text.length);
  assert_string_equal(got, origins);
  assert_string_equal(got_spans, spans);
  rendering_done(&r);
}

static void strings_keep_their_origins(void **state) {
  (void)state;
  expect_origins("<{{ a }}>", "<yes>", "07770", "");
  expect_origins("{{ ('-' ~ a ~ '-') | upper }}", "-YES-", "07770", "");
  expect_origins("{{ a | replace('e', '<>') }}", "y<>s", "7777", "");
  expect_origins("{% generation %}{{ a }}{% endgeneration %}", "yes", "777", "");
  /* Where a loop over items that have an origin writes for which of them; 0 is what follows. */
  expect_origins("{% for i in items %}({{ i.x }}){% endfor %}.", "(no)(no).", "011002200", "0:1 4:0 4:2 8:0 ");
}

/* --- errors --------------------------------------------------------------------------------------- */

struct fault {
  const char *source;
  enum status status;
  const char *text;
};

static void check_fault(const struct fault *fault) {
  struct rendering r;
  struct error err = {0};
  AUTO(json_release) json_t *variables = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", "ask");
  enum status status = render(&r, fault->source, strlen(fault->source), variables, &err);
  rendering_done(&r);
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
    struct rendering r;
    struct error err = {0};
    double start = own_seconds();
    enum status status = render(&r, sources[i], strlen(sources[i]), NULL, &err);
    double seconds = own_seconds() - start;
    bool named = strncmp(err.text, "line 1, column ", 15) == 0;
    if (!status || !named || seconds > 20)
      fail_msg("%s: %s after %.1f s: %s", sources[i], status_code(status), seconds, err.text);
    rendering_done(&r);
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
    struct rendering r;
    struct error err = {0};
    char *source = repeated(rows[i].head, rows[i].part, rows[i].count, rows[i].tail);
    double start = own_seconds();
    enum status status = render(&r, source, strlen(source), NULL, &err);
    double seconds = own_seconds() - start;
    if ((status == STATUS_OK) != rows[i].fine || seconds > 20)
      fail_msg("%s %s ...: %s after %.1f s: %s", rows[i].head, rows[i].part, status_code(status), seconds, err.text);
    rendering_done(&r);
    free(source);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(snippets_equal_the_reference),
      cmocka_unit_test(strings_keep_their_origins),
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(hostile_templates_end),
      cmocka_unit_test(deep_and_long_templates_are_refused_or_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
