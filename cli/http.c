/* Requests by libcurl. Every request goes through `perform`, which is where an answer becomes a
   status, an outcome and, when the server refused, its error object. */
#include "cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"

enum {
  CONNECT_SECONDS_MAX = 10,
  SILENCE_SECONDS_MAX = 120, /* a transfer without a byte for so long is given up */
  ANSWER_BYTES_MAX = 64 << 20,
  REPORT_INTERVAL_MS = 100,
  GREETING_MS = 15000, /* a stream that is silent for so long from its start is kept back by something between */
};

/* The state of one request. `answer` gathers the body unless a sink takes it. */
struct exchange {
  struct http *http;
  struct str answer;
  const struct http_sink *sink;
  const struct http_progress *progress;
  int64_t reported_ms;
  struct error *err;
  enum status sink_status;
  const struct http_listening *listening; /* NULL: no stream is asked for */
  int64_t begun_ms;
  bool heard, nothing; /* a byte of the stream; 204 */
};

/* Anything else that comes with status 200 is no stream: a list of an older server, a page of something between. */
static bool is_stream(CURL *curl) {
  const char *type = NULL;
  static const char wanted[] = "text/event-stream";
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  return type && strncasecmp(type, wanted, sizeof wanted - 1) == 0;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context) {
  struct exchange *exchange = context;
  long code = 0;
  (void)one; /* libcurl: always 1 */
  curl_easy_getinfo(exchange->http->curl, CURLINFO_RESPONSE_CODE, &code);
  if (!exchange->sink || code != 200)
    return str_add(&exchange->answer, bytes, length) ? length : 0;
  exchange->heard = true;
  if (exchange->listening && !is_stream(exchange->http->curl)) {
    exchange->http->outcome = HTTP_NO_STREAM;
    exchange->sink_status = error_set(exchange->err, STATUS_UNAVAILABLE, NULL, "the answer is no stream of events");
    return 0;
  }
  exchange->sink_status = exchange->sink->take(exchange->sink->context, bytes, length, exchange->err);
  return exchange->sink_status == STATUS_OK ? length : 0;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up) {
  struct exchange *exchange = context;
  bool receiving = exchange->sink != NULL;
  uint64_t total = (uint64_t)(receiving ? down_total : up_total), done = (uint64_t)(receiving ? down : up);
  int64_t now = clock_boot_ms();
  if (now - exchange->reported_ms >= REPORT_INTERVAL_MS || (total > 0 && done == total)) {
    exchange->reported_ms = now;
    exchange->progress->report(exchange->progress->context, done, total);
  }
  return 0;
}

/* Not 0 ends the stream. */
static int on_waiting(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up) {
  struct exchange *exchange = context;
  (void)down_total, (void)down, (void)up_total, (void)up;
  if (exchange->listening->stop()) {
    exchange->sink_status = error_set(exchange->err, STATUS_CANCELLED, NULL, "interrupted");
  } else if (!exchange->heard && clock_boot_ms() - exchange->begun_ms > GREETING_MS) {
    exchange->http->outcome = HTTP_NO_STREAM;
    exchange->sink_status =
        error_set(exchange->err, STATUS_UNAVAILABLE, NULL, "nothing came in %d seconds", GREETING_MS / 1000);
  }
  return exchange->sink_status != STATUS_OK;
}

/* Does the URL name this machine? Then no proxy of the environment can be meant. */
static bool is_loopback(const char *url) {
  CURLU *parts = curl_url();
  char *host = NULL;
  bool loopback = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                  curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                  (strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0);
  curl_free(host);
  curl_url_cleanup(parts);
  return loopback;
}

enum status http_open(struct http *http, const char *url, const char *key, struct error *err) {
  *http = (struct http){.url = url, .key = key && *key ? key : NULL};
  if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
    return error_set(err, STATUS_INVALID_VALUE, "url", "not a http:// or https:// address: %s", url);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(http->curl = curl_easy_init()))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "libcurl cannot start");
  http->loopback = is_loopback(url);
  return STATUS_OK;
}

void http_close(struct http *http) {
  json_decref(http->problem);
  curl_easy_cleanup(http->curl);
  curl_global_cleanup();
  *http = (struct http){0};
}

void http_escape(struct str *out, const char *text) {
  static const char digits[] = "0123456789ABCDEF";
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  for (; *text; text++) {
    unsigned char byte = (unsigned char)*text;
    if (strchr(plain, byte)) {
      str_putc(out, *text);
    } else {
      str_putc(out, '%');
      str_putc(out, digits[byte >> 4]);
      str_putc(out, digits[byte & 15]);
    }
  }
}

