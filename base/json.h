/* Reading JSON with limits and with errors that name the place. jansson's json_t is the project's
   JSON value; this is the only way in for text that others wrote. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

/* For AUTO(json_release) json_t *x = ...: drops the reference at the end of the scope. */
static inline void json_release(json_t **value) {
  json_decref(*value);
}

struct json_limits {
  size_t bytes_max;   /* 0: 1 MiB */
  size_t depth_max;   /* 0: 32 nested arrays or objects */
  size_t values_max;  /* 0: 50,000 values; bounds the memory jansson needs */
};

/* Parses one JSON document that fills `text`; duplicate keys are refused. An integer beyond 64 bits becomes a real.
   On success the caller owns *out. On failure the status is STATUS_INVALID_JSON (or STATUS_TOO_LARGE for a limit),
   the text says "line L, column C: what" in plain words, and *out is NULL; STATUS_OUT_OF_MEMORY says nothing of the
   text. `limits` may be NULL. */
NODISCARD enum status json_parse(json_t **out, const char *text, size_t length, const struct json_limits *limits,
                                 struct error *err);
/* The same from a file; errors are prefixed with its path. */
NODISCARD enum status json_parse_file(json_t **out, const char *path, const struct json_limits *limits,
                                      struct error *err);

/* Members with a type. A member that is absent or null gives `fallback` and success; one of
   another type is STATUS_INVALID_VALUE with the key as param. Strings are borrowed from `object`. */
NODISCARD enum status json_get_string(const char **out, const json_t *object, const char *key,
                                      const char *fallback, struct error *err);
NODISCARD enum status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t fallback,
                                   int64_t min, int64_t max, struct error *err);
NODISCARD enum status json_get_number(double *out, const json_t *object, const char *key, double fallback,
                                      struct error *err);
NODISCARD enum status json_get_bool(bool *out, const json_t *object, const char *key, bool fallback,
                                    struct error *err);

/* Compact text of a value, appended. Reals have 15 significant digits: what a person wrote comes
   back as written (0.06, not 0.059999999999999998). False when it does not fit. */
bool json_append(struct str *out, const json_t *value);
/* Lays `patch` over the object `target` by the rules of RFC 7396: objects member by member, null removes, all else
   replaces. False: no memory, and `target` is changed in part. */
bool json_merge(json_t *target, const json_t *patch);
/* "a string", "an object", ... for messages. */
const char *json_kind(const json_t *value);
/* Is the text an item of the list? Of what is no list: no. */
bool json_list_has(const json_t *list, const char *text);

#endif
