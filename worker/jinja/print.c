/* Values as text: str(), repr() and json.dumps of Python. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/jinja/run.h"
#include "worker/jinja/value.h"
#include "worker/text/unicode.h"

enum { FLOAT_TEXT_MAX = 48 };

/* The shortest decimal that reads back as the same double, laid out as Python does. */
static void float_text(char out[FLOAT_TEXT_MAX], double d, bool json) {
  char digits[32];
  int precision = 0;
  if (isnan(d) || isinf(d)) {
    snprintf(out, FLOAT_TEXT_MAX, "%s", isnan(d) ? (json ? "NaN" : "nan") : json ? (d < 0 ? "-Infinity" : "Infinity")
                                                                              : d < 0 ? "-inf" : "inf");
    return;
  }
  do
    snprintf(digits, sizeof digits, "%.*e", precision, d);
  while (strtod(digits, NULL) != d && ++precision < 18);
  int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
  if (exponent < -4 || exponent >= 16) {
    *strchr(digits, 'e') = '\0';
    snprintf(out, FLOAT_TEXT_MAX, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
    return;
  }
  int decimals = precision - exponent;
  snprintf(out, FLOAT_TEXT_MAX, "%.*f", decimals > 0 ? decimals : 1, d);
}

/* --- repr ----------------------------------------------------------------------------------------- */

static bool repr_character(struct jinja_run *run, struct jinja_builder *out, const struct jinja_string *t, size_t at,
                           size_t length, uint32_t c, char quote) {
  char escaped[12];
  uint32_t origin = jinja_origin(t, at);
  if (c == '\\' || c == (uint32_t)quote)
    snprintf(escaped, sizeof escaped, "\\%c", (int)c);
  else if (c == '\n' || c == '\r' || c == '\t')
    snprintf(escaped, sizeof escaped, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
  else if (jinja_printable(c))
    return jinja_add_bytes(run, out, t->bytes + at, length, origin);
  else
    snprintf(escaped, sizeof escaped, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
  return jinja_add_bytes(run, out, escaped, strlen(escaped), origin);
}

static bool repr_text(struct jinja_run *run, struct jinja_builder *out, const struct jinja_string *t) {
  bool single = memchr(t->bytes, '\'', t->length) != NULL, twice = memchr(t->bytes, '"', t->length) != NULL;
  const char *quote = single && !twice ? "\"" : "'";
  if ((t->safe && !jinja_puts(run, out, "Markup(")) || !jinja_puts(run, out, quote))
    return false;
  for (size_t i = 0, length; i < t->length; i += length) {
    uint32_t c = utf8_decode(t->bytes + i, &length);
    if (!repr_character(run, out, t, i, length, c, quote[0]))
      return false;
  }
  return jinja_puts(run, out, quote) && (!t->safe || jinja_puts(run, out, ")"));
}

static bool repr_list(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v) {
  bool is_tuple = v->kind == VALUE_TUPLE;
  if (!jinja_enter(run) || !jinja_puts(run, out, is_tuple ? "(" : "["))
    return false;
  for (size_t i = 0; i < v->list->count; i++)
    if ((i && !jinja_puts(run, out, ", ")) || !jinja_repr(run, out, &v->list->items[i]))
      return false;
  jinja_leave(run);
  return jinja_puts(run, out, !is_tuple ? "]" : v->list->count == 1 ? ",)" : ")");
}

static bool repr_dict(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v) {
  bool is_namespace = v->kind == VALUE_NAMESPACE;
  if (!jinja_enter(run) || !jinja_puts(run, out, is_namespace ? "<Namespace {" : "{"))
    return false;
  for (size_t i = 0; i < v->dict->count; i++) {
    const struct jinja_entry *e = &v->dict->entries[i];
    if ((i && !jinja_puts(run, out, ", ")) || !jinja_repr(run, out, &e->key) || !jinja_puts(run, out, ": ") ||
        !jinja_repr(run, out, &e->value))
      return false;
  }
  jinja_leave(run);
  return jinja_puts(run, out, is_namespace ? "}>" : "}");
}

bool jinja_repr(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v) {
  char number[FLOAT_TEXT_MAX];
  switch (v->kind) {
  case VALUE_UNDEFINED: return jinja_puts(run, out, "Undefined");
  case VALUE_NONE: return jinja_puts(run, out, "None");
  case VALUE_BOOL: return jinja_puts(run, out, v->boolean ? "True" : "False");
  case VALUE_INT:
    snprintf(number, sizeof number, "%" PRId64, v->integer);
    return jinja_puts(run, out, number);
  case VALUE_FLOAT: float_text(number, v->real, false); return jinja_puts(run, out, number);
  case VALUE_STRING: return repr_text(run, out, v->text);
  case VALUE_LIST:
  case VALUE_TUPLE: return repr_list(run, out, v);
  case VALUE_DICT:
  case VALUE_NAMESPACE: return repr_dict(run, out, v);
  case VALUE_GENERATOR:
  case VALUE_LOOP:
  case VALUE_MACRO:
  case VALUE_FUNCTION:
  case VALUE_METHOD: break;
  }
  return jinja_unsupported(run, "printing a %s is not supported", jinja_type(v));
}

bool jinja_print(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v) {
  if (v->kind == VALUE_UNDEFINED)
    return true;
  if (v->kind == VALUE_DICT && v->dict->prints_json)
    return jinja_print_json(run, out, v->dict);
  return v->kind == VALUE_STRING ? jinja_add(run, out, v->text) : jinja_repr(run, out, v);
}

bool jinja_str(struct jinja_run *run, struct jinja_string *out, const struct jinja_value *v) {
  struct jinja_builder b = {0};
  if (v->kind == VALUE_STRING) {
    *out = *v->text;
    return true;
  }
  if (!jinja_print(run, &b, v))
    return false;
  *out = jinja_built(&b);
  return true;
}

/* --- JSON ----------------------------------------------------------------------------------------- */

static bool json_character(struct jinja_run *run, struct jinja_builder *out, const struct jinja_string *t, size_t at,
                           size_t length, uint32_t c, bool ascii) {
  static const char names[] = "btnfr", values[] = "\b\t\n\f\r";
  char escaped[16];
  uint32_t origin = jinja_origin(t, at);
  const char *known = c && c < 0x20 ? strchr(values, (int)c) : NULL;
  if (c == '"' || c == '\\')
    snprintf(escaped, sizeof escaped, "\\%c", (int)c);
  else if (known)
    snprintf(escaped, sizeof escaped, "\\%c", names[known - values]);
  else if (c >= 0x20 && (c < 0x7F || !ascii))
    return jinja_add_bytes(run, out, t->bytes + at, length, origin);
  else if (c == 0x7F)
    return jinja_add_bytes(run, out, "\x7f", 1, origin);
  else if (c < 0x10000)
    snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c);
  else
    snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
             (unsigned)(0xDC00 + (c & 0x3FF)));
  return jinja_add_bytes(run, out, escaped, strlen(escaped), origin);
}

static bool json_text(struct jinja_run *run, struct jinja_builder *out, const struct jinja_string *t,
                      const struct jinja_json_style *style) {
  if (!jinja_puts(run, out, "\""))
    return false;
  for (size_t i = 0, length; i < t->length; i += length) {
    uint32_t c = utf8_decode(t->bytes + i, &length);
    if (!json_character(run, out, t, i, length, c, style->ascii))
      return false;
  }
  return jinja_puts(run, out, "\"");
}

static bool json_line(struct jinja_run *run, struct jinja_builder *out, const struct jinja_json_style *style,
                      unsigned depth) {
  if (!style->lines)
    return true;
  bool ok = jinja_puts(run, out, "\n");
  for (unsigned i = 0; ok && i < depth; i++)
    ok = jinja_add(run, out, &style->indent);
  return ok;
}

static bool json_at(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v,
                    const struct jinja_json_style *style, unsigned depth);

static bool json_list(struct jinja_run *run, struct jinja_builder *out, const struct jinja_list *list,
                      const struct jinja_json_style *style, unsigned depth) {
  if (!list->count)
    return jinja_puts(run, out, "[]");
  if (!jinja_enter(run) || !jinja_puts(run, out, "["))
    return false;
  for (size_t i = 0; i < list->count; i++)
    if ((i && !jinja_add(run, out, &style->item_separator)) || !json_line(run, out, style, depth + 1) ||
        !json_at(run, out, &list->items[i], style, depth + 1))
      return false;
  jinja_leave(run);
  return json_line(run, out, style, depth) && jinja_puts(run, out, "]");
}

static bool json_key(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *key,
                     const struct jinja_json_style *style) {
  struct jinja_builder b = {0};
  if (key->kind == VALUE_STRING)
    return json_text(run, out, key->text, style);
  if (key->kind != VALUE_NONE && !jinja_is_number(key))
    return jinja_wrong(run, "keys must be str, int, float, bool or None, not %s", jinja_type(key));
  if (!json_at(run, &b, key, style, 0))
    return false;
  struct jinja_string t = jinja_built(&b);
  return json_text(run, out, &t, style);
}

/* The entries in the order in which they are written. */
static bool sorted(struct jinja_run *run, const struct jinja_entry **out, const struct jinja_dict *dict, bool sort) {
  *out = dict->entries;
  if (!sort)
    return true;
  struct jinja_entry *entries = jinja_alloc(run, dict->count, sizeof *entries);
  if (!entries)
    return false;
  for (size_t i = 0; i < dict->count; i++) {
    size_t at = i;
    int order = -1;
    for (; at > 0; at--) {
      if (!jinja_order(run, &order, &dict->entries[i].key, &entries[at - 1].key, "<"))
        return false;
      if (order >= 0)
        break;
      entries[at] = entries[at - 1];
    }
    entries[at] = dict->entries[i];
  }
  *out = entries;
  return true;
}

static bool json_dict(struct jinja_run *run, struct jinja_builder *out, const struct jinja_dict *dict,
                      const struct jinja_json_style *style, unsigned depth) {
  const struct jinja_entry *entries;
  if (!dict->count)
    return jinja_puts(run, out, "{}");
  if (!jinja_enter(run) || !sorted(run, &entries, dict, style->sort) || !jinja_puts(run, out, "{"))
    return false;
  for (size_t i = 0; i < dict->count; i++)
    if ((i && !jinja_add(run, out, &style->item_separator)) || !json_line(run, out, style, depth + 1) ||
        !json_key(run, out, &entries[i].key, style) || !jinja_add(run, out, &style->key_separator) ||
        !json_at(run, out, &entries[i].value, style, depth + 1))
      return false;
  jinja_leave(run);
  return json_line(run, out, style, depth) && jinja_puts(run, out, "}");
}

static bool json_at(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v,
                    const struct jinja_json_style *style, unsigned depth) {
  char number[FLOAT_TEXT_MAX];
  switch (v->kind) {
  case VALUE_NONE: return jinja_puts(run, out, "null");
  case VALUE_BOOL: return jinja_puts(run, out, v->boolean ? "true" : "false");
  case VALUE_INT: return jinja_repr(run, out, v);
  case VALUE_FLOAT: float_text(number, v->real, true); return jinja_puts(run, out, number);
  case VALUE_STRING: return v->text->null ? jinja_puts(run, out, "null") : json_text(run, out, v->text, style);
  case VALUE_LIST:
  case VALUE_TUPLE: return json_list(run, out, v->list, style, depth);
  case VALUE_DICT: return json_dict(run, out, v->dict, style, depth);
  case VALUE_UNDEFINED:
  case VALUE_GENERATOR:
  case VALUE_NAMESPACE:
  case VALUE_LOOP:
  case VALUE_MACRO:
  case VALUE_FUNCTION:
  case VALUE_METHOD: break;
  }
  return jinja_wrong(run, "Object of type %s is not JSON serializable", jinja_type(v));
}

bool jinja_json(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v,
                const struct jinja_json_style *style) {
  return json_at(run, out, v, style, 0);
}

bool jinja_print_json(struct jinja_run *run, struct jinja_builder *out, const struct jinja_dict *dict) {
  struct jinja_json_style style = {.item_separator = jinja_literal(", "), .key_separator = jinja_literal(": ")};
  return json_dict(run, out, dict, &style, 0);
}
