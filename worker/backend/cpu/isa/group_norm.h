/* Loops of GroupNorm over columns (kernels.h), and Swish. */
#ifndef WORKER_BACKEND_CPU_ISA_GROUP_NORM_H
#define WORKER_BACKEND_CPU_ISA_GROUP_NORM_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

void ISA_NAME(column_squares)(float *out, const float *x, const float *mean, size_t rows, size_t cols);
void ISA_NAME(group_norm)(float *y, const float *x, const struct group_norm_columns *columns, size_t rows, size_t cols);
void ISA_NAME(group_norm_sums)(float *sum, float *dot, const float *dy, const float *x,
                               const struct group_norm_columns *columns, size_t rows, size_t cols);
void ISA_NAME(group_norm_backward)(float *dx, const float *dy, const float *x, const struct group_norm_columns *columns,
                                   size_t rows, size_t cols);
void ISA_NAME(swish)(float *y, const float *x, float beta, size_t count);
void ISA_NAME(swish_backward)(float *dx, const float *dy, const float *x, float beta, size_t count);

#endif
