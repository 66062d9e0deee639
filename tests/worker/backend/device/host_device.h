/* A device that runs the kernels on the host: buffers have exactly their size, so that AddressSanitizer sees what lies
   beyond. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_HOST_DEVICE_H
#define TESTS_WORKER_BACKEND_DEVICE_HOST_DEVICE_H

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "tests/worker/backend/device/host_kernels.h"

struct buffer {
  size_t bytes;
  char data[];
};

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

static enum status host_read(struct device *device, void *to, struct place from, size_t bytes, struct error *err) {
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
  host_run(kernel, groups, p, args);
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

static const struct device_ops host_ops = {.kind = "host",
                                           .allocate = host_allocate,
                                           .release = host_release,
                                           .write = host_write,
                                           .read = host_read,
                                           .copy = host_copy,
                                           .launch = host_launch,
                                           .finish = host_finish,
                                           .close = host_close};
static struct device host_device = {.ops = &host_ops, .name = "host"};

#endif
