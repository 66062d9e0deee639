/* The states of a job and the moves between them (job_state.def). */
#ifndef API_JOB_STATE_H
#define API_JOB_STATE_H

#include <stdbool.h>

enum job_state {
#define STATE(name, wire, terminal) JOB_##name,
#include "api/job_state.def"
  JOB_STATE_COUNT
};

const char *job_state_name(enum job_state state);  /* "validating_files" */
bool job_state_parse(enum job_state *out, const char *name);
bool job_state_terminal(enum job_state state);
/* Is there a MOVE row? */
bool job_state_may_move(enum job_state from, enum job_state to);

#endif