/* The server's {"error": {...}} becomes *err and http->problem. */
static enum status refusal(struct http *http, const struct str *answer, long code, const char *what,
                           struct error *err) {
  json_t *document = NULL;
  bool later = code >= 500 || code == 408 || code == 429;
  http->outcome = later ? HTTP_BROKEN : HTTP_REFUSED;
  if (json_parse(&document, answer->text, answer->length, NULL, NULL) == STATUS_OK)
    http->problem = json_incref(json_object_get(document, "error"));
  json_decref(document);
  const char *message = json_string_value(json_object_get(http->problem, "message"));
  const char *param = json_string_value(json_object_get(http->problem, "param"));
  const char *name = json_string_value(json_object_get(http->problem, "code"));
  enum status status = name ? status_from_code(name) : STATUS_COUNT;
  if (status == STATUS_COUNT || status == STATUS_OK)
    status = later ? STATUS_INTERNAL : STATUS_INVALID_REQUEST;
  if (!message)
    return error_set(err, status, NULL, "%s: the server answered HTTP %ld without saying why", what, code);
  return error_set(err, status, param, "%s", message);
}

static enum status no_answer(struct exchange *exchange, CURLcode result, const char *detail, const char *what,
                             struct error *err) {
  if (exchange->sink_status != STATUS_OK)
    return exchange->sink_status;
  exchange->http->outcome = HTTP_BROKEN;
  if (exchange->answer.failed)
    return error_set(err, STATUS_TOO_LARGE, NULL, "%s: the answer is larger than %d bytes", what, ANSWER_BYTES_MAX);
  if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST)
    return error_set(err, STATUS_IO, NULL, "no server at %s (%s); is reflectd running, is --url right?",
                     exchange->http->url, *detail ? detail : curl_easy_strerror(result));
  return error_set(err, STATUS_IO, NULL, "%s: %s", what, *detail ? detail : curl_easy_strerror(result));
}

/* What every request has in common. */
static void configure(struct exchange *exchange, const char *method, const char *url, char *detail) {
  CURL *curl = exchange->http->curl;
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "reflect/" REFLECTD_VERSION);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS_MAX);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, exchange->http->patient ? 0L : (long)SILENCE_SECONDS_MAX);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
  if (exchange->http->authorities)
    curl_easy_setopt(curl, CURLOPT_CAINFO, exchange->http->authorities);
  if (exchange->http->loopback)
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  if (exchange->progress) {
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
  }
  if (exchange->listening) {
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_waiting);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
  }
}

/* What an exchange that has run came to. */
static enum status judge(struct exchange *exchange, CURLcode result, const char *detail, const char *what,
                         struct error *err) {
  long code = 0;
  curl_easy_getinfo(exchange->http->curl, CURLINFO_RESPONSE_CODE, &code);
  /* A server may refuse an upload before it has read all of it: its answer says more than the broken pipe. */
  if (code >= 400)
    return refusal(exchange->http, &exchange->answer, code, what, err);
  if (result != CURLE_OK)
    return no_answer(exchange, result, detail, what, err);
  exchange->nothing = code == 204;
  if (code == 200 || (code == 204 && exchange->listening))
    return STATUS_OK;
  exchange->http->outcome = HTTP_BROKEN;
  return error_set(err, STATUS_INTERNAL, NULL, "%s: HTTP %ld is no answer of this interface; is --url right?", what,
                   code);
}

/* Runs the request whose body the caller has set on http->curl; takes over `headers` (may be NULL).
   On success the body is in exchange->answer or went to the sink. */
static enum status perform(struct exchange *exchange, const char *method, const char *path, struct curl_slist *headers,
                           struct error *err) {
  struct http *http = exchange->http;
  struct str url, what, header;
  char detail[CURL_ERROR_SIZE] = "";
  str_init(&url, 8192);
  str_init(&what, 8192);
  str_init(&header, 8192);
  size_t base_length = strlen(http->url);
  while (base_length > 0 && http->url[base_length - 1] == '/')
    base_length--;
  /* Every path begins with /v1; the openai client's address ends with it. */
  if (base_length > 3 && memcmp(http->url + base_length - 3, "/v1", 3) == 0)
    base_length -= 3;
  str_add(&url, http->url, base_length);
  str_puts(&url, path);
  str_printf(&what, "%s %s", method, path);
  json_decref(http->problem);
  http->problem = NULL;
  http->outcome = HTTP_FINE;

  headers = curl_slist_append(headers, "Expect:");
  if (http->key) {
    str_printf(&header, "Authorization: Bearer %s", http->key);
    headers = curl_slist_append(headers, header.text);
  }
  if (http->tenant) {
    str_clear(&header);
    str_printf(&header, "X-Reflectd-Tenant: %s", http->tenant);
    headers = curl_slist_append(headers, header.text);
  }
  configure(exchange, method, url.text, detail);
  curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
  CURLcode result = curl_easy_perform(http->curl);
  enum status status = judge(exchange, result, detail, what.text, err);
  curl_easy_reset(http->curl);
  curl_slist_free_all(headers);
  str_done(&url);
  str_done(&what);
  str_done(&header);
  return status;
}

