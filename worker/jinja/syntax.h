/* From a template's source to its tree. Places are byte offsets in the source; errors turn them into
   lines and columns. */
#ifndef WORKER_JINJA_SYNTAX_H
#define WORKER_JINJA_SYNTAX_H

#include "base/arena.h"
#include "base/error.h"
#include "worker/jinja/value.h"

/* A source of SOURCE_MAX bytes needs at most the arena below; a tree is at most DEPTH_MAX nodes high. */
enum { JINJA_SOURCE_MAX = 256 << 10, JINJA_TREE_BYTES_MAX = 192 << 20, JINJA_TREE_DEPTH_MAX = 200 };

struct jinja_source {
  const char *text; /* lines end with \n */
  size_t length;
};

/* "line L, column C: ..." (from 1, columns in characters). */
enum status jinja_fault(const struct jinja_source *source, size_t at, enum status status, struct error *err,
                        const char *format, ...) PRINTF(5, 6) COLD;

/* --- tokens --------------------------------------------------------------------------------------- */

enum jinja_token_kind {
  TOKEN_END, TOKEN_DATA, TOKEN_VARIABLE_BEGIN, TOKEN_VARIABLE_END, TOKEN_BLOCK_BEGIN, TOKEN_BLOCK_END, TOKEN_NAME,
  TOKEN_STRING, TOKEN_INT, TOKEN_FLOAT, TOKEN_OPERATOR
};

/* Operators of one character are that character. */
enum { OP_EQ = 256, OP_NE, OP_LE, OP_GE, OP_FLOOR, OP_POWER, OP_IN, OP_NOT_IN };

struct jinja_token {
  enum jinja_token_kind kind;
  int op;
  size_t at;
  struct jinja_string text; /* DATA, NAME; STRING: escapes resolved */
  int64_t integer;
  double real;
};

struct jinja_token_list {
  struct jinja_token *items; /* in the arena; ends with TOKEN_END */
  size_t count;
};

enum status jinja_lex(struct jinja_token_list *out, struct arena *arena, const struct jinja_source *source,
                      struct error *err);

/* --- tree ----------------------------------------------------------------------------------------- */

enum jinja_node_kind {
  /* expressions */
  NODE_CONST,     /* value */
  NODE_NAME,      /* name */
  NODE_LIST,      /* items */
  NODE_TUPLE,     /* items */
  NODE_DICT,      /* items: key, value, key, value ... */
  NODE_GETATTR,   /* a . name */
  NODE_GETITEM,   /* a [ b ] */
  NODE_SLICE,     /* a : b : c, each may be NULL; only as b of NODE_GETITEM */
  NODE_CALL,      /* a (items, named) */
  NODE_FILTER,    /* a | builtin (items, named); a NULL: the block's text */
  NODE_TEST,      /* a is builtin (items, named) */
  NODE_NOT,       /* a */
  NODE_NEG,       /* a */
  NODE_POS,       /* a */
  NODE_AND,       /* a, b */
  NODE_OR,        /* a, b */
  NODE_BIN_EXPR,  /* a op b */
  NODE_CONCAT,    /* items, with ~ */
  NODE_COMPARE,   /* a, then items: each OPERAND (op, a) */
  NODE_OPERAND,
  NODE_COND_EXPR, /* b if a else c; c may be NULL */
  /* statements */
  NODE_TEMPLATE_DATA, /* value */
  NODE_OUTPUT,        /* a */
  NODE_IF,            /* a, body, other */
  NODE_FOR,           /* for a in b if c: body; other when there was nothing; flag: `loop` is used */
  NODE_ASSIGN,        /* a = b */
  NODE_ASSIGN_BLOCK,  /* a = body through the filters b (may be NULL) */
  NODE_FILTER_BLOCK,  /* body through the filters b */
  NODE_MACRO,         /* name, items: NODE_NAMEs with a default in a (may be NULL), body */
  NODE_WITH,          /* items: NODE_ASSIGNs, body */
  NODE_GENERATION,    /* body */
  NODE_BREAK,
  NODE_CONTINUE,
  NODE_NS_REF         /* name . value.text: a target only */
};

struct jinja_node_list {
  struct jinja_node **items;
  size_t count;
};

struct jinja_keyword {
  struct jinja_string name;
  struct jinja_node *value;
};

struct jinja_node {
  enum jinja_node_kind kind;
  int op;
  uint32_t at;
  uint32_t height;
  bool flag;
  struct jinja_value value;
  struct jinja_string name;
  struct jinja_node *a, *b, *c;
  struct jinja_node_list items, body, other;
  struct jinja_keyword *named;
  size_t named_count;
  const struct jinja_builtin *builtin;
};

struct jinja_tree {
  struct jinja_node_list body;
  bool has_generation;
};

/* STATUS_INVALID_VALUE for what is not Jinja, STATUS_UNSUPPORTED_VALUE for what is not supported,
   both naming the place. The tree lives in the arena and refers to the source. */
enum status jinja_parse(struct jinja_tree *out, struct arena *arena, const struct jinja_source *source,
                        struct error *err);

/* --- the two halves of the parser ----------------------------------------------------------------- */

struct jinja_parser {
  struct arena *arena;
  const struct jinja_source *source;
  struct error *err;
  enum status status;
  const struct jinja_token *token;
  unsigned depth;      /* of nested calls of the parser */
  unsigned loop_depth; /* loops around, inside of the innermost macro */
  unsigned macro_depth;
  bool loop_used, has_generation;
};

/* NULL, for `return jinja_parse_fail(...)`. */
void *jinja_parse_fail(struct jinja_parser *p, size_t at, enum status status, const char *format, ...)
    PRINTF(4, 5) COLD;
void *jinja_parse_unexpected(struct jinja_parser *p, const char *wanted) COLD;
struct jinja_node *jinja_parse_node(struct jinja_parser *p, enum jinja_node_kind kind, size_t at);
bool jinja_parse_push(struct jinja_parser *p, struct jinja_node_list *list, size_t *size, struct jinja_node *node);
/* Sets the node's height from its parts; NULL when it is too high. */
struct jinja_node *jinja_parse_close(struct jinja_parser *p, struct jinja_node *node);
bool jinja_parse_is_op(const struct jinja_parser *p, int op);
bool jinja_parse_is_name(const struct jinja_parser *p, const char *name);
bool jinja_parse_skip_op(struct jinja_parser *p, int op);
bool jinja_parse_skip_name(struct jinja_parser *p, const char *name);
bool jinja_parse_expect_op(struct jinja_parser *p, int op);

struct jinja_node *jinja_parse_expression(struct jinja_parser *p, bool with_condition);
/* Expressions with commas between them are a tuple; with `parentheses` there may be none. */
struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, bool with_condition, bool parentheses);
struct jinja_node *jinja_parse_target(struct jinja_parser *p, bool with_namespace);
/* Filters from a | (or, `inline_first`, from a name) on; `input` may be NULL. */
struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *input, bool inline_first);

#endif
