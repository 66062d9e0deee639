/* Methods of str, list, tuple, dict and the loop. A name of Python's that is not here is refused when
   it is called; names that Python does not have are undefined. */
#include <string.h>

#include "worker/jinja/run.h"
#include "worker/text/unicode.h"

static bool give_string(struct jinja_run *run, struct jinja_value *out, bool ok, const struct jinja_string *text) {
  return ok && jinja_string_value(run, out, *text);
}

static bool give_list(struct jinja_value *out, struct jinja_list *list) {
  *out = (struct jinja_value){.kind = VALUE_LIST, .list = list};
  return list != NULL;
}

/* --- str ------------------------------------------------------------------------------------------ */

static bool strip(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                  const struct jinja_bound *b, bool left, bool right) {
  struct jinja_string characters;
  bool some = b->given[0] && b->item[0].kind != VALUE_NONE;
  if ((some && !jinja_arg_text(run, &characters, b, 0, "")) || !jinja_spend_bytes(run, in->text->length))
    return false;
  return jinja_string_value(run, out, jinja_strip(in->text, some ? &characters : NULL, left, right));
}

static bool str_strip(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  return strip(run, out, in, b, true, true);
}

static bool str_lstrip(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return strip(run, out, in, b, true, false);
}

static bool str_rstrip(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return strip(run, out, in, b, false, true);
}

static bool split(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                  const struct jinja_bound *b, bool from_right) {
  struct jinja_string separator;
  struct jinja_list *list = NULL;
  int64_t max;
  bool some = b->given[0] && b->item[0].kind != VALUE_NONE;
  if ((some && !jinja_arg_text(run, &separator, b, 0, "")) || !jinja_arg_int(run, &max, b, 1, -1))
    return false;
  return jinja_split(run, &list, in->text, some ? &separator : NULL, max, from_right) && give_list(out, list);
}

static bool str_split(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  return split(run, out, in, b, false);
}

static bool str_rsplit(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return split(run, out, in, b, true);
}

static bool str_splitlines(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  struct jinja_list *list = NULL;
  return jinja_lines(run, &list, in->text, jinja_arg_bool(b, 0, false)) && give_list(out, list);
}

static bool ends_with(const struct jinja_string *t, const struct jinja_string *what, bool at_end) {
  return what->length <= t->length &&
         (!what->length ||
          memcmp(t->bytes + (at_end ? t->length - what->length : 0), what->bytes, what->length) == 0);
}

static bool affix(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                  const struct jinja_bound *b, bool at_end) {
  const struct jinja_value *what = &b->item[0];
  struct jinja_list one = {.items = &(struct jinja_value){0}, .count = 1};
  const struct jinja_list *all = what->kind == VALUE_TUPLE ? what->list : &one;
  bool holds = false;
  one.items[0] = *what;
  for (size_t i = 0; i < all->count; i++) {
    if (all->items[i].kind != VALUE_STRING)
      return jinja_wrong(run, "%s first arg must be str or a tuple of str, not %s", at_end ? "endswith" : "startswith",
                         jinja_type(&all->items[i]));
    holds |= ends_with(in->text, all->items[i].text, at_end);
  }
  *out = jinja_bool(holds);
  return jinja_spend(run, all->count);
}

static bool str_startswith(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  return affix(run, out, in, b, false);
}

static bool str_endswith(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  return affix(run, out, in, b, true);
}

static bool remove_affix(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b, bool at_end) {
  struct jinja_string what, t = *in->text;
  if (!jinja_arg_text(run, &what, b, 0, ""))
    return false;
  if (ends_with(&t, &what, at_end))
    t = at_end ? jinja_cut(&t, 0, t.length - what.length) : jinja_cut(&t, what.length, t.length);
  return jinja_string_value(run, out, t);
}

static bool str_removeprefix(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                             const struct jinja_bound *b) {
  return remove_affix(run, out, in, b, false);
}

static bool str_removesuffix(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                             const struct jinja_bound *b) {
  return remove_affix(run, out, in, b, true);
}

static bool change_case(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        enum jinja_letter_case how) {
  struct jinja_string t;
  return give_string(run, out, jinja_change_case(run, &t, in->text, how), &t);
}

static bool str_upper(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_UPPER);
}

