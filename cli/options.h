/* Command line options as tables: one row an option, read by the parser and by the help text. A row
   with a `path` sets a member of a JSON document; one without sets a member of the caller's struct. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

enum option_kind {
  OPTION_FLAG,    /* takes no value; bool */
  OPTION_BOOL,    /* "true" or "false"; bool */
  OPTION_TEXT,    /* const char *, borrowed from argv */
  OPTION_INT,     /* int64_t */
  OPTION_NUMBER,  /* double, finite */
  OPTION_LIST,    /* "a,b,c"; JSON only: an array of strings */
  OPTION_PAIR,    /* "key=value", may be repeated; JSON only: a member of the object at `path` */
  OPTION_MEMBER,  /* "a.b=value", may be repeated; JSON only: any member; the value is JSON, or else text */
};

struct option_row {
  const char *name;         /* without the two dashes */
  enum option_kind kind;
  size_t offset;            /* of the member, where there is no path */
  const char *path;         /* "adapter.r": the JSON member; NULL: the struct's */
  const char *placeholder;  /* what the help calls the value; NULL for flags */
  const char *doc;
};

struct option_table {
  const struct option_row *rows;
  size_t count;
};

/* A table and where its values go. Either target may be NULL when no row needs it. */
struct option_target {
  const struct option_table *table;
  void *values;    /* the struct that offsets are about */
  json_t *document; /* an object, borrowed */
};

enum { OPERANDS_MAX = 8 };

struct operands {
  size_t count;
  const char *item[OPERANDS_MAX];
};

/* Reads argv[0..argc): "--name value", "--name=value" and operands, in any order; "--" ends the
   options. Targets are searched in order. With `stop_at_operand` the reading ends before the first
   operand. *used is how many arguments were read. On failure (STATUS_INVALID_VALUE or
   STATUS_UNKNOWN_PARAMETER, param = the option) targets may be partly set. */
NODISCARD enum status options_parse(struct operands *out, size_t *used, const char *const *argv, size_t argc,
                                    const struct option_target *targets, size_t target_count, bool stop_at_operand,
                                    struct error *err);

/* The value that such an option has in a document, of any kind but PAIR and MEMBER: a new reference. NULL: it is none
   of that kind (STATUS_INVALID_VALUE, param = the option). */
NODISCARD json_t *options_value(const struct option_row *row, const char *text, struct error *err);

/* Sets the member at a dotted path, making the objects on the way. Takes over the reference to
   `value` even when it fails (STATUS_OUT_OF_MEMORY, or STATUS_INVALID_VALUE when a member on the way
   is no object). */
NODISCARD enum status options_set_path(json_t *document, const char *path, json_t *value, struct error *err);

#endif
