/* Signatures of webhooks: HMAC-SHA256, as the Standard Webhooks specification and OpenAI's client have them. */
#ifndef BASE_SIGNATURE_H
#define BASE_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

enum {
  SIGNATURE_SECRET_BYTES = 64, /* "whsec_", 44 characters of base64, and the NUL */
  SIGNATURE_BYTES = 64,        /* "v1,", 44 characters, and the NUL */
};

/* A new secret: 32 random bytes. */
void signature_secret(char out[SIGNATURE_SECRET_BYTES]);
/* Of "ID.TIMESTAMP.BODY". False: the secret is none. */
bool signature_make(char out[SIGNATURE_BYTES], const char *secret, const char *id, int64_t timestamp,
                    const char *body);

#endif
