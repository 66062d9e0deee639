/* The HTTP surface (endpoints.def) as a table, and the match of a request against it. Pure: no
   sockets. Matching works on the raw path, segment by segment, because a model id may carry an
   encoded slash ("/v1/models/ft%3Abase%2Fx"). A slash of its own is taken too where no other path fits
   ("/v1/models/org/name"): proxies decode, and people type it so. */
#ifndef API_ENDPOINT_H
#define API_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "api/key.h"
#include "base/error.h"

enum operation {
#define ENDPOINT(method, path, operation, scope, summary) OP_##operation,
#include "api/endpoints.def"
#undef ENDPOINT
  OP_COUNT
};

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE, HTTP_PUT, HTTP_PATCH, HTTP_METHOD_COUNT };

struct endpoint {
  enum http_method method;
  const char *path;       /* "/v1/files/{file_id}/content": the route for logs and metrics */
  size_t length;          /* of the path */
  const char *operation;  /* "files_content" */
  enum scope scope;       /* what a key must be allowed */
  const char *summary;
};
const struct endpoint *endpoint_of(enum operation op);

/* "GET" and so on, case-sensitive; HEAD parses as GET (the caller leaves the body out).
   HTTP_METHOD_COUNT for any other word. */
enum http_method http_method_parse(const char *text);
const char *http_method_name(enum http_method method);

enum { ENDPOINT_PARAMS_MAX = 2, ENDPOINT_PARAM_BYTES = 512 };

struct endpoint_match {
  enum operation op;
  size_t count;                                            /* of params, in the order of the path */
  char param[ENDPOINT_PARAMS_MAX][ENDPOINT_PARAM_BYTES];   /* percent-decoded UTF-8, never empty, NUL-terminated */
  unsigned allowed;                                        /* METHOD_NOT_ALLOWED: 1u << enum http_method, a bit each */
};

/* `raw_path` is the request target as it came, undecoded; from '?' on it is ignored. `method` may be
   HTTP_METHOD_COUNT (a word we do not know): then a path that exists answers METHOD_NOT_ALLOWED.
   STATUS_OK; STATUS_NOT_FOUND: no route has that path; STATUS_METHOD_NOT_ALLOWED: the path exists for
   the methods in out->allowed; STATUS_INVALID_VALUE, err->param the parameter's name: a bad escape,
   %00, invalid UTF-8, or too long. The path's fixed segments must be written unescaped. */
NODISCARD enum status endpoint_match(struct endpoint_match *out, enum http_method method, const char *raw_path,
                                     struct error *err);

/* "GET, HEAD, DELETE" for the Allow header, into out[size] (64 bytes fit every set). */
void endpoint_allow(char *out, size_t size, unsigned allowed);

#endif
