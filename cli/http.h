/* The client's end of the HTTP contract: one connection, JSON requests, streamed uploads and
   downloads. The only file that knows libcurl. Redirects are never followed: the key goes to the
   server that was named and to no other. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* What became of the last request. REFUSED: the server answered 4xx. BROKEN: no connection, no
   complete answer, an answer that is not the contract's, or 5xx; 408 and 429 too: worth trying
   again later. NO_STREAM, of http_listen alone: what answered has no stream, or keeps it back. */
enum http_outcome { HTTP_FINE, HTTP_REFUSED, HTTP_BROKEN, HTTP_NO_STREAM };

struct http {
  void *curl;              /* CURL * */
  const char *url;         /* "http://host:port", borrowed */
  bool loopback;           /* it names this machine */
  const char *key;         /* bearer key or NULL, borrowed */
  const char *tenant;      /* whose things an operator asks about, borrowed; NULL: the key's own */
  const char *authorities; /* file with the certificates to trust, borrowed; NULL: those of the system */
  bool patient;            /* an answer may be silent for as long as it likes: one that is followed */
  enum http_outcome outcome;
  json_t *problem;         /* the server's error object of the last request, or NULL */
};

/* Called while bytes move, at most some ten times a second. `total` is 0 while it is unknown. */
struct http_progress {
  void (*report)(void *context, uint64_t done, uint64_t total);
  void *context;
};

/* Takes bytes of a download; any status but OK ends it with that status. */
struct http_sink {
  enum status (*take)(void *context, const void *bytes, size_t length, struct error *err);
  void *context;
};

/* A URL other than http:// or https:// is STATUS_INVALID_VALUE. */
NODISCARD enum status http_open(struct http *http, const char *url, const char *key, struct error *err);
void http_close(struct http *http);

/* `text` percent-encoded as one path segment or query value, appended. */
void http_escape(struct str *out, const char *text);

/* One request with a JSON answer. `path` begins with '/'; `body` may be NULL. The caller owns *out
   (NULL on failure). */
NODISCARD enum status http_json(struct http *http, json_t **out, const char *method, const char *path,
                                const json_t *body, struct error *err);
/* POST of a body that makes one thing however often it is sent (Idempotency-Key): a program that was killed before the
   answer came may send it again. */
NODISCARD enum status http_json_once(struct http *http, json_t **out, const char *path, const json_t *body,
                                     struct error *err);
/* POST /v1/files with the file at `file_path`, streamed. `progress` may be NULL. */
NODISCARD enum status http_upload(struct http *http, json_t **out, const char *file_path, const char *purpose,
                                  const struct http_progress *progress, struct error *err);
/* POST of a form with one file, `data`: `length` bytes of `fd` from `offset`. `progress` may be NULL. */
struct http_bytes {
  int fd;
  uint64_t offset, length;
};
NODISCARD enum status http_upload_bytes(struct http *http, json_t **out, const char *path,
                                        const struct http_bytes *bytes, const struct http_progress *progress,
                                        struct error *err);
/* Only a file with an end, and bytes in it, can be sent. */
NODISCARD enum status http_check_readable(const char *path, struct error *err);
/* GET of any body into `sink`; nothing reaches the sink unless the status is 200. */
NODISCARD enum status http_download(struct http *http, const char *path, const struct http_sink *sink,
                                    const struct http_progress *progress, struct error *err);

/* POST whose answer, of any kind, goes into `sink` as it comes, likewise. */
NODISCARD enum status http_stream(struct http *http, const char *path, const json_t *body,
                                  const struct http_sink *sink, struct error *err);

/* GET of server-sent events, for as long as they come. The bytes go into `sink`. STATUS_CANCELLED: `stop` said so,
   which is asked about once a second and after a signal. STATUS_OK: the stream has ended; *nothing: it said (204) that
   nothing more will come, so that connecting again is of no use. */
struct http_listening {
  const char *last_event; /* the id after which it is to begin; "": at the beginning */
  struct http_sink sink;
  bool (*stop)(void);
};
NODISCARD enum status http_listen(struct http *http, bool *nothing, const char *path,
                                  const struct http_listening *listening, struct error *err);

#endif
