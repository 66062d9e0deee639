#include "api/job_state.h"

#include <stddef.h>
#include <string.h>

#include "base/attr.h"

static const struct {
  const char *wire;
  bool terminal;
} states[] = {
#define STATE(name, wire, terminal) [JOB_##name] = {wire, terminal},
#include "api/job_state.def"
};

static const struct {
  enum job_state from, to;
} moves[] = {
#define MOVE(from, to, why) {JOB_##from, JOB_##to},
#include "api/job_state.def"
};

const char *job_state_name(enum job_state state) {
  CHECK(state < JOB_STATE_COUNT);
  return states[state].wire;
}

bool job_state_parse(enum job_state *out, const char *name) {
  for (size_t i = 0; i < COUNT_OF(states); i++)
    if (strcmp(states[i].wire, name) == 0) {
      *out = (enum job_state)i;
      return true;
    }
  return false;
}

bool job_state_terminal(enum job_state state) {
  CHECK(state < JOB_STATE_COUNT);
  return states[state].terminal;
}

bool job_state_may_move(enum job_state from, enum job_state to) {
  for (size_t i = 0; i < COUNT_OF(moves); i++)
    if (moves[i].from == from && moves[i].to == to)
      return true;
  return false;
}
