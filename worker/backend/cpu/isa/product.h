/* Products of floats, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_PRODUCT_H
#define WORKER_BACKEND_CPU_ISA_PRODUCT_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

extern const struct multiplier ISA_NAME(multiplier_fp32), ISA_NAME(multiplier_rounded);

#endif
