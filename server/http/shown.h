/* Answers that hold as long as nothing in the store changes: a client that watches a job asks for it again and again.
 */
#ifndef SERVER_HTTP_SHOWN_H
#define SERVER_HTTP_SHOWN_H

#include "server/http/request.h"

struct shown;

/* Answers with the object of the job as it was answered before, if nothing was stored since and it was in this second:
   what it says of the time that is left follows the clock. */
NODISCARD bool shown_reply(struct request *request, const char *job_id);
/* Keeps a copy of the text for that, where shown_reply was asked last and said no. Not of what was read in a
   transaction that is not stored yet. */
void shown_keep(struct request *request, const char *job_id, const struct str *text);
void shown_free(struct shown *shown);

#endif
