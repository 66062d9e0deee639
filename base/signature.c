#include "base/signature.h"

#include <inttypes.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"

static const char prefix[] = "whsec_";
enum { KEY_BYTES = 32, PREFIX = sizeof prefix - 1 };

static void encode(char *out, const unsigned char bytes[KEY_BYTES]) {
  base64_encode_raw(out, KEY_BYTES, bytes);
  out[BASE64_ENCODE_RAW_LENGTH(KEY_BYTES)] = '\0';
}
_Static_assert(PREFIX + BASE64_ENCODE_RAW_LENGTH(KEY_BYTES) < SIGNATURE_SECRET_BYTES, "a secret fits");
_Static_assert(SHA256_DIGEST_SIZE == KEY_BYTES, "a signature is as long as a secret");

void signature_secret(char out[SIGNATURE_SECRET_BYTES]) {
  unsigned char key[KEY_BYTES];
  rng_secret(key, sizeof key);
  memcpy(out, prefix, PREFIX);
  encode(out + PREFIX, key);
  explicit_bzero(key, sizeof key);
}

static bool decode(uint8_t key[KEY_BYTES], const char *secret) {
  struct base64_decode_ctx context;
  uint8_t bytes[SIGNATURE_SECRET_BYTES];
  size_t length = sizeof bytes;
  if (strncmp(secret, prefix, PREFIX) != 0 || strlen(secret) >= SIGNATURE_SECRET_BYTES)
    return false;
  base64_decode_init(&context);
  if (!base64_decode_update(&context, &length, bytes, strlen(secret) - PREFIX, secret + PREFIX) ||
      !base64_decode_final(&context) || length != KEY_BYTES)
    return false;
  memcpy(key, bytes, KEY_BYTES);
  explicit_bzero(bytes, sizeof bytes);
  return true;
}

bool signature_make(char out[SIGNATURE_BYTES], const char *secret, const char *id, int64_t timestamp,
                    const char *body) {
  struct hmac_sha256_ctx context;
  uint8_t key[KEY_BYTES], digest[SHA256_DIGEST_SIZE];
  char time[24];
  if (!decode(key, secret))
    return false;
  snprintf(time, sizeof time, ".%" PRId64 ".", timestamp);
  hmac_sha256_set_key(&context, sizeof key, key);
  hmac_sha256_update(&context, strlen(id), (const uint8_t *)id);
  hmac_sha256_update(&context, strlen(time), (const uint8_t *)time);
  hmac_sha256_update(&context, strlen(body), (const uint8_t *)body);
  hmac_sha256_digest(&context, sizeof digest, digest);
  explicit_bzero(key, sizeof key);
  explicit_bzero(&context, sizeof context);
  memcpy(out, "v1,", 3);
  encode(out + 3, digest);
  return true;
}
