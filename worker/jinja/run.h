/* A rendering: memory, the budget of steps, variables, and the tables of what templates can call. */
#ifndef WORKER_JINJA_RUN_H
#define WORKER_JINJA_RUN_H

#include "base/arena.h"
#include "base/error.h"
#include "worker/jinja/syntax.h"
#include "worker/jinja/value.h"

enum {
  JINJA_STEPS_MAX = 10000000,   /* nodes evaluated, and 32 bytes of text looked at are one, too */
  JINJA_MEMORY_MAX = 256 << 20, /* of memory */
  JINJA_STRING_MAX = 8 << 20,   /* bytes of one text */
  JINJA_DEPTH_MAX = 500,        /* nested nodes, macros included */
  JINJA_RANGE_MAX = 100000,     /* as in Jinja's sandbox */
  JINJA_NESTED_MAX = 100        /* lists in lists that can be printed or compared */
};

/* The variable of a block's text while its filters run: no name in a template can be this. */
#define JINJA_BLOCK_TEXT {.bytes = "%", .length = 1}

struct jinja_variable {
  struct jinja_string name;
  struct jinja_value value;
};

struct jinja_scope {
  struct jinja_scope *parent;
  struct jinja_variable *variables;
  size_t count, size;
};

struct jinja_loop {
  const struct jinja_list *items;
  size_t index; /* from 0 */
};

struct jinja_macro {
  const struct jinja_node *node;
  struct jinja_scope *scope; /* where it was made */
};

struct jinja_named_value {
  struct jinja_string name;
  struct jinja_value value;
};

struct jinja_arguments {
  struct jinja_value *items;
  size_t count;
  struct jinja_named_value *named;
  size_t named_count;
};

enum { JINJA_BOUND_MAX = 6 };

/* Arguments in the order of the builtin's parameters. */
struct jinja_bound {
  struct jinja_value item[JINJA_BOUND_MAX];
  bool given[JINJA_BOUND_MAX];
  const struct jinja_arguments *all;
};

/* Something callable that is written in C: filters and tests take `in` from the left side of | and
   `is`, methods the object, functions nothing. */
struct jinja_builtin {
  const char *name;
  const char *parameters; /* names with a space between; "*": it reads bound->all itself */
  unsigned required;
  /* NULL: the name is known, but not supported. */
  bool (*call)(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
               const struct jinja_bound *b);
};

struct jinja_method {
  const struct jinja_builtin *builtin;
  struct jinja_value self;
};

/* The body of a loop writes for an item that has an origin: from `begin` on, up to the next one's. */
struct jinja_loop_span {
  size_t begin;
  uint32_t origin; /* of the item; 0: no loop over such items runs */
};

struct jinja_run {
  struct arena arena;
  const struct jinja_source *source;
  uint64_t steps;
  unsigned depth, nested;
  size_t at; /* the place being evaluated */
  struct jinja_scope *scope;
  struct jinja_builder *out;
  struct jinja_builder whole;    /* the text of the run; `out` is another one inside of macros and blocks */
  struct jinja_loop_span *spans; /* in order */
  size_t span_count, span_size;
  uint32_t loop_origin; /* of the last span */
  enum status status;
  struct error *err;
};

/* False, for `return jinja_fail(...)`: the error gets the place. */
bool jinja_fail(struct jinja_run *run, enum status status, const char *format, ...) PRINTF(3, 4) COLD;
/* What Python would raise as a TypeError, ValueError ...: the variables do not fit the template. */
#define jinja_wrong(run, ...) jinja_fail(run, STATUS_DATASET_INVALID, __VA_ARGS__)
#define jinja_unsupported(run, ...) jinja_fail(run, STATUS_UNSUPPORTED_VALUE, __VA_ARGS__)
/* Counts steps; false when the budget is used up. */
bool jinja_spend(struct jinja_run *run, size_t steps);
bool jinja_spend_bytes(struct jinja_run *run, size_t bytes);
/* Zeroed memory of the run. */
void *jinja_alloc(struct jinja_run *run, size_t count, size_t bytes_each);
/* Guards recursion over values. */
bool jinja_enter(struct jinja_run *run);
void jinja_leave(struct jinja_run *run);

