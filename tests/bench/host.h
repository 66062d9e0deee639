/* What this machine can do: the yardsticks that `bench ops` measures with. */
#ifndef TESTS_BENCH_HOST_H
#define TESTS_BENCH_HOST_H

#include "worker/backend/backend.h"
#include "worker/backend/cpu/cpu.h"

struct host {
  double gflops_one, gflops; /* the best of our products over a few large shapes, on one thread and on all */
  double read_gbs;           /* reading a buffer far larger than the caches, all threads */
  double copy_gbs;           /* copying it: bytes read and bytes written */
};

/* The best of `runs` runs each, with the backend's instruction set, threads and the precision given. */
NODISCARD enum status host_measure(struct host *out, const struct backend *backend, enum precision precision, int runs,
                                   struct error *err);

#endif
