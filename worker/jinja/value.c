/* Lists, dicts, truth, equality and order of values; texts in the making. */
#include "worker/jinja/value.h"

#include <math.h>
#include <string.h>

#include "worker/jinja/run.h"
#include "worker/text/unicode.h"

struct jinja_string jinja_literal(const char *text) {
  return (struct jinja_string){.bytes = text, .length = strlen(text)};
}

bool jinja_is(const struct jinja_string *t, const char *literal) {
  return strlen(literal) == t->length && memcmp(t->bytes, literal, t->length) == 0;
}

bool jinja_same(const struct jinja_string *a, const struct jinja_string *b) {
  return a->length == b->length && (!a->length || memcmp(a->bytes, b->bytes, a->length) == 0);
}

bool jinja_string_value(struct jinja_run *run, struct jinja_value *out, struct jinja_string text) {
  struct jinja_string *copy = jinja_alloc(run, 1, sizeof *copy);
  if (!copy)
    return false;
  *copy = text;
  *out = (struct jinja_value){.kind = VALUE_STRING, .text = copy};
  return true;
}

/* --- lists and dicts ------------------------------------------------------------------------------ */

struct jinja_list *jinja_list_new(struct jinja_run *run, size_t size) {
  struct jinja_list *list = jinja_alloc(run, 1, sizeof *list);
  if (!list)
    return NULL;
  list->size = size ? size : 1;
  list->items = jinja_alloc(run, list->size, sizeof *list->items);
  return list->items ? list : NULL;
}

bool jinja_list_add(struct jinja_run *run, struct jinja_list *list, struct jinja_value item) {
  if (list->count == list->size) {
    struct jinja_value *items = jinja_alloc(run, list->size * 2, sizeof *items);
    if (!items)
      return false;
    memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    list->size *= 2;
  }
  list->items[list->count++] = item;
  return jinja_spend(run, 1);
}

bool jinja_pair(struct jinja_run *run, struct jinja_value *out, struct jinja_value a, struct jinja_value b) {
  struct jinja_list *list = jinja_list_new(run, 2);
  if (!list || !jinja_list_add(run, list, a) || !jinja_list_add(run, list, b))
    return false;
  *out = (struct jinja_value){.kind = VALUE_TUPLE, .list = list};
  return true;
}

struct jinja_dict *jinja_dict_new(struct jinja_run *run, size_t size) {
  struct jinja_dict *dict = jinja_alloc(run, 1, sizeof *dict);
  if (!dict)
    return NULL;
  dict->size = size ? size : 1;
  dict->entries = jinja_alloc(run, dict->size, sizeof *dict->entries);
  return dict->entries ? dict : NULL;
}

bool jinja_dict_find_text(struct jinja_run *run, struct jinja_entry **out, const struct jinja_dict *dict,
                          const struct jinja_string *key) {
  *out = NULL;
  for (size_t i = 0; i < dict->count; i++)
    if (dict->entries[i].key.kind == VALUE_STRING && jinja_same(dict->entries[i].key.text, key)) {
      *out = &dict->entries[i];
      break;
    }
  return jinja_spend(run, dict->count / 8);
}

bool jinja_dict_find(struct jinja_run *run, struct jinja_entry **out, const struct jinja_dict *dict,
                     const struct jinja_value *key) {
  *out = NULL;
  if (key->kind == VALUE_STRING)
    return jinja_dict_find_text(run, out, dict, key->text);
  for (size_t i = 0; i < dict->count; i++) {
    bool equal;
    if (!jinja_equal(run, &equal, &dict->entries[i].key, key))
      return false;
    if (equal) {
      *out = &dict->entries[i];
      return true;
    }
  }
  return true;
}

bool jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value) {
  struct jinja_entry *entry;
  if (key.kind == VALUE_LIST || key.kind == VALUE_DICT)
    return jinja_wrong(run, "unhashable type: '%s'", jinja_type(&key));
  if (!jinja_dict_find(run, &entry, dict, &key))
    return false;
  if (entry) {
    entry->value = value;
    return true;
  }
  if (dict->count == dict->size) {
    struct jinja_entry *entries = jinja_alloc(run, dict->size * 2, sizeof *entries);
    if (!entries)
      return false;
    memcpy(entries, dict->entries, dict->count * sizeof *entries);
    dict->entries = entries;
    dict->size *= 2;
  }
  dict->entries[dict->count++] = (struct jinja_entry){key, value};
  return true;
}

