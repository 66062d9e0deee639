/* The job object of the API, made from its row. */
#ifndef SERVER_HTTP_JOB_OBJECT_H
#define SERVER_HTTP_JOB_OBJECT_H

#include "base/arena.h"
#include "base/json.h"
#include "server/http/request.h"
#include "server/server.h"
#include "storage/db_job.h"

/* Its text, appended. `position` is its place in the queue (db_queue_positions). Reads the store for the result
   files. */
NODISCARD enum status job_object(struct str *out, struct server *server, const struct job_row *job, int64_t position,
                                 struct arena *arena, struct error *err);
/* What a queued job waits for: "memory", "cores" (server/budget.h), "disk", or "slot", which is a place or its turn.
   NULL: it is not queued. */
const char *job_object_waits_for(const struct job_row *job);
/* When a running job is expected to end by its progress, which may be NULL; 0: nobody knows. */
int64_t job_object_finish(const struct job_row *job, const json_t *progress);
/* The answer to a request: the object, or why there is none. `replayed`: the request was carried out before. */
void job_object_reply(struct request *request, const struct job_row *job, bool replayed);
void job_object_reply_id(struct request *request, const char *id);

#endif
