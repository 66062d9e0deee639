#include "server/http/reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/http/connection.h"
#include "server/http/range.h"
#include "server/paths.h"
#include "storage/artifact.h"

enum { RETRY_AFTER_S = 2 };

static const char *reason(int http_status) {
  static const struct {
    int status;
    const char *text;
  } reasons[] = {
      {200, "OK"}, {206, "Partial Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"},
      {404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"},
      {411, "Length Required"}, {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"}};
  for (size_t i = 0; i < COUNT_OF(reasons); i++)
    if (reasons[i].status == http_status)
      return reasons[i].text;
  return "Other";
}

/* Values are texts of ours, or were checked to hold no line's end. */
static void add(struct response *response, const char *name, const char *value) {
  str_printf(&response->head, "%s: %s\r\n", name, value);
}

/* Begins an answer with what every one has. */
static void begin(struct response *response, struct request *request, int http_status) {
  char date[40];
  struct tm tm;
  time_t now = (time_t)clock_unix();
  response_init(response);
  request->http_status = http_status;
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
  str_printf(&response->head, "HTTP/1.1 %d %s\r\n", http_status, reason(http_status));
  add(response, "Date", date);
  add(response, "x-request-id", request->id);
  str_printf(&response->head, "openai-processing-ms: %.0f\r\n", (clock_seconds() - request->started) * 1e3);
  add(response, "X-Content-Type-Options", "nosniff");
}

/* Ends the header and sends it all. An answer to HEAD tells the length of what it leaves out. */
static void send_response(struct request *request, struct response *response, bool end) {
  end |= request->connection->close;
  if (request->http_status != 304)
    str_printf(&response->head, "Content-Length: %llu\r\n",
               (unsigned long long)(response->text.length + response->left));
  if (end)
    add(response, "Connection", "close");
  else if (request->head.guard.minor == 0)
    add(response, "Connection", "keep-alive");
  str_puts(&response->head, "\r\n");
  if (strcmp(request->head.method, "HEAD") == 0) {
    str_clear(&response->text);
    response->left = 0;
  }
  connection_reply(request->connection, response, end);
}

static bool add_json(struct response *response, const json_t *value) {
  add(response, "Content-Type", "application/json");
  add(response, "Cache-Control", "no-store");
  return value && json_append(&response->text, value) && str_putc(&response->text, '\n');
}

void reply_json_with(struct request *request, json_t *value, const char *header, const char *header_value) {
  struct response response;
  begin(&response, request, 200);
  bool whole = add_json(&response, value);
  json_decref(value);
  if (!whole) {
    struct error err;
    response_done(&response);
    error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "the answer is too large for this server's memory");
    reply_error(request, &err);
    return;
  }
  if (header)
    add(&response, header, header_value);
  send_response(request, &response, false);
}

void reply_json(struct request *request, json_t *value) {
  reply_json_with(request, value, NULL, NULL);
}

static json_t *error_object(const struct server *server, const struct error *err) {
  return json_pack("{s:o, s:s, s:o, s:s}", "message", reply_message(server, err->text), "type",
                   status_type(err->status), "param", reply_message(server, err->param[0] ? err->param : NULL), "code",
                   status_code(err->status));
}

static void add_retry(struct response *response, enum status status) {
  switch (status_retry(status)) {
  case RETRY_NEVER:
    /* The client retries 409 and 5xx by itself: tell it that nothing would change. */
    if (status_http(status) == 409 || status_http(status) >= 500)
      add(response, "x-should-retry", "false");
    return;
  case RETRY_CLIENT: return;
  case RETRY_LATER: str_printf(&response->head, "Retry-After: %d\r\n", RETRY_AFTER_S); return;
  }
}

static void send_error(struct request *request, const struct error *err, json_t *object, bool end) {
  AUTO(json_release) json_t *body = json_pack("{s:o}", "error", object);
  struct response response;
  char allow[64];
  begin(&response, request, status_http(err->status));
  add_json(&response, body);
  add_retry(&response, err->status);
  if (err->status == STATUS_INVALID_API_KEY)
    add(&response, "WWW-Authenticate", "Bearer");
  if (err->status == STATUS_METHOD_NOT_ALLOWED) {
    endpoint_allow(allow, sizeof allow, request->match.allowed);
    add(&response, "Allow", allow);
  }
  if (status_http(err->status) >= 500)
    log_error("%s", err->text);
  send_response(request, &response, end);
}

void reply_error(struct request *request, const struct error *err) {
  send_error(request, err, error_object(request->server, err), false);
}

void reply_error_and_close(struct request *request, const struct error *err) {
  send_error(request, err, error_object(request->server, err), true);
}

void reply_faults(struct request *request, const struct fault_list *faults) {
  CHECK(faults->count > 0);
  json_t *object = error_object(request->server, &faults->item[0]);
  json_t *details = json_array();
  for (size_t i = 0; i < faults->count; i++)
    json_array_append_new(details, error_object(request->server, &faults->item[i]));
  if (faults->more)
    json_object_set_new(object, "more", json_integer((json_int_t)faults->more));
  json_object_set_new(object, "details", details);
  send_error(request, &faults->item[0], object, false);
}

/* Is this ETag among those of an If-None-Match or If-Range header? */
static bool etag_listed(const char *header, const char *etag) {
  return header && (strcmp(header, "*") == 0 || strstr(header, etag) != NULL);
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

static void add_file_headers(struct response *response, const struct reply_file *file, const char *etag) {
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

static void reply_not_modified(struct request *request, const char *etag) {
  struct response response;
  begin(&response, request, 304);
  add(&response, "ETag", etag);
  send_response(request, &response, false);
}

static void reply_beyond(struct request *request, uint64_t bytes) {
  struct error err;
  struct response response;
  error_set(&err, STATUS_RANGE, "Range", "the file has %llu bytes", (unsigned long long)bytes);
  AUTO(json_release) json_t *body = json_pack("{s:o}", "error", error_object(request->server, &err));
  begin(&response, request, status_http(STATUS_RANGE));
  add_json(&response, body);
  str_printf(&response.head, "Content-Range: bytes */%llu\r\n", (unsigned long long)bytes);
  send_response(request, &response, false);
}

void reply_file(struct request *request, const struct reply_file *file) {
  char etag_text[HASH_HEX + 16];
  const char *etag = NULL;
  struct response response;
  struct range range;
  if (file->sha256) {
    snprintf(etag_text, sizeof etag_text, "\"sha256:%s\"", file->sha256);
    etag = etag_text;
  }
  const char *wanted = etag ? request_header(request, "Range") : NULL;
  const char *condition = request_header(request, "If-Range");
  if (condition && !etag_listed(condition, etag ? etag : "\n"))
    wanted = NULL;
  enum range_kind kind = range_parse(&range, wanted, file->bytes);
  bool same = etag && etag_listed(request_header(request, "If-None-Match"), etag);
  if (same || kind == RANGE_BEYOND) {
    close(file->fd);
    if (same)
      reply_not_modified(request, etag);
    else
      reply_beyond(request, file->bytes);
    return;
  }
  begin(&response, request, kind == RANGE_PART ? 206 : 200);
  response.fd = file->fd;
  response.offset = (off_t)range.first;
  response.left = range.length;
  add_file_headers(&response, file, etag);
  if (kind == RANGE_PART)
    str_printf(&response.head, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)range.first,
               (unsigned long long)(range.first + range.length - 1), (unsigned long long)file->bytes);
  send_response(request, &response, false);
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

json_t *reply_list(json_t *data, bool more) {
  size_t count = json_array_size(data);
  const json_t *first = json_object_get(json_array_get(data, 0), "id");
  const json_t *last = count ? json_object_get(json_array_get(data, count - 1), "id") : NULL;
  return json_pack("{s:s, s:b, s:s?, s:s?, s:o}", "object", "list", "has_more", more, "first_id",
                   json_string_value(first), "last_id", json_string_value(last), "data", data);
}

json_t *reply_text(const char *text) {
  return text ? json_string(text) : json_null();
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
