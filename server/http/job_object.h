/* The job object of the API, made from its row. */
#ifndef SERVER_HTTP_JOB_OBJECT_H
#define SERVER_HTTP_JOB_OBJECT_H

#include "base/arena.h"
#include "base/json.h"
#include "server/server.h"
#include "storage/db_job.h"

/* A new reference in *out. `position` is its place in the queue (db_job_positions). Reads the store for the result
   files. */
NODISCARD enum status job_object(json_t **out, struct server *server, const struct job_row *job, int64_t position,
                                 struct arena *arena, struct error *err);

#endif
