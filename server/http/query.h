/* The query of a request target: "after=x&limit=5&metadata%5Bteam%5D=a+b". Pure. */
#ifndef SERVER_HTTP_QUERY_H
#define SERVER_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "api/endpoint.h"
#include "base/arena.h"
#include "base/error.h"
#include "storage/db.h"

enum { QUERY_PAIRS_MAX = 32 };

struct query {
  size_t count;
  struct {
    const char *name;   /* decoded, UTF-8, no NUL */
    const char *value;  /* "" when there is none */
  } pair[QUERY_PAIRS_MAX];
};

/* `target` is the raw request target; what precedes '?' is skipped. STATUS_INVALID_VALUE for a bad escape, bad
   UTF-8, or more than QUERY_PAIRS_MAX pairs. */
NODISCARD enum status query_parse(struct query *out, const char *target, struct arena *arena, struct error *err);
/* The last value of that name, or NULL. */
const char *query_get(const struct query *query, const char *name);
/* An integer in min..max, or `fallback` when absent. */
NODISCARD enum status query_int(int64_t *out, const struct query *query, const char *name, int64_t fallback,
                                int64_t min, int64_t max, struct error *err);
/* "true" or "false" (or "1", "0"); false when absent. */
NODISCARD enum status query_bool(bool *out, const struct query *query, const char *name, struct error *err);
/* `after`, `limit` and `order` ("asc", "desc") of a list that has a row in api/page.c. */
NODISCARD enum status query_page(struct page *out, const struct query *query, enum operation op, struct error *err);

#endif
