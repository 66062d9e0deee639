/* The body of a job, read and judged, and the row that it makes: of jobs, clones and estimates. */
#ifndef SERVER_HTTP_JOB_DRAFT_H
#define SERVER_HTTP_JOB_DRAFT_H

#include "api/job.h"
#include "server/http/request.h"
#include "server/models.h"
#include "storage/db_job.h"

enum { JOB_DRAFT_BYTES_MAX = 256 << 10 }; /* as it is stored */

struct job_draft {
  json_t *body; /* the spec borrows from it */
  struct job_spec spec;
  struct base_model model;
  bool pending; /* its files or its model are still being looked at */
};

/* Is there room for so many more jobs of the tenant's? */
NODISCARD enum status job_draft_room(const struct request *request, int64_t jobs, struct error *err);

/* Everything that is wrong with the body is added to `faults`. Ends with job_draft_done. */
NODISCARD enum status job_draft_read(struct job_draft *out, struct request *request, const json_t *body,
                                     struct fault_list *faults, struct error *err);
void job_draft_done(struct job_draft *draft);

/* As it is stored a job has a bound, so that many of them can be read and listed. */
void job_draft_check_size(const struct job_spec *spec, struct fault_list *faults);
/* What of a row follows from the spec, the row having its id. Texts are the arena's. */
NODISCARD enum status job_draft_row(struct job_row *row, const struct job_spec *spec, struct arena *arena,
                                    struct error *err);
/* The row of a new job, with an id. */
NODISCARD enum status job_draft_new(struct job_row *out, const struct job_draft *draft, const struct request *request,
                                    struct arena *arena, struct error *err);
/* The row and its first events; in a transaction. */
NODISCARD enum status job_draft_add(struct db *db, const struct job_row *row, struct error *err);

#endif
