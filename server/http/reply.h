/* Answers. The HTTP status of an error follows from its row in base/errors.def; handlers never choose it. */
#ifndef SERVER_HTTP_REPLY_H
#define SERVER_HTTP_REPLY_H

#include "server/http/request.h"

/* The functions below make the answer; this one gives it to libmicrohttpd. False: it cannot be sent, and the connection
   is to end. reply_drop: it is not sent after all. */
NODISCARD bool reply_send(struct request *request);
void reply_drop(struct request *request);

/* Takes the reference of `value`; NULL (memory ran out while it was built) answers 500. */
void reply_json(struct request *request, json_t *value);
/* The same with one header more, or NULL; and of text, whose bytes are taken. */
void reply_json_with(struct request *request, json_t *value, const char *header, const char *header_value);
enum { REPLY_BYTES_MAX = 32 << 20 };
void reply_json_text(struct request *request, struct str *text, const char *header, const char *header_value);
/* Text of another type, whose bytes are taken. */
void reply_text(struct request *request, struct str *text, const char *content_type);
/* 204. */
void reply_nothing(struct request *request);
/* An answer that goes on (stream.h) and takes its connection with it; NULL answers 500. */
void reply_stream(struct request *request, struct MHD_Response *response, const char *content_type);
void reply_error(struct request *request, const struct error *err);
/* The answer to a browser that asks what request->page may send. */
void reply_preflight(struct request *request);
/* The first fault as the error, and all of them under `details`. */
void reply_faults(struct request *request, const struct fault_list *faults);
/* reply_error, and the connection ends with it. */
void reply_error_and_close(struct request *request, const struct error *err);
/* The same for a request that is not complete: at once, and what still comes of it is thrown away, since a client that
   is cut off while it sends does not see the answer. */
void reply_error_now(struct request *request, const struct error *err);

/* An open file, which is closed when it is sent. Ranges, conditions and HEAD are read from the request. */
struct reply_file {
  int fd;
  uint64_t bytes;
  uint64_t first;            /* where it begins, of a file that has no ETag */
  const char *sha256;        /* for the ETag; NULL: the content may change, no ETag and no conditions */
  const char *filename;      /* for Content-Disposition; NULL: shown in place */
  const char *content_type;
};
void reply_file(struct request *request, const struct reply_file *file);

/* Bytes of the program itself. A cache asks each time whether they are still these. */
struct reply_fixed {
  const char *bytes;
  size_t length;
  const char *content_type;
  const char *etag;   /* with its quotes */
  const char *policy; /* Content-Security-Policy */
  bool gzip;          /* they are packed */
};
void reply_fixed(struct request *request, const struct reply_fixed *fixed);

/* {"object": "list", "data": [...], "has_more", "first_id", "last_id"}; takes the reference of `data`. */
json_t *reply_list(json_t *data, bool more);

/* Bytes that the store has a row for, at `path` below the data folder. Those that are not as the row says are an error
   and never sent under its hash. */
void reply_content(struct request *request, const char *path, int64_t bytes, const char *sha256, const char *filename);

/* The error as its answer has it under "error". */
json_t *reply_error_object(const struct server *server, const struct error *err);

/* Helpers to build objects: an absent text or a 0 becomes null. New references.
   What happened, said by the daemon or a worker, without the operator's paths. */
json_t *reply_message(const struct server *server, const char *text);
json_t *reply_number(int64_t number);
/* Stored JSON text as a value; null when absent. */
json_t *reply_stored(const char *text);

#endif
