/* SHA-256, and the MD5 that some protocols compare (by libnettle). */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <nettle/md5.h>
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
/* MD5 in the same way: it finds accidents, not forgeries. */
enum { MD5_HEX = 33 };
struct md5 {
  struct md5_ctx state;
};
void md5_begin(struct md5 *md5);
void md5_add(struct md5 *md5, const void *bytes, size_t length);
void md5_hex(struct md5 *md5, char out[MD5_HEX]);
/* SHA-256 of one buffer. */
void hash_bytes(char out[HASH_HEX], const void *bytes, size_t length);
/* Equality in time that depends on `length` alone, for secrets. */
bool hash_equal(const void *a, const void *b, size_t length);

#endif
