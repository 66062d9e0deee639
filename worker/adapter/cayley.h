/* Rotations from skew-symmetric matrices, and the way back for gradients; b x b, row-major. */
#ifndef WORKER_ADAPTER_CAYLEY_H
#define WORKER_ADAPTER_CAYLEY_H

#include "worker/backend/cpu/kernels.h"
#include "worker/tensor/parameter.h"

/* Scratch floats for both directions; the memory must be aligned for double. */
size_t cayley_scratch(size_t b, int terms);
/* An adapter's `state`: that scratch, and two matrices behind it to work in, so that a step allocates nothing. */
struct adapter;
bool cayley_reserve(struct adapter *adapter, struct parameter_list *parameters, int terms);

/* R = (I - Q) (I + Q)^-1 (Cayley, 1846). */
void cayley_exact(float *r, const float *q, size_t b, float *scratch);
/* g_q = the gradient of Q from that of R. */
void cayley_exact_backward(float *g_q, const float *g_r, const float *q, size_t b, float *scratch);

/* PEFT's truncated series of (I + Q) (I - Q)^-1 = I + 2 Q + 2 Q^2 + ...: the rotation in the other direction. The
   highest power has the coefficient 1; terms 3 and 4 both end at Q^3. */
void cayley_series(float *r, const float *q, size_t b, int terms, const struct kernels *kernels, float *scratch);
void cayley_series_backward(float *g_q, const float *g_r, const float *q, size_t b, int terms,
                            const struct kernels *kernels, float *scratch);

/* r_t from r, all blocks. */
struct rotation;
void cayley_transpose(struct rotation *rotation);
/* W' = scale * (W blockdiag(R)^T) of an adapter that rotates. */
void cayley_merge(const struct adapter *adapter, const struct kernels *kernels, float *merged);

#endif
