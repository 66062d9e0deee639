#include "worker/backend/device/device_backend.h"

#include <stdlib.h>
#include <string.h>

#include "worker/backend/device/device_adamw.h"
#include "worker/backend/device/device_factors.h"
#include "worker/backend/device/device_op.h"

const struct op_body *const device_bodies[OP_KINDS] = {
    [OP_LINEAR] = &device_linear,
    [OP_ROTATE] = &device_rotate,
    [OP_SCALE] = &device_scale,
    [OP_EMBEDDINGS] = &device_embeddings,
    [OP_TOKEN_ROWS] = &device_token_rows,
    [OP_TOKEN_LOGITS] = &device_token_logits,
    [OP_POOLING] = &device_pooling,
    [OP_UNFOLD] = &device_unfold,
    [OP_LAYERNORM] = &device_layernorm,
    [OP_RMSNORM] = &device_rmsnorm,
    [OP_DROPOUT] = &device_dropout,
    [OP_GELU] = &device_gelu,
    [OP_GELU_TANH] = &device_gelu_tanh,
    [OP_RELU] = &device_relu,
    [OP_TANH] = &device_tanh,
    [OP_SWIGLU] = &device_swiglu,
    [OP_GEGLU] = &device_geglu,
    [OP_GEGLU_TANH] = &device_geglu_tanh,
    [OP_MULTIPLY] = &device_multiply,
    [OP_COLUMNS] = &device_columns,
    [OP_ADD] = &device_add,
    [OP_ROPE] = &device_rope,
    [OP_ATTENTION] = &device_attention,
    [OP_UNIT_ROWS] = &device_unit_rows,
    [OP_SIMILARITY] = &device_similarity,
    [OP_CROSS_ENTROPY] = &device_cross_entropy,
    [OP_SQUARED_ERROR] = &device_squared_error,
    [OP_BINARY_CROSS_ENTROPY] = &device_binary_cross_entropy,
    [OP_LINEAR_CROSS_ENTROPY] = &device_linear_cross_entropy,
    [OP_LINEAR_PREFERENCE] = &device_linear_preference,
};

/* --- what keeps the first fault ------------------------------------------------------------------- */

/* The device, or NULL after a fault. */
static struct device *sound(struct backend *backend) {
  return backend->device->fault.status ? NULL : backend->device->device;
}

/* A call that fails sets the fault, and a second one never comes. */
static void keep(struct backend *backend, enum status status) {
  CHECK(status == STATUS_OK || backend->device->fault.status == status);
}

void device_launch(struct backend *backend, enum device_kernel kernel, size_t x, size_t y, size_t z,
                   const struct place *pointers, const void *args) {
  struct device *d = sound(backend);
  if (d)
    keep(backend, d->ops->launch(d, kernel, (const size_t[]){x, y, z}, pointers, args, &backend->device->fault));
}

void device_launch_each(struct backend *backend, enum device_kernel kernel, size_t count, const struct place *pointers,
                        const void *args) {
  device_launch(backend, kernel, device_groups(count, DEVICE_GROUP_ITEMS), 1, 1, pointers, args);
}

void device_read(struct backend *backend, void *to, struct place from, size_t bytes) {
  struct device *d = sound(backend);
  if (d && bytes)
    keep(backend, d->ops->read(d, to, from, bytes, &backend->device->fault));
  if (!sound(backend))
    memset(to, 0, bytes);
}

void device_write(struct backend *backend, struct place to, const void *from, size_t bytes) {
  struct device *d = sound(backend);
  if (d && bytes)
    keep(backend, d->ops->write(d, to, from, bytes, &backend->device->fault));
}

struct place device_memory(struct backend *backend, struct device_memory *memory, size_t floats) {
  struct device_backend *d = backend->device;
  if (floats > memory->floats && !d->fault.status) {
    d->device->ops->release(d->device, memory->at.buffer);
    *memory = (struct device_memory){0};
    if (!d->device->ops->allocate(d->device, &memory->at.buffer, floats * sizeof(float), &d->fault))
      memory->floats = floats;
  }
  return memory->at;
}

struct place device_work(struct backend *backend, size_t floats) {
  return device_memory(backend, &backend->device->work, floats);
}

