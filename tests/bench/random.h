/* Operands of the benchmarks. */
#ifndef TESTS_BENCH_RANDOM_H
#define TESTS_BENCH_RANDOM_H

#include <stddef.h>

/* `count` numbers in [-0.5, 0.5), the same ones each time, aligned to 64 bytes; free() them. NULL: no memory. */
float *random_floats(size_t count);

#endif
