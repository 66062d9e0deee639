/* Webhooks as clients set them up: which events there are, and which addresses may be told of them. */
#ifndef API_WEBHOOK_H
#define API_WEBHOOK_H

#include <jansson.h>

#include "api/body.h"
#include "base/error.h"

/* Whom a webhook may be sent to: nobody; addresses of the public Internet; any address. */
enum webhook_targets { WEBHOOK_NONE, WEBHOOK_PUBLIC, WEBHOOK_ANY };

/* Their names, ended by NULL: "fine_tuning.job.succeeded", ... */
extern const char *const webhook_events[];

/* Is that an address to which a webhook may be sent? `http`: http:// will do. What its host's name means is seen when
   it is connected to. STATUS_INVALID_VALUE, param "url". */
NODISCARD enum status webhook_check_url(const char *url, bool http, enum webhook_targets targets, struct error *err);
/* STATUS_UNSUPPORTED_VALUE, param as given, names the events there are. */
NODISCARD enum status webhook_check_event(const char *type, const char *param, struct error *err);
/* What is sent. NULL: no memory. */
json_t *webhook_event(const char *id, const char *type, int64_t created_at, const char *job_id);

#endif
