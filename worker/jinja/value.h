/* The values of a template: Python's None, bool, int, float, str, list, tuple and dict as far as
   templates see them. All live in the arena of the run (constants: of the template) and are never
   changed once made, except namespaces and the state of generators. */
#ifndef WORKER_JINJA_VALUE_H
#define WORKER_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* A string with provenance: each byte has an origin, which follows it through whatever a template does to it. 0 is the
   template itself, every other number has the meaning that the caller gives it. The highest bit is set by
   {% generation %}, whatever the rest. */
#define JINJA_GENERATED 0x80000000u

struct jinja_string {
  const char *bytes; /* UTF-8, not NUL-terminated */
  size_t length;
  const uint32_t *origins; /* one a byte; NULL: `origin` is every byte's */
  uint32_t origin;
  bool safe; /* Jinja's Markup: + escapes what it joins to it */
  bool null; /* an empty string that `is none` too, for what may be null or empty. Templates which know null take
                their branch for it, and all others print nothing instead of "None". */
};

enum jinja_value_kind {
  VALUE_UNDEFINED, VALUE_NONE, VALUE_BOOL, VALUE_INT, VALUE_FLOAT, VALUE_STRING, VALUE_LIST, VALUE_TUPLE,
  VALUE_GENERATOR, VALUE_DICT, VALUE_NAMESPACE, VALUE_LOOP, VALUE_MACRO, VALUE_FUNCTION, VALUE_METHOD
};

struct jinja_value {
  enum jinja_value_kind kind;
  union {
    const char *hint; /* UNDEFINED: what a use of it would say */
    bool boolean;
    int64_t integer;
    double real;
    const struct jinja_string *text;
    struct jinja_list *list; /* LIST, TUPLE, GENERATOR */
    struct jinja_dict *dict; /* DICT, NAMESPACE */
    const struct jinja_loop *loop;
    const struct jinja_macro *macro;
    const struct jinja_builtin *function;
    const struct jinja_method *method;
  };
};

struct jinja_list {
  struct jinja_value *items;
  size_t count, size;
  bool exhausted; /* GENERATOR: it gives its items once */
};

struct jinja_entry {
  struct jinja_value key, value;
};

struct jinja_dict {
  struct jinja_entry *entries; /* in order of insertion, keys unique */
  size_t count, size;
  uint32_t origin;  /* 0: none; else what a loop's body writes for this item is recorded (struct jinja_loop_span) */
  bool prints_json; /* str() of it is JSON instead of Python's repr */
};

struct jinja_run;

static inline struct jinja_value jinja_none(void) {
  return (struct jinja_value){.kind = VALUE_NONE};
}
static inline struct jinja_value jinja_bool(bool b) {
  return (struct jinja_value){.kind = VALUE_BOOL, .boolean = b};
}
static inline struct jinja_value jinja_int(int64_t i) {
  return (struct jinja_value){.kind = VALUE_INT, .integer = i};
}
static inline struct jinja_value jinja_float(double d) {
  return (struct jinja_value){.kind = VALUE_FLOAT, .real = d};
}
static inline bool jinja_is_none(const struct jinja_value *v) {
  return v->kind == VALUE_NONE || (v->kind == VALUE_STRING && v->text->null);
}
static inline uint32_t jinja_origin(const struct jinja_string *t, size_t i) {
  return t->origins ? t->origins[i] : t->origin;
}
/* Bytes begin .. end of `t`, which they share. */
static inline struct jinja_string jinja_cut(const struct jinja_string *t, size_t begin, size_t end) {
  struct jinja_string out = *t;
  out.bytes += begin;
  out.length = end - begin;
  out.null = false;
  if (out.origins)
    out.origins += begin;
  return out;
}
/* Of a C string that outlives its use. */
struct jinja_string jinja_literal(const char *text);
bool jinja_is(const struct jinja_string *t, const char *literal);
bool jinja_same(const struct jinja_string *a, const struct jinja_string *b);

/* What follows fails (false) only for memory, steps or a Python TypeError; the run has the error. */
bool jinja_string_value(struct jinja_run *run, struct jinja_value *out, struct jinja_string text);
struct jinja_list *jinja_list_new(struct jinja_run *run, size_t size);
bool jinja_list_add(struct jinja_run *run, struct jinja_list *list, struct jinja_value item);
bool jinja_pair(struct jinja_run *run, struct jinja_value *out, struct jinja_value a, struct jinja_value b);
struct jinja_dict *jinja_dict_new(struct jinja_run *run, size_t size);
/* Sets or adds. */
bool jinja_dict_set(struct jinja_run *run, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value);
/* *out NULL when there is no such key. */
bool jinja_dict_find(struct jinja_run *run, struct jinja_entry **out, const struct jinja_dict *dict,
                     const struct jinja_value *key);
bool jinja_dict_find_text(struct jinja_run *run, struct jinja_entry **out, const struct jinja_dict *dict,
                          const struct jinja_string *key);

/* A number that arithmetic takes: bool, int or float. */
bool jinja_is_number(const struct jinja_value *v);
double jinja_real(const struct jinja_value *v);
bool jinja_truth(const struct jinja_value *v);
bool jinja_equal(struct jinja_run *run, bool *out, const struct jinja_value *a, const struct jinja_value *b);
/* *out < 0, 0, > 0; `op` is for the error. Numbers, strings, lists and tuples have an order. */
bool jinja_order(struct jinja_run *run, int *out, const struct jinja_value *a, const struct jinja_value *b,
                 const char *op);
/* What a for loop would see: the items, a dict's keys, a string's characters. */
bool jinja_items(struct jinja_run *run, const struct jinja_list **out, const struct jinja_value *v);
bool jinja_length(struct jinja_run *run, size_t *out, const struct jinja_value *v);
/* Python's name of the type. */
const char *jinja_type(const struct jinja_value *v);

/* A string under construction. */
struct jinja_builder {
  char *bytes;
  uint32_t *origins; /* NULL: all are `origin` */
  size_t length, size;
  uint32_t origin;
};
bool jinja_add(struct jinja_run *run, struct jinja_builder *build, const struct jinja_string *text);
/* `count` bytes of the template's own, or of another origin. */
bool jinja_add_bytes(struct jinja_run *run, struct jinja_builder *build, const char *bytes, size_t count,
                     uint32_t origin);
bool jinja_puts(struct jinja_run *run, struct jinja_builder *build, const char *text);
struct jinja_string jinja_built(const struct jinja_builder *build);

/* str() and repr() of a value, and json.dumps. */
bool jinja_print(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v);
bool jinja_repr(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v);
/* Of a dict that prints as JSON. */
bool jinja_print_json(struct jinja_run *run, struct jinja_builder *out, const struct jinja_dict *dict);
/* str() as a text: without a copy if it is a string. */
bool jinja_str(struct jinja_run *run, struct jinja_string *out, const struct jinja_value *v);

struct jinja_json_style {
  bool ascii, sort;
  bool lines;          /* an indent was given */
  struct jinja_string indent;
  struct jinja_string item_separator, key_separator;
};
bool jinja_json(struct jinja_run *run, struct jinja_builder *out, const struct jinja_value *v,
                const struct jinja_json_style *style);

#endif