/* --- questions ------------------------------------------------------------------------------------ */

const char *jinja_type(const struct jinja_value *v) {
  switch (v->kind) {
  case VALUE_UNDEFINED: return "Undefined";
  case VALUE_NONE: return "NoneType";
  case VALUE_BOOL: return "bool";
  case VALUE_INT: return "int";
  case VALUE_FLOAT: return "float";
  case VALUE_STRING: return v->text->safe ? "Markup" : "str";
  case VALUE_LIST: return "list";
  case VALUE_TUPLE: return "tuple";
  case VALUE_GENERATOR: return "generator";
  case VALUE_DICT: return "dict";
  case VALUE_NAMESPACE: return "Namespace";
  case VALUE_LOOP: return "LoopContext";
  case VALUE_MACRO: return "Macro";
  case VALUE_FUNCTION: return "function";
  case VALUE_METHOD: return "builtin_function_or_method";
  }
  CHECK(!"a kind of value");
}

bool jinja_is_number(const struct jinja_value *v) {
  return v->kind == VALUE_BOOL || v->kind == VALUE_INT || v->kind == VALUE_FLOAT;
}

double jinja_real(const struct jinja_value *v) {
  return v->kind == VALUE_FLOAT ? v->real : v->kind == VALUE_BOOL ? (double)v->boolean : (double)v->integer;
}

bool jinja_truth(const struct jinja_value *v) {
  switch (v->kind) {
  case VALUE_UNDEFINED:
  case VALUE_NONE: return false;
  case VALUE_BOOL: return v->boolean;
  case VALUE_INT: return v->integer != 0;
  case VALUE_FLOAT: return v->real != 0.0;
  case VALUE_STRING: return v->text->length > 0;
  case VALUE_LIST:
  case VALUE_TUPLE: return v->list->count > 0;
  case VALUE_DICT: return v->dict->count > 0;
  case VALUE_LOOP: return v->loop->items->count > 0;
  case VALUE_GENERATOR:
  case VALUE_NAMESPACE:
  case VALUE_MACRO:
  case VALUE_FUNCTION:
  case VALUE_METHOD: return true;
  }
  CHECK(!"a kind of value");
}

static int64_t whole(const struct jinja_value *v) {
  return v->kind == VALUE_BOOL ? v->boolean : v->integer;
}

static bool lists_equal(struct jinja_run *run, bool *out, const struct jinja_list *a, const struct jinja_list *b) {
  *out = a->count == b->count;
  for (size_t i = 0; *out && i < a->count; i++)
    if (!jinja_equal(run, out, &a->items[i], &b->items[i]))
      return false;
  return true;
}

static bool dicts_equal(struct jinja_run *run, bool *out, const struct jinja_dict *a, const struct jinja_dict *b) {
  *out = a->count == b->count;
  for (size_t i = 0; *out && i < a->count; i++) {
    struct jinja_entry *other;
    if (!jinja_dict_find(run, &other, b, &a->entries[i].key))
      return false;
    *out = other != NULL;
    if (other && !jinja_equal(run, out, &a->entries[i].value, &other->value))
      return false;
  }
  return true;
}

