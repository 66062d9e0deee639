/* What a worker announces: noted at once, verified beside the loop when it has ended well, stored with the job. */
#ifndef SERVER_ARTIFACTS_H
#define SERVER_ARTIFACTS_H

#include "server/run.h"

/* An artifact event. */
NODISCARD enum status artifacts_note(struct run *run, const struct event *event, struct error *err);
/* Once the worker has ended: every announced file is read and compared with what was said of it; `verified` follows. */
void artifacts_verify(struct run *run, void (*verified)(struct run *run));
/* Their rows. Inside a transaction. */
NODISCARD enum status artifacts_store(struct run *run, struct error *err);

#endif
