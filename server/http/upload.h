/* A form on its way to disk: fields and one file, streamed and hashed as it arrives. It is the body of POST /v1/files,
   or a part of an upload, which is a file too until the upload is complete. */
#ifndef SERVER_HTTP_UPLOAD_H
#define SERVER_HTTP_UPLOAD_H

#include "base/file.h"
#include "server/server.h"
#include "storage/db_upload.h"

struct upload;
struct request;

enum upload_kind { UPLOAD_OF_FILE, UPLOAD_OF_PART };

/* What a complete upload holds. Strings live as long as the upload. */
struct uploaded {
  const char *id; /* made for it */
  const char *filename;
  const char *purpose;   /* "" of a part */
  int64_t expires_after; /* seconds from now; 0: never */
  int64_t bytes;
  const char *sha256;
  const char *path; /* of the published file, relative to the data folder */
  const char *idempotency_key, *body_sha256; /* of the request (idempotency.h); NULL: it is not known again */
};

/* At most `bytes_max` bytes. What arrives is charged to the tenant, and refused when that has no room (limits.h). */
NODISCARD enum status upload_new(struct upload **out, struct server *server, const char *tenant, enum upload_kind kind,
                                 int64_t bytes_max, const char *content_type, struct error *err);
/* Forgets it, but never while it is published; bytes that were not published are removed. NULL is fine. */
void upload_free(struct upload *upload);
/* Bytes of the tenant that arrive now and have no row yet. */
int64_t upload_arriving(const struct server *server, const char *tenant);
/* The id, made for it when its bytes begin. */
const char *upload_id(const struct upload *upload);
/* All of it, once `published` was called. */
const struct uploaded *upload_result(const struct upload *upload);
/* What a client may say of a file: its purpose, and the seconds after which it expires. STATUS_OK: they are right. */
NODISCARD enum status upload_check_purpose(const char *purpose, struct error *err);
/* May an upload that comes in parts still change? */
NODISCARD enum status upload_check_pending(const struct upload_row *row, struct error *err);
NODISCARD enum status upload_feed(struct upload *upload, const char *bytes, size_t length, struct error *err);
/* The body has ended: checks that all is there, and makes the file durable beside the loop. `published` is called on
   the loop when that has ended, unless upload_end fails; err NULL: it is durable. The daemon does not stop before. */
typedef void upload_published(struct request *request, const struct uploaded *uploaded, const struct error *err);
NODISCARD enum status upload_end(struct upload *upload, upload_published *published, struct request *request,
                                 struct error *err);

#endif
