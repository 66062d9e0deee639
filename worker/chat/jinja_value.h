/* The values of a template: Python's None, bool, int, float, str, list, tuple and dict as far as
   templates see them. All live in the arena of the run (constants: of the template) and are never
   changed once made, except namespaces and the state of generators. */
#ifndef WORKER_CHAT_JINJA_VALUE_H
#define WORKER_CHAT_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Marks say where a byte came from: 0 the template, else the number of a message, from 1, whose content it is of, or,
   with a bit set, something else of it. MARK_TOOLS is the number of what stands beside the messages. MARK_GENERATED is
   set by {% generation %}, whatever the rest. */
#define MARK_GENERATED 0x80000000u
#define MARK_CALL 0x40000000u      /* of an assistant's tool calls */
#define MARK_REASONING 0x20000000u /* of its reasoning */
#define MARK_NUMBER 0x1FFFFFFFu
#define MARK_TOOLS MARK_NUMBER

struct marked {
  const char *bytes; /* UTF-8, not NUL-terminated */
  size_t length;
  const uint32_t *marks; /* one a byte; NULL: `mark` is every byte's */
  uint32_t mark;
  bool safe; /* Jinja's Markup: + escapes what it joins to it */
  bool null; /* content that is null in the data: an empty text that `is none` too. Templates which know null take
                their branch for it, and all others print nothing instead of "None". */
};

enum value_kind {
  VALUE_UNDEFINED, VALUE_NONE, VALUE_BOOL, VALUE_INT, VALUE_FLOAT, VALUE_STRING, VALUE_LIST, VALUE_TUPLE,
  VALUE_GENERATOR, VALUE_DICT, VALUE_NAMESPACE, VALUE_LOOP, VALUE_MACRO, VALUE_FUNCTION, VALUE_METHOD
};

struct value {
  enum value_kind kind;
  union {
    const char *why; /* UNDEFINED: what a use of it would say */
    bool boolean;
    int64_t integer;
    double real;
    const struct marked *text;
    struct list *list; /* LIST, TUPLE, GENERATOR */
    struct dict *dict; /* DICT, NAMESPACE */
    const struct loop *loop;
    const struct macro *macro;
    const struct builtin *function;
    const struct method *method;
  };
};

struct list {
  struct value *items;
  size_t count, size;
  bool taken; /* GENERATOR: it gives its items once */
};

struct entry {
  struct value key, value;
};

struct dict {
  struct entry *entries; /* in order of insertion, keys unique */
  size_t count, size;
  uint32_t message; /* the number of the message that it is; 0: none */
  bool arguments;   /* of a call: as a text it is JSON, as OpenAI writes it, for templates that do not ask for JSON */
};

struct run;

static inline struct value jinja_none(void) {
  return (struct value){.kind = VALUE_NONE};
}
static inline struct value jinja_bool(bool b) {
  return (struct value){.kind = VALUE_BOOL, .boolean = b};
}
static inline struct value jinja_int(int64_t i) {
  return (struct value){.kind = VALUE_INT, .integer = i};
}
static inline struct value jinja_float(double d) {
  return (struct value){.kind = VALUE_FLOAT, .real = d};
}
static inline bool jinja_is_none(const struct value *v) {
  return v->kind == VALUE_NONE || (v->kind == VALUE_STRING && v->text->null);
}
static inline uint32_t jinja_mark(const struct marked *t, size_t i) {
  return t->marks ? t->marks[i] : t->mark;
}
/* Bytes begin .. end of `t`, which they share. */
static inline struct marked jinja_cut(const struct marked *t, size_t begin, size_t end) {
  struct marked out = *t;
  out.bytes += begin;
  out.length = end - begin;
  out.null = false;
  if (out.marks)
    out.marks += begin;
  return out;
}
/* Of a C string that outlives its use. */
struct marked jinja_literal(const char *text);
bool jinja_is(const struct marked *t, const char *literal);
bool jinja_same(const struct marked *a, const struct marked *b);

/* What follows fails (false) only for memory, steps or a Python TypeError; the run has the error. */
bool jinja_string(struct run *run, struct value *out, struct marked text);
struct list *jinja_list_new(struct run *run, size_t size);
bool jinja_list_add(struct run *run, struct list *list, struct value item);
bool jinja_pair(struct run *run, struct value *out, struct value a, struct value b);
struct dict *jinja_dict_new(struct run *run, size_t size);
/* Sets or adds. */
bool jinja_dict_set(struct run *run, struct dict *dict, struct value key, struct value value);
/* *out NULL when there is no such key. */
bool jinja_dict_find(struct run *run, struct entry **out, const struct dict *dict, const struct value *key);
bool jinja_dict_find_text(struct run *run, struct entry **out, const struct dict *dict, const struct marked *key);

/* A number that arithmetic takes: bool, int or float. */
bool jinja_is_number(const struct value *v);
double jinja_real(const struct value *v);
bool jinja_truth(const struct value *v);
bool jinja_equal(struct run *run, bool *out, const struct value *a, const struct value *b);
/* *out < 0, 0, > 0; `op` is for the error. Numbers, strings, lists and tuples have an order. */
bool jinja_order(struct run *run, int *out, const struct value *a, const struct value *b, const char *op);
/* What a for loop would see: the items, a dict's keys, a string's characters. */
bool jinja_items(struct run *run, const struct list **out, const struct value *v);
bool jinja_length(struct run *run, size_t *out, const struct value *v);
/* Python's name of the type. */
const char *jinja_type(const struct value *v);

/* Texts in the making. */
struct build {
  char *bytes;
  uint32_t *marks; /* NULL: all are `mark` */
  size_t length, size;
  uint32_t mark;
};
bool jinja_add(struct run *run, struct build *build, const struct marked *text);
/* `count` bytes of the template's own, or with a mark. */
bool jinja_add_bytes(struct run *run, struct build *build, const char *bytes, size_t count, uint32_t mark);
bool jinja_puts(struct run *run, struct build *build, const char *text);
struct marked jinja_built(const struct build *build);

/* str() and repr() of a value, and json.dumps. */
bool jinja_print(struct run *run, struct build *out, const struct value *v);
bool jinja_repr(struct run *run, struct build *out, const struct value *v);
/* The JSON of a call's arguments. */
bool jinja_print_arguments(struct run *run, struct build *out, const struct dict *arguments);
/* str() as a text: without a copy if it is a string. */
bool jinja_str(struct run *run, struct marked *out, const struct value *v);

struct json_style {
  bool ascii, sort;
  bool lines;          /* an indent was given */
  struct marked indent;
  struct marked item_separator, key_separator;
};
bool jinja_json(struct run *run, struct build *out, const struct value *v, const struct json_style *style);

#endif
