/* The fp32 GEMM microkernels, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMM_UKERNEL_H
#define WORKER_BACKEND_CPU_ISA_GEMM_UKERNEL_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

extern const struct gemm_ukernel ISA_NAME(gemm_ukernel_fp32), ISA_NAME(gemm_ukernel_bf16_emulated);

#endif
