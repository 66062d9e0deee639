/* Filters of texts and numbers, and the table of all filters. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/jinja/run.h"
#include "worker/text/unicode.h"

enum { JSON_INDENT_MAX = 64, NUMBER_TEXT_MAX = 128 };

static bool give_string(struct jinja_run *run, struct jinja_value *out, bool ok, const struct jinja_string *text) {
  return ok && jinja_string_value(run, out, *text);
}

static bool change_case(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        enum jinja_letter_case how) {
  struct jinja_string t;
  return jinja_str(run, &t, in) && give_string(run, out, jinja_change_case(run, &t, &t, how), &t);
}

static bool filter_upper(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_UPPER);
}

static bool filter_lower(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_LOWER);
}

static bool filter_capitalize(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                              const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_CAPITAL);
}

static bool filter_title(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_WORDS);
}

static bool filter_trim(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_string t, characters;
  bool some = b->given[0] && b->item[0].kind != VALUE_NONE;
  if (!jinja_str(run, &t, in) || (some && !jinja_arg_text(run, &characters, b, 0, "")))
    return false;
  t = jinja_strip(&t, some ? &characters : NULL, true, true);
  return jinja_spend_bytes(run, t.length) && jinja_string_value(run, out, t);
}

static bool filter_replace(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  struct jinja_string t, old, new;
  int64_t count;
  if (!jinja_str(run, &t, in) || !jinja_str(run, &old, &b->item[0]) || !jinja_str(run, &new, &b->item[1]) ||
      !jinja_arg_int(run, &count, b, 2, -1))
    return false;
  return give_string(run, out, jinja_replace(run, &t, &t, &old, &new, count), &t);
}

static bool filter_string(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  struct jinja_string t;
  (void)b;
  return jinja_str(run, &t, in) && jinja_string_value(run, out, t);
}

static bool filter_safe(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_string t;
  (void)b;
  if (!jinja_str(run, &t, in))
    return false;
  t.safe = true;
  return jinja_string_value(run, out, t);
}

static bool filter_escape(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  struct jinja_string t;
  (void)b;
  return jinja_str(run, &t, in) && give_string(run, out, jinja_escape(run, &t, &t), &t);
}

static bool filter_indent(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  struct jinja_string text, indent = {0}, newline = jinja_literal("\n"), space = jinja_literal(" ");
  struct jinja_builder made = {0};
  struct jinja_list *lines;
  int64_t width = 4;
  if (in->kind != VALUE_STRING)
    return jinja_wrong(run, "indent needs a str, not %s", jinja_type(in));
  if (b->given[0] && b->item[0].kind == VALUE_STRING)
    indent = *b->item[0].text;
  else if (!jinja_arg_int(run, &width, b, 0, 4) || !jinja_repeat(run, &indent, &space, width))
    return false;
  text = *in->text;
  /* As Jinja does, so that a final newline is not lost. */
  newline.origin = text.length ? jinja_origin(&text, text.length - 1) : 0;
  if (!jinja_add(run, &made, &text) || !jinja_add(run, &made, &newline))
    return false;
  text = jinja_built(&made);
  if (!jinja_lines(run, &lines, &text, false))
    return false;
  made = (struct jinja_builder){0};
  for (size_t i = 0; i < lines->count; i++) {
    const struct jinja_string *line = lines->items[i].text;
    bool indented = i ? line->length || jinja_arg_bool(b, 2, false) : jinja_arg_bool(b, 1, false);
    struct jinja_string so_far = jinja_built(&made);
    uint32_t before = so_far.length ? jinja_origin(&so_far, so_far.length - 1) : 0;
    indent.origin = newline.origin = line->length ? jinja_origin(line, 0) : before;
    if ((i && !jinja_add(run, &made, &newline)) || (indented && !jinja_add(run, &made, &indent)) ||
        !jinja_add(run, &made, line))
      return false;
  }
  return jinja_string_value(run, out, jinja_built(&made));
}

