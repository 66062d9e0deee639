/* What is ordered of jobs by other requests than their own. */
#ifndef SERVER_HTTP_ORDERS_H
#define SERVER_HTTP_ORDERS_H

#include "server/server.h"
#include "storage/db_job.h"

/* Cancels those that have not ended, all or none. Where one runs, the request must be `alone`: its worker hears of it
   when that is stored. */
NODISCARD enum status orders_cancel(struct server *server, const struct job_row *jobs, size_t count, struct error *err);

#endif
