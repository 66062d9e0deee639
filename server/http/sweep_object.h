/* The sweep object of the API, made from its row and those of its jobs. */
#ifndef SERVER_HTTP_SWEEP_OBJECT_H
#define SERVER_HTTP_SWEEP_OBJECT_H

#include "base/json.h"
#include "server/http/request.h"
#include "storage/db_sweep.h"

/* *out: a new reference. */
NODISCARD enum status sweep_object(json_t **out, struct db *db, const struct sweep_row *sweep, struct arena *arena,
                                   struct error *err);
/* The answer to a request: the object, or why there is none. replayed: the request was carried out before. */
void sweep_object_reply(struct request *request, const char *id, bool replayed);

#endif