static bool str_lower(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_LOWER);
}

static bool str_title(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_TITLE);
}

static bool str_capitalize(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  (void)b;
  return change_case(run, out, in, CASE_CAPITAL);
}

static bool str_replace(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_string old, new, t;
  int64_t count;
  if (!jinja_arg_text(run, &old, b, 0, "") || !jinja_arg_text(run, &new, b, 1, "") ||
      !jinja_arg_int(run, &count, b, 2, -1))
    return false;
  return give_string(run, out, jinja_replace(run, &t, in->text, &old, &new, count), &t);
}

/* The bytes between two optional bounds in characters, as of a slice. */
static bool window(struct jinja_run *run, size_t *from, size_t *to, const struct jinja_string *t,
                   const struct jinja_bound *b) {
  int64_t begin, end, count = (int64_t)jinja_characters(t);
  if (!jinja_spend_bytes(run, t->length) || !jinja_arg_int(run, &begin, b, 1, 0) ||
      !jinja_arg_int(run, &end, b, 2, count))
    return false;
  begin += begin < 0 ? count : 0;
  end += end < 0 ? count : 0;
  begin = begin < 0 ? 0 : begin > count ? count : begin;
  end = end < 0 ? 0 : end > count ? count : end;
  *from = jinja_character_at(t, (size_t)begin);
  *to = end < begin ? *from : jinja_character_at(t, (size_t)end);
  return true;
}

static bool find_string(struct jinja_run *run, int64_t *out, const struct jinja_value *in, const struct jinja_bound *b,
                        bool last) {
  struct jinja_string what;
  size_t from, to, found = SIZE_MAX;
  if (!jinja_arg_text(run, &what, b, 0, "") || !window(run, &from, &to, in->text, b))
    return false;
  if (!last) {
    found = jinja_find(in->text, from, to, &what);
  } else if (jinja_spend(run, (to - from) / 32 * (what.length / 8 + 1))) {
    for (size_t at = to - from < what.length ? from : to - what.length + 1; found == SIZE_MAX && at-- > from;)
      if (!what.length || memcmp(in->text->bytes + at, what.bytes, what.length) == 0)
        found = at;
  } else {
    return false;
  }
  struct jinja_string before = jinja_cut(in->text, 0, found == SIZE_MAX ? 0 : found);
  *out = found == SIZE_MAX ? -1 : (int64_t)jinja_characters(&before);
  return true;
}

static bool str_find(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                     const struct jinja_bound *b) {
  int64_t at;
  if (!find_string(run, &at, in, b, false))
    return false;
  *out = jinja_int(at);
  return true;
}

static bool str_rfind(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  int64_t at;
  if (!find_string(run, &at, in, b, true))
    return false;
  *out = jinja_int(at);
  return true;
}

static bool str_index(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  return str_find(run, out, in, b) && (out->integer >= 0 || jinja_wrong(run, "substring not found"));
}

static bool str_rindex(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return str_rfind(run, out, in, b) && (out->integer >= 0 || jinja_wrong(run, "substring not found"));
}

static bool str_count(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  struct jinja_string what;
  size_t from, to;
  int64_t count = 0;
  if (!jinja_arg_text(run, &what, b, 0, "") || !window(run, &from, &to, in->text, b))
    return false;
  struct jinja_string part = jinja_cut(in->text, from, to);
  if (!what.length)
    count = (int64_t)jinja_characters(&part) + 1;
  for (size_t at = 0; what.length && (at = jinja_find(&part, at, part.length, &what)) != SIZE_MAX; at += what.length)
    count++;
  *out = jinja_int(count);
  return jinja_spend(run, (size_t)count);
}

static bool str_join(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                     const struct jinja_bound *b) {
  const struct jinja_list *items;
  struct jinja_string t;
  if (b->item[0].kind == VALUE_UNDEFINED)
    return jinja_string_value(run, out, jinja_literal(""));
  if (!jinja_items(run, &items, &b->item[0]))
    return false;
  for (size_t i = 0; i < items->count; i++)
    if (items->items[i].kind != VALUE_STRING)
      return jinja_wrong(run, "sequence item %zu: expected str instance, %s found", i, jinja_type(&items->items[i]));
  return give_string(run, out, jinja_join(run, &t, items, in->text), &t);
}

