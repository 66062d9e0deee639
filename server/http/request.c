#include "server/http/request.h"

#include <microhttpd.h>
#include <string.h>

#include "api/body.h"

const char *request_header(const struct request *request, const char *name) {
  return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_param(const struct request *request, size_t n) {
  CHECK(n < request->match.count);
  return request->match.param[n];
}

enum status request_json(json_t **out, struct request *request, struct error *err) {
  const char *type = request_header(request, "Content-Type");
  const struct field_table *table = body_fields(request->match.op);
  *out = NULL;
  if (request->body.length == 0 && table && !body_required(table)) {
    *out = json_object();
    return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the body");
  }
  if (!type)
    return error_set(err, STATUS_MEDIA_TYPE, NULL, "this needs the header \"Content-Type: application/json\"");
  if (strncasecmp(type, "application/json", 16) != 0 || (type[16] && !strchr("; \t", type[16])))
    return error_set(err, STATUS_MEDIA_TYPE, NULL,
                     "this needs the header \"Content-Type: application/json\", not %.80s", type);
  struct json_limits limits = {.bytes_max = (size_t)request->server->config->body_bytes_max};
  enum status status = json_parse(out, request->body.text, request->body.length, &limits, err);
  if (!status && !json_is_object(*out)) {
    status = error_set(err, STATUS_INVALID_JSON, NULL, "the body must be an object, not %s", json_kind(*out));
    json_decref(*out);
    *out = NULL;
  }
  return status;
}
