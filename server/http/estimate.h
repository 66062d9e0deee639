/* What a job would take. */
#ifndef SERVER_HTTP_ESTIMATE_H
#define SERVER_HTTP_ESTIMATE_H

#include "server/http/job_draft.h"
#include "server/questions.h"

/* The estimate of that job as JSON text, where somebody has asked for it a short time ago; else NULL. */
const char *estimate_known(struct request *request, const struct job_draft *draft);
/* Answers with the estimate of the job that `body` asks for, or lets the request wait until a worker has made it. */
void estimate_reply(struct request *request, const json_t *body);

/* The answer, of a question that is known; a new reference. */
json_t *estimate_object(struct request *request, const struct job_draft *draft, const struct question *answer);
/* Lets the request wait while the job's files or its model are still looked at. STATUS_OVERLOADED where it has. */
NODISCARD enum status estimate_wait(struct request *request, const struct job_draft *draft, bool *waits,
                                    struct error *err);

#endif
