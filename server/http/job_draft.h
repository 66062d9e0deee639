/* The body of a job, read and judged: what a job is made of, and an estimate. */
#ifndef SERVER_HTTP_JOB_DRAFT_H
#define SERVER_HTTP_JOB_DRAFT_H

#include "api/job.h"
#include "server/http/request.h"
#include "server/models.h"

enum { JOB_DRAFT_BYTES_MAX = 256 << 10 }; /* as it is stored */

struct job_draft {
  json_t *body; /* the spec borrows from it */
  struct job_spec spec;
  struct base_model model;
  bool pending; /* its files or its model are still being looked at */
};

/* Everything that is wrong with the body is added to `faults`. Ends with job_draft_done. */
NODISCARD enum status job_draft_read(struct job_draft *out, struct request *request, const json_t *body,
                                     struct fault_list *faults, struct error *err);
void job_draft_done(struct job_draft *draft);

#endif
