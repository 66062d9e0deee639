/* Arithmetic, comparisons and the % of strings, as Python has them, on 64-bit integers. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/jinja/run.h"

enum { PRINTF_DIGITS_MAX = 30 };

static bool too_big(struct jinja_run *run) {
  return jinja_unsupported(run, "integers beyond 64 bits are not supported");
}

static int64_t whole(const struct jinja_value *v) {
  return v->kind == VALUE_BOOL ? v->boolean : v->integer;
}

static bool power(struct jinja_run *run, struct jinja_value *out, int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (exponent < 0) {
    if (!base)
      return jinja_wrong(run, "0.0 cannot be raised to a negative power");
    *out = jinja_float(pow((double)base, (double)exponent));
    return true;
  }
  for (bool fits = true; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && (!fits || __builtin_mul_overflow(result, base, &result)))
      return too_big(run);
    fits = !__builtin_mul_overflow(base, base, &base);
  }
  *out = jinja_int(result);
  return true;
}

static bool integers(struct jinja_run *run, struct jinja_value *out, int op, int64_t a, int64_t b) {
  int64_t r = 0;
  bool overflow = false;
  if ((op == '/' || op == OP_FLOOR || op == '%') && b == 0)
    return jinja_wrong(run, op == '/' ? "division by zero" : "integer division or modulo by zero");
  switch (op) {
  case '+': overflow = __builtin_add_overflow(a, b, &r); break;
  case '-': overflow = __builtin_sub_overflow(a, b, &r); break;
  case '*': overflow = __builtin_mul_overflow(a, b, &r); break;
  case '/': *out = jinja_float((double)a / (double)b); return true;
  case OP_FLOOR:
    overflow = a == INT64_MIN && b == -1;
    r = overflow ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
    break;
  case '%':
    r = b == -1 ? 0 : a % b;
    r += r != 0 && (r < 0) != (b < 0) ? b : 0;
    break;
  case OP_POWER: return power(run, out, a, b);
  }
  *out = jinja_int(r);
  return !overflow || too_big(run);
}

static bool reals(struct jinja_run *run, struct jinja_value *out, int op, double a, double b) {
  double r = 0;
  if ((op == '/' || op == OP_FLOOR || op == '%') && b == 0.0)
    return jinja_wrong(run, "float division by zero");
  switch (op) {
  case '+': r = a + b; break;
  case '-': r = a - b; break;
  case '*': r = a * b; break;
  case '/': r = a / b; break;
  case OP_FLOOR: r = floor(a / b); break;
  case '%':
    r = fmod(a, b);
    r += r != 0.0 && (r < 0) != (b < 0) ? b : 0;
    break;
  case OP_POWER: r = pow(a, b); break;
  }
  *out = jinja_float(r);
  return true;
}

static bool add_texts(struct jinja_run *run, struct jinja_value *out, const struct jinja_string *a,
                      const struct jinja_string *b) {
  struct jinja_string left = *a, right = *b;
  struct jinja_builder sum = {0};
  bool safe = a->safe || b->safe;
  if ((safe && !a->safe && !jinja_escape(run, &left, a)) || (safe && !b->safe && !jinja_escape(run, &right, b)))
    return false;
  if (!jinja_add(run, &sum, &left) || !jinja_add(run, &sum, &right))
    return false;
  struct jinja_string text = jinja_built(&sum);
  text.safe = safe;
  return jinja_string_value(run, out, text);
}

static bool is_list(const struct jinja_value *v) {
  return v->kind == VALUE_LIST || v->kind == VALUE_TUPLE;
}

static bool add_lists(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *a,
                      const struct jinja_value *b) {
  struct jinja_list *list = jinja_list_new(run, a->list->count + b->list->count);
  for (size_t i = 0; list && i < a->list->count; i++)
    if (!jinja_list_add(run, list, a->list->items[i]))
      return false;
  for (size_t i = 0; list && i < b->list->count; i++)
    if (!jinja_list_add(run, list, b->list->items[i]))
      return false;
  *out = (struct jinja_value){.kind = a->kind, .list = list};
  return list != NULL;
}

static bool repeat(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *what, int64_t times) {
  if (what->kind == VALUE_STRING) {
    struct jinja_string text;
    return jinja_repeat(run, &text, what->text, times) && jinja_string_value(run, out, text);
  }
  struct jinja_list *list = jinja_list_new(run, 4);
  for (int64_t n = 0; list && what->list->count && n < times; n++)
    for (size_t i = 0; i < what->list->count; i++)
      if (!jinja_list_add(run, list, what->list->items[i]))
        return false;
  *out = (struct jinja_value){.kind = what->kind, .list = list};
  return list != NULL;
}

/* What prints as JSON and is joined to a string is a string. */
static bool add_json(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *a,
                     const struct jinja_value *b) {
  struct jinja_string left, right;
  return jinja_str(run, &left, a) && jinja_str(run, &right, b) && add_texts(run, out, &left, &right);
}

