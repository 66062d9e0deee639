/* A question (questions.h) that a worker answers. */
#ifndef SERVER_ASKING_H
#define SERVER_ASKING_H

#include "server/questions.h"
#include "server/run.h"

extern const struct run_kind asking_kind;
/* Starts its worker, for a job that would run on `device`; or it ends itself and the status says why. */
NODISCARD enum status asking_start(struct run *run, struct question *question, const char *device, struct error *err);

#endif
