#include "worker/backend/device/device.h"

const struct device_kernel_info device_kernels[DEVICE_KERNELS] = {
#define DEVICE_KERNEL(name, pointers, args) {#name, pointers, sizeof(struct args)},
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL
};
