/* /v1/files */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/audit.h"
#include "server/http/reply.h"
#include "server/http/upload.h"
#include "server/http/wait.h"
#include "server/limits.h"
#include "server/paths.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "storage/db_file.h"

enum { LIST_DEFAULT = 10000, LIST_MAX = 10000 };

/* The report without what only jobs are judged by. */
static json_t *validation_of(const struct file_row *file) {
  json_t *report = reply_stored(file->report);
  json_object_del(report, "facts");
  return report;
}

static json_t *file_object(const struct server *server, const struct file_row *file) {
  return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:o}", "id", file->id, "object", "file", "bytes",
                   (json_int_t)file->bytes, "created_at", (json_int_t)file->created_at, "filename", file->filename,
                   "purpose", file->purpose, "status", file_status_name(file->status), "status_details",
                   reply_message(server, file->status_details), "expires_at", reply_number(file->expires_at),
                   "validation", validation_of(file));
}

static void reply_with_file(struct request *request, const char *id) {
  struct file_row file;
  struct error err;
  if (db_file_get(&file, request->server->db, request->tenant, id, clock_unix(), &request->arena, &err))
    reply_error(request, &err);
  else
    reply_json(request, file_object(request->server, &file));
}

struct insertion {
  const struct server *server;
  const struct file_row *row;
};

/* Others of the tenant may have come first: now its bytes are counted for good. */
static enum status insert(struct db *db, const void *what, struct error *err) {
  const struct insertion *insertion = what;
  const struct file_row *row = insertion->row;
  enum status status = limits_bytes(insertion->server, row->tenant, row->bytes, "file", err);
  return status ? status : db_file_insert(db, row, err);
}

/* The row of bytes that are durable. Without it they are nobody's. */
static enum status store(struct server *server, const char *tenant, const struct uploaded *uploaded,
                         struct error *err) {
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
                         .status = FILE_UPLOADED};
  const struct insertion insertion = {server, &row};
  enum status status = db_apply(server->db, insert, &insertion, false, err);
  char path[PATH_BYTES];
  if (status && !path_format(path, NULL, "%s/%s", server->config->data, uploaded->path))
    unlink(path);
  return status;
}

/* The request then waits for the check, a little. */
static void on_published(struct request *request, const struct uploaded *uploaded, const struct error *err) {
  struct server *server = request->server;
  audit_begin(request);
  request->audit.object = uploaded->id;
  if (err)
    request->refused = *err;
  else if (!store(server, request->tenant, uploaded, &request->refused))
    scheduler_wake(server->scheduler);
  audit_end(request);
  wait_at_most(request, request->refused.status ? 0 : server->config->upload_check_wait_ms);
}

void http_files_create(struct request *request) {
  struct error err;
  if (request->waited)
    reply_with_file(request, request->wait_key);
  else if (upload_end(request->upload, on_published, request, &err))
    reply_error(request, &err);
  else
    wait_for(request, upload_id(request->upload), -1);
}

void http_files_list(struct request *request) {
  struct page page;
  struct file_row *files;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, LIST_DEFAULT, LIST_MAX, &err);
  if (!status)
    status = db_file_list(&files, &count, &more, request->server->db, request->tenant, &page,
                          query_get(&request->query, "purpose"), clock_unix(), &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, file_object(request->server, &files[i]));
  reply_json(request, reply_list(data, more));
}

void http_files_retrieve(struct request *request) {
  reply_with_file(request, request_param(request, 0));
}

void http_files_content(struct request *request) {
  struct file_row file;
  struct error err;
  if (db_file_get(&file, request->server->db, request->tenant, request_param(request, 0), clock_unix(), &request->arena,
                  &err))
    reply_error(request, &err);
  else
    reply_content(request, file.path, file.bytes, file.sha256, file.filename);
}

void http_files_delete(struct request *request) {
  struct file_row file;
  struct error err;
  enum status status = db_file_get(&file, request->server->db, request->tenant, request_param(request, 0), clock_unix(),
                                   &request->arena, &err);
  if (!status)
    status = removal_of_file(request->server, &file, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s, s:s, s:b}", "id", file.id, "object", "file", "deleted", 1));
}
