/* What a dot and brackets give: dict members, methods, items, slices, loop.index ... As in Jinja, x.y
   looks for a method first and x['y'] for a member first, and what is not there is undefined. */
#include <string.h>

#include "worker/jinja/run.h"

static bool undefined(struct jinja_run *run, struct jinja_value *out, const char *type,
                      const struct jinja_string *name) {
  char *hint = arena_format(&run->arena, "'%s object' has no attribute '%.*s'", type,
                            name->length > 80 ? 80 : (int)name->length, name->bytes);
  *out = (struct jinja_value){.kind = VALUE_UNDEFINED, .hint = hint};
  return hint || jinja_unsupported(run, "the template needs more than %d MiB", JINJA_MEMORY_MAX >> 20);
}

static bool loop_attribute(struct jinja_run *run, struct jinja_value *out, const struct jinja_loop *loop,
                           const struct jinja_string *name) {
  size_t count = loop->items->count, i = loop->index;
  if (jinja_is(name, "index"))
    *out = jinja_int((int64_t)i + 1);
  else if (jinja_is(name, "index0"))
    *out = jinja_int((int64_t)i);
  else if (jinja_is(name, "revindex"))
    *out = jinja_int((int64_t)(count - i));
  else if (jinja_is(name, "revindex0"))
    *out = jinja_int((int64_t)(count - i) - 1);
  else if (jinja_is(name, "first"))
    *out = jinja_bool(i == 0);
  else if (jinja_is(name, "last"))
    *out = jinja_bool(i + 1 == count);
  else if (jinja_is(name, "length"))
    *out = jinja_int((int64_t)count);
  else if (jinja_is(name, "depth"))
    *out = jinja_int(1);
  else if (jinja_is(name, "depth0"))
    *out = jinja_int(0);
  else if (jinja_is(name, "previtem") && i > 0)
    *out = loop->items->items[i - 1];
  else if (jinja_is(name, "nextitem") && i + 1 < count)
    *out = loop->items->items[i + 1];
  else if (jinja_is(name, "previtem") || jinja_is(name, "nextitem"))
    *out = (struct jinja_value){.hint =
                                    jinja_is(name, "previtem") ? "there is no previous item" : "there is no next item"};
  else if (jinja_is(name, "changed"))
    return jinja_unsupported(run, "loop.changed is not supported");
  else
    return undefined(run, out, "LoopContext", name);
  return true;
}

static bool method(struct jinja_run *run, struct jinja_value *out, bool *found, const struct jinja_value *object,
                   const struct jinja_string *name) {
  const struct jinja_builtin *builtin = jinja_find_method(object->kind, name);
  *found = builtin != NULL;
  if (!builtin)
    return true;
  struct jinja_method *bound = jinja_alloc(run, 1, sizeof *bound);
  if (!bound)
    return false;
  *bound = (struct jinja_method){.builtin = builtin, .self = *object};
  *out = (struct jinja_value){.kind = VALUE_METHOD, .method = bound};
  return true;
}

