/* The functions of struct backend_ops for the factors of adapters, on a device. */
#ifndef WORKER_BACKEND_DEVICE_DEVICE_FACTORS_H
#define WORKER_BACKEND_DEVICE_DEVICE_FACTORS_H

#include "worker/backend/device/device_backend.h"

struct place device_factors_cores(struct backend *backend, size_t floats);
void device_factors_gram(struct backend *backend, struct core S, struct place U, size_t rows, size_t r);
void device_factors_copy_core(struct backend *backend, struct core to, struct place from, size_t count);
void device_factors_times_core(struct backend *backend, struct place out, size_t ldo, struct place in, size_t ldi,
                               size_t rows, size_t r, struct core core);
void device_factors_add_times_core(struct backend *backend, struct place dU, struct place U, struct place g, size_t ldg,
                                   size_t rows, size_t r, struct core core);
void device_factors_copy(struct backend *backend, const struct strided_copy *copy);
void device_factors_weight_times(struct backend *backend, struct place y, const struct weight *weight, struct place u,
                                 size_t R, bool transposed);
void device_factors_inverse_norms(struct backend *backend, struct place y, struct place squares, struct place U,
                                  struct place V, size_t rows, size_t R);
void device_factors_multiply(struct backend *backend, struct place to, struct place x, struct place y, size_t count,
                             bool accumulate);

#endif