/* --- struct backend_ops --------------------------------------------------------------------------- */

static void zero(struct backend *backend, struct place place, size_t bytes) {
  const struct fill_args args = {(long)((bytes + sizeof(float) - 1) / sizeof(float)), 0};
  device_launch_each(backend, DEVICE_fill_with, (size_t)args.count, &place, &args);
}

/* Whole floats, so that it can be zeroed by them. */
static enum status allocate(struct backend *backend, struct place *out, size_t bytes, struct error *err) {
  struct device *d = backend->device->device;
  *out = NOWHERE;
  enum status status =
      d->ops->allocate(d, &out->buffer, (bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float), err);
  if (status)
    return status;
  backend->device->allocated += bytes;
  zero(backend, *out, bytes);
  return STATUS_OK;
}

static void release(struct backend *backend, struct place place, size_t bytes) {
  struct device *d = backend->device->device;
  backend->device->allocated -= bytes;
  d->ops->release(d, place.buffer);
}

static enum status synchronise(struct backend *backend, struct error *err) {
  struct device *d = sound(backend);
  if (d)
    keep(backend, d->ops->finish(d, &backend->device->fault));
  if (backend->device->fault.status)
    *err = backend->device->fault;
  return backend->device->fault.status;
}

static void close_backend(struct backend *backend) {
  struct device_backend *own = backend->device;
  device_adamw_release(own);
  own->device->ops->release(own->device, own->work.at.buffer);
  own->device->ops->release(own->device, own->cores.at.buffer);
  own->device->ops->release(own->device, own->library.buffer);
  own->device->ops->close(own->device);
  free(own);
  pool_free(backend->pool);
}

/* As if nobody else used it, where the device cannot tell. */
static size_t memory_available(const struct backend *backend) {
  struct device *d = backend->device->device;
  size_t all = (size_t)d->memory, used = backend->device->allocated;
  if (d->ops->memory_free)
    return d->ops->memory_free(d);
  return all > used ? all - used : 0;
}

static const char *processor(const struct backend *backend) {
  return backend->device->device->name;
}

static void set_precision(struct backend *backend, enum precision precision) {
  backend->precision = precision;
}

/* A product of ours rounds its inputs; a library of the device multiplies bf16 numbers. */
static bool emulates_bf16(const struct backend *backend) {
  return backend->precision == PRECISION_BF16 && !backend->device->device->ops->gemm;
}

static const struct backend_ops ops = {.bodies = device_bodies,
                                       .close = close_backend,
                                       .processor = processor,
                                       .rounds_weights = true,
                                       .set_precision = set_precision,
                                       .emulates_bf16 = emulates_bf16,
                                       .memory_available = memory_available,
                                       .allocate = allocate,
                                       .release = release,
                                       .write = device_write,
                                       .read = device_read,
                                       .zero = zero,
                                       .synchronise = synchronise,
                                       .cores = device_factors_cores,
                                       .gram = device_factors_gram,
                                       .copy_core = device_factors_copy_core,
                                       .times_core = device_factors_times_core,
                                       .add_times_core = device_factors_add_times_core,
                                       .copy = device_factors_copy,
                                       .weight_times = device_factors_weight_times,
                                       .inverse_norms = device_factors_inverse_norms,
                                       .multiply = device_factors_multiply,
                                       .grad_squares = device_adamw_grad_squares,
                                       .adamw = device_adamw_update};

enum status device_backend_open(struct backend *out, struct device *device, int threads, struct error *err) {
  *out = (struct backend){0};
  struct device_backend *own = calloc(1, sizeof *own);
  struct pool *pool = NULL;
  enum status status =
      own ? pool_new(&pool, threads, err) : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for a backend");
  if (status) {
    device->ops->close(device);
    free(own);
    return status;
  }
  own->device = device;
  own->ops = ops;
  own->ops.name = device->ops->kind;
  *out = (struct backend){.ops = &own->ops, .pool = pool, .device = own};
  set_precision(out, PRECISION_FP32);
  if (device->ops->gemm)
    status = device->ops->allocate(device, &own->library.buffer, device_library_bytes(), err);
  if (status)
    backend_close(out);
  return status;
}
