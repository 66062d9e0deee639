/* Rotations from skew-symmetric matrices, and the way back for gradients; b x b, row-major. */
#ifndef WORKER_ADAPTER_CAYLEY_H
#define WORKER_ADAPTER_CAYLEY_H

#include "worker/backend/cpu/kernels.h"
#include "worker/tensor/parameter.h"

/* Scratch floats for both directions; the memory must be aligned for double. */
size_t cayley_scratch(size_t b, int terms);
/* The numbers of a rotation and of its parameters on the host, which computes them: themselves where the backend's
   memory is the host's, else copies. */
struct rotation;
struct cayley_host {
  float *r, *r_t, *grad_r, *scale, *grad_scale;
  float *scratch;    /* cayley_scratch(...) floats */
  float *q, *grad_q; /* b x b, to work in */
};
struct adapter;
/* Makes the adapter's `state`, so that a step allocates nothing. */
NODISCARD enum status cayley_reserve(struct adapter *adapter, struct parameter_list *parameters, int terms,
                                     struct error *err);
/* Before forward factors: brings the parameters to the host. */
const struct cayley_host *cayley_begin_forward(struct adapter *adapter, struct backend *backend);
/* After them: makes r_t from r, brings r, r_t and scale to the backend, and sets the gradients to zero. */
void cayley_end_forward(struct adapter *adapter, struct backend *backend);
/* The same for backward factors: brings grad_r and grad_scale to the host, and the parameters' gradients back. */
const struct cayley_host *cayley_begin_backward(struct adapter *adapter, struct backend *backend);
void cayley_end_backward(struct adapter *adapter, struct backend *backend);

/* R = (I - Q) (I + Q)^-1 (Cayley, 1846). */
void cayley_exact(float *r, const float *q, size_t b, float *scratch);
/* g_q = the gradient of Q from that of R. */
void cayley_exact_backward(float *g_q, const float *g_r, const float *q, size_t b, float *scratch);

/* PEFT's truncated series of (I + Q) (I - Q)^-1 = I + 2 Q + 2 Q^2 + ...: the rotation in the other direction. The
   highest power has the coefficient 1; terms 3 and 4 both end at Q^3. */
void cayley_series(float *r, const float *q, size_t b, int terms, const struct kernels *kernels, float *scratch);
void cayley_series_backward(float *g_q, const float *g_r, const float *q, size_t b, int terms,
                            const struct kernels *kernels, float *scratch);

/* `telemetry` of an adapter that rotates (adapter.h). */
struct adapter_telemetry;
void cayley_telemetry(const struct adapter *adapter, struct adapter_telemetry *out);
/* W' = scale * (W blockdiag(R)^T) of an adapter that rotates. */
void cayley_merge(const struct adapter *adapter, struct backend *backend, float *merged);

#endif
