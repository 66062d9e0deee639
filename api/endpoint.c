/* Matching a request against endpoints.def: a linear scan, in which the last byte tells most rows apart at once. */
#include "api/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct endpoint endpoints[] = {
#define ENDPOINT(method, path, operation, scope, summary)                                                              \
  [OP_##operation] = {HTTP_##method, path, sizeof(path) - 1, #operation, SCOPE_##scope, summary},
#include "api/endpoints.def"
#undef ENDPOINT
};

static const char *const methods[] = {
    [HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE", [HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH"};

const struct endpoint *endpoint_of(enum operation op) {
  CHECK(op < OP_COUNT);
  return &endpoints[op];
}

enum http_method http_method_parse(const char *text) {
  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (strcmp(methods[i], text) == 0)
      return (enum http_method)i;
  return strcmp(text, "HEAD") == 0 ? HTTP_GET : HTTP_METHOD_COUNT;
}

const char *http_method_name(enum http_method method) {
  CHECK(method < HTTP_METHOD_COUNT);
  return methods[method];
}

/* The end of what the parameter at `template` takes: one segment. A model's id may have slashes that a client or a
   proxy wrote as they are: where no path of single segments fits, {model} at the end takes what is left. */
static const char *param_end(const char *template, const char *path, const char *end, bool slashes) {
  if (slashes && strcmp(template, "{model}") == 0)
    return path < end && end[-1] != '/' && *path != '/' && !memmem(path, (size_t)(end - path), "//", 2) ? end : path;
  const char *slash = memchr(path, '/', (size_t)(end - path));
  return slash ? slash : end;
}

/* Does the raw path have the template's shape? No parameter is empty. */
static bool same_shape(const char *template, const char *path, size_t length, bool slashes) {
  const char *end = path + length;
  while (*template && path < end) {
    if (*template != '{') {
      if (*template ++ != *path++)
        return false;
      continue;
    }
    const char *start = path;
    path = param_end(template, path, end, slashes);
    if (path == start)
      return false;
    template = strchr(template, '}') + 1;
  }
  return *template == '\0' && path == end;
}

static int hex(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* Into out; err->param is left to the caller. */
static enum status decode(char out[ENDPOINT_PARAM_BYTES], const char *raw, size_t length, const char *name,
                          int name_length, struct error *err) {
  size_t n = 0;
  for (size_t i = 0; i < length; i++) {
    int byte = (unsigned char)raw[i];
    if (byte == '%') {
      int high = i + 2 < length ? hex(raw[i + 1]) : -1;
      int low = high < 0 ? -1 : hex(raw[i + 2]);
      if (low < 0)
        return error_set(err, STATUS_INVALID_VALUE, NULL, "%.*s in the path has a %% without two hexadecimal digits",
                         name_length, name);
      byte = high << 4 | low;
      i += 2;
    }
    if (byte == 0)
      return error_set(err, STATUS_INVALID_VALUE, NULL, "%.*s in the path has a NUL byte", name_length, name);
    if (n + 1 >= ENDPOINT_PARAM_BYTES)
      return error_set(err, STATUS_INVALID_VALUE, NULL, "%.*s in the path is longer than %d bytes", name_length, name,
                       ENDPOINT_PARAM_BYTES - 1);
    out[n++] = (char)byte;
  }
  out[n] = '\0';
  if (!utf8_valid(out, n, NULL))
    return error_set(err, STATUS_INVALID_VALUE, NULL, "%.*s in the path is not UTF-8", name_length, name);
  return STATUS_OK;
}

/* Decodes the parameters of a path that has the template's shape. */
static enum status take_params(struct endpoint_match *out, const char *template, const char *path, size_t length,
                               bool slashes, struct error *err) {
  const char *end = path + length;
  while (*template) {
    if (*template != '{') {
      template ++;
      path++;
      continue;
    }
    const char *close = strchr(template, '}'), *start = path;
    path = param_end(template, path, end, slashes);
    CHECK(out->count < ENDPOINT_PARAMS_MAX);
    int name_length = (int)(close - template - 1);
    enum status status =
        decode(out->param[out->count], start, (size_t)(path - start), template + 1, name_length, err);
    if (status) {
      snprintf(err->param, sizeof err->param, "%.*s", name_length, template + 1);
      return status;
    }
    out->count++;
    template = close + 1;
  }
  return STATUS_OK;
}

static bool row_has(const struct endpoint *row, const char *path, size_t length, bool slashes) {
  char last = row->path[row->length - 1];
  return length > 0 && (last == '}' || last == path[length - 1]) && same_shape(row->path, path, length, slashes);
}

/* The last row of the path and the method; OP_COUNT: none. */
static enum operation find_row(enum http_method method, const char *path, size_t length, bool slashes) {
  for (size_t i = COUNT_OF(endpoints); i-- > 0;)
    if (endpoints[i].method == method && row_has(&endpoints[i], path, length, slashes))
      return (enum operation)i;
  return OP_COUNT;
}

static unsigned methods_of(const char *path, size_t length, bool slashes) {
  unsigned allowed = 0;
  for (size_t i = 0; i < COUNT_OF(endpoints); i++)
    if (row_has(&endpoints[i], path, length, slashes))
      allowed |= 1u << endpoints[i].method;
  return allowed;
}

enum status endpoint_match(struct endpoint_match *out, enum http_method method, const char *raw_path,
                           struct error *err) {
  size_t length = strcspn(raw_path, "?");
  out->count = 0;
  out->allowed = 0;
  for (int slashes = 0; slashes < 2 && !out->allowed; slashes++) {
    out->op = find_row(method, raw_path, length, slashes);
    if (out->op != OP_COUNT)
      return take_params(out, endpoints[out->op].path, raw_path, length, slashes, err);
    out->allowed = methods_of(raw_path, length, slashes);
  }
  if (!out->allowed)
    return error_set(err, STATUS_NOT_FOUND, NULL, "this server has no such path");
  char allow[64];
  endpoint_allow(allow, sizeof allow, out->allowed);
  return error_set(err, STATUS_METHOD_NOT_ALLOWED, NULL, "this path takes %s only", allow);
}

void endpoint_allow(char *out, size_t size, unsigned allowed) {
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (allowed & 1u << i && used < size)
      used += (size_t)snprintf(out + used, size - used, "%s%s%s", used ? ", " : "", methods[i],
                               i == HTTP_GET ? ", HEAD" : "");
}
