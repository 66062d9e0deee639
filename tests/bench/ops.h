/* bench ops: see ops.c. */
#ifndef TESTS_BENCH_OPS_H
#define TESTS_BENCH_OPS_H

int bench_ops(int argc, char **argv);

#endif
