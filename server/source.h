/* Adapters that a job or an export starts from: a finished job, one of its checkpoints, or an uploaded
   archive, by its id; the first two also by the model's name. */
#ifndef SERVER_SOURCE_H
#define SERVER_SOURCE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/server.h"

struct source {
  const char *path;  /* absolute: a folder, or an archive */
  const char *model; /* the base model it was made for; NULL: the archive does not say */
};

/* "ftjob-...", "ftckpt-...", "file-..." or "ft:...", of the tenant's. Faults have the param from_checkpoint:
   STATUS_JOB_NOT_FOUND, STATUS_FILE_NOT_FOUND, STATUS_MODEL_NOT_FOUND, STATUS_INVALID_VALUE for what is there but
   cannot be started from. *adapter (`adapter` NULL: not wanted) is its configuration as a job's `adapter` member: a new
   reference, NULL: not known. */
NODISCARD enum status source_find(struct source *out, json_t **adapter, const struct server *server, const char *tenant,
                                  const char *id, struct arena *arena, struct error *err);

#endif
