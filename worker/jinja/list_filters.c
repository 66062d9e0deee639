/* Filters of lists and dicts. */
#include <string.h>

#include "worker/jinja/run.h"

static bool give_list(struct jinja_value *out, enum jinja_value_kind kind, struct jinja_list *list) {
  *out = (struct jinja_value){.kind = kind, .list = list};
  return list != NULL;
}

/* "a.b.0" of a value, as Jinja's attribute= has it; `path` NULL is the value itself. A member that is
   not there is `fallback`, if there is one. */
static bool member(struct jinja_run *run, struct jinja_value *out, struct jinja_value from,
                   const struct jinja_value *path, const struct jinja_value *fallback) {
  *out = from;
  if (!path || path->kind == VALUE_NONE)
    return true;
  if (path->kind != VALUE_STRING)
    return jinja_item(run, out, &from, path);
  for (size_t at = 0; at <= path->text->length;) {
    const char *dot = memchr(path->text->bytes + at, '.', path->text->length - at);
    size_t end = dot ? (size_t)(dot - path->text->bytes) : path->text->length;
    struct jinja_string name = jinja_cut(path->text, at, end);
    struct jinja_value key;
    int64_t index = 0;
    bool digits = name.length > 0 && name.length < 10;
    for (size_t i = 0; digits && i < name.length; i++) {
      digits = name.bytes[i] >= '0' && name.bytes[i] <= '9';
      index = index * 10 + (name.bytes[i] - '0');
    }
    if (digits)
      key = jinja_int(index);
    else if (!jinja_string_value(run, &key, name))
      return false;
    if (!jinja_item(run, out, &from, &key))
      return false;
    if (out->kind == VALUE_UNDEFINED && fallback)
      *out = *fallback;
    from = *out;
    at = end + 1;
  }
  return true;
}

/* Strings compare without case unless a filter is told otherwise. */
static bool comparable(struct jinja_run *run, struct jinja_value *v, bool case_sensitive) {
  struct jinja_string t;
  if (case_sensitive || v->kind != VALUE_STRING)
    return true;
  return jinja_change_case(run, &t, v->text, CASE_LOWER) && jinja_string_value(run, v, t);
}

static bool filter_first(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  const struct jinja_list *items;
  (void)b;
  if (!jinja_items(run, &items, in))
    return false;
  *out = items->count ? items->items[0] : (struct jinja_value){.hint = "No first item, sequence was empty."};
  return true;
}

static bool filter_last(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  const struct jinja_list *items;
  (void)b;
  if (in->kind == VALUE_GENERATOR)
    return jinja_wrong(run, "'generator' object is not reversible");
  if (!jinja_items(run, &items, in))
    return false;
  *out =
      items->count ? items->items[items->count - 1] : (struct jinja_value){.hint = "No last item, sequence was empty."};
  return true;
}

static bool copy(struct jinja_run *run, struct jinja_list **out, const struct jinja_value *in) {
  const struct jinja_list *items;
  if (!jinja_items(run, &items, in) || !(*out = jinja_list_new(run, items->count)))
    return false;
  for (size_t i = 0; i < items->count; i++)
    if (!jinja_list_add(run, *out, items->items[i]))
      return false;
  return true;
}

static bool filter_list(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_list *list;
  (void)b;
  return copy(run, &list, in) && give_list(out, VALUE_LIST, list);
}