/* Of every character, of which there must be one. */
static bool every(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                  bool (*is)(uint32_t c)) {
  bool holds = in->text->length > 0;
  for (size_t i = 0, length; holds && i < in->text->length; i += length)
    holds = is(utf8_decode(in->text->bytes + i, &length));
  *out = jinja_bool(holds);
  return jinja_spend_bytes(run, in->text->length);
}

static bool str_isspace(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  (void)b;
  return every(run, out, in, jinja_space);
}

static bool is_ascii_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}

static bool str_isdigit(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  (void)b;
  for (size_t i = 0; i < in->text->length; i++)
    if ((unsigned char)in->text->bytes[i] >= 0x80)
      return jinja_unsupported(run, "isdigit() of text that is not ASCII is not supported");
  return every(run, out, in, is_ascii_digit);
}

static const struct jinja_builtin *str_method(const struct jinja_string *name) {
  static const struct jinja_builtin methods[] = {
      {"capitalize", "", 0, str_capitalize},
      {"count", "sub start end", 1, str_count},
      {"endswith", "suffix", 1, str_endswith},
      {"find", "sub start end", 1, str_find},
      {"index", "sub start end", 1, str_index},
      {"isdigit", "", 0, str_isdigit},
      {"isspace", "", 0, str_isspace},
      {"join", "iterable", 1, str_join},
      {"lower", "", 0, str_lower},
      {"lstrip", "chars", 0, str_lstrip},
      {"removeprefix", "prefix", 1, str_removeprefix},
      {"removesuffix", "suffix", 1, str_removesuffix},
      {"replace", "old new count", 2, str_replace},
      {"rfind", "sub start end", 1, str_rfind},
      {"rindex", "sub start end", 1, str_rindex},
      {"rsplit", "sep maxsplit", 0, str_rsplit},
      {"rstrip", "chars", 0, str_rstrip},
      {"split", "sep maxsplit", 0, str_split},
      {"splitlines", "keepends", 0, str_splitlines},
      {"startswith", "prefix", 1, str_startswith},
      {"strip", "chars", 0, str_strip},
      {"title", "", 0, str_title},
      {"upper", "", 0, str_upper},
      {"casefold", "*", 0, NULL},
      {"center", "*", 0, NULL},
      {"encode", "*", 0, NULL},
      {"expandtabs", "*", 0, NULL},
      {"format", "*", 0, NULL},
      {"format_map", "*", 0, NULL},
      {"isalnum", "*", 0, NULL},
      {"isalpha", "*", 0, NULL},
      {"isascii", "*", 0, NULL},
      {"isdecimal", "*", 0, NULL},
      {"isidentifier", "*", 0, NULL},
      {"islower", "*", 0, NULL},
      {"isnumeric", "*", 0, NULL},
      {"isprintable", "*", 0, NULL},
      {"istitle", "*", 0, NULL},
      {"isupper", "*", 0, NULL},
      {"ljust", "*", 0, NULL},
      {"maketrans", "*", 0, NULL},
      {"partition", "*", 0, NULL},
      {"rjust", "*", 0, NULL},
      {"rpartition", "*", 0, NULL},
      {"swapcase", "*", 0, NULL},
      {"translate", "*", 0, NULL},
      {"zfill", "*", 0, NULL},
  };
  return jinja_find_row(methods, COUNT_OF(methods), name);
}

/* --- list, dict, loop ----------------------------------------------------------------------------- */

static bool list_index(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  for (size_t i = 0; i < in->list->count; i++) {
    bool equal;
    if (!jinja_equal(run, &equal, &in->list->items[i], &b->item[0]))
      return false;
    *out = jinja_int((int64_t)i);
    if (equal)
      return true;
  }
  return jinja_wrong(run, "the value is not in the list");
}

static bool list_count(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  int64_t count = 0;
  for (size_t i = 0; i < in->list->count; i++) {
    bool equal;
    if (!jinja_equal(run, &equal, &in->list->items[i], &b->item[0]))
      return false;
    count += equal;
  }
  *out = jinja_int(count);
  return true;
}

static bool itself(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                   const struct jinja_bound *b) {
  (void)run;
  (void)b;
  *out = *in;
  return true;
}

