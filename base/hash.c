#include "base/hash.h"

#include <nettle/memops.h>
#include <stdio.h>

void hash_init(struct hash *hash) {
  sha256_init(&hash->state);
}

void hash_add(struct hash *hash, const void *bytes, size_t length) {
  if (length)
    sha256_update(&hash->state, length, bytes);
}

static void write_hex(char *out, const uint8_t *digest, size_t length) {
  for (size_t i = 0; i < length; i++)
    snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void hash_hex(struct hash *hash, char out[HASH_HEX]) {
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&hash->state, sizeof digest, digest);
  write_hex(out, digest, sizeof digest);
}

void md5_begin(struct md5 *md5) {
  md5_init(&md5->state);
}

void md5_add(struct md5 *md5, const void *bytes, size_t length) {
  if (length)
    md5_update(&md5->state, length, bytes);
}

void md5_hex(struct md5 *md5, char out[MD5_HEX]) {
  uint8_t digest[MD5_DIGEST_SIZE];
  md5_digest(&md5->state, sizeof digest, digest);
  write_hex(out, digest, sizeof digest);
}

void hash_bytes(char out[HASH_HEX], const void *bytes, size_t length) {
  struct hash hash;
  hash_init(&hash);
  hash_add(&hash, bytes, length);
  hash_hex(&hash, out);
}

bool hash_equal(const void *a, const void *b, size_t length) {
  return memeql_sec(a, b, length) != 0;
}