static bool filter_reverse(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                           const struct jinja_bound *b) {
  struct jinja_list *list;
  (void)b;
  if (in->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", in->hint);
  if (!copy(run, &list, in))
    return false;
  for (size_t i = 0; i < list->count / 2; i++) {
    struct jinja_value v = list->items[i];
    list->items[i] = list->items[list->count - 1 - i];
    list->items[list->count - 1 - i] = v;
  }
  if (in->kind != VALUE_STRING)
    return give_list(out, VALUE_GENERATOR, list);
  struct jinja_string t, nothing = {.bytes = ""};
  return jinja_join(run, &t, list, &nothing) && jinja_string_value(run, out, t);
}

static bool filter_join(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_list *list;
  struct jinja_string separator = {.bytes = ""}, t;
  if ((b->given[0] && !jinja_str(run, &separator, &b->item[0])) || !copy(run, &list, in))
    return false;
  separator.safe = false;
  for (size_t i = 0; b->given[1] && i < list->count; i++)
    if (!member(run, &list->items[i], list->items[i], &b->item[1], NULL))
      return false;
  return jinja_join(run, &t, list, &separator) && jinja_string_value(run, out, t);
}

static bool entries(struct jinja_run *run, struct jinja_list **out, const struct jinja_value *in) {
  *out = jinja_list_new(run, in->dict->count);
  for (size_t i = 0; *out && i < in->dict->count; i++) {
    struct jinja_value pair;
    if (!jinja_pair(run, &pair, in->dict->entries[i].key, in->dict->entries[i].value) ||
        !jinja_list_add(run, *out, pair))
      return false;
  }
  return *out != NULL;
}

static bool filter_items(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  struct jinja_list *list;
  (void)b;
  if (in->kind == VALUE_UNDEFINED)
    return give_list(out, VALUE_GENERATOR, jinja_list_new(run, 0));
  if (in->kind != VALUE_DICT)
    return jinja_wrong(run, "Can only get item pairs from a mapping.");
  return entries(run, &list, in) && give_list(out, VALUE_GENERATOR, list);
}

/* --- order ---------------------------------------------------------------------------------------- */

struct keyed {
  struct jinja_value key, item;
};

/* Merges two sorted runs; of equal keys the left one comes first. */
static bool merge(struct jinja_run *run, struct keyed *to, const struct keyed *a, size_t a_count, const struct keyed *b,
                  size_t b_count, bool reverse) {
  size_t i = 0, k = 0;
  while (i < a_count && k < b_count) {
    int order;
    if (!jinja_order(run, &order, &b[k].key, &a[i].key, "<"))
      return false;
    bool right = reverse ? order > 0 : order < 0;
    to[i + k] = right ? b[k] : a[i];
    k += right;
    i += !right;
  }
  if (i < a_count)
    memcpy(to + i + k, a + i, (a_count - i) * sizeof *a);
  if (k < b_count)
    memcpy(to + i + k, b + k, (b_count - k) * sizeof *b);
  return true;
}

/* Stable, in place. */
static bool sort(struct jinja_run *run, struct keyed *items, size_t count, bool reverse) {
  struct keyed *other = jinja_alloc(run, count, sizeof *other);
  if (!other)
    return false;
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t at = 0; at < count; at += 2 * width) {
      size_t left = count - at < width ? count - at : width,
             right = count - at - left < width ? count - at - left : width;
      if (!merge(run, other + at, items + at, left, items + at + left, right, reverse))
        return false;
    }
    memcpy(items, other, count * sizeof *items);
  }
  return true;
}

/* The items of `list` in the order of their member `path`. */
static bool sort_list(struct jinja_run *run, struct jinja_list *list, const struct jinja_value *path,
                      bool case_sensitive, bool reverse) {
  struct keyed *items = jinja_alloc(run, list->count, sizeof *items);
  if (!items)
    return false;
  for (size_t i = 0; i < list->count; i++) {
    items[i].item = list->items[i];
    if (!member(run, &items[i].key, list->items[i], path, NULL) || !comparable(run, &items[i].key, case_sensitive))
      return false;
  }
  if (!sort(run, items, list->count, reverse))
    return false;
  for (size_t i = 0; i < list->count; i++)
    list->items[i] = items[i].item;
  return true;
}

static bool filter_sort(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  struct jinja_list *list;
  const struct jinja_value *path = b->given[2] ? &b->item[2] : NULL;
  if (path && path->kind == VALUE_STRING && memchr(path->text->bytes, ',', path->text->length))
    return jinja_unsupported(run, "sorting by several attributes is not supported");
  return copy(run, &list, in) && sort_list(run, list, path, jinja_arg_bool(b, 1, false), jinja_arg_bool(b, 0, false)) &&
         give_list(out, VALUE_LIST, list);
}

static bool filter_dictsort(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                            const struct jinja_bound *b) {
  struct jinja_list *list;
  struct jinja_string by;
  if (in->kind != VALUE_DICT)
    return jinja_wrong(run, "'%s' object has no attribute 'items'", jinja_type(in));
  if (!jinja_arg_text(run, &by, b, 1, "key"))
    return false;
  if (!jinja_is(&by, "key") && !jinja_is(&by, "value"))
    return jinja_wrong(run, "You can only sort by either \"key\" or \"value\"");
  struct jinja_value index = jinja_int(jinja_is(&by, "value"));
  return entries(run, &list, in) &&
         sort_list(run, list, &index, jinja_arg_bool(b, 0, false), jinja_arg_bool(b, 2, false)) &&
         give_list(out, VALUE_LIST, list);
}

