/* SHA-256 (by libnettle). */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>

enum { HASH_HEX = 65 };  /* 64 hexadecimal digits and the NUL */

struct hash {
  struct sha256_ctx state;
};

void hash_init(struct hash *hash);
void hash_add(struct hash *hash, const void *bytes, size_t length);
/* Ends the computation. */
void hash_hex(struct hash *hash, char out[HASH_HEX]);
/* Of one buffer. */
void hash_bytes(char out[HASH_HEX], const void *bytes, size_t length);
/* Equality in time that depends on `length` alone, for secrets. */
bool hash_equal(const void *a, const void *b, size_t length);

#endif
