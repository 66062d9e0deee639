/* /v1/files */
#include "base/clock.h"
#include "server/http/audit.h"
#include "server/http/file_object.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/removal.h"
#include "server/scheduler.h"

static void reply_with_file(struct request *request, const char *id) {
  struct file_row file;
  struct error err;
  if (db_file_get(&file, request->server->db, request->tenant, id, clock_unix(), &request->arena, &err))
    reply_error(request, &err);
  else
    reply_json(request, file_object(request->server, &file));
}

/* The request then waits for the check, a little. */
static void on_published(struct request *request, const struct uploaded *uploaded, const struct error *err) {
  struct server *server = request->server;
  audit_begin(request);
  request->audit.object = uploaded->id;
  if (err)
    request->refused = *err;
  else if (!file_store(server, request->tenant, uploaded, NULL, NULL, &request->refused))
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
  enum status status = query_page(&page, &request->query, request->match.op, &err);
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