static bool separators(struct jinja_run *run, struct jinja_json_style *style, const struct jinja_value *v) {
  const struct jinja_list *items;
  if (!jinja_items(run, &items, v))
    return false;
  if (items->count != 2 || items->items[0].kind != VALUE_STRING || items->items[1].kind != VALUE_STRING)
    return jinja_wrong(run, "separators must be two strings");
  style->item_separator = *items->items[0].text;
  style->key_separator = *items->items[1].text;
  return true;
}

static bool filter_tojson(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  struct jinja_json_style style = {.ascii = jinja_arg_bool(b, 0, false), .sort = jinja_arg_bool(b, 3, false)};
  const struct jinja_value *indent = &b->item[1];
  struct jinja_builder made = {0};
  style.lines = b->given[1] && indent->kind != VALUE_NONE;
  style.item_separator = jinja_literal(style.lines ? "," : ", ");
  style.key_separator = jinja_literal(": ");
  if (style.lines && indent->kind == VALUE_STRING) {
    style.indent = *indent->text;
  } else if (style.lines) {
    int64_t width;
    if (!jinja_arg_int(run, &width, b, 1, 0))
      return false;
    if (width > JSON_INDENT_MAX)
      return jinja_unsupported(run, "an indent of more than %d is not supported", JSON_INDENT_MAX);
    struct jinja_string space = jinja_literal(" ");
    if (!jinja_repeat(run, &style.indent, &space, width))
      return false;
  }
  if (b->given[2] && b->item[2].kind != VALUE_NONE && !separators(run, &style, &b->item[2]))
    return false;
  return jinja_json(run, &made, in, &style) && jinja_string_value(run, out, jinja_built(&made));
}

static bool filter_default(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  bool use = in->kind == VALUE_UNDEFINED || (jinja_arg_bool(b, 1, false) && !jinja_truth(in));
  *out = *in;
  if (use && b->given[0])
    *out = b->item[0];
  else if (use)
    return jinja_string_value(run, out, jinja_literal(""));
  return true;
}

static bool filter_length(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  size_t length;
  (void)b;
  if (!jinja_length(run, &length, in))
    return false;
  *out = jinja_int((int64_t)length);
  return true;
}

/* --- numbers -------------------------------------------------------------------------------------- */

/* A C string of a short text without the white space around it; false when it is too long for a number. */
static bool number_text(char out[NUMBER_TEXT_MAX], const struct jinja_string *t) {
  struct jinja_string inner = jinja_strip(t, NULL, true, true);
  if (!inner.length || inner.length >= NUMBER_TEXT_MAX || memchr(inner.bytes, '\0', inner.length))
    return false;
  memcpy(out, inner.bytes, inner.length);
  out[inner.length] = '\0';
  return true;
}

static bool read_real(double *out, const struct jinja_string *t) {
  char number[NUMBER_TEXT_MAX], *end;
  if (!number_text(number, t) || strpbrk(number, "xXpP("))
    return false;
  *out = strtod(number, &end);
  return *end == '\0';
}

static bool read_int(struct jinja_run *run, int64_t *out, bool *is, const struct jinja_string *t, int64_t base) {
  char number[NUMBER_TEXT_MAX], *end;
  *is = number_text(number, t);
  if (!*is)
    return true;
  errno = 0;
  *out = strtoll(number, &end, (int)base);
  *is = *end == '\0';
  return !*is || !errno || jinja_unsupported(run, "integers beyond 64 bits are not supported");
}