bool jinja_attribute(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                     const struct jinja_string *name) {
  bool found;
  if (object->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", object->hint);
  if (!method(run, out, &found, object, name) || found)
    return found;
  if (object->kind == VALUE_LOOP)
    return loop_attribute(run, out, object->loop, name);
  if (object->kind == VALUE_DICT || object->kind == VALUE_NAMESPACE) {
    struct jinja_entry *entry;
    if (!jinja_dict_find_text(run, &entry, object->dict, name))
      return false;
    if (entry) {
      *out = entry->value;
      return true;
    }
  }
  if (object->kind == VALUE_MACRO)
    return jinja_unsupported(run, "attributes of a macro are not supported");
  return undefined(run, out, jinja_type(object), name);
}

static bool list_item(struct jinja_value *out, const struct jinja_list *list, int64_t index) {
  if (index < 0)
    index += (int64_t)list->count;
  if (index < 0 || (uint64_t)index >= list->count)
    return false;
  *out = list->items[index];
  return true;
}

/* *out stays as it is when there is no such character. */
static bool text_item(struct jinja_run *run, struct jinja_value *out, const struct jinja_string *t, int64_t index) {
  if (!jinja_spend_bytes(run, t->length))
    return false;
  if (index < 0)
    index += (int64_t)jinja_characters(t);
  if (index < 0 || (uint64_t)index >= t->length)
    return true;
  size_t begin = jinja_character_at(t, (size_t)index);
  struct jinja_string rest = jinja_cut(t, begin, t->length);
  return begin == t->length || jinja_string_value(run, out, jinja_cut(t, begin, begin + jinja_character_at(&rest, 1)));
}

bool jinja_item(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                const struct jinja_value *key) {
  bool found;
  *out = (struct jinja_value){.hint = "there is no such item"};
  if (object->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", object->hint);
  if (object->kind == VALUE_DICT) {
    struct jinja_entry *entry;
    if (!jinja_dict_find(run, &entry, object->dict, key))
      return false;
    if (entry) {
      *out = entry->value;
      return true;
    }
  }
  if (key->kind == VALUE_STRING) {
    if (object->kind == VALUE_NAMESPACE || object->kind == VALUE_LOOP)
      return jinja_attribute(run, out, object, key->text);
    if (!method(run, out, &found, object, key->text) || found)
      return found;
    return undefined(run, out, jinja_type(object), key->text);
  }
  if (key->kind != VALUE_INT && key->kind != VALUE_BOOL)
    return true;
  int64_t index = key->kind == VALUE_INT ? key->integer : key->boolean;
  if (object->kind == VALUE_LIST || object->kind == VALUE_TUPLE)
    list_item(out, object->list, index);
  else if (object->kind == VALUE_STRING)
    return text_item(run, out, object->text, index);
  return true;
}

/* --- slices --------------------------------------------------------------------------------------- */

/* A bound of Python's slice of `count` items, clipped to what `step` can reach. */
static bool bound(struct jinja_run *run, int64_t *out, const struct jinja_value *v, int64_t count, int64_t step,
                  bool is_end) {
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
  if (v->kind == VALUE_NONE) {
    *out = (step > 0) == is_end ? high : low;
    return true;
  }
  if (v->kind != VALUE_INT && v->kind != VALUE_BOOL)
    return v->kind == VALUE_UNDEFINED ? jinja_wrong(run, "%s", v->hint)
                                      : jinja_wrong(run, "slice indices must be integers or None");
  int64_t i = v->kind == VALUE_INT ? v->integer : v->boolean;
  if (i < 0)
    i = i < -count ? -count - 1 : i;
  i += i < 0 ? count : 0;
  *out = i < low ? low : i > high ? high : i;
  return true;
}

static bool slice_text(struct jinja_run *run, struct jinja_value *out, const struct jinja_string *t, int64_t from,
                       int64_t to, int64_t step) {
  struct jinja_builder b = {0};
  if (step == 1) {
    size_t begin = jinja_character_at(t, (size_t)from);
    struct jinja_string rest = jinja_cut(t, begin, t->length);
    size_t end = begin + jinja_character_at(&rest, to > from ? (size_t)(to - from) : 0);
    return jinja_string_value(run, out, jinja_cut(t, begin, end));
  }
  const struct jinja_list *all;
  struct jinja_value whole = {.kind = VALUE_STRING, .text = t};
  if (!jinja_items(run, &all, &whole))
    return false;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
    if (!jinja_add(run, &b, all->items[i].text))
      return false;
  struct jinja_string text = jinja_built(&b);
  text.safe = t->safe;
  return jinja_string_value(run, out, text);
}

bool jinja_slice(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                 const struct jinja_value bounds[3]) {
  size_t length;
  int64_t from, to, step = 1;
  if (object->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", object->hint);
  if (object->kind != VALUE_STRING && object->kind != VALUE_LIST && object->kind != VALUE_TUPLE)
    return jinja_wrong(run, "'%s' object is not subscriptable by a slice", jinja_type(object));
  if (!jinja_length(run, &length, object))
    return false;
  if (bounds[2].kind != VALUE_NONE) {
    if (bounds[2].kind != VALUE_INT)
      return jinja_wrong(run, "slice indices must be integers or None");
    step = bounds[2].integer;
    if (step == 0)
      return jinja_wrong(run, "slice step cannot be zero");
    /* A longer step reaches no further than this one. */
    int64_t longest = (int64_t)length + 1;
    step = step > longest ? longest : step < -longest ? -longest : step;
  }
  if (!bound(run, &from, &bounds[0], (int64_t)length, step, false) ||
      !bound(run, &to, &bounds[1], (int64_t)length, step, true))
    return false;
  if (object->kind == VALUE_STRING)
    return slice_text(run, out, object->text, from, to, step);
  struct jinja_list *list = jinja_list_new(run, 4);
  for (int64_t i = from; list && (step > 0 ? i < to : i > to); i += step)
    if (!jinja_list_add(run, list, object->list->items[i]))
      return false;
  *out = (struct jinja_value){.kind = object->kind, .list = list};
  return list != NULL;
}
