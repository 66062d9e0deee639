/* Calls: arguments to parameters, macros, and the functions of the environment. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "worker/jinja/run.h"

const struct jinja_builtin *jinja_find_row(const struct jinja_builtin *rows, size_t count,
                                           const struct jinja_string *name) {
  for (size_t i = 0; i < count; i++)
    if (jinja_is(name, rows[i].name))
      return &rows[i];
  return NULL;
}

/* --- arguments of builtins ------------------------------------------------------------------------ */

/* The number of the parameter `name` in "a b c", or their count. */
static size_t parameter(const char *parameters, const struct jinja_string *name, size_t *count) {
  size_t index = 0, found = SIZE_MAX;
  for (const char *p = parameters; *p; index++) {
    size_t length = strcspn(p, " ");
    if (name && length == name->length && memcmp(p, name->bytes, length) == 0)
      found = index;
    p += length + (p[length] == ' ');
  }
  *count = index;
  return found;
}

static bool bind(struct jinja_run *run, struct jinja_bound *out, const struct jinja_builtin *builtin,
                 const struct jinja_arguments *arguments) {
  size_t count, at;
  *out = (struct jinja_bound){.all = arguments};
  if (strcmp(builtin->parameters, "*") == 0)
    return true;
  parameter(builtin->parameters, NULL, &count);
  CHECK(count <= JINJA_BOUND_MAX);
  if (arguments->count > count)
    return jinja_wrong(run, "%s() takes %zu arguments but %zu were given", builtin->name, count, arguments->count);
  for (size_t i = 0; i < arguments->count; i++) {
    out->item[i] = arguments->items[i];
    out->given[i] = true;
  }
  for (size_t i = 0; i < arguments->named_count; i++) {
    const struct jinja_string *name = &arguments->named[i].name;
    at = parameter(builtin->parameters, name, &count);
    int shown = name->length > 40 ? 40 : (int)name->length;
    if (at == SIZE_MAX)
      return jinja_wrong(run, "%s() got an unexpected keyword argument '%.*s'", builtin->name, shown, name->bytes);
    if (out->given[at])
      return jinja_wrong(run, "%s() got multiple values for argument '%.*s'", builtin->name, shown, name->bytes);
    out->item[at] = arguments->named[i].value;
    out->given[at] = true;
  }
  for (size_t i = 0; i < builtin->required; i++)
    if (!out->given[i])
      return jinja_wrong(run, "%s() needs %u arguments", builtin->name, builtin->required);
  return true;
}

bool jinja_call_builtin(struct jinja_run *run, struct jinja_value *out, const struct jinja_builtin *builtin,
                        const struct jinja_value *in, const struct jinja_arguments *arguments) {
  struct jinja_bound bound;
  if (!builtin->call)
    return jinja_unsupported(run, "\"%s\" of a %s is not supported", builtin->name, jinja_type(in));
  return bind(run, &bound, builtin, arguments) && builtin->call(run, out, in, &bound);
}

bool jinja_arg_text(struct jinja_run *run, struct jinja_string *out, const struct jinja_bound *b, size_t i,
                    const char *fallback) {
  *out = jinja_literal(fallback);
  if (!b->given[i])
    return true;
  if (b->item[i].kind != VALUE_STRING)
    return jinja_wrong(run, "argument %zu must be str, not %s", i + 1, jinja_type(&b->item[i]));
  *out = *b->item[i].text;
  return true;
}

bool jinja_arg_int(struct jinja_run *run, int64_t *out, const struct jinja_bound *b, size_t i, int64_t fallback) {
  const struct jinja_value *v = &b->item[i];
  *out = fallback;
  if (!b->given[i] || v->kind == VALUE_NONE)
    return true;
  if (v->kind != VALUE_INT && v->kind != VALUE_BOOL)
    return jinja_wrong(run, "'%s' object cannot be interpreted as an integer", jinja_type(v));
  *out = v->kind == VALUE_INT ? v->integer : v->boolean;
  return true;
}

bool jinja_arg_bool(const struct jinja_bound *b, size_t i, bool fallback) {
  return b->given[i] ? jinja_truth(&b->item[i]) : fallback;
}

/* --- macros --------------------------------------------------------------------------------------- */