static bool filter_int(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  double real = NAN;
  int64_t whole, base;
  bool is = false;
  if (in->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", in->hint);
  if (!jinja_arg_int(run, &base, b, 1, 10))
    return false;
  if (base != 0 && (base < 2 || base > 36))
    return jinja_wrong(run, "int() base must be >= 2 and <= 36, or 0");
  if (in->kind == VALUE_STRING) {
    if (!read_int(run, &whole, &is, in->text, base))
      return false;
    if (is) {
      *out = jinja_int(whole);
      return true;
    }
    is = read_real(&real, in->text);
  } else if (jinja_is_number(in)) {
    is = true;
    if (in->kind != VALUE_FLOAT) {
      *out = jinja_int(in->kind == VALUE_INT ? in->integer : in->boolean);
      return true;
    }
    real = in->real;
  }
  if (is && !isnan(real) && !isinf(real)) {
    if (fabs(real) >= 9.2e18)
      return jinja_unsupported(run, "integers beyond 64 bits are not supported");
    *out = jinja_int((int64_t)real);
    return true;
  }
  *out = b->given[0] ? b->item[0] : jinja_int(0);
  return true;
}

static bool filter_float(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  double real;
  if (in->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", in->hint);
  if (jinja_is_number(in))
    *out = jinja_float(jinja_real(in));
  else if (in->kind == VALUE_STRING && read_real(&real, in->text))
    *out = jinja_float(real);
  else
    *out = b->given[0] ? b->item[0] : jinja_float(0.0);
  return true;
}

static bool filter_abs(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  (void)b;
  if (!jinja_is_number(in))
    return in->kind == VALUE_UNDEFINED ? jinja_wrong(run, "%s", in->hint)
                                       : jinja_wrong(run, "bad operand type for abs(): '%s'", jinja_type(in));
  if (in->kind == VALUE_INT && in->integer == INT64_MIN)
    return jinja_unsupported(run, "integers beyond 64 bits are not supported");
  if (in->kind == VALUE_FLOAT)
    *out = jinja_float(fabs(in->real));
  else
    *out = jinja_int(in->kind == VALUE_BOOL ? in->boolean : in->integer < 0 ? -in->integer : in->integer);
  return true;
}

static bool filter_round(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  int64_t precision;
  struct jinja_string method;
  char text[400];
  if (!jinja_arg_int(run, &precision, b, 0, 0) || !jinja_arg_text(run, &method, b, 1, "common"))
    return false;
  if (!jinja_is_number(in))
    return jinja_wrong(run, "type %s doesn't define __round__ method", jinja_type(in));
  if (precision < 0 || precision > 30)
    return jinja_unsupported(run, "rounding to %lld digits is not supported", (long long)precision);
  double real = jinja_real(in), scale = pow(10, (double)precision);
  if (jinja_is(&method, "ceil") || jinja_is(&method, "floor")) {
    double scaled = jinja_is(&method, "ceil") ? ceil(real * scale) : floor(real * scale);
    *out = jinja_float(scaled / scale);
    return true;
  }
  if (!jinja_is(&method, "common"))
    return jinja_wrong(run, "method must be common, ceil or floor");
  *out = *in;
  if (in->kind == VALUE_BOOL)
    *out = jinja_int(in->boolean);
  if (in->kind != VALUE_FLOAT || !isfinite(real))
    return true;
  /* printf rounds the exact binary value, half to even, as round() does. */
  snprintf(text, sizeof text, "%.*f", (int)precision, real);
  *out = jinja_float(strtod(text, NULL));
  return true;
}

const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name) {
  static const struct jinja_builtin filters[] = {
      {"abs", "", 0, filter_abs},
      {"capitalize", "", 0, filter_capitalize},
      {"count", "", 0, filter_length},
      {"d", "default_value boolean", 0, filter_default},
      {"default", "default_value boolean", 0, filter_default},
      {"e", "", 0, filter_escape},
      {"escape", "", 0, filter_escape},
      {"float", "default", 0, filter_float},
      {"indent", "width first blank", 0, filter_indent},
      {"int", "default base", 0, filter_int},
      {"length", "", 0, filter_length},
      {"lower", "", 0, filter_lower},
      {"replace", "old new count", 2, filter_replace},
      {"round", "precision method", 0, filter_round},
      {"safe", "", 0, filter_safe},
      {"string", "", 0, filter_string},
      {"title", "", 0, filter_title},
      {"tojson", "ensure_ascii indent separators sort_keys", 0, filter_tojson},
      {"trim", "chars", 0, filter_trim},
      {"upper", "", 0, filter_upper},
  };
  const struct jinja_builtin *row = jinja_find_row(filters, COUNT_OF(filters), name);
  return row ? row : jinja_find_list_filter(name);
}
