/* bench gemv: see gemv.c. */
#ifndef TESTS_BENCH_GEMV_H
#define TESTS_BENCH_GEMV_H

int bench_gemv(int argc, char **argv);

#endif
