/* A device that runs the kernels of kernels.def: CUDA (worker/backend/cuda/), OpenCL (worker/backend/opencl/), or the
   host in tests. Work is done in
   the order in which it is asked for, later than the call returns; `read` and `finish` wait for it. */
#ifndef WORKER_BACKEND_DEVICE_DEVICE_H
#define WORKER_BACKEND_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "worker/backend/device/args.h"
#include "worker/backend/place.h"

enum device_kernel {
#define DEVICE_KERNEL(name, pointers, args) DEVICE_##name,
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL
  DEVICE_KERNELS
};

enum {
  DEVICE_GROUP_ITEMS = 256, /* work items of a work-group: GROUP_ITEMS of dialect.h */
  DEVICE_POINTERS_MAX = 13, /* of a kernel */
};

struct device_kernel_info {
  const char *name;
  int pointers;
  size_t args_bytes;
};
extern const struct device_kernel_info device_kernels[DEVICE_KERNELS];

struct device {
  const struct device_ops *ops;
  char name[128];
  uint64_t memory;   /* bytes */
  uint64_t launches; /* kernels launched since it was opened */
};

/* C (rows x cols) = alpha * A B [+ C] [+ bias], sums in fp32: A rows x depth, B depth x cols, or cols x depth when
   transposed, all in rows, `..._row` numbers apart. A and B are fp32, or both bf16; C and bias (cols numbers, or
   nowhere) are fp32. */
struct device_gemm {
  struct place c, a, b, bias;
  size_t rows, cols, depth;
  size_t c_row, a_row, b_row;
  bool transposed, bf16, accumulate;
  float alpha;
};

/* One const row a kind of device. Statuses: STATUS_OUT_OF_MEMORY, STATUS_DEVICE_LOST, or STATUS_INTERNAL with the call
   that failed. */
struct device_ops {
  const char *kind; /* "opencl", "cuda" */
  NODISCARD enum status (*allocate)(struct device *device, struct buffer **out, size_t bytes,
                                    struct error *err);
  void (*release)(struct device *device, struct buffer *buffer); /* NULL: nothing */
  NODISCARD enum status (*write)(struct device *device, struct place to, const void *from, size_t bytes,
                                 struct error *err);
  NODISCARD enum status (*read)(struct device *device, void *to, struct place from, size_t bytes,
                                struct error *err);
  NODISCARD enum status (*copy)(struct device *device, struct place to, struct place from,
                                size_t bytes, struct error *err);
  /* groups[0] x groups[1] x groups[2] work-groups; nothing when there are none. */
  NODISCARD enum status (*launch)(struct device *device, enum device_kernel kernel, const size_t groups[3],
                                  const struct place *pointers, const void *args, struct error *err);
  /* A matmul by the device's own library, the same from run to run. STATUS_UNSUPPORTED_VALUE: it has none for this one,
     and nothing was done. NULL: there is no library, and our kernels run them all. */
  NODISCARD enum status (*gemm)(struct device *device, const struct device_gemm *gemm, struct error *err);
  NODISCARD enum status (*finish)(struct device *device, struct error *err);
  /* Bytes that are free now, whoever has the others. NULL: the device cannot tell. */
  size_t (*memory_free)(struct device *device);
  void (*close)(struct device *device);
};

#endif
