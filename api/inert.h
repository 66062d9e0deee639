/* Members that are accepted with the values that ask for what happens anyway, so that bodies written for other servers
   work; anything else they could ask for is refused by name. */
#ifndef API_INERT_H
#define API_INERT_H

#include <jansson.h>

#include "base/error.h"

struct inert_member {
  const char *name;
  const char *accepted[3]; /* JSON texts; null is always accepted */
  const char *refusal;
};

/* A copy of `object` without such members, whose values it checks; `rows` end by one without a name, `path` (may be "")
   is put before names. A new reference; NULL, and a fault: no memory. */
NODISCARD json_t *inert_without(const json_t *object, const struct inert_member *rows, const char *path,
                                struct fault_list *faults);

#endif