bool jinja_equal(struct jinja_run *run, bool *out, const struct jinja_value *a, const struct jinja_value *b) {
  if (!jinja_spend(run, 1))
    return false;
  if (jinja_is_number(a) && jinja_is_number(b)) {
    bool real = a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT;
    *out = real ? jinja_real(a) == jinja_real(b) : whole(a) == whole(b);
    return true;
  }
  *out = false;
  if (a->kind == VALUE_NONE || b->kind == VALUE_NONE) {
    *out = jinja_is_none(a) && jinja_is_none(b);
    return true;
  }
  if (a->kind != b->kind)
    return true;
  switch (a->kind) {
  case VALUE_UNDEFINED:
  case VALUE_NONE: *out = true; return true;
  case VALUE_STRING:
    *out = jinja_same(a->text, b->text);
    return a->text->length != b->text->length || jinja_spend_bytes(run, a->text->length);
  case VALUE_LIST:
  case VALUE_TUPLE:
    if (!jinja_enter(run) || !lists_equal(run, out, a->list, b->list))
      return false;
    jinja_leave(run);
    return true;
  case VALUE_DICT:
    if (!jinja_enter(run) || !dicts_equal(run, out, a->dict, b->dict))
      return false;
    jinja_leave(run);
    return true;
  case VALUE_GENERATOR: *out = a->list == b->list; return true;
  case VALUE_NAMESPACE: *out = a->dict == b->dict; return true;
  case VALUE_LOOP: *out = a->loop == b->loop; return true;
  case VALUE_MACRO: *out = a->macro == b->macro; return true;
  case VALUE_FUNCTION: *out = a->function == b->function; return true;
  case VALUE_METHOD: *out = a->method == b->method; return true;
  case VALUE_BOOL:
  case VALUE_INT:
  case VALUE_FLOAT: break;
  }
  CHECK(!"numbers were compared before");
}

static bool lists_order(struct jinja_run *run, int *out, const struct jinja_list *a, const struct jinja_list *b,
                        const char *op) {
  for (size_t i = 0; i < a->count && i < b->count; i++) {
    bool equal;
    if (!jinja_equal(run, &equal, &a->items[i], &b->items[i]))
      return false;
    if (!equal)
      return jinja_order(run, out, &a->items[i], &b->items[i], op);
  }
  *out = (a->count > b->count) - (a->count < b->count);
  return true;
}

bool jinja_order(struct jinja_run *run, int *out, const struct jinja_value *a, const struct jinja_value *b,
                 const char *op) {
  if (!jinja_spend(run, 1))
    return false;
  if (a->kind == VALUE_UNDEFINED || b->kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", a->kind == VALUE_UNDEFINED ? a->hint : b->hint);
  if (jinja_is_number(a) && jinja_is_number(b)) {
    double x = jinja_real(a), y = jinja_real(b);
    bool real = a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT;
    *out = real ? (x > y) - (x < y) : (whole(a) > whole(b)) - (whole(a) < whole(b));
    return true;
  }
  if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
    size_t least = a->text->length < b->text->length ? a->text->length : b->text->length;
    int order = least ? memcmp(a->text->bytes, b->text->bytes, least) : 0;
    *out = order ? order : (a->text->length > b->text->length) - (a->text->length < b->text->length);
    return jinja_spend_bytes(run, least);
  }
  if (a->kind == b->kind && (a->kind == VALUE_LIST || a->kind == VALUE_TUPLE)) {
    if (!jinja_enter(run) || !lists_order(run, out, a->list, b->list, op))
      return false;
    jinja_leave(run);
    return true;
  }
  return jinja_wrong(run, "'%s' not supported between instances of '%s' and '%s'", op, jinja_type(a), jinja_type(b));
}

static bool characters(struct jinja_run *run, struct jinja_list **out, const struct jinja_string *t) {
  *out = jinja_list_new(run, t->length);
  for (size_t i = 0, length; *out && i < t->length; i += length) {
    struct jinja_value c;
    utf8_decode(t->bytes + i, &length);
    if (!jinja_string_value(run, &c, jinja_cut(t, i, i + length)) || !jinja_list_add(run, *out, c))
      return false;
  }
  return *out != NULL;
}

