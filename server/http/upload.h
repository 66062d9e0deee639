/* The body of POST /v1/files on its way to disk: fields and one file, streamed and hashed as it arrives. */
#ifndef SERVER_HTTP_UPLOAD_H
#define SERVER_HTTP_UPLOAD_H

#include "base/file.h"
#include "server/server.h"

struct upload;
struct request;

/* What a complete upload holds. Strings live as long as the upload. */
struct uploaded {
  const char *id;         /* made for it */
  const char *filename;
  const char *purpose;
  int64_t expires_after;  /* seconds from now; 0: never */
  int64_t bytes;
  const char *sha256;
  const char *path;       /* of the published file, relative to the data folder */
};

/* What arrives is charged to the tenant, and refused when that has no room (limits.h). */
NODISCARD enum status upload_new(struct upload **out, struct server *server, const char *tenant,
                                 const char *content_type, struct error *err);
/* Forgets it, but never while it is published; bytes that were not published are removed. NULL is fine. */
void upload_free(struct upload *upload);
/* Bytes of the tenant that arrive now and have no row yet. */
int64_t upload_arriving(const struct server *server, const char *tenant);
/* The file's id, made for it when its part begins. */
const char *upload_id(const struct upload *upload);
NODISCARD enum status upload_feed(struct upload *upload, const char *bytes, size_t length, struct error *err);
/* The body has ended: checks that all is there, and makes the file durable beside the loop. `published` is called on
   the loop when that has ended, unless upload_end fails; err NULL: it is durable. The daemon does not stop before. */
typedef void upload_published(struct request *request, const struct uploaded *uploaded, const struct error *err);
NODISCARD enum status upload_end(struct upload *upload, upload_published *published, struct request *request,
                                 struct error *err);

#endif