static bool macro_argument(struct jinja_run *run, struct jinja_value *out, bool *given,
                           const struct jinja_arguments *arguments, size_t i, const struct jinja_string *name) {
  *given = i < arguments->count;
  if (*given)
    *out = arguments->items[i];
  for (size_t k = 0; k < arguments->named_count; k++) {
    if (!jinja_same(&arguments->named[k].name, name))
      continue;
    if (*given)
      return jinja_wrong(run, "the macro got multiple values for argument '%.*s'", (int)name->length, name->bytes);
    *out = arguments->named[k].value;
    *given = true;
  }
  return true;
}

static bool check_names(struct jinja_run *run, const struct jinja_node *macro,
                        const struct jinja_arguments *arguments) {
  if (arguments->count > macro->items.count)
    return jinja_wrong(run, "macro '%.*s' takes not more than %zu argument(s)", (int)macro->name.length,
                       macro->name.bytes, macro->items.count);
  for (size_t i = 0; i < arguments->named_count; i++) {
    bool known = false;
    for (size_t k = 0; !known && k < macro->items.count; k++)
      known = jinja_same(&arguments->named[i].name, &macro->items.items[k]->name);
    if (!known)
      return jinja_wrong(run, "macro '%.*s' takes no keyword argument '%.*s'", (int)macro->name.length,
                         macro->name.bytes, (int)arguments->named[i].name.length, arguments->named[i].name.bytes);
  }
  return true;
}

static bool call_macro(struct jinja_run *run, struct jinja_value *out, const struct jinja_macro *macro,
                       const struct jinja_arguments *arguments) {
  const struct jinja_node *node = macro->node;
  struct jinja_scope *outer = run->scope, *scope = jinja_scope_new(run, macro->scope);
  size_t at = run->at;
  if (!scope || !check_names(run, node, arguments))
    return false;
  for (size_t i = 0; i < node->items.count; i++) {
    const struct jinja_node *parameter_node = node->items.items[i];
    struct jinja_value value = {.hint = "a parameter of the macro was not given"};
    bool given;
    if (!macro_argument(run, &value, &given, arguments, i, &parameter_node->name))
      return false;
    run->scope = scope;
    bool ok = given || !parameter_node->a || jinja_eval(run, &value, parameter_node->a);
    run->scope = outer;
    if (!ok || !jinja_assign(run, scope, &parameter_node->name, value))
      return false;
  }
  struct jinja_string text;
  if (!jinja_capture(run, &text, &node->body, scope))
    return false;
  run->at = at;
  return jinja_string_value(run, out, text);
}

/* --- functions ------------------------------------------------------------------------------------ */

static bool function_range(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  int64_t from = 0, to = 0, step = 1;
  (void)in;
  if (!jinja_arg_int(run, b->given[1] ? &from : &to, b, 0, 0) ||
      !jinja_arg_int(run, b->given[1] ? &to : &from, b, 1, 0) || !jinja_arg_int(run, &step, b, 2, 1))
    return false;
  if (!step)
    return jinja_wrong(run, "range() arg 3 must not be zero");
  if (from < -(INT64_C(1) << 61) || from > INT64_C(1) << 61 || to < -(INT64_C(1) << 61) || to > INT64_C(1) << 61)
    return jinja_unsupported(run, "a range of such large numbers is not supported");
  int64_t width = step > 0 ? to - from : from - to;
  uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
  uint64_t count = width > 0 ? ((uint64_t)width + stride - 1) / stride : 0;
  if (count > JINJA_RANGE_MAX)
    return jinja_unsupported(run, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                             JINJA_RANGE_MAX);
  struct jinja_list *list = jinja_list_new(run, count);
  for (uint64_t i = 0; list && i < count; i++)
    if (!jinja_list_add(run, list, jinja_int(from + (int64_t)i * step)))
      return false;
  *out = (struct jinja_value){.kind = VALUE_LIST, .list = list};
  return list != NULL;
}

/* A mapping, or a list of pairs. */
static bool copy_entries(struct jinja_run *run, struct jinja_dict *dict, const struct jinja_value *from) {
  if (from->kind == VALUE_DICT) {
    for (size_t i = 0; i < from->dict->count; i++)
      if (!jinja_dict_set(run, dict, from->dict->entries[i].key, from->dict->entries[i].value))
        return false;
    return true;
  }
  const struct jinja_list *items, *pair;
  if (!jinja_items(run, &items, from))
    return false;
  for (size_t i = 0; i < items->count; i++) {
    if (!jinja_items(run, &pair, &items->items[i]))
      return false;
    if (pair->count != 2)
      return jinja_wrong(run, "dictionary update sequence element has length %zu; 2 is required", pair->count);
    if (!jinja_dict_set(run, dict, pair->items[0], pair->items[1]))
      return false;
  }
  return true;
}

