#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void rng_philox(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t counter) {
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void rng_init(struct rng *rng, uint64_t seed, uint64_t stream) {
  *rng = (struct rng){.seed = seed, .stream = stream};
}

uint32_t rng_u32(struct rng *rng) {
  if (rng->left == 0) {
    rng_philox(rng->block, rng->seed, rng->stream, rng->counter++);
    rng->left = 4;
  }
  return rng->block[4 - rng->left--];
}

float rng_uniform(struct rng *rng) {
  return (float)(rng_u32(rng) >> 8) * 0x1p-24f;
}

/* Box and Muller's, one of the two numbers. */
double rng_normal(struct rng *rng) {
  double u = 1.0 - (double)rng_uniform(rng), v = (double)rng_uniform(rng);
  return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

uint64_t rng_below(struct rng *rng, uint64_t n) {
  CHECK(n > 0);
  uint64_t limit = UINT64_MAX - UINT64_MAX % n;
  for (;;) {
    uint64_t high = rng_u32(rng);
    uint64_t value = high << 32 | rng_u32(rng);
    if (value < limit)
      return value % n;
  }
}

void rng_shuffle(struct rng *rng, uint32_t *items, size_t count) {
  for (size_t i = count; i > 1; i--) {
    size_t j = (size_t)rng_below(rng, i);
    uint32_t t = items[i - 1];
    items[i - 1] = items[j];
    items[j] = t;
  }
}

void rng_secret(void *out, size_t length) {
  CHECK(length <= 256 && getrandom(out, length, 0) == (ssize_t)length);
}

/* One of the kernel's bytes. They are fetched many at a time: a server names each request that comes. */
static unsigned char secret_byte(void) {
  static _Thread_local struct {
    unsigned char bytes[256];
    size_t left;
  } pool;
  if (pool.left == 0) {
    rng_secret(pool.bytes, sizeof pool.bytes);
    pool.left = sizeof pool.bytes;
  }
  return pool.bytes[--pool.left];
}

void rng_id(char *out, size_t size, const char *prefix) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  enum { RANDOM_LETTERS = 24 };
  size_t at = strlen(prefix);
  CHECK(size > at + RANDOM_LETTERS);
  memcpy(out, prefix, at);
  for (size_t made = 0; made < RANDOM_LETTERS;) {
    unsigned char byte = secret_byte();
    if (byte < 252) /* a multiple of 36, so that no letter is likelier */
      out[at + made++] = letters[byte % 36];
  }
  out[at + RANDOM_LETTERS] = '\0';
}
