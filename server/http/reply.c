#include "server/http/reply.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/http/client.h"
#include "server/http/range.h"
#include "server/paths.h"
#include "storage/artifact.h"

enum { RETRY_AFTER_S = 2 };

static void add(struct MHD_Response *response, const char *name, const char *value) {
  if (MHD_add_response_header(response, name, value) != MHD_YES)
    log_error("the header %s cannot be added", name);
}

/* What every answer has. */
static void add_common(const struct request *request, struct MHD_Response *response) {
  char text[32];
  snprintf(text, sizeof text, "%lld", llround((clock_seconds() - request->started) * 1e3));
  add(response, "x-request-id", request->id);
  add(response, "openai-processing-ms", text);
  add(response, "X-Content-Type-Options", "nosniff");
  if (request->server->config->allowed_origins)
    add(response, "Vary", "Origin");
  if (request->page) {
    add(response, "Access-Control-Allow-Origin", request->page);
    add(response, "Access-Control-Expose-Headers", "x-request-id, ETag, Content-Disposition, Retry-After");
  }
}

/* Takes the response. */
static void answer(struct request *request, int http_status, struct MHD_Response *response) {
  CHECK(request->http_status == 0 && !request->response);
  request->http_status = http_status;
  request->phase = REQUEST_ANSWERED;
  request->response = response;
}

bool reply_send(struct request *request) {
  CHECK(request->phase == REQUEST_ANSWERED && !request->sent);
  request->sent = true;
  if (!request->response)
    return false;
  add_common(request, request->response);
  bool queued = MHD_queue_response(request->connection, (unsigned)request->http_status, request->response) == MHD_YES;
  reply_drop(request);
  return queued;
}

void reply_drop(struct request *request) {
  if (request->response)
    MHD_destroy_response(request->response);
  request->response = NULL;
}

/* A response with that text as its body, or NULL. Takes the bytes. */
static struct MHD_Response *text_response(struct str *text, const char *content_type) {
  size_t length;
  char *bytes = str_take(text, &length);
  struct MHD_Response *response = bytes ? MHD_create_response_from_buffer(length, bytes, MHD_RESPMEM_MUST_FREE) : NULL;
  if (!response) {
    free(bytes);
    str_done(text);
    return NULL;
  }
  add(response, "Content-Type", content_type);
  add(response, "Cache-Control", "no-store");
  return response;
}

/* The same of JSON. */
static struct MHD_Response *json_text_response(struct str *text) {
  str_putc(text, '\n');
  return text_response(text, "application/json");
}

/* NULL is no JSON. */
static void make_text(struct str *out, const json_t *value) {
  str_init(out, REPLY_BYTES_MAX);
  if (!value || !json_append(out, value))
    out->failed = true;
}

static struct MHD_Response *json_response(const json_t *value) {
  struct str text;
  make_text(&text, value);
  return json_text_response(&text);
}

/* Takes the response; NULL: there was no memory for it. */
static void answer_text(struct request *request, struct MHD_Response *response, const char *header,
                        const char *header_value) {
  if (!response) {
    struct error err;
    error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "the answer is too large for this server's memory");
    reply_error(request, &err);
    return;
  }
  if (header)
    add(response, header, header_value);
  answer(request, 200, response);
}

void reply_json_text(struct request *request, struct str *text, const char *header, const char *header_value) {
  answer_text(request, json_text_response(text), header, header_value);
}

void reply_text(struct request *request, struct str *text, const char *content_type) {
  answer_text(request, text_response(text, content_type), NULL, NULL);
}

