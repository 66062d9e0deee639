#include "server/http/file_object.h"

#include <unistd.h>

#include "base/clock.h"
#include "server/http/reply.h"
#include "server/limits.h"
#include "server/paths.h"

/* The report without what only jobs are judged by. */
static json_t *validation_of(const struct file_row *file) {
  json_t *report = reply_stored(file->report);
  json_object_del(report, "facts");
  return report;
}

json_t *file_object(const struct server *server, const struct file_row *file) {
  return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:o}", "id", file->id, "object", "file", "bytes",
                   (json_int_t)file->bytes, "created_at", (json_int_t)file->created_at, "filename", file->filename,
                   "purpose", file->purpose, "status", file_status_name(file->status), "status_details",
                   reply_message(server, file->status_details), "expires_at", reply_number(file->expires_at),
                   "validation", validation_of(file));
}

struct insertion {
  const struct server *server;
  const struct file_row *row;
  db_change *change;
  const void *what;
};

/* Others of the tenant may have come first: now its bytes are counted for good. */
static enum status insert(struct db *db, const void *what, struct error *err) {
  const struct insertion *insertion = what;
  const struct file_row *row = insertion->row;
  enum status status = insertion->change ? insertion->change(db, insertion->what, err) : STATUS_OK;
  if (!status)
    status = limits_bytes(insertion->server, row->tenant, row->bytes, "file", err);
  return status ? status : db_file_insert(db, row, err);
}

enum status file_store(struct server *server, const char *tenant, const struct uploaded *uploaded, db_change *change,
                       const void *what, struct error *err) {
  int64_t now = clock_unix();
  struct file_row row = {.id = uploaded->id,
                         .tenant = tenant,
                         .created_at = now,
                         .expires_at = uploaded->expires_after ? now + uploaded->expires_after : 0,
                         .filename = uploaded->filename,
                         .purpose = uploaded->purpose,
                         .bytes = uploaded->bytes,
                         .sha256 = uploaded->sha256,
                         .path = uploaded->path,
                         .status = FILE_UPLOADED,
                         .idempotency_key = uploaded->idempotency_key,
                         .body_sha256 = uploaded->body_sha256};
  const struct insertion insertion = {server, &row, change, what};
  enum status status = db_apply(server->db, insert, &insertion, false, err);
  if (status)
    file_drop(server, uploaded);
  return status;
}

void file_drop(const struct server *server, const struct uploaded *uploaded) {
  char path[PATH_BYTES];
  if (!path_format(path, NULL, "%s/%s", server->config->data, uploaded->path))
    unlink(path);
}
