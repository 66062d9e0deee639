/* Attention kernels (kernels.h): what their table is made of. */
#ifndef WORKER_BACKEND_CPU_ISA_ATTENTION_H
#define WORKER_BACKEND_CPU_ISA_ATTENTION_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

size_t ISA_NAME(attention_scratch)(size_t length, size_t head_size, bool distances);
void ISA_NAME(attention)(float *out, float *lse, const float *q, const float *k, const float *v,
                         const struct attention_heads *heads, float *scratch);
void ISA_NAME(attention_backward)(float *dq, float *dk, float *dv, const float *dout, const float *q, const float *k,
                                  const float *v, const float *out, const float *lse,
                                  const struct attention_heads *heads, float *scratch);

#endif