static bool filter_unique(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  const struct jinja_list *items;
  struct jinja_list *keys = jinja_list_new(run, 4), *list = jinja_list_new(run, 4);
  if (!keys || !list || !jinja_items(run, &items, in))
    return false;
  for (size_t i = 0; i < items->count; i++) {
    struct jinja_value key;
    bool seen = false;
    if (!member(run, &key, items->items[i], b->given[1] ? &b->item[1] : NULL, NULL) ||
        !comparable(run, &key, jinja_arg_bool(b, 0, false)))
      return false;
    for (size_t k = 0; !seen && k < keys->count; k++)
      if (!jinja_equal(run, &seen, &keys->items[k], &key))
        return false;
    if (!seen && (!jinja_list_add(run, keys, key) || !jinja_list_add(run, list, items->items[i])))
      return false;
  }
  return give_list(out, VALUE_GENERATOR, list);
}

static bool extreme(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                    const struct jinja_bound *b, int sign) {
  const struct jinja_list *items;
  struct jinja_value best = {0}, key;
  *out = (struct jinja_value){.hint = "No aggregated item, sequence was empty."};
  if (!jinja_items(run, &items, in))
    return false;
  for (size_t i = 0; i < items->count; i++) {
    int order = sign;
    if (!member(run, &key, items->items[i], b->given[1] ? &b->item[1] : NULL, NULL) ||
        !comparable(run, &key, jinja_arg_bool(b, 0, false)) ||
        (i && !jinja_order(run, &order, &key, &best, sign < 0 ? "<" : ">")))
      return false;
    if (i && (sign < 0 ? order >= 0 : order <= 0))
      continue;
    best = key;
    *out = items->items[i];
  }
  return true;
}

static bool filter_min(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return extreme(run, out, in, b, -1);
}

static bool filter_max(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  return extreme(run, out, in, b, 1);
}

static bool filter_sum(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  const struct jinja_list *items;
  struct jinja_value sum = b->given[1] ? b->item[1] : jinja_int(0), v;
  if (sum.kind == VALUE_STRING)
    return jinja_wrong(run, "sum() can't sum strings [use ''.join(seq) instead]");
  if (!jinja_items(run, &items, in))
    return false;
  for (size_t i = 0; i < items->count; i++)
    if (!member(run, &v, items->items[i], b->given[0] ? &b->item[0] : NULL, NULL) ||
        !jinja_binary(run, &sum, '+', &sum, &v))
      return false;
  *out = sum;
  return true;
}

static bool filter_batch(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_bound *b) {
  const struct jinja_list *items;
  struct jinja_list *all = jinja_list_new(run, 4), *part = NULL;
  int64_t width;
  if (!all || !jinja_items(run, &items, in) || !jinja_arg_int(run, &width, b, 0, 1))
    return false;
  if (width < 1)
    return jinja_unsupported(run, "batches of %lld are not supported", (long long)width);
  for (size_t i = 0; i < items->count; i++) {
    if (i % (uint64_t)width == 0 && (!(part = jinja_list_new(run, 4)) ||
                                     !jinja_list_add(run, all, (struct jinja_value){.kind = VALUE_LIST, .list = part})))
      return false;
    if (!jinja_list_add(run, part, items->items[i]))
      return false;
  }
  bool fill = b->given[1] && b->item[1].kind != VALUE_NONE && part;
  while (fill && part->count < (uint64_t)width)
    if (!jinja_list_add(run, part, b->item[1]))
      return false;
  return give_list(out, VALUE_GENERATOR, all);
}

/* --- map, select, reject -------------------------------------------------------------------------- */

static const struct jinja_value *named(const struct jinja_arguments *all, const char *name) {
  for (size_t i = 0; i < all->named_count; i++)
    if (jinja_is(&all->named[i].name, name))
      return &all->named[i].value;
  return NULL;
}

/* The builtin that argument `at` names, and the arguments after it. */
static bool named_builtin(struct jinja_run *run, const struct jinja_builtin **out, struct jinja_arguments *rest,
                          const struct jinja_arguments *all, size_t at, const char *what,
                          const struct jinja_builtin *(*find)(const struct jinja_string *name)) {
  const struct jinja_value *name = &all->items[at];
  if (name->kind != VALUE_STRING)
    return jinja_wrong(run, "the name of a %s must be str, not %s", what, jinja_type(name));
  *out = find(name->text);
  *rest = (struct jinja_arguments){all->items + at + 1, all->count - at - 1, all->named, all->named_count};
  return *out || jinja_unsupported(run, "the %s \"%.*s\" is not supported", what,
                                   name->text->length > 60 ? 60 : (int)name->text->length, name->text->bytes);
}

