#include "tests/bench/random.h"

#include <stdlib.h>

#include "base/rng.h"

float *random_floats(size_t count) {
  float *out = aligned_alloc(64, (count * sizeof *out + 63) / 64 * 64);
  struct rng rng;
  rng_init(&rng, 1, RNG_INIT);
  for (size_t i = 0; out && i < count; i++)
    out[i] = rng_uniform(&rng) - 0.5f;
  return out;
}