/* The answer of a request that went well, as JSON. */
static enum status parse_answer(struct exchange *exchange, json_t **out, struct error *err) {
  const struct json_limits limits = {.bytes_max = ANSWER_BYTES_MAX, .values_max = 8 << 20};
  enum status status = json_parse(out, exchange->answer.text, exchange->answer.length, &limits, err);
  if (status == STATUS_OK && json_is_object(*out))
    return STATUS_OK;
  if (status == STATUS_OK)
    status = error_set(err, STATUS_INVALID_JSON, NULL, "expected an object");
  json_decref(*out);
  *out = NULL;
  exchange->http->outcome = HTTP_BROKEN;
  (void)error_prefix(err, "the server's answer");
  return status;
}

/* `text`: what the body is written to, which lives until the request is over. */
static enum status set_body(struct http *http, struct curl_slist **headers, struct str *text, const json_t *body,
                            struct error *err) {
  if (!json_append(text, body))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  *headers = curl_slist_append(*headers, "Content-Type: application/json");
  curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text->length);
  curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, text->text);
  return STATUS_OK;
}

enum status http_stream(struct http *http, const char *path, const json_t *body, const struct http_sink *sink,
                        struct error *err) {
  struct exchange exchange = {.http = http, .sink = sink, .err = err};
  struct curl_slist *headers = NULL;
  AUTO(str_done) struct str text;
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  str_init(&text, ANSWER_BYTES_MAX);
  enum status status = set_body(http, &headers, &text, body, err);
  if (status == STATUS_OK)
    status = perform(&exchange, "POST", path, headers, err);
  str_done(&exchange.answer);
  return status;
}

/* The same body is the same request. */
static struct curl_slist *add_idempotency_key(struct curl_slist *headers, const struct str *text) {
  char hex[HASH_HEX], header[HASH_HEX + 20];
  hash_bytes(hex, text->text, text->length);
  snprintf(header, sizeof header, "Idempotency-Key: %s", hex);
  return curl_slist_append(headers, header);
}

static enum status exchange_json(struct http *http, json_t **out, const char *method, const char *path,
                                 const json_t *body, bool once, struct error *err) {
  struct exchange exchange = {.http = http, .err = err};
  struct curl_slist *headers = NULL;
  struct str text;
  *out = NULL;
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  str_init(&text, ANSWER_BYTES_MAX);
  enum status status = body ? set_body(http, &headers, &text, body, err) : STATUS_OK;
  if (!body && (strcmp(method, "POST") == 0 || strcmp(method, "PATCH") == 0)) {
    curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
    curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, "");
  }
  if (status == STATUS_OK && once)
    headers = add_idempotency_key(headers, &text);
  if (status == STATUS_OK)
    status = perform(&exchange, method, path, headers, err);
  if (status == STATUS_OK)
    status = parse_answer(&exchange, out, err);
  str_done(&text);
  str_done(&exchange.answer);
  return status;
}

enum status http_json(struct http *http, json_t **out, const char *method, const char *path, const json_t *body,
                      struct error *err) {
  return exchange_json(http, out, method, path, body, false, err);
}

enum status http_json_once(struct http *http, json_t **out, const char *path, const json_t *body, struct error *err) {
  return exchange_json(http, out, "POST", path, body, true, err);
}

/* Only a file with an end can be sent: opening a pipe would wait for its writer, and a device may have none. */
enum status http_check_readable(const char *path, struct error *err) {
  struct stat info;
  if (stat(path, &info) != 0 || (S_ISREG(info.st_mode) && access(path, R_OK) != 0))
    return error_set_errno(err, STATUS_IO, NULL, "%s", path);
  if (S_ISDIR(info.st_mode))
    return error_set(err, STATUS_IO, NULL, "%s is a folder, not a file", path);
  if (!S_ISREG(info.st_mode))
    return error_set(err, STATUS_IO, NULL, "%s is a pipe or a device; write its contents to a file first", path);
  if (info.st_size == 0)
    return error_set(err, STATUS_IO, NULL, "%s is empty", path);
  return STATUS_OK;
}

