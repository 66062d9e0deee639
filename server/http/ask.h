/* Requests that ask a worker (questions.h). */
#ifndef SERVER_HTTP_ASK_H
#define SERVER_HTTP_ASK_H

#include "server/http/job_draft.h"

/* *answer: what is known, valid until the loop turns. NULL, and STATUS_OK: the request waits, and its handler is called
   again. STATUS_OVERLOADED where it has waited long enough: asked again, it waits for the same worker. */
NODISCARD enum status ask(const struct question **answer, struct request *request, enum task_kind kind,
                          const struct job_spec *spec, const struct base_model *model, struct error *err);

#endif
