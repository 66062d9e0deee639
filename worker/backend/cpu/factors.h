/* The CPU backend's functions for the factors of adapters, and for the optimiser (backend.h). All but the optimiser's
   run on one thread: adapters are the tasks. */
#ifndef WORKER_BACKEND_CPU_FACTORS_H
#define WORKER_BACKEND_CPU_FACTORS_H

#include "worker/backend/backend.h"

void factors_gram(struct backend *backend, struct core S, struct place U, size_t rows, size_t r);
void factors_copy_core(struct backend *backend, struct core to, struct place from, size_t count);
void factors_times_core(struct backend *backend, struct place out, size_t ldo, struct place in, size_t ldi, size_t rows,
                        size_t r, struct core core);
void factors_add_times_core(struct backend *backend, struct place dU, struct place U, struct place g, size_t ldg,
                            size_t rows, size_t r, struct core core);
void factors_copy(struct backend *backend, const struct strided_copy *copy);
void factors_weight_times(struct backend *backend, struct place y, const struct weight *weight, struct place u,
                          size_t R, bool transposed);
void factors_inverse_norms(struct backend *backend, struct place y, struct place squares, struct place U,
                           struct place V, size_t rows, size_t R);
void factors_multiply(struct backend *backend, struct place to, struct place x, struct place y, size_t count,
                      bool accumulate);
double factors_grad_squares(struct backend *backend, const struct adamw_slice *slices, size_t count);
void factors_adamw(struct backend *backend, const struct adamw_slice *slices, size_t count,
                   const struct adamw_step *step);

#endif
