/* Who asks: the API key of a request, what it may do, and whose things it is about. All requests pass here. */
#ifndef SERVER_HTTP_IDENTIFY_H
#define SERVER_HTTP_IDENTIFY_H

#include "server/http/request.h"

/* Fills request->caller and request->tenant, or says why not: STATUS_INVALID_API_KEY, STATUS_EXPIRED_API_KEY,
   STATUS_RATE_LIMIT (and request->retry_after_s), STATUS_SCOPE, STATUS_TENANT_NOT_FOUND. Where neither the
   configuration nor the store has a key, everybody is the operator. */
NODISCARD enum status identify(struct request *request, struct error *err);
/* May whoever was let in still be: is the key what it was, or is there still none? Where the store cannot say, yes. */
bool identify_again(const struct request *request);

#endif
