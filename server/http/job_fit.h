/* Does a job fit its model and the server's budget of memory? Asked before it is accepted: one that does not would wait
   for its turn only to fail. Where it is far from the limit, and names nothing that only the opened model can tell
   (paths and shapes of modules, an adapter to start from, images' prompts), that costs nothing; else a worker plans it,
   and the answer to the request waits for that a moment. Where nobody knows in time the job is accepted, and its turn
   finds out. */
#ifndef SERVER_HTTP_JOB_FIT_H
#define SERVER_HTTP_JOB_FIT_H

#include "server/http/job_draft.h"

/* Asks for the plans of all drafts that need one. True: the request waits, and its handler is called again. */
NODISCARD bool job_fit_wait(struct request *request, const struct job_draft *drafts, size_t count);
/* A fault where its plan is known, and it cannot be carried out or takes more than there is. */
void job_fit_judge(struct request *request, const struct job_draft *draft, struct fault_list *faults);

/* Bytes that a job of a model with so many parameters and layers takes at most, roughly: the worker itself, its
   weights, and what a step of so many tokens keeps of each layer, whose width follows from the two. Layers 0: nobody
   knows how many. Pure. */
double job_fit_bound(int64_t parameters, int64_t layers, int64_t tokens);

#endif
