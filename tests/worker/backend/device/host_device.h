/* The kernels compiled as plain C, and a device that runs them on the host: buffers have exactly their size, so that
   AddressSanitizer sees what lies beyond. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_HOST_DEVICE_H
#define TESTS_WORKER_BACKEND_DEVICE_HOST_DEVICE_H

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
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
#define DEVICE_KERNEL(name, pointers, args)                     \
  static void host_run_##name(void *const *p, const void *a) {  \
    name(POINTERS_##pointers, *(const struct args *)a);         \
  }
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL

static void (*const host_kernels[DEVICE_KERNELS])(void *const *p, const void *a) = {
#define DEVICE_KERNEL(name, pointers, args) host_run_##name,
#include "worker/backend/device/kernels.def"
#undef DEVICE_KERNEL
};

struct buffer {
  size_t bytes;
  char data[];
};

/* A phase's items from the first to the last, or backwards: what is right does not depend on it. */
static void host_order(bool backwards) {
  device_host.first_item = backwards ? GROUP_ITEMS - 1 : 0;
  device_host.item_step = backwards ? -1 : 1;
}

static enum status host_allocate(struct device *device, struct buffer **out, size_t bytes, struct error *err) {
  (void)device;
  *out = malloc(sizeof **out + bytes);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %zu bytes", bytes);
  (*out)->bytes = bytes;
  return STATUS_OK;
}

static void host_release(struct device *device, struct buffer *buffer) {
  (void)device;
  free(buffer);
}

static char *host_place(struct place memory, size_t bytes) {
  CHECK(memory.offset + bytes <= memory.buffer->bytes);
  return memory.buffer->data + memory.offset;
}

static enum status host_write(struct device *device, struct place to, const void *from, size_t bytes,
                              struct error *err) {
  (void)device, (void)err;
  memcpy(host_place(to, bytes), from, bytes);
  return STATUS_OK;
}

static enum status host_read(struct device *device, void *to, struct place from, size_t bytes,
                             struct error *err) {
  (void)device, (void)err;
  memcpy(to, host_place(from, bytes), bytes);
  return STATUS_OK;
}

static enum status host_copy(struct device *device, struct place to, struct place from, size_t bytes,
                             struct error *err) {
  (void)device, (void)err;
  memmove(host_place(to, bytes), host_place(from, bytes), bytes);
  return STATUS_OK;
}

static enum status host_launch(struct device *device, enum device_kernel kernel, const size_t groups[3],
                               const struct place *pointers, const void *args, struct error *err) {
  (void)err;
  void *p[DEVICE_POINTERS_MAX] = {0};
  for (int i = 0; i < device_kernels[kernel].pointers; i++) {
    CHECK(pointers[i].offset % PLACE_ALIGN == 0);
    p[i] = pointers[i].buffer ? host_place(pointers[i], 0) : NULL;
  }
  int *at = device_host.group;
  for (int i = 0; i < 3; i++)
    device_host.groups[i] = (int)groups[i];
  for (at[2] = 0; at[2] < device_host.groups[2]; at[2]++)
    for (at[1] = 0; at[1] < device_host.groups[1]; at[1]++)
      for (at[0] = 0; at[0] < device_host.groups[0]; at[0]++)
        host_kernels[kernel](p, args);
  device->launches++;
  return STATUS_OK;
}

static enum status host_finish(struct device *device, struct error *err) {
  (void)device, (void)err;
  return STATUS_OK;
}

static void host_close(struct device *device) {
  (void)device;
}

static const struct device_ops host_ops = {host_allocate, host_release, host_write,  host_read,
                                           host_copy,     host_launch,  host_finish, host_close};
static struct device host_device = {.ops = &host_ops, .name = "host"};

#endif
