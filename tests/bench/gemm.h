/* bench gemm: see gemm.c. */
#ifndef TESTS_BENCH_GEMM_H
#define TESTS_BENCH_GEMM_H

int bench_gemm(int argc, char **argv);

#endif
