/* A rendering: memory, the budget of steps, variables, and the tables of what templates can call. */
#ifndef WORKER_CHAT_JINJA_RUN_H
#define WORKER_CHAT_JINJA_RUN_H

#include "base/arena.h"
#include "base/error.h"
#include "worker/chat/jinja_syntax.h"
#include "worker/chat/jinja_value.h"

enum {
  RUN_STEPS_MAX = 10000000,     /* nodes evaluated, and 32 bytes of text looked at are one, too */
  RUN_BYTES_MAX = 256 << 20,    /* of memory */
  RUN_TEXT_MAX = 8 << 20,       /* bytes of one text */
  RUN_DEPTH_MAX = 500,          /* nested nodes, macros included */
  RUN_RANGE_MAX = 100000,       /* as in Jinja's sandbox */
  RUN_NESTED_MAX = 100          /* lists in lists that can be printed or compared */
};

/* The variable of a block's text while its filters run: no name in a template can be this. */
#define RUN_BLOCK_TEXT {.bytes = "%", .length = 1}

struct variable {
  struct marked name;
  struct value value;
};

struct scope {
  struct scope *parent;
  struct variable *variables;
  size_t count, size;
};

struct loop {
  const struct list *items;
  size_t index; /* from 0 */
};

struct macro {
  const struct node *node;
  struct scope *scope; /* where it was made */
};

struct named_value {
  struct marked name;
  struct value value;
};

struct arguments {
  struct value *items;
  size_t count;
  struct named_value *named;
  size_t named_count;
};

enum { BOUND_MAX = 6 };

/* Arguments in the order of the builtin's parameters. */
struct bound {
  struct value item[BOUND_MAX];
  bool given[BOUND_MAX];
  const struct arguments *all;
};

/* Something callable that is written in C: filters and tests take `in` from the left side of | and
   `is`, methods the object, functions nothing. */
struct builtin {
  const char *name;
  const char *parameters; /* names with a space between; "*": it reads bound->all itself */
  unsigned required;
  /* NULL: the name is known, but not supported. */
  bool (*call)(struct run *run, struct value *out, const struct value *in, const struct bound *b);
};

struct method {
  const struct builtin *builtin;
  struct value self;
};

/* A loop over the messages tells whose text is being written: from `begin` on it is that message's. */
struct block {
  size_t begin;
  uint32_t message; /* its number; 0: nobody's */
};

struct run {
  struct arena arena;
  const struct source *source;
  uint64_t steps;
  unsigned depth, nested;
  size_t at; /* the place being evaluated */
  struct scope *scope;
  struct build *out;
  struct build *whole;  /* the text of the run; `out` is another one inside of macros and blocks */
  struct block *blocks; /* in order */
  size_t block_count, block_size;
  uint32_t message;     /* of the last block */
  enum status status;
  struct error *err;
};

/* False, for `return jinja_fail(...)`: the error gets the place. */
bool jinja_fail(struct run *run, enum status status, const char *format, ...) PRINTF(3, 4) COLD;
/* What Python would raise as a TypeError, ValueError ...: the messages do not fit the template. */
#define jinja_wrong(run, ...) jinja_fail(run, STATUS_DATASET_INVALID, __VA_ARGS__)
#define jinja_unsupported(run, ...) jinja_fail(run, STATUS_UNSUPPORTED_VALUE, __VA_ARGS__)
/* Counts steps; false when the budget is used up. */
bool jinja_spend(struct run *run, size_t steps);
bool jinja_spend_bytes(struct run *run, size_t bytes);
/* Zeroed memory of the run. */
void *jinja_alloc(struct run *run, size_t count, size_t bytes_each);
/* Guards recursion over values. */
bool jinja_enter(struct run *run);
void jinja_leave(struct run *run);

/* Variables. */
bool jinja_lookup(struct run *run, struct value *out, const struct scope *scope, const struct marked *name);
bool jinja_assign(struct run *run, struct scope *scope, const struct marked *name, struct value value);
struct scope *jinja_scope_new(struct run *run, struct scope *parent);

/* Statements into run->out. */
bool jinja_execute(struct run *run, const struct node_list *body);
/* Runs a body into a text of its own, in the scope given. */
bool jinja_capture(struct run *run, struct marked *out, const struct node_list *body, struct scope *scope);

bool jinja_eval(struct run *run, struct value *out, const struct node *node);
bool jinja_attribute(struct run *run, struct value *out, const struct value *object, const struct marked *name);
bool jinja_item(struct run *run, struct value *out, const struct value *object, const struct value *key);
bool jinja_slice(struct run *run, struct value *out, const struct value *object, const struct value bounds[3]);
bool jinja_binary(struct run *run, struct value *out, int op, const struct value *a, const struct value *b);
bool jinja_compare(struct run *run, bool *out, int op, const struct value *a, const struct value *b);
bool jinja_contains(struct run *run, bool *out, const struct value *list, const struct value *item);
bool jinja_percent(struct run *run, struct value *out, const struct marked *format, const struct value *arguments);
bool jinja_escape(struct run *run, struct marked *out, const struct marked *in);

bool jinja_call(struct run *run, struct value *out, const struct value *callee, const struct arguments *arguments);
bool jinja_call_builtin(struct run *run, struct value *out, const struct builtin *builtin, const struct value *in,
                        const struct arguments *arguments);
/* Rows of the tables; NULL: no such name. */
const struct builtin *jinja_find_filter(const struct marked *name);
const struct builtin *jinja_find_list_filter(const struct marked *name);
const struct builtin *jinja_find_test(const struct marked *name);
const struct builtin *jinja_find_function(const struct marked *name);
const struct builtin *jinja_find_method(enum value_kind kind, const struct marked *name);
const struct builtin *jinja_find_row(const struct builtin *rows, size_t count, const struct marked *name);

/* Reading arguments. */
bool jinja_arg_text(struct run *run, struct marked *out, const struct bound *b, size_t i, const char *fallback);
bool jinja_arg_int(struct run *run, int64_t *out, const struct bound *b, size_t i, int64_t fallback);
bool jinja_arg_bool(const struct bound *b, size_t i, bool fallback);

/* Texts. Characters are code points. */
size_t jinja_characters(const struct marked *t);
/* The byte where character `index` begins; the length when there are fewer. */
size_t jinja_character_at(const struct marked *t, size_t index);
/* The byte where `needle` is found in bytes from .. to, or SIZE_MAX. */
size_t jinja_find(const struct marked *t, size_t from, size_t to, const struct marked *needle);
struct marked jinja_strip(const struct marked *t, const struct marked *characters, bool left, bool right);
bool jinja_replace(struct run *run, struct marked *out, const struct marked *t, const struct marked *old,
                   const struct marked *new, int64_t count);
bool jinja_split(struct run *run, struct list **out, const struct marked *t, const struct marked *separator,
                 int64_t max, bool from_right);
bool jinja_lines(struct run *run, struct list **out, const struct marked *t, bool keep_ends);
bool jinja_join(struct run *run, struct marked *out, const struct list *items, const struct marked *separator);
bool jinja_repeat(struct run *run, struct marked *out, const struct marked *t, int64_t times);
enum letter_case { CASE_LOWER, CASE_UPPER, CASE_CAPITAL, CASE_TITLE, CASE_WORDS };
bool jinja_change_case(struct run *run, struct marked *out, const struct marked *t, enum letter_case how);
bool jinja_space(uint32_t c);     /* str.isspace */
bool jinja_printable(uint32_t c); /* str.isprintable */

#endif
