/* Probes and what the server says about itself. None of these needs a key, and none tells a secret. */
#include "api/openapi.h"
#include "server/host.h"
#include "server/http/reply.h"
#include "storage/db.h"

void http_livez(struct request *request) {
  reply_json(request, json_pack("{s:s}", "status", "ok"));
}

void http_readyz(struct request *request) {
  struct error err;
  enum status status = STATUS_OK;
  if (request->server->draining)
    status = error_set(&err, STATUS_DRAINING, NULL, "the server is shutting down");
  if (!status) {
    status = host_check(request->server->config, &err);
    if (!status)
      status = db_probe(request->server->db, &err);
    if (!status && request->server->hold.why.status) {
      err = request->server->hold.why;
      status = err.status;
    }
    if (status) /* whatever it is: a balancer sends work elsewhere, and back when it has passed */
      err.status = STATUS_UNAVAILABLE;
  }
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, json_pack("{s:s}", "status", "ready"));
}

void http_version(struct request *request) {
  reply_json(request, json_pack("{s:s, s:s, s:s}", "name", "reflectd", "version", REFLECTD_VERSION, "compiler",
                                __VERSION__));
}

void http_openapi(struct request *request) {
  reply_json(request, openapi_document());
}
