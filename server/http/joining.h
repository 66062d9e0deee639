/* The parts of an upload on their way to being one file: read, compared with their hashes, written, and made durable in
   one piece, all beside the loop. */
#ifndef SERVER_HTTP_JOINING_H
#define SERVER_HTTP_JOINING_H

#include "server/http/upload.h"
#include "storage/db_upload.h"

struct joining;

struct joining_plan {
  const struct upload_row *upload;
  const struct part_row *const *parts; /* in the order of the file; one may come several times */
  size_t count;
  const char *md5; /* that the file must have; NULL: any */
};

/* All that the plan names lives in the request's arena. `published` is called on the loop, as that of upload.h, unless
   this fails; the daemon does not stop before. file_id: the id that the file will have. */
NODISCARD enum status joining_start(char file_id[40], const struct joining_plan *plan, upload_published *published,
                                    struct request *request, struct error *err);
/* Are the parts of this upload being joined? */
bool joining_runs(const struct server *server, const char *upload_id);

#endif
