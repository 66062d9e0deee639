#include "worker/op/dropout.h"

#include <math.h>

struct dropout dropout_make(double p, uint64_t seed, uint64_t step, uint32_t site) {
  uint32_t threshold = (uint32_t)lrint(p * 65536);
  return (struct dropout){.seed = seed,
                          .site = step << 20 | site,
                          .threshold = threshold,
                          .scale = 65536.0f / (65536.0f - (float)threshold)};
}
