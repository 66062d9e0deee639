/* The data folder: locked for one daemon alone, opened with the store that belongs to it, and never swept of what may
   be worth something. */
#ifndef SERVER_DATA_H
#define SERVER_DATA_H

#include "server/server.h"

/* Takes the folder for this process alone (*lock stays open as long as it is used) and makes the folders in it.
   STATUS_INVALID_VALUE, param "data", when another daemon uses it. */
NODISCARD enum status data_lock(int *lock, const struct config *config, struct error *err);

/* Does a daemon use it now? */
NODISCARD enum status data_in_use(bool *out, const char *data, struct error *err);
/* The id of the store that this folder was used with last; "" when it was never used. */
NODISCARD enum status data_store_id(char out[DB_ID_BYTES], const char *data, struct error *err);

/* Opens server->db. STATUS_INVALID_VALUE, param "data", when the folder holds files or jobs and the store beside them
   is missing, empty or that of another folder: it would know nothing of them. */
NODISCARD enum status data_open_store(struct server *server, struct error *err);

/* The store for a command of the operator's that changes it, whether a daemon uses the folder, which then goes on with
   what was changed, or none does, which may never have started. */
NODISCARD enum status data_open_beside(struct db **out, const struct config *config, struct error *err);

/* Uploaded bytes that no row knows: what a crash cut off before it was accepted is removed, all else goes to
   lost+found/, since a store restored from a backup knows less than the folder. */
NODISCARD enum status data_keep_unknown(struct server *server, struct error *err);

/* An output folder (relative path) that a run is about to fill, or that an interrupted run has left: when there is a
   finished adapter in it, of which the store does not know, it goes to lost+found/. */
NODISCARD enum status data_keep_finished(const struct config *config, const char *path, struct error *err);

#endif
