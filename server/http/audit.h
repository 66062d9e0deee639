/* What changes is noted with who changed it. */
#ifndef SERVER_HTTP_AUDIT_H
#define SERVER_HTTP_AUDIT_H

#include "server/http/request.h"

/* What the request does becomes part of the audit log with the next change that is stored, unless it only looks.
   request->object is what it is about. audit_end notes what came of it when nothing was stored. */
void audit_begin(struct request *request);
void audit_end(struct request *request);

#endif