static bool prints_json(const struct jinja_value *v) {
  return v->kind == VALUE_DICT && v->dict->prints_json;
}

bool jinja_binary(struct jinja_run *run, struct jinja_value *out, int op, const struct jinja_value *a,
                  const struct jinja_value *b) {
  if (a->kind == VALUE_UNDEFINED || b->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", a->kind == VALUE_UNDEFINED ? a->hint : b->hint);
  if (jinja_is_number(a) && jinja_is_number(b)) {
    if (a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT)
      return reals(run, out, op, jinja_real(a), jinja_real(b));
    return integers(run, out, op, whole(a), whole(b));
  }
  bool a_repeats = a->kind == VALUE_STRING || is_list(a), b_repeats = b->kind == VALUE_STRING || is_list(b);
  if (op == '+' && a->kind == VALUE_STRING && b->kind == VALUE_STRING)
    return add_texts(run, out, a->text, b->text);
  if (op == '+' && ((a->kind == VALUE_STRING && prints_json(b)) || (prints_json(a) && b->kind == VALUE_STRING)))
    return add_json(run, out, a, b);
  if (op == '+' && a->kind == b->kind && is_list(a))
    return add_lists(run, out, a, b);
  if (op == '*' && a_repeats && jinja_is_number(b) && b->kind != VALUE_FLOAT)
    return repeat(run, out, a, whole(b));
  if (op == '*' && b_repeats && jinja_is_number(a) && a->kind != VALUE_FLOAT)
    return repeat(run, out, b, whole(a));
  if (op == '%' && a->kind == VALUE_STRING)
    return jinja_percent(run, out, a->text, b);
  const char *name = op == OP_FLOOR ? "//" : op == OP_POWER ? "**" : (const char[]){(char)op, '\0'};
  if (op == '+' && a->kind == VALUE_STRING)
    return jinja_wrong(run, "can only concatenate str (not \"%s\") to str", jinja_type(b));
  return jinja_wrong(run, "unsupported operand type(s) for %s: '%s' and '%s'", name, jinja_type(a), jinja_type(b));
}

bool jinja_contains(struct jinja_run *run, bool *out, const struct jinja_value *list, const struct jinja_value *item) {
  const struct jinja_list *items;
  *out = false;
  if (list->kind == VALUE_STRING) {
    if (item->kind == VALUE_UNDEFINED)
      return jinja_wrong(run, "%s", item->hint);
    if (item->kind != VALUE_STRING)
      return jinja_wrong(run, "'in <string>' requires string as left operand, not %s", jinja_type(item));
    *out = jinja_find(list->text, 0, list->text->length, item->text) != SIZE_MAX;
    return jinja_spend_bytes(run, list->text->length);
  }
  if (list->kind == VALUE_DICT) {
    struct jinja_entry *entry;
    if (!jinja_dict_find(run, &entry, list->dict, item))
      return false;
    *out = entry != NULL;
    return true;
  }
  if (!jinja_items(run, &items, list))
    return false;
  for (size_t i = 0; !*out && i < items->count; i++)
    if (!jinja_equal(run, out, &items->items[i], item))
      return false;
  return true;
}

bool jinja_compare(struct jinja_run *run, bool *out, int op, const struct jinja_value *a, const struct jinja_value *b) {
  int order = 0;
  switch (op) {
  case OP_EQ: return jinja_equal(run, out, a, b);
  case OP_NE:
    if (!jinja_equal(run, out, a, b))
      return false;
    *out = !*out;
    return true;
  case OP_IN: return jinja_contains(run, out, b, a);
  case OP_NOT_IN:
    if (!jinja_contains(run, out, b, a))
      return false;
    *out = !*out;
    return true;
  }
  const char *name = op == OP_LE ? "<=" : op == OP_GE ? ">=" : op == '<' ? "<" : ">";
  if (!jinja_order(run, &order, a, b, name))
    return false;
  *out = op == '<' ? order < 0 : op == '>' ? order > 0 : op == OP_LE ? order <= 0 : order >= 0;
  if (a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT)
    *out = *out && !isnan(jinja_real(a)) && !isnan(jinja_real(b));
  return true;
}

/* --- % of strings --------------------------------------------------------------------------------- */

/* One conversion of a value: s, d, i, f with an optional .digits, r. */
static bool convert(struct jinja_run *run, struct jinja_builder *out, char kind, int digits,
                    const struct jinja_value *v) {
  char number[400];
  if (kind == 's' && digits < 0)
    return jinja_print(run, out, v);
  if (kind == 'r' && digits < 0)
    return jinja_repr(run, out, v);
  if ((kind == 'd' || kind == 'i') && digits < 0) {
    if (!jinja_is_number(v))
      return jinja_wrong(run, "%%%c format: a real number is required, not %s", kind, jinja_type(v));
    if (v->kind == VALUE_FLOAT && !(fabs(v->real) < 9e18))
      return too_big(run);
    snprintf(number, sizeof number, "%" PRId64, v->kind == VALUE_FLOAT ? (int64_t)v->real : whole(v));
    return jinja_puts(run, out, number);
  }
  if (kind == 'f') {
    if (!jinja_is_number(v))
      return jinja_wrong(run, "must be real number, not %s", jinja_type(v));
    snprintf(number, sizeof number, "%.*f", digits < 0 ? 6 : digits, jinja_real(v));
    return jinja_puts(run, out, number);
  }
  return jinja_unsupported(run, "the conversion %%%c is not supported", kind);
}

bool jinja_percent(struct jinja_run *run, struct jinja_value *out, const struct jinja_string *format,
                   const struct jinja_value *arguments) {
  struct jinja_builder b = {0};
  size_t used = 0, count = arguments->kind == VALUE_TUPLE ? arguments->list->count : 1;
  const struct jinja_value *items = arguments->kind == VALUE_TUPLE ? arguments->list->items : arguments;
  for (size_t i = 0; i < format->length;) {
    const char *next = memchr(format->bytes + i, '%', format->length - i);
    size_t at = next ? (size_t)(next - format->bytes) : format->length;
    struct jinja_string plain = jinja_cut(format, i, at);
    if (!jinja_spend(run, 1) || !jinja_add(run, &b, &plain))
      return false;
    if (at == format->length)
      break;
    int digits = -1;
    for (i = at + 1; i < format->length && ((format->bytes[i] >= '0' && format->bytes[i] <= '9' && digits >= 0) ||
                                            (format->bytes[i] == '.' && digits < 0)); i++)
      digits = format->bytes[i] == '.' ? 0 : digits < PRINTF_DIGITS_MAX ? digits * 10 + format->bytes[i] - '0' : digits;
    if (i == format->length)
      return jinja_wrong(run, "incomplete format");
    char kind = format->bytes[i++];
    if (kind == '%' && i == at + 2) {
      if (!jinja_puts(run, &b, "%"))
        return false;
      continue;
    }
    if (kind < ' ' || kind > '~' || digits > PRINTF_DIGITS_MAX)
      return jinja_unsupported(run, "this conversion of %% is not supported");
    if (used == count)
      return jinja_wrong(run, "not enough arguments for format string");
    if (!convert(run, &b, kind, digits, &items[used++]))
      return false;
  }
  if (used < count && arguments->kind != VALUE_DICT)
    return jinja_wrong(run, "not all arguments converted during string formatting");
  struct jinja_string text = jinja_built(&b);
  return jinja_string_value(run, out, text);
}

bool jinja_escape(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *in) {
  static const char special[] = "&<>'\"";
  static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  struct jinja_builder b = {0};
  size_t from = 0;
  if (in->safe) {
    *out = *in;
    return true;
  }
  for (size_t i = 0; i <= in->length; i++) {
    const char *found = i < in->length && in->bytes[i] ? strchr(special, in->bytes[i]) : NULL;
    if (!found && i < in->length)
      continue;
    struct jinja_string plain = jinja_cut(in, from, i);
    if (!jinja_add(run, &b, &plain))
      return false;
    if (found && !jinja_add_bytes(run, &b, names[found - special], strlen(names[found - special]), jinja_origin(in, i)))
      return false;
    from = i + 1;
  }
  *out = jinja_built(&b);
  out->safe = true;
  return true;
}