enum status http_upload(struct http *http, json_t **out, const char *file_path, const char *purpose,
                        const struct http_progress *progress, struct error *err) {
  struct exchange exchange = {.http = http, .progress = progress, .err = err};
  *out = NULL;
  enum status status = http_check_readable(file_path, err);
  if (status != STATUS_OK)
    return status;
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  curl_mime *form = curl_mime_init(http->curl);
  curl_mimepart *purpose_part = form ? curl_mime_addpart(form) : NULL;
  curl_mimepart *file_part = purpose_part ? curl_mime_addpart(form) : NULL;
  if (!file_part || curl_mime_name(purpose_part, "purpose") != CURLE_OK ||
      curl_mime_data(purpose_part, purpose, CURL_ZERO_TERMINATED) != CURLE_OK ||
      curl_mime_name(file_part, "file") != CURLE_OK || curl_mime_filedata(file_part, file_path) != CURLE_OK ||
      curl_mime_type(file_part, "application/octet-stream") != CURLE_OK)
    status = error_set(err, STATUS_IO, NULL, "%s: cannot be sent as a form", file_path);
  if (status == STATUS_OK) {
    curl_easy_setopt(http->curl, CURLOPT_MIMEPOST, form);
    status = perform(&exchange, "POST", "/v1/files", NULL, err);
  }
  curl_mime_free(form);
  if (status == STATUS_OK)
    status = parse_answer(&exchange, out, err);
  str_done(&exchange.answer);
  return status;
}

/* What is still to be sent of such bytes. */
struct source {
  const struct http_bytes *bytes;
  uint64_t sent;
};

static size_t on_source(char *out, size_t one, size_t length, void *context) {
  struct source *source = context;
  uint64_t left = source->bytes->length - source->sent;
  (void)one; /* libcurl: always 1 */
  if (left == 0)
    return 0;
  ssize_t n = pread(source->bytes->fd, out, length < left ? length : (size_t)left,
                    (off_t)(source->bytes->offset + source->sent));
  if (n <= 0) /* the file became shorter, or cannot be read */
    return CURL_READFUNC_ABORT;
  source->sent += (uint64_t)n;
  return (size_t)n;
}

enum status http_upload_bytes(struct http *http, json_t **out, const char *path, const struct http_bytes *bytes,
                              const struct http_progress *progress, struct error *err) {
  struct exchange exchange = {.http = http, .progress = progress, .err = err};
  struct source source = {bytes, 0};
  *out = NULL;
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  curl_mime *form = curl_mime_init(http->curl);
  curl_mimepart *part = form ? curl_mime_addpart(form) : NULL;
  enum status status = STATUS_OK;
  if (!part || curl_mime_name(part, "data") != CURLE_OK || curl_mime_filename(part, "part") != CURLE_OK ||
      curl_mime_type(part, "application/octet-stream") != CURLE_OK ||
      curl_mime_data_cb(part, (curl_off_t)bytes->length, on_source, NULL, NULL, &source) != CURLE_OK)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  if (status == STATUS_OK) {
    curl_easy_setopt(http->curl, CURLOPT_MIMEPOST, form);
    status = perform(&exchange, "POST", path, NULL, err);
  }
  curl_mime_free(form);
  if (status == STATUS_OK)
    status = parse_answer(&exchange, out, err);
  str_done(&exchange.answer);
  return status;
}

enum status http_download(struct http *http, const char *path, const struct http_sink *sink,
                          const struct http_progress *progress, struct error *err) {
  struct exchange exchange = {.http = http, .sink = sink, .progress = progress, .err = err};
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  enum status status = perform(&exchange, "GET", path, NULL, err);
  str_done(&exchange.answer);
  return status;
}

enum status http_listen(struct http *http, bool *nothing, const char *path, const struct http_listening *listening,
                        struct error *err) {
  struct exchange exchange = {
      .http = http, .sink = &listening->sink, .listening = listening, .begun_ms = clock_boot_ms(), .err = err};
  struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
  struct str again;
  str_init(&again, 2048);
  str_init(&exchange.answer, ANSWER_BYTES_MAX);
  str_printf(&again, "Last-Event-ID: %s", listening->last_event);
  if (*listening->last_event)
    headers = curl_slist_append(headers, again.text);
  enum status status = perform(&exchange, "GET", path, headers, err);
  *nothing = exchange.nothing;
  str_done(&exchange.answer);
  str_done(&again);
  return status;
}
