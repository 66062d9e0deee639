#include "server/http/idempotency.h"

#include <string.h>

#include "base/clock.h"

enum {
  KEY_BYTES_MAX = 255,
  KEY_LIFE_S = 24 * 3600,
  RETRY_LIFE_S = 600,
};

enum status idempotency_read(struct idempotency *out, const struct request *request, struct error *err) {
  const char *key = request_header(request, "Idempotency-Key");
  const char *retry = request_header(request, "x-stainless-retry-count");
  *out = (struct idempotency){.key = key,
                              .wanted = key || (retry && retry[0] && strcmp(retry, "0") != 0),
                              .since = clock_unix() - (key ? KEY_LIFE_S : RETRY_LIFE_S)};
  if (key && (!key[0] || strlen(key) > KEY_BYTES_MAX))
    return error_set(err, STATUS_INVALID_VALUE, "Idempotency-Key", "the Idempotency-Key must have 1 to %d bytes",
                     KEY_BYTES_MAX);
  return STATUS_OK;
}

enum status idempotency_check(const struct idempotency *idempotency, const char *body_sha256, const char *id,
                              const char *id_sha256, struct error *err) {
  if (!idempotency->key || strcmp(id_sha256, body_sha256) == 0)
    return STATUS_OK;
  return error_set(err, STATUS_KEY_REUSED, "Idempotency-Key",
                   "this Idempotency-Key came with another body before, which made %s", id);
}
