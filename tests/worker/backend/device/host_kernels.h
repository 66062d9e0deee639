/* The kernels compiled as plain C, to run on the host. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_HOST_KERNELS_H
#define TESTS_WORKER_BACKEND_DEVICE_HOST_KERNELS_H

#include "worker/backend/device/device.h"
#include "worker/backend/device/program.cl"

struct device_host device_host = {.item_step = 1};

#define POINTERS_1 p[0]
#define POINTERS_2 POINTERS_1, p[1]
#define POINTERS_3 POINTERS_2, p[2]
#define POINTERS_4 POINTERS_3, p[3]
#define POINTERS_5 POINTERS_4, p[4]
#define POINTERS_6 POINTERS_5, p[5]
#define POINTERS_7 POINTERS_6, p[6]
#define POINTERS_8 POINTERS_7, p[7]
#define POINTERS_9 POINTERS_8, p[8]
#define POINTERS_10 POINTERS_9, p[9]
#define POINTERS_11 POINTERS_10, p[10]
#define POINTERS_12 POINTERS_11, p[11]
#define POINTERS_13 POINTERS_12, p[12]
#define DEVICE_KERNEL(name, pointers, args)                                                                            \
  static void host_run_##name(void *const *p, const void *a) {                                                         \
    name(POINTERS_##pointers, *(const struct args *)a);                                                                \
  }
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL

static void (*const host_kernels[DEVICE_KERNELS])(void *const *p, const void *a) = {
#define DEVICE_KERNEL(name, pointers, args) host_run_##name,
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL
};

/* A phase's items from the first to the last, or backwards: what is right does not depend on it. */
static void host_order(bool backwards) {
  device_host.first_item = backwards ? GROUP_ITEMS - 1 : 0;
  device_host.item_step = backwards ? -1 : 1;
}

/* All groups of a launch. */
static void host_run(enum device_kernel kernel, const size_t groups[3], void *const *pointers, const void *args) {
  int *at = device_host.group;
  for (int i = 0; i < 3; i++)
    device_host.groups[i] = (int)groups[i];
  for (at[2] = 0; at[2] < device_host.groups[2]; at[2]++)
    for (at[1] = 0; at[1] < device_host.groups[1]; at[1]++)
      for (at[0] = 0; at[0] < device_host.groups[0]; at[0]++)
        host_kernels[kernel](pointers, args);
}

#endif
