/* The small C dialect in which device kernels are written once, for OpenCL C 1.2, CUDA C and plain C on the host.

   A kernel is written for a whole work-group of GROUP_ITEMS work items, as a sequence of phases:

     KERNEL row_sums(GLOBAL float *out, GLOBAL const float *x, const struct row_sums_args a) {
       LOCAL float part[GROUP_ITEMS];
       FIRST_PHASE { part[ITEM] = x[...]; }
       for (int s = GROUP_ITEMS / 2; s > 0; s /= 2) {
         PHASE { if (ITEM < s) part[ITEM] += part[ITEM + s]; }
       }
       PHASE { if (ITEM == 0) out[GROUP(0)] = part[0]; }
     }

   What stands between phases is the same for all items; ITEM exists only within one. A phase begins with a barrier
   (the first one without), so a barrier can neither be forgotten nor stand in divergent code. On the host a phase is a
   loop over the items. What an item keeps from one phase to the next is an OWN array.

   Rules: braces around every phase; no return, break or continue out of one, none within another; no item reads what
   another writes in the same phase; sums have a fixed order, so there are no atomics; no fp16 or fp64, no sub-groups.
   Parameters: pointers first, then one struct by value (args.h), which has ints, longs and floats only. */
#ifndef WORKER_BACKEND_DEVICE_DIALECT_H
#define WORKER_BACKEND_DEVICE_DIALECT_H

enum { GROUP_ITEMS = 256 };

#if defined(__OPENCL_VERSION__)

#define KERNEL __kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void
#define DEVICE static inline
#define GLOBAL __global
#define LOCAL __local
#define LOCAL_PTR __local
#define GROUP(dimension) ((int)get_group_id(dimension))
#define GROUPS(dimension) ((int)get_num_groups(dimension))
#define ITEM ((int)get_local_id(0))
#define FIRST_PHASE
#define PHASE barrier(CLK_LOCAL_MEM_FENCE);
#define OWN(type, name, count) type name[1][count]
#define MINE(name) name[0]
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
#define expf exp
#define logf log
#define erff erf
#define tanhf tanh
#define sqrtf sqrt
#define fmaxf fmax
#define fabsf fabs
#define log1pf log1p
#define float_of_bits as_float
#define bits_of_float as_uint
#define high_product mul_hi

#elif defined(__CUDACC__)

#define KERNEL extern "C" __global__ void __launch_bounds__(GROUP_ITEMS)
#define DEVICE static __device__ __forceinline__
#define GLOBAL
#define LOCAL __shared__
#define LOCAL_PTR
#define GROUP(dimension) ((int)((dimension) == 0 ? blockIdx.x : (dimension) == 1 ? blockIdx.y : blockIdx.z))
#define GROUPS(dimension) ((int)((dimension) == 0 ? gridDim.x : (dimension) == 1 ? gridDim.y : gridDim.z))
#define ITEM ((int)threadIdx.x)
#define FIRST_PHASE
#define PHASE __syncthreads();
#define OWN(type, name, count) type name[1][count]
#define MINE(name) name[0]
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
#define float_of_bits __uint_as_float
#define bits_of_float __float_as_uint
#define high_product __umulhi
typedef unsigned char uchar;
typedef unsigned int uint;
typedef unsigned long ulong;
#ifdef __CUDACC_RTC__ /* NVRTC has no headers */
#define INFINITY __int_as_float(0x7F800000)
#endif

#else /* plain C: whoever includes the kernels defines device_host and counts its groups */

#include <math.h>
#include <stdint.h>
#include <string.h>

struct device_host {
  int group[3], groups[3];
  int first_item, item_step; /* 0, 1; or the last and -1: the order of items must not show */
};
extern struct device_host device_host;

#define KERNEL static void
#define DEVICE static inline
#define GLOBAL
#define LOCAL
#define LOCAL_PTR
#define GROUP(dimension) (device_host.group[dimension])
#define GROUPS(dimension) (device_host.groups[dimension])
#define ITEM item_
#define FIRST_PHASE PHASE
#define PHASE \
  for (int left_ = GROUP_ITEMS, item_ = device_host.first_item; left_ > 0; left_--, item_ += device_host.item_step)
#define OWN(type, name, count) type name[GROUP_ITEMS][count]
#define MINE(name) name[item_]
#define UNROLL
#define NO_UNROLL
typedef unsigned char uchar;
typedef unsigned int uint;
typedef unsigned long ulong;

static inline float float_of_bits(uint bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint bits_of_float(float value) {
  uint bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline uint high_product(uint a, uint b) {
  return (uint)((ulong)a * b >> 32);
}

#endif

#endif
