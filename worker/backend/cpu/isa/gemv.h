/* GEMV kernels for frozen weights, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMV_H
#define WORKER_BACKEND_CPU_ISA_GEMV_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

/* They are struct kernels' gemv_reads and gemv. */
bool ISA_NAME(gemv_reads)(uint32_t type);
void ISA_NAME(gemv)(const struct gemv *gemv);

#endif
