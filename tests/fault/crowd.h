/* Many clients at once, and what they may count on when the daemon is gone in the middle of it. */
#ifndef TESTS_FAULT_CROWD_H
#define TESTS_FAULT_CROWD_H

#include "tests/fault/daemon.h"

struct crowd;
/* Nobody yet; what its clients are told is kept apart from their processes. */
struct crowd *crowd_new(void);
/* So many clients submit jobs with that file, and cancel some, until the daemon is gone. */
void crowd_come(struct crowd *crowd, const struct daemon *daemon, const char *file, int clients);
/* Waits for their ends. The number of jobs that were acknowledged. */
size_t crowd_leave(struct crowd *crowd);
/* On a daemon that nothing disturbs: how much of what was acknowledged is not there, each printed. */
size_t crowd_verify(const struct crowd *crowd, const struct daemon *daemon, const char *title);

#endif
