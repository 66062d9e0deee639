#include "worker/tensor/dot.h"

double dot(const float *x, const float *y, size_t count) {
  enum { LANES = 8 };
  double part[LANES] = {0}, sum = 0;
  size_t whole = count / LANES * LANES;
  for (size_t i = 0; i < whole; i += LANES)
    for (size_t l = 0; l < LANES; l++)
      part[l] += (double)x[i + l] * (double)y[i + l];
  for (size_t i = whole; i < count; i++)
    sum += (double)x[i] * (double)y[i];
  for (size_t l = 0; l < LANES; l++)
    sum += part[l];
  return sum;
}