static bool make_dict(struct jinja_run *run, struct jinja_value *out, const struct jinja_bound *b,
                      enum jinja_value_kind kind) {
  const struct jinja_arguments *all = b->all;
  struct jinja_dict *dict = jinja_dict_new(run, all->named_count);
  if (!dict)
    return false;
  if (all->count > 1)
    return jinja_wrong(run, "dict expected at most 1 argument, got %zu", all->count);
  if (all->count && !copy_entries(run, dict, &all->items[0]))
    return false;
  for (size_t i = 0; i < all->named_count; i++) {
    struct jinja_value key;
    if (!jinja_string_value(run, &key, all->named[i].name) || !jinja_dict_set(run, dict, key, all->named[i].value))
      return false;
  }
  for (size_t i = 0; kind == VALUE_NAMESPACE && i < dict->count; i++)
    if (dict->entries[i].key.kind == VALUE_STRING && dict->entries[i].key.text->length &&
        dict->entries[i].key.text->bytes[0] == '_')
      return jinja_wrong(run, "names of a namespace do not begin with an underscore");
  *out = (struct jinja_value){.kind = kind, .dict = dict};
  return true;
}

static bool function_dict(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  (void)in;
  return make_dict(run, out, b, VALUE_DICT);
}

static bool function_namespace(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                               const struct jinja_bound *b) {
  (void)in;
  return make_dict(run, out, b, VALUE_NAMESPACE);
}

/* The one error without a place: it is the template's own sentence about what it was given. */
static bool function_raise(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  struct jinja_string text;
  (void)in;
  (void)out;
  if (!jinja_str(run, &text, &b->item[0]))
    return false;
  if (!run->status)
    run->status = error_set(run->err, STATUS_DATASET_INVALID, NULL, "%.*s", text.length > 400 ? 400 : (int)text.length,
                            text.bytes);
  return false;
}

static bool function_now(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  enum { NOW_MAX = 512 };
  struct jinja_string format;
  time_t now = time(NULL);
  struct tm local;
  (void)in;
  if (!jinja_arg_text(run, &format, b, 0, ""))
    return false;
  char *text = jinja_alloc(run, NOW_MAX, 1), *pattern = arena_copy(&run->arena, format.bytes, format.length);
  if (!text || !pattern || format.length > 100 || !localtime_r(&now, &local))
    return jinja_unsupported(run, "this format of the date is not supported");
/* The format is the template's: that is what the function is for. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  size_t length = strftime(text, NOW_MAX, pattern, &local);
#pragma GCC diagnostic pop
  return jinja_string_value(run, out, (struct jinja_string){.bytes = text, .length = length});
}

const struct jinja_builtin *jinja_find_function(const struct jinja_string *name) {
  static const struct jinja_builtin functions[] = {
      {"range", "start stop step", 1, function_range}, {"dict", "*", 0, function_dict},
      {"namespace", "*", 0, function_namespace},       {"raise_exception", "message", 1, function_raise},
      {"strftime_now", "format", 1, function_now},
  };
  return jinja_find_row(functions, COUNT_OF(functions), name);
}

bool jinja_call(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *callee,
                const struct jinja_arguments *arguments) {
  static const struct jinja_value nothing = {.kind = VALUE_NONE};
  switch (callee->kind) {
  case VALUE_UNDEFINED: return jinja_wrong(run, "%s", callee->hint);
  case VALUE_FUNCTION: return jinja_call_builtin(run, out, callee->function, &nothing, arguments);
  case VALUE_METHOD: return jinja_call_builtin(run, out, callee->method->builtin, &callee->method->self, arguments);
  case VALUE_MACRO: return call_macro(run, out, callee->macro, arguments);
  case VALUE_NONE:
  case VALUE_BOOL:
  case VALUE_INT:
  case VALUE_FLOAT:
  case VALUE_STRING:
  case VALUE_LIST:
  case VALUE_TUPLE:
  case VALUE_GENERATOR:
  case VALUE_DICT:
  case VALUE_NAMESPACE:
  case VALUE_LOOP: break;
  }
  return jinja_wrong(run, "'%s' object is not callable", jinja_type(callee));
}
