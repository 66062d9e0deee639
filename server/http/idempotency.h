/* Requests that are sent twice and carried out once. The first made something, whose row keeps the Idempotency-Key and
   the hash of the body; the second is answered with that. */
#ifndef SERVER_HTTP_IDEMPOTENCY_H
#define SERVER_HTTP_IDEMPOTENCY_H

#include "server/http/request.h"

struct idempotency {
  const char *key; /* NULL: none. The official client's automatic retries have none: they are known by their body */
  bool wanted;     /* the request may be a repetition */
  int64_t since;   /* unix seconds: of one that was carried out then or later */
};

/* STATUS_INVALID_VALUE, param "Idempotency-Key". */
NODISCARD enum status idempotency_read(struct idempotency *out, const struct request *request, struct error *err);
/* Is the request that of what was made, `id`, whose body had this hash? STATUS_KEY_REUSED: another with its key. */
NODISCARD enum status idempotency_check(const struct idempotency *idempotency, const char *body_sha256, const char *id,
                                        const char *id_sha256, struct error *err);

#endif