void reply_nothing(struct request *request) {
  answer(request, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

void reply_stream(struct request *request, struct MHD_Response *response, const char *content_type) {
  if (!response) {
    answer_text(request, NULL, NULL, NULL);
    return;
  }
  add(response, "Content-Type", content_type);
  add(response, "Cache-Control", "no-store");
  add(response, "X-Accel-Buffering", "no"); /* nginx would keep what comes until it has a block of it */
  add(response, "Connection", "close");
  request->last = true;
  answer(request, 200, response);
}

void reply_json(struct request *request, json_t *value) {
  reply_json_with(request, value, NULL, NULL);
}

void reply_json_with(struct request *request, json_t *value, const char *header, const char *header_value) {
  struct str text;
  make_text(&text, value);
  json_decref(value);
  reply_json_text(request, &text, header, header_value);
}

void reply_preflight(struct request *request) {
  const char *headers = request_header(request, "Access-Control-Request-Headers");
  struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  if (response) {
    add(response, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    add(response, "Access-Control-Max-Age", "600");
    if (headers)
      add(response, "Access-Control-Allow-Headers", headers);
  }
  answer(request, 204, response);
}

json_t *reply_error_object(const struct server *server, const struct error *err) {
  return json_pack("{s:o, s:s, s:o, s:s}", "message", reply_message(server, err->text), "type",
                   status_type(err->status), "param", reply_message(server, err->param[0] ? err->param : NULL), "code",
                   status_code(err->status));
}

static void add_retry(const struct request *request, struct MHD_Response *response, enum status status) {
  char text[24];
  switch (status_retry(status)) {
  case RETRY_NEVER:
    /* The client retries these by itself: tell it that nothing would change. */
    if (status_http(status) == 409 || status_http(status) == 429 || status_http(status) >= 500)
      add(response, "x-should-retry", "false");
    return;
  case RETRY_CLIENT: return;
  case RETRY_LATER:
    snprintf(text, sizeof text, "%lld", request->retry_after_s ? (long long)request->retry_after_s : RETRY_AFTER_S);
    add(response, "Retry-After", text);
    return;
  }
}

/* The answer's header as it goes out. */
static enum MHD_Result add_line(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  str_printf(context, "%s: %s\r\n", name, value);
  return MHD_YES;
}

/* Answers past libmicrohttpd, which has no answer for a request that is not complete. */
static void send_now(struct request *request, int http_status, struct MHD_Response *response, const json_t *body) {
  AUTO(str_done) struct str out, text;
  char date[64];
  time_t now = (time_t)clock_unix();
  struct tm parts;
  str_init(&out, 64 << 10);
  str_init(&text, 32 << 10);
  json_append(&text, body);
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
  str_printf(&out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", http_status, MHD_get_reason_phrase_for((unsigned)http_status),
             date);
  MHD_get_response_headers(response, add_line, &out);
  str_printf(&out, "Content-Length: %zu\r\n\r\n%s\n", text.length + 1, text.text);
  client_answer(request->client, out.text, out.length);
}

/* How a connection goes on after an error. */
enum end {
  END_NEVER, /* the next request */
  END_AFTER, /* it is closed */
  END_NOW,   /* the request is not complete: what still comes of it is thrown away */
};

static void send_error(struct request *request, const struct error *err, json_t *object, enum end end) {
  request->error = err->status;
  AUTO(json_release) json_t *body = json_pack("{s:o}", "error", object);
  struct MHD_Response *response = json_response(body);
  int http_status = status_http(err->status);
  char allow[64];
  if (response) {
    add_retry(request, response, err->status);
    if (http_status == 401)
      add(response, "WWW-Authenticate", "Bearer");
    if (err->status == STATUS_METHOD_NOT_ALLOWED) {
      endpoint_allow(allow, sizeof allow, request->match.allowed);
      add(response, "Allow", allow);
    }
    if (end != END_NEVER)
      add(response, "Connection", "close");
  }
  if (http_status >= 500)
    log_error("%s", err->text);
  request->last = end != END_NEVER;
  if (end != END_NOW) {
    answer(request, http_status, response);
    return;
  }
  request->http_status = http_status;
  if (!response)
    return;
  add_common(request, response);
  send_now(request, http_status, response, body);
  MHD_destroy_response(response);
}

void reply_error(struct request *request, const struct error *err) {
  send_error(request, err, reply_error_object(request->server, err), END_NEVER);
}

void reply_error_and_close(struct request *request, const struct error *err) {
  send_error(request, err, reply_error_object(request->server, err), END_AFTER);
}

void reply_error_now(struct request *request, const struct error *err) {
  send_error(request, err, reply_error_object(request->server, err), END_NOW);
}

void reply_faults(struct request *request, const struct fault_list *faults) {
  CHECK(faults->count > 0);
  json_t *object = reply_error_object(request->server, &faults->item[0]);
  json_t *details = json_array();
  for (size_t i = 0; i < faults->count; i++)
    json_array_append_new(details, reply_error_object(request->server, &faults->item[i]));
  if (faults->more)
    json_object_set_new(object, "more", json_integer((json_int_t)faults->more));
  json_object_set_new(object, "details", details);
  send_error(request, &faults->item[0], object, END_NEVER);
}

/* Is this ETag among those of an If-None-Match or If-Match header? `strong`: weak ones (W/"...") are others (RFC 9110,
   8.8.3.2). */
static bool etag_listed(const char *header, const char *etag, bool strong) {
  if (header && strcmp(header, "*") == 0)
    return true;
  for (const char *at = header; at && (at = strstr(at, etag)); at++)
    if (!strong || at - header < 2 || memcmp(at - 2, "W/", 2) != 0)
      return true;
  return false;
}

/* attachment; filename="ascii"; filename*=UTF-8''percent-encoded (RFC 6266). */
static void make_disposition(struct str *out, const char *filename) {
  str_puts(out, "attachment; filename=\"");
  for (const char *p = filename; *p; p++)
    str_putc(out, (unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F || strchr("\"\\/%", *p) ? '_' : *p);
  str_puts(out, "\"; filename*=UTF-8''");
  for (const unsigned char *p = (const unsigned char *)filename; *p; p++)
    if ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("-._~", *p))
      str_putc(out, (char)*p);
    else
      str_printf(out, "%%%02X", *p);
}

static void add_file_headers(struct MHD_Response *response, const struct reply_file *file, const char *etag) {
  AUTO(str_done) struct str disposition;
  str_init(&disposition, 2048);
  add(response, "Content-Type", file->content_type);
  if (etag) {
    add(response, "ETag", etag);
    add(response, "Accept-Ranges", "bytes");
  }
  if (!file->filename)
    return;
  make_disposition(&disposition, file->filename);
  add(response, "Content-Disposition", disposition.failed ? "attachment" : disposition.text);
}

static void reply_not_modified(struct request *request, const struct reply_file *file, const char *etag) {
  struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  close(file->fd);
  if (response)
    add(response, "ETag", etag);
  answer(request, 304, response);
}

static void reply_beyond(struct request *request, const struct reply_file *file) {
  struct error err;
  char text[64];
  error_set(&err, STATUS_RANGE, "Range", "the file has %llu bytes", (unsigned long long)file->bytes);
  AUTO(json_release) json_t *body = json_pack("{s:o}", "error", reply_error_object(request->server, &err));
  struct MHD_Response *response = json_response(body);
  snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)file->bytes);
  if (response)
    add(response, "Content-Range", text);
  close(file->fd);
  answer(request, status_http(STATUS_RANGE), response);
}

void reply_file(struct request *request, const struct reply_file *file) {
  char etag_text[HASH_HEX + 16], content_range[96];
  const char *etag = NULL;
  if (file->sha256) {
    snprintf(etag_text, sizeof etag_text, "\"sha256:%s\"", file->sha256);
    etag = etag_text;
    const char *match = request_header(request, "If-Match"), *none = request_header(request, "If-None-Match");
    if (match && !etag_listed(match, etag, true)) {
      struct error err;
      error_set(&err, STATUS_PRECONDITION, "If-Match", "the file has the ETag %s", etag);
      close(file->fd);
      reply_error(request, &err);
      return;
    }
    if (etag_listed(none, etag, false)) {
      reply_not_modified(request, file, etag);
      return;
    }
  }
  /* Of HEAD a range is ignored; where If-Range names another file, or a date, all of this one is sent (RFC
     9110, 13.1.5, 14.2). */
  const char *wanted = etag && !request->head ? request_header(request, "Range") : NULL;
  const char *condition = request_header(request, "If-Range");
  if (wanted && condition && strcmp(condition, etag) != 0)
    wanted = NULL;
  struct range range;
  enum range_kind kind = range_parse(&range, wanted, file->bytes);
  if (kind == RANGE_BEYOND) {
    reply_beyond(request, file);
    return;
  }
  struct MHD_Response *response =
      MHD_create_response_from_fd_at_offset64(range.length, file->fd, file->first + range.first);
  if (!response) {
    close(file->fd);
    answer(request, 500, NULL);
    return;
  }
  add_file_headers(response, file, etag);
  if (kind == RANGE_PART) {
    snprintf(content_range, sizeof content_range, "bytes %llu-%llu/%llu", (unsigned long long)range.first,
             (unsigned long long)(range.first + range.length - 1), (unsigned long long)file->bytes);
    add(response, "Content-Range", content_range);
  }
  request->file_bytes = request->head ? 0 : range.length;
  if (request->file_bytes)
    client_set_unsent(request->client, true);
  answer(request, kind == RANGE_PART ? 206 : 200, response);
}

void reply_content(struct request *request, const char *path, int64_t bytes, const char *sha256, const char *filename) {
  struct error err;
  int fd;
  int64_t size = 0;
  enum status status = artifact_open(&fd, &size, request->server->config->data, path, &err);
  if (!status && size != bytes) {
    status = error_set(&err, STATUS_DAMAGED, NULL, "%s has %lld bytes; %lld were stored", path, (long long)size,
                       (long long)bytes);
    close(fd);
  }
  if (status) {
    reply_error(request, &err);
    return;
  }
  reply_file(request, &(struct reply_file){.fd = fd,
                                           .bytes = (uint64_t)bytes,
                                           .sha256 = sha256,
                                           .filename = filename,
                                           .content_type = "application/octet-stream"});
}

void reply_fixed(struct request *request, const struct reply_fixed *fixed) {
  bool same = etag_listed(request_header(request, "If-None-Match"), fixed->etag, false);
  struct MHD_Response *response = MHD_create_response_from_buffer(
      same ? 0 : fixed->length, (void *)(uintptr_t)fixed->bytes, MHD_RESPMEM_PERSISTENT);
  if (response) {
    add(response, "ETag", fixed->etag);
    add(response, "Cache-Control", "no-cache");
    add(response, "Vary", "Accept-Encoding");
  }
  if (response && !same) {
    add(response, "Content-Type", fixed->content_type);
    add(response, "Content-Security-Policy", fixed->policy);
    add(response, "Referrer-Policy", "no-referrer");
    if (fixed->gzip)
      add(response, "Content-Encoding", "gzip");
  }
  answer(request, same ? 304 : 200, response);
}

json_t *reply_list(json_t *data, bool more) {
  size_t count = json_array_size(data);
  const json_t *first = json_object_get(json_array_get(data, 0), "id");
  const json_t *last = count ? json_object_get(json_array_get(data, count - 1), "id") : NULL;
  return json_pack("{s:s, s:b, s:s?, s:s?, s:o}", "object", "list", "has_more", more, "first_id",
                   json_string_value(first), "last_id", json_string_value(last), "data", data);
}

json_t *reply_message(const struct server *server, const char *text) {
  AUTO(str_done) struct str shown;
  str_init(&shown, 1 << 16);
  if (!text)
    return json_null();
  path_hide(&shown, text, server->config);
  if (!utf8_valid(shown.text, shown.length, NULL)) /* it quotes bytes that a client sent */
    for (size_t i = 0; i < shown.length; i++)
      if ((unsigned char)shown.text[i] >= 0x80)
        shown.text[i] = '?';
  return json_string(shown.text);
}

json_t *reply_number(int64_t number) {
  return number ? json_integer(number) : json_null();
}

json_t *reply_stored(const char *text) {
  json_t *value;
  if (!text)
    return json_null();
  if (json_parse(&value, text, strlen(text), NULL, NULL) == STATUS_OK)
    return value;
  log_error("stored text that is no JSON is shown as null: %.80s", text); /* a damaged row spoils no list */
  return json_null();
}
