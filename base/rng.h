/* Random numbers. `struct rng` is counter-based (Philox 4x32-10; Salmon et al., "Parallel random
   numbers: as easy as 1, 2, 3", SC 2011): the value at a position depends on (seed, stream,
   position) alone, so that dropout masks can be recomputed in the backward pass, in any order and
   by any thread, and a resumed run continues exactly. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Streams keep the uses of one seed apart. */
enum rng_stream {
  RNG_INIT = 1,
  RNG_SHUFFLE,
  RNG_DROPOUT,
  RNG_LATENTS,   /* what sampling begins with */
  RNG_CROP,      /* and what image models learn from: where a picture is cropped, */
  RNG_TIMESTEP,  /* how noisy it is, */
  RNG_POSTERIOR, /* which of the VAE's latents it has, */
  RNG_NOISE,     /* and the noise */
  RNG_CONDITIONING, /* the beginning of what embeds hints */
  RNG_TOOL_CALL,    /* ids of calls */
};

struct rng {
  uint64_t seed;
  uint64_t stream;   /* an rng_stream, and whatever else tells two uses apart in its upper bits */
  uint64_t counter;  /* position of the next block of four values */
  uint32_t block[4];
  unsigned left;     /* unused values of `block` */
};

/* The four values of block `counter`. */
void rng_philox(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t counter);

void rng_init(struct rng *rng, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *rng);
float rng_uniform(struct rng *rng);                 /* [0, 1), 24 bits */
double rng_normal(struct rng *rng);                 /* mean 0, deviation 1; two uniform numbers each */
uint64_t rng_below(struct rng *rng, uint64_t n);    /* [0, n), unbiased; n > 0 */
/* Fisher-Yates. */
void rng_shuffle(struct rng *rng, uint32_t *items, size_t count);

/* Bytes from the kernel, for identifiers and keys. Aborts if the kernel has none. */
void rng_secret(void *out, size_t length);
/* `prefix` and 24 random characters of [a-z0-9] into out[size], NUL-terminated; size must fit. No secret: who forks
   makes the same ones as his parent. */
void rng_id(char *out, size_t size, const char *prefix);

#endif