/* As in Jinja, what is false has no items to map or to choose from. */
static bool items_if_any(struct jinja_run *run, const struct jinja_list **out, const struct jinja_value *in) {
  static const struct jinja_list nothing = {0};
  *out = &nothing;
  return !jinja_truth(in) || jinja_items(run, out, in);
}

static bool filter_map(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  const struct jinja_arguments *all = b->all;
  const struct jinja_value *path = all->count ? NULL : named(all, "attribute"), *fallback = named(all, "default");
  const struct jinja_builtin *filter = NULL;
  struct jinja_arguments rest;
  const struct jinja_list *items;
  struct jinja_list *list = jinja_list_new(run, 4);
  if (!path && !all->count)
    return jinja_wrong(run, "map requires a filter argument");
  if (!list || (!path && !named_builtin(run, &filter, &rest, all, 0, "filter", jinja_find_filter)) ||
      !items_if_any(run, &items, in))
    return false;
  for (size_t i = 0; i < items->count; i++) {
    struct jinja_value v;
    if (path ? !member(run, &v, items->items[i], path, fallback)
             : !jinja_call_builtin(run, &v, filter, &items->items[i], &rest))
      return false;
    if (!jinja_list_add(run, list, v))
      return false;
  }
  return give_list(out, VALUE_GENERATOR, list);
}

/* Keeps the items whose test (their truth when there is none) is `want`; by attribute, the first
   argument names it. */
static bool choose(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                   const struct jinja_bound *b, bool by_attribute, bool want) {
  const struct jinja_arguments *all = b->all;
  const struct jinja_builtin *test = NULL;
  struct jinja_arguments rest;
  const struct jinja_list *items;
  struct jinja_list *list = jinja_list_new(run, 4);
  if (by_attribute && !all->count)
    return jinja_wrong(run, "Missing parameter for attribute name");
  if (!list || (all->count > by_attribute &&
                !named_builtin(run, &test, &rest, all, by_attribute, "test", jinja_find_test)) ||
      !items_if_any(run, &items, in))
    return false;
  for (size_t i = 0; i < items->count; i++) {
    struct jinja_value v, holds;
    if (!member(run, &v, items->items[i], by_attribute ? &all->items[0] : NULL, NULL))
      return false;
    holds = v;
    if (test && !jinja_call_builtin(run, &holds, test, &v, &rest))
      return false;
    if (jinja_truth(&holds) == want && !jinja_list_add(run, list, items->items[i]))
      return false;
  }
  return give_list(out, VALUE_GENERATOR, list);
}

static bool filter_select(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  return choose(run, out, in, b, false, true);
}

static bool filter_reject(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                          const struct jinja_bound *b) {
  return choose(run, out, in, b, false, false);
}

static bool filter_selectattr(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                              const struct jinja_bound *b) {
  return choose(run, out, in, b, true, true);
}

static bool filter_rejectattr(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                              const struct jinja_bound *b) {
  return choose(run, out, in, b, true, false);
}

const struct jinja_builtin *jinja_find_list_filter(const struct jinja_string *name) {
  static const struct jinja_builtin filters[] = {
      {"batch", "linecount fill_with", 1, filter_batch},
      {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
      {"first", "", 0, filter_first},
      {"items", "", 0, filter_items},
      {"join", "d attribute", 0, filter_join},
      {"last", "", 0, filter_last},
      {"list", "", 0, filter_list},
      {"map", "*", 0, filter_map},
      {"max", "case_sensitive attribute", 0, filter_max},
      {"min", "case_sensitive attribute", 0, filter_min},
      {"reject", "*", 0, filter_reject},
      {"rejectattr", "*", 0, filter_rejectattr},
      {"reverse", "", 0, filter_reverse},
      {"select", "*", 0, filter_select},
      {"selectattr", "*", 0, filter_selectattr},
      {"sort", "reverse case_sensitive attribute", 0, filter_sort},
      {"sum", "attribute start", 0, filter_sum},
      {"unique", "case_sensitive attribute", 0, filter_unique},
  };
  return jinja_find_row(filters, COUNT_OF(filters), name);
}
