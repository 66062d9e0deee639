/* Convolutions as implicit GEMMs (Chetlur et al., "cuDNN", 2014): A, whose row is what the kernel sees at one pixel, is
   gathered a tile at a time and never exists as a whole; B is packed from the weight where its file has it. Sums follow
   chunks of channels, in a chunk the taps of the kernel, in a tap the channels: so a tap of a chunk is one piece of a
   pixel's row. Transposed with a stride, the pixels that the same taps see are a GEMM of their own. They run on the
   pool, by our GEMM microkernels whichever matmul library is chosen.

   Legend: K = taps * channels; a tap is a place of the kernel. */
#ifndef WORKER_BACKEND_CPU_CONV_H
#define WORKER_BACKEND_CPU_CONV_H

#include "worker/backend/cpu/cpu.h"
#include "worker/op/op.h"

/* Which pixel a tap reads. The rows of A are the pixels of `to`; forward that is the convolution's output, and `from`
   its input. Transposed it is the other way round: what an input pixel's gradient is gathered from. */
struct conv_taps {
  const struct convolution *convolution;
  struct images from, to;
  bool transposed;
};

size_t conv_taps(const struct convolution *convolution);
/* The line of `from` that a line of `to` sees by that row of the kernel; SIZE_MAX: none, a line of zeros. Likewise for
   columns (axis 1). */
size_t conv_seen(const struct conv_taps *taps, size_t at, size_t tap, int axis);

/* C (rows of `to` x n) = [C +] A B + sign * Q V + bias, fp32, row-major, without gaps. B is the weight (out x in,
   worker/op/linear.h): forward C's columns are its rows, transposed they are the input's channels. */
struct conv {
  struct conv_taps taps;
  float *c;
  const float *a; /* rows of `from` x channels: the input's, transposed the output's */
  const struct weight *weight;
  bool accumulate;
  size_t R; /* 0: no low-rank part */
  const float *q, *v;
  float sign;
  const float *bias; /* n, or NULL */
};

/* Floats of scratch for either direction with a rank of up to R. */
size_t conv_scratch(const struct backend *backend, const struct linear *linear, size_t R);
void conv_run(const struct backend *backend, const struct conv *conv, float *scratch);

#endif