/* Transformers' sandbox allows no method that changes its object. */
static bool changes(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                    const struct jinja_bound *b) {
  (void)out;
  (void)b;
  return jinja_unsupported(run, "a method that changes a %s is not supported: Transformers refuses it too",
                           jinja_type(in));
}

static const struct jinja_builtin *list_method(const struct jinja_string *name) {
  static const struct jinja_builtin methods[] = {
      {"append", "*", 0, changes},       {"clear", "*", 0, changes},  {"copy", "", 0, itself},
      {"count", "value", 1, list_count}, {"extend", "*", 0, changes}, {"index", "value", 1, list_index},
      {"insert", "*", 0, changes},       {"pop", "*", 0, changes},    {"remove", "*", 0, changes},
      {"reverse", "*", 0, changes},      {"sort", "*", 0, changes},
  };
  return jinja_find_row(methods, COUNT_OF(methods), name);
}

static const struct jinja_builtin *tuple_method(const struct jinja_string *name) {
  static const struct jinja_builtin methods[] = {{"count", "value", 1, list_count}, {"index", "value", 1, list_index}};
  return jinja_find_row(methods, COUNT_OF(methods), name);
}

static bool dict_get(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                     const struct jinja_bound *b) {
  struct jinja_entry *entry;
  if (!jinja_dict_find(run, &entry, in->dict, &b->item[0]))
    return false;
  *out = entry ? entry->value : b->given[1] ? b->item[1] : jinja_none();
  return true;
}

enum side { SIDE_KEYS, SIDE_VALUES, SIDE_PAIRS };

static bool sides(struct jinja_run *run, struct jinja_value *out, const struct jinja_dict *dict, enum side side) {
  struct jinja_list *list = jinja_list_new(run, dict->count);
  for (size_t i = 0; list && i < dict->count; i++) {
    struct jinja_value v = side == SIDE_KEYS ? dict->entries[i].key : dict->entries[i].value;
    if (side == SIDE_PAIRS && !jinja_pair(run, &v, dict->entries[i].key, v))
      return false;
    if (!jinja_list_add(run, list, v))
      return false;
  }
  return give_list(out, list);
}

static bool dict_keys(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  (void)b;
  return sides(run, out, in->dict, SIDE_KEYS);
}

static bool dict_values(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  (void)b;
  return sides(run, out, in->dict, SIDE_VALUES);
}

static bool dict_items(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  (void)b;
  return sides(run, out, in->dict, SIDE_PAIRS);
}

static const struct jinja_builtin *dict_method(const struct jinja_string *name) {
  static const struct jinja_builtin methods[] = {
      {"clear", "*", 0, changes},      {"copy", "", 0, itself},
      {"fromkeys", "*", 0, NULL},      {"get", "key default", 1, dict_get},
      {"items", "", 0, dict_items},    {"keys", "", 0, dict_keys},
      {"pop", "*", 0, changes},        {"popitem", "*", 0, changes},
      {"setdefault", "*", 0, changes}, {"update", "*", 0, changes},
      {"values", "", 0, dict_values},
  };
  return jinja_find_row(methods, COUNT_OF(methods), name);
}

static bool loop_cycle(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  if (!b->all->count)
    return jinja_wrong(run, "no items for cycling given");
  *out = b->all->items[in->loop->index % b->all->count];
  return true;
}

const struct jinja_builtin *jinja_find_method(enum jinja_value_kind kind, const struct jinja_string *name) {
  static const struct jinja_builtin cycle = {"cycle", "*", 0, loop_cycle};
  switch (kind) {
  case VALUE_STRING: return str_method(name);
  case VALUE_LIST: return list_method(name);
  case VALUE_TUPLE: return tuple_method(name);
  case VALUE_DICT: return dict_method(name);
  case VALUE_LOOP: return jinja_is(name, cycle.name) ? &cycle : NULL;
  case VALUE_UNDEFINED:
  case VALUE_NONE:
  case VALUE_BOOL:
  case VALUE_INT:
  case VALUE_FLOAT:
  case VALUE_GENERATOR:
  case VALUE_NAMESPACE:
  case VALUE_MACRO:
  case VALUE_FUNCTION:
  case VALUE_METHOD: return NULL;
  }
  CHECK(!"a kind of value");
}
