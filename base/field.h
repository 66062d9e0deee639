/* Field tables: one row describes one member of a struct for every reader and writer of it (JSON
   documents, the configuration file, environment, command line flags, help texts). A table is data;
   behaviour lives in field_json.c here and in config/. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum field_kind {
  FIELD_BOOL,         /* bool */
  FIELD_INT,          /* int64_t */
  FIELD_NUMBER,       /* double */
  FIELD_STRING,       /* const char *; NULL when absent or null */
  FIELD_CHOICE,       /* int: index into `choices` */
  FIELD_STRING_LIST,  /* struct string_list; count 0 and item NULL when absent or null; one string is a list of one */
  FIELD_INT_LIST,     /* struct int_list, likewise */
  FIELD_NUMBER_MAP,   /* struct number_map: an object of numbers, in its order; empty when absent or null */
};

struct string_list {
  size_t count;
  const char **item;
};

struct int_list {
  size_t count;
  int64_t *item;
};

struct number_map {
  size_t count;
  struct number_entry {
    const char *key;
    double value;
  } * item;
};

enum field_flag {
  FIELD_REQUIRED = 1,    /* must be present and not null */
  FIELD_NULLABLE = 2,    /* null is written when at its default (strings and lists always may be null) */
  FIELD_AUTO = 4,        /* the string "auto" is accepted and means the default */
  FIELD_EXCLUSIVE = 8,   /* numbers: strictly above `min` */
  FIELD_BOOL_WORDS = 16, /* CHOICE: the choices "true" and "false" are JSON's true and false */
};

struct field {
  const char *name;
  const char *alias;           /* another accepted spelling, or NULL */
  enum field_kind kind;
  size_t offset;               /* offsetof the member */
  unsigned flags;
  double min, max;             /* INT, NUMBER, NUMBER_MAP: bounds of the values; STRING: of the length in bytes;
                                  lists: of the count. Both 0: none */
  const char *const *choices;  /* CHOICE: names, ended by NULL */
  const char *initial;         /* the default, written as field_set_text takes it ("8", "none", "true"); NULL: zero.
                                  Lists have none: they start empty */
  const char *unit;            /* "seconds", "bytes", ...; NULL: none */
  const char *doc;             /* one sentence */
};

struct field_table {
  const struct field *fields;
  size_t count;
};

/* Sets every member to its default. */
void field_defaults(const struct field_table *table, void *out);

/* Reads `object` into *out: defaults first, then every member that is present; null means the
   default. Adds one fault for each wrong, missing or unknown member ("did you mean" included);
   `path` (may be "") is put before the names: "adapter" gives "adapter.r". Strings and lists are copied into the arena.
   Members named in `elsewhere` (ended by NULL, or NULL) belong to the caller and are skipped. */
void field_read(const struct field_table *table, void *out, const json_t *object, const char *path,
                const char *const *elsewhere, struct arena *arena, struct fault_list *faults);

/* Sets one member from a JSON value that is not null, checking kind and bounds. err->param is `param`. On failure
   the member keeps its value. */
NODISCARD enum status field_set_json(const struct field *field, void *out, const json_t *value, const char *param,
                                     struct arena *arena, struct error *err);

/* Sets one member from text, as a flag, the environment or a file line gives it: "8", "true",
   "a,b" for lists, JSON for maps. The status of the first fault; its param is the field's name (a map's with
   the key). */
NODISCARD enum status field_set_text(const struct field *field, void *out, const char *text, struct arena *arena,
                                     struct error *err);

/* A new JSON object with every member, defaults included. NULL when memory runs out. */
NODISCARD json_t *field_write(const struct field_table *table, const void *from);

/* The default of one member, as field_write shows it. NULL when memory runs out. */
NODISCARD json_t *field_default_json(const struct field *field);

/* The row of that name or alias, or NULL. */
const struct field *field_find(const struct field_table *table, const char *name);

/* "; did you mean X?" for an unknown name, or "" when nothing is near: into out[size]. */
void field_suggest(char *out, size_t size, const struct field_table *table, const char *const *elsewhere,
                   const char *name);

#endif
