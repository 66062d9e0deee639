/* GEMV kernels for frozen weights, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMV_H
#define WORKER_BACKEND_CPU_ISA_GEMV_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

/* It is struct kernels' gemv. */
void ISA_NAME(gemv)(const struct gemv *gemv);

#endif
