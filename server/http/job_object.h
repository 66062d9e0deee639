/* The job object of the API, made from its row. */
#ifndef SERVER_HTTP_JOB_OBJECT_H
#define SERVER_HTTP_JOB_OBJECT_H

#include "base/arena.h"
#include "base/json.h"
#include "server/server.h"
#include "storage/db_job.h"

/* A new reference in *out. Reads the store for the result files and the place in the queue. */
NODISCARD enum status job_object(json_t **out, struct server *server, const struct job_row *job, struct arena *arena,
                                 struct error *err);

#endif
