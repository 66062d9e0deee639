/* The product of kernels.h with few columns, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_THIN_H
#define WORKER_BACKEND_CPU_ISA_THIN_H

#include "worker/backend/cpu/isa/vector.h"

void ISA_NAME(thin)(float *y, const float *x, const float *u, size_t rows, size_t depth, size_t R, const float *ahead,
                    size_t ahead_floats);

#endif
