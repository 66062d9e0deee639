/* /v1/files */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "server/http/audit.h"
#include "server/http/file_object.h"
#include "server/http/idempotency.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/removal.h"
#include "server/scheduler.h"

static void reply_with_file(struct request *request, const char *id, bool replayed) {
  struct file_row file;
  struct error err;
  if (db_file_get(&file, request->server->db, request->tenant, id, clock_unix(), &request->arena, &err))
    reply_error(request, &err);
  else
    reply_json_with(request, file_object(request->server, &file), replayed ? "Idempotency-Replayed" : NULL, "true");
}

/* ---- upload ---- */

/* The bytes may come in other pieces, under another boundary: what was sent is their hash and the fields. */
static enum status hash_of(char out[HASH_HEX], const struct uploaded *uploaded, struct error *err) {
  AUTO(str_done) struct str sent;
  str_init(&sent, 1 << 10);
  if (!str_printf(&sent, "%s %s %lld %s", uploaded->sha256, uploaded->purpose, (long long)uploaded->expires_after,
                  uploaded->filename))
    return error_no_memory(err, "an upload");
  hash_bytes(out, sent.text, sent.length);
  return STATUS_OK;
}

/* Was this carried out before, and is what it made still there? */
static enum status find_earlier(struct file_row *file, bool *found, struct request *request,
                                const struct idempotency *sent, const char *body_sha256, struct error *err) {
  *found = false;
  enum status status = sent->wanted ? db_file_same(file, found, request->server->db, request->tenant, sent->key,
                                                   body_sha256, sent->since, &request->arena, err)
                                    : STATUS_OK;
  *found = *found && (!file->expires_at || file->expires_at > clock_unix());
  return status || !*found ? status : idempotency_check(sent, body_sha256, file->id, file->body_sha256, err);
}

/* Makes its row, or finds that of the request that was the same; the request waits for its check, where it has none
   yet. */
static enum status store(bool *checked, struct request *request, const struct uploaded *uploaded, struct error *err) {
  struct server *server = request->server;
  struct uploaded named = *uploaded;
  struct idempotency sent;
  struct file_row file;
  char body_sha256[HASH_HEX];
  bool earlier = false;
  enum status status = idempotency_read(&sent, request, err);
  status = status ? status : hash_of(body_sha256, uploaded, err);
  status = status ? status : find_earlier(&file, &earlier, request, &sent, body_sha256, err);
  *checked = !status && earlier && file.status != FILE_UPLOADED;
  if (status || earlier) {
    file_drop(server, uploaded);
    if (!status)
      snprintf(request->wait_key, sizeof request->wait_key, "%s", file.id);
    return status;
  }
  named.idempotency_key = sent.key;
  named.body_sha256 = body_sha256;
  request->audit.object = uploaded->id;
  status = file_store(server, request->tenant, &named, NULL, NULL, err);
  if (!status)
    scheduler_wake(server->scheduler);
  return status;
}

static void on_published(struct request *request, const struct uploaded *uploaded, const struct error *err) {
  bool checked = false;
  audit_begin(request);
  if (err)
    request->refused = *err;
  else if (!store(&checked, request, uploaded, &request->refused))
    request->refused.status = STATUS_OK;
  audit_end(request);
  wait_at_most(request, checked || request->refused.status ? 0 : request->server->config->upload_check_wait_ms);
}

void http_files_create(struct request *request) {
  struct idempotency sent;
  struct error err;
  if (request->waited)
    reply_with_file(request, request->wait_key, strcmp(request->wait_key, upload_id(request->upload)) != 0);
  else if (idempotency_read(&sent, request, &err) || upload_end(request->upload, on_published, request, &err))
    reply_error(request, &err);
  else
    wait_for(request, upload_id(request->upload), -1);
}

/* ---- look ---- */

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
  reply_with_file(request, request_param(request, 0), false);
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
