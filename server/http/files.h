/* The file object, and deleting a file; the handlers are declared in request.h. */
#ifndef SERVER_HTTP_FILES_H
#define SERVER_HTTP_FILES_H

#include "base/json.h"
#include "server/server.h"
#include "storage/db_file.h"

/* A new reference; NULL when memory runs out. */
json_t *file_object(const struct file_row *file);
/* STATUS_FILE_IN_USE while a job needs it. */
NODISCARD enum status file_delete(struct server *server, const struct file_row *file, struct error *err);

#endif
