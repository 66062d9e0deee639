/* The dot product in fp64 of two vectors of fp32. */
#ifndef WORKER_TENSOR_DOT_H
#define WORKER_TENSOR_DOT_H

#include <stddef.h>

/* The order of its additions depends on `count` alone. */
double dot(const float *x, const float *y, size_t count);

#endif
