/* The object of a file, and the row of one whose bytes are durable: for /v1/files and /v1/uploads. */
#ifndef SERVER_HTTP_FILE_OBJECT_H
#define SERVER_HTTP_FILE_OBJECT_H

#include "server/http/upload.h"
#include "storage/db_file.h"

json_t *file_object(const struct server *server, const struct file_row *file);

/* Inserts the row, unless the tenant has no room, in the transaction of `change`'s own rows, which is made first and
   may be NULL. Without a row the bytes are nobody's: they are removed, as by file_drop. */
NODISCARD enum status file_store(struct server *server, const char *tenant, const struct uploaded *uploaded,
                                 db_change *change, const void *what, struct error *err);
/* Removes the bytes of an upload that shall have no row. */
void file_drop(const struct server *server, const struct uploaded *uploaded);

#endif
