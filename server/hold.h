/* The pause after the host kept something from running (host.h): nothing starts meanwhile. Each pause is longer than
   the one before, until a start succeeds. */
#ifndef SERVER_HOLD_H
#define SERVER_HOLD_H

#include <stdint.h>

#include "base/error.h"

struct hold {
  struct error why;    /* STATUS_OK: nothing has failed since a start succeeded */
  int64_t until_ms;    /* boot clock */
  int64_t backoff_ms;  /* how long this pause is; 0: none */
};

/* A pause from now on. */
void hold_begin(struct hold *hold, const struct error *why);
/* A start has succeeded, or nothing is left to be started. */
void hold_end(struct hold *hold);

#endif
