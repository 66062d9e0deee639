#include "server/hold.h"

#include "base/clock.h"
#include "base/log.h"

enum { BACKOFF_MS = 1000, BACKOFF_MS_MAX = 16000 };

void hold_begin(struct hold *hold, const struct error *why) {
  int64_t backoff = hold->backoff_ms ? hold->backoff_ms * 2 : BACKOFF_MS;
  hold->backoff_ms = backoff < BACKOFF_MS_MAX ? backoff : BACKOFF_MS_MAX;
  hold->until_ms = clock_boot_ms() + hold->backoff_ms;
  hold->why = *why;
  log_error("nothing is started for %.0f s: %s", (double)hold->backoff_ms / 1e3, why->text);
}

void hold_end(struct hold *hold) {
  hold->why = (struct error){0};
  hold->backoff_ms = 0;
}