/* Variables. */
bool jinja_lookup(struct jinja_run *run, struct jinja_value *out, const struct jinja_scope *scope,
                  const struct jinja_string *name);
bool jinja_assign(struct jinja_run *run, struct jinja_scope *scope, const struct jinja_string *name,
                  struct jinja_value value);
struct jinja_scope *jinja_scope_new(struct jinja_run *run, struct jinja_scope *parent);

/* Statements into run->out. */
bool jinja_execute(struct jinja_run *run, const struct jinja_node_list *body);
/* Runs a body into a text of its own, in the scope given. */
bool jinja_capture(struct jinja_run *run, struct jinja_string *out, const struct jinja_node_list *body,
                   struct jinja_scope *scope);

bool jinja_eval(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node);
bool jinja_attribute(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                     const struct jinja_string *name);
bool jinja_item(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                const struct jinja_value *key);
bool jinja_slice(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *object,
                 const struct jinja_value bounds[3]);
bool jinja_binary(struct jinja_run *run, struct jinja_value *out, int op, const struct jinja_value *a,
                  const struct jinja_value *b);
bool jinja_compare(struct jinja_run *run, bool *out, int op, const struct jinja_value *a, const struct jinja_value *b);
bool jinja_contains(struct jinja_run *run, bool *out, const struct jinja_value *list, const struct jinja_value *item);
bool jinja_percent(struct jinja_run *run, struct jinja_value *out, const struct jinja_string *format,
                   const struct jinja_value *arguments);
bool jinja_escape(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *in);

bool jinja_call(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *callee,
                const struct jinja_arguments *arguments);
bool jinja_call_builtin(struct jinja_run *run, struct jinja_value *out, const struct jinja_builtin *builtin,
                        const struct jinja_value *in, const struct jinja_arguments *arguments);
/* Rows of the tables; NULL: no such name. */
const struct jinja_builtin *jinja_find_filter(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_list_filter(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_test(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_function(const struct jinja_string *name);
const struct jinja_builtin *jinja_find_method(enum jinja_value_kind kind, const struct jinja_string *name);
const struct jinja_builtin *jinja_find_row(const struct jinja_builtin *rows, size_t count,
                                           const struct jinja_string *name);

/* Reading arguments. */
bool jinja_arg_text(struct jinja_run *run, struct jinja_string *out, const struct jinja_bound *b, size_t i,
                    const char *fallback);
bool jinja_arg_int(struct jinja_run *run, int64_t *out, const struct jinja_bound *b, size_t i, int64_t fallback);
bool jinja_arg_bool(const struct jinja_bound *b, size_t i, bool fallback);

/* Texts. Characters are code points. */
size_t jinja_characters(const struct jinja_string *t);
/* The byte where character `index` begins; the length when there are fewer. */
size_t jinja_character_at(const struct jinja_string *t, size_t index);
/* The byte where `needle` is found in bytes from .. to, or SIZE_MAX. */
size_t jinja_find(const struct jinja_string *t, size_t from, size_t to, const struct jinja_string *needle);
struct jinja_string jinja_strip(const struct jinja_string *t, const struct jinja_string *characters, bool left,
                                bool right);
bool jinja_replace(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t,
                   const struct jinja_string *old, const struct jinja_string *new, int64_t count);
bool jinja_split(struct jinja_run *run, struct jinja_list **out, const struct jinja_string *t,
                 const struct jinja_string *separator, int64_t max, bool from_right);
bool jinja_lines(struct jinja_run *run, struct jinja_list **out, const struct jinja_string *t, bool keep_ends);
bool jinja_join(struct jinja_run *run, struct jinja_string *out, const struct jinja_list *items,
                const struct jinja_string *separator);
bool jinja_repeat(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t, int64_t times);
enum jinja_letter_case { CASE_LOWER, CASE_UPPER, CASE_CAPITAL, CASE_TITLE, CASE_WORDS };
bool jinja_change_case(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t,
                       enum jinja_letter_case how);
bool jinja_space(uint32_t c);     /* str.isspace */
bool jinja_printable(uint32_t c); /* str.isprintable */

#endif
