/* What the store and the disk need apart from requests: setting things right after a crash, and removing
   what nobody needs. */
#ifndef SERVER_UPKEEP_H
#define SERVER_UPKEEP_H

#include "server/server.h"

/* At start, before anything is served: kills workers that an earlier daemon left, puts their jobs back into the
   queue (or ends those whose cancelling was promised), and puts aside what no row knows. */
NODISCARD enum status upkeep_recover(struct server *server, struct error *err);

/* Now and then: deletes files past their expires_at, removes bytes that still wait for it, and keeps the reserve of the
   store whole. */
void upkeep_sweep(struct server *server);

#endif