bool jinja_items(struct jinja_run *run, const struct jinja_list **out, const struct jinja_value *v) {
  static const struct jinja_list nothing = {0};
  struct jinja_list *list = NULL;
  *out = &nothing;
  switch (v->kind) {
  case VALUE_UNDEFINED: return true;
  case VALUE_LIST:
  case VALUE_TUPLE: *out = v->list; return true;
  case VALUE_GENERATOR:
    if (!v->list->exhausted)
      *out = v->list;
    v->list->exhausted = true;
    return true;
  case VALUE_STRING:
    if (!characters(run, &list, v->text))
      return false;
    *out = list;
    return true;
  case VALUE_DICT:
    list = jinja_list_new(run, v->dict->count);
    for (size_t i = 0; list && i < v->dict->count; i++)
      if (!jinja_list_add(run, list, v->dict->entries[i].key))
        return false;
    *out = list;
    return list != NULL;
  case VALUE_NONE:
  case VALUE_BOOL:
  case VALUE_INT:
  case VALUE_FLOAT:
  case VALUE_NAMESPACE:
  case VALUE_LOOP:
  case VALUE_MACRO:
  case VALUE_FUNCTION:
  case VALUE_METHOD: break;
  }
  return jinja_wrong(run, "'%s' object is not iterable", jinja_type(v));
}

bool jinja_length(struct jinja_run *run, size_t *out, const struct jinja_value *v) {
  if (v->kind == VALUE_STRING) {
    *out = jinja_characters(v->text);
    return jinja_spend_bytes(run, v->text->length);
  }
  if (v->kind == VALUE_LIST || v->kind == VALUE_TUPLE)
    *out = v->list->count;
  else if (v->kind == VALUE_DICT)
    *out = v->dict->count;
  else if (v->kind == VALUE_LOOP)
    *out = v->loop->items->count;
  else if (v->kind == VALUE_UNDEFINED)
    *out = 0;
  else
    return jinja_wrong(run, "object of type '%s' has no len()", jinja_type(v));
  return true;
}

/* --- texts in the making -------------------------------------------------------------------------- */

static bool make_room(struct jinja_run *run, struct jinja_builder *b, size_t more) {
  if (more <= b->size - b->length)
    return true;
  if (more > JINJA_STRING_MAX || b->length > JINJA_STRING_MAX - more)
    return jinja_unsupported(run, "the text is longer than %d bytes", JINJA_STRING_MAX);
  size_t size = b->size ? b->size * 2 : 64;
  if (size < b->length + more)
    size = b->length + more;
  char *bytes = jinja_alloc(run, size, 1);
  uint32_t *origins = bytes && b->origins ? jinja_alloc(run, size, sizeof *origins) : NULL;
  if (!bytes || (b->origins && !origins))
    return false;
  if (b->length) {
    memcpy(bytes, b->bytes, b->length);
    if (origins)
      memcpy(origins, b->origins, b->length * sizeof *origins);
  }
  *b = (struct jinja_builder){
      .bytes = bytes, .origins = origins, .length = b->length, .size = size, .origin = b->origin};
  return true;
}

/* From one origin for all to one for each byte. */
static bool spread(struct jinja_run *run, struct jinja_builder *b) {
  b->origins = jinja_alloc(run, b->size, sizeof *b->origins);
  for (size_t i = 0; b->origins && i < b->length; i++)
    b->origins[i] = b->origin;
  return b->origins != NULL;
}

bool jinja_add(struct jinja_run *run, struct jinja_builder *b, const struct jinja_string *t) {
  if (!t->length)
    return true;
  if (!jinja_spend_bytes(run, t->length) || !make_room(run, b, t->length))
    return false;
  if (!b->length && !b->origins && !t->origins)
    b->origin = t->origin;
  if (!b->origins && (t->origins || t->origin != b->origin) && !spread(run, b))
    return false;
  memcpy(b->bytes + b->length, t->bytes, t->length);
  for (size_t i = 0; b->origins && i < t->length; i++)
    b->origins[b->length + i] = jinja_origin(t, i);
  b->length += t->length;
  return true;
}

bool jinja_add_bytes(struct jinja_run *run, struct jinja_builder *b, const char *bytes, size_t count, uint32_t origin) {
  struct jinja_string t = {.bytes = bytes, .length = count, .origin = origin};
  return jinja_add(run, b, &t);
}

bool jinja_puts(struct jinja_run *run, struct jinja_builder *b, const char *text) {
  return jinja_add_bytes(run, b, text, strlen(text), 0);
}

struct jinja_string jinja_built(const struct jinja_builder *b) {
  return (struct jinja_string){
      .bytes = b->bytes ? b->bytes : "", .length = b->length, .origins = b->origins, .origin = b->origin};
}
