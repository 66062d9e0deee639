/* What the store and the disk need apart from requests: setting things right after a crash, and removing
   what nobody needs. */
#ifndef SERVER_UPKEEP_H
#define SERVER_UPKEEP_H

#include "server/server.h"

/* Takes the data folder for this process alone (*lock stays open as long as it is used) and makes the folders
   in it. STATUS_INVALID_VALUE, param "data", when another daemon uses it. */
NODISCARD enum status upkeep_lock(int *lock, const struct config *config, struct error *err);

/* At start, before anything is served: kills workers that an earlier daemon left, puts their jobs back into the
   queue (or ends those whose cancelling was promised), removes what they had written, and removes uploaded
   bytes that no row knows. */
NODISCARD enum status upkeep_recover(struct server *server, struct error *err);

/* Now and then: deletes files past their expires_at. */
void upkeep_sweep(struct server *server);

#endif
