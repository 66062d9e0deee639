#include "worker/backend/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "worker/backend/cuda/cuda_library.h"
#include "worker/backend/cuda/cuda_list.h"
#include "worker/backend/cuda/cuda_matmul.h"
#include "worker/backend/cuda/cuda_program.h"

struct cuda {
  struct device device;
  struct cuda_driver cu;
  int driver_version;
  CUdevice id;
  CUcontext context; /* the GPU's primary one, which cuBLASLt uses too */
  CUstream stream;   /* all work, in order */
  CUmodule module;
  CUfunction kernels[DEVICE_KERNELS];
  struct cuda_matmul *matmul; /* NULL: cuBLASLt is not there */
};

struct buffer {
  CUdeviceptr at; /* aligned to 256 bytes at least */
  size_t bytes;
};

static struct cuda *cuda_of(struct device *device) {
  return (struct cuda *)(void *)device; /* its first member */
}

static enum status check(const struct cuda *c, CUresult code, const char *call, struct error *err) {
  return cuda_library_check(&c->cu, code, call, err);
}

/* A context belongs to a thread, and any thread may call. */
static enum status enter(struct cuda *c, struct error *err) {
  return check(c, c->cu.cuCtxSetCurrent(c->context), "cuCtxSetCurrent", err);
}

/* Faults of kernels are told here. */
static enum status wait(struct cuda *c, struct error *err) {
  return check(c, c->cu.cuStreamSynchronize(c->stream), "cuStreamSynchronize", err);
}

/* --- memory --------------------------------------------------------------------------------------- */

static enum status allocate(struct device *device, struct buffer **out, size_t bytes, struct error *err) {
  struct cuda *c = cuda_of(device);
  struct buffer *buffer = malloc(sizeof *buffer);
  if (!buffer)
    return error_no_memory(err, "a buffer");
  buffer->bytes = bytes;
  enum status status = enter(c, err);
  status = status ? status : check(c, c->cu.cuMemAlloc_v2(&buffer->at, bytes ? bytes : 1), "cuMemAlloc", err);
  if (status == STATUS_OK) {
    *out = buffer;
    return STATUS_OK;
  }
  free(buffer);
  size_t free_bytes = status == STATUS_OUT_OF_MEMORY ? device->ops->memory_free(device) : 0;
  return error_prefix(err, "%zu MiB on %s, which has %zu MiB free", bytes >> 20, device->name, free_bytes >> 20);
}

/* After what is in the stream, which may use it. */
static void release(struct device *device, struct buffer *buffer) {
  struct cuda *c = cuda_of(device);
  if (buffer && c->cu.cuCtxSetCurrent(c->context) == CUDA_SUCCESS) {
    c->cu.cuStreamSynchronize(c->stream);
    c->cu.cuMemFree_v2(buffer->at); /* that of a lost device fails: its memory goes with the process */
  }
  free(buffer);
}

static CUdeviceptr address(struct place memory, size_t bytes) {
  CHECK(memory.buffer && memory.offset <= memory.buffer->bytes && bytes <= memory.buffer->bytes - memory.offset);
  return memory.buffer->at + memory.offset;
}

/* Waits: whether a copy from memory that is not pinned still reads it after the call depends on the machine. */
static enum status write_to(struct device *device, struct place to, const void *from, size_t bytes, struct error *err) {
  struct cuda *c = cuda_of(device);
  CUdeviceptr at = address(to, bytes);
  enum status status = enter(c, err);
  if (status || bytes == 0)
    return status;
  status = check(c, c->cu.cuMemcpyHtoDAsync_v2(at, from, bytes, c->stream), "cuMemcpyHtoDAsync", err);
  return status ? status : wait(c, err);
}

static enum status read_from(struct device *device, void *to, struct place from, size_t bytes, struct error *err) {
  struct cuda *c = cuda_of(device);
  CUdeviceptr at = address(from, bytes);
  enum status status = enter(c, err);
  if (status || bytes == 0)
    return status;
  status = check(c, c->cu.cuMemcpyDtoHAsync_v2(to, at, bytes, c->stream), "cuMemcpyDtoHAsync", err);
  return status ? status : wait(c, err);
}

static enum status copy(struct device *device, struct place to, struct place from, size_t bytes, struct error *err) {
  struct cuda *c = cuda_of(device);
  CUdeviceptr to_at = address(to, bytes), from_at = address(from, bytes);
  enum status status = enter(c, err);
  if (status || bytes == 0)
    return status;
  return check(c, c->cu.cuMemcpyDtoDAsync_v2(to_at, from_at, bytes, c->stream), "cuMemcpyDtoDAsync", err);
}

static size_t memory_free(struct device *device) {
  struct cuda *c = cuda_of(device);
  struct error err;
  size_t free_bytes = 0, all = 0;
  enum status status = enter(c, &err);
  status = status ? status : check(c, c->cu.cuMemGetInfo_v2(&free_bytes, &all), "cuMemGetInfo", &err);
  return status ? 0 : free_bytes;
}

/* --- kernels -------------------------------------------------------------------------------------- */

/* What every GPU that we take can have; OpenCL has no such limits. */
static enum status check_grid(const struct device_kernel_info *info, const size_t groups[3], struct error *err) {
  enum { GRID_X_MAX = 0x7FFFFFFF, GRID_YZ_MAX = 65535 };
  if (groups[0] <= GRID_X_MAX && groups[1] <= GRID_YZ_MAX && groups[2] <= GRID_YZ_MAX)
    return STATUS_OK;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                   "the %s kernel would need %zu x %zu x %zu groups, and CUDA has at most %d x %d x %d: a smaller "
                   "batch_size needs less",
                   info->name, groups[0], groups[1], groups[2], GRID_X_MAX, GRID_YZ_MAX, GRID_YZ_MAX);
}

static enum status launch(struct device *device, enum device_kernel which, const size_t groups[3],
                          const struct place *pointers, const void *args, struct error *err) {
  struct cuda *c = cuda_of(device);
  const struct device_kernel_info *info = &device_kernels[which];
  CUdeviceptr at[DEVICE_POINTERS_MAX];
  void *parameters[DEVICE_POINTERS_MAX + 1];
  if (groups[0] == 0 || groups[1] == 0 || groups[2] == 0)
    return STATUS_OK;
  for (int i = 0; i < info->pointers; i++) {
    CHECK(pointers[i].offset % PLACE_ALIGN == 0);
    at[i] = pointers[i].buffer ? address(pointers[i], 0) : 0;
    parameters[i] = &at[i];
  }
  parameters[info->pointers] = (void *)(uintptr_t)args; /* CUDA copies the struct; it knows its size */
  enum status status = check_grid(info, groups, err);
  status = status ? status : enter(c, err);
  if (status)
    return status;
  CUresult code = c->cu.cuLaunchKernel(c->kernels[which], (unsigned)groups[0], (unsigned)groups[1], (unsigned)groups[2],
                                       DEVICE_GROUP_ITEMS, 1, 1, 0, c->stream, parameters, NULL);
  device->launches += code == CUDA_SUCCESS;
  status = check(c, code, "cuLaunchKernel", err);
  return status ? error_prefix(err, "the %s kernel", info->name) : status;
}

/* Of a part of a buffer that a library reads or writes: rows of `cols` numbers, `row` apart. */
static CUdeviceptr matrix(struct place memory, size_t rows, size_t cols, size_t row, size_t size) {
  return address(memory, rows && cols ? ((rows - 1) * row + cols) * size : 0);
}

static enum status gemm(struct device *device, const struct device_gemm *g, struct error *err) {
  struct cuda *c = cuda_of(device);
  size_t size = g->bf16 ? 2 : sizeof(float);
  const struct cuda_gemm of_cuda = {
      .a = matrix(g->a, g->rows, g->depth, g->a_row, size),
      .b = matrix(g->b, g->transposed ? g->cols : g->depth, g->transposed ? g->depth : g->cols, g->b_row, size),
      .c = matrix(g->c, g->rows, g->cols, g->c_row, sizeof(float)),
      .bias = g->bias.buffer ? address(g->bias, g->cols * sizeof(float)) : 0,
      .rows = g->rows,
      .cols = g->cols,
      .depth = g->depth,
      .a_row = g->a_row,
      .b_row = g->b_row,
      .c_row = g->c_row,
      .transposed = g->transposed,
      .bf16 = g->bf16,
      .accumulate = g->accumulate,
      .alpha = g->alpha};
  enum status status = enter(c, err);
  status = status ? status : cuda_matmul_run(c->matmul, &of_cuda, c->stream, err);
  device->launches += status == STATUS_OK;
  return status;
}

static enum status finish(struct device *device, struct error *err) {
  struct cuda *c = cuda_of(device);
  enum status status = enter(c, err);
  return status ? status : wait(c, err);
}

/* --- opening -------------------------------------------------------------------------------------- */

static void close_device(struct device *device) {
  struct cuda *c = cuda_of(device);
  if (c->context && c->cu.cuCtxSetCurrent(c->context) == CUDA_SUCCESS) {
    if (c->stream) {
      c->cu.cuStreamSynchronize(c->stream);
      c->cu.cuStreamDestroy_v2(c->stream);
    }
    cuda_matmul_close(c->matmul);
    if (c->module)
      c->cu.cuModuleUnload(c->module);
    c->cu.cuCtxSetCurrent(NULL);
  }
  if (c->context)
    c->cu.cuDevicePrimaryCtxRelease_v2(c->id);
  free(c);
}

static const struct device_ops kernels_only = {.kind = "cuda",
                                               .allocate = allocate,
                                               .release = release,
                                               .write = write_to,
                                               .read = read_from,
                                               .copy = copy,
                                               .launch = launch,
                                               .finish = finish,
                                               .memory_free = memory_free,
                                               .close = close_device};

static const struct device_ops with_library = {.kind = "cuda",
                                               .allocate = allocate,
                                               .release = release,
                                               .write = write_to,
                                               .read = read_from,
                                               .copy = copy,
                                               .launch = launch,
                                               .gemm = gemm,
                                               .finish = finish,
                                               .memory_free = memory_free,
                                               .close = close_device};

/* The GPU that `id` names. */
static enum status find(struct cuda *c, int *arch, const char *id, struct error *err) {
  int all = 0;
  enum status status = check(c, c->cu.cuDeviceGetCount(&all), "cuDeviceGetCount", err);
  for (int i = 0; status == STATUS_OK && i < all; i++) {
    struct cuda_listed listed;
    char name[sizeof listed.id];
    snprintf(name, sizeof name, "cuda:%d", i);
    if (strcmp(name, id) != 0)
      continue;
    status = cuda_list_describe(&c->cu, i, &c->id, &listed, err);
    if (status)
      return status;
    c->device = (struct device){.ops = &kernels_only, .memory = listed.memory};
    memcpy(c->device.name, listed.name, sizeof listed.name);
    *arch = listed.arch;
    return STATUS_OK;
  }
  if (status != STATUS_OK)
    return status;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                   "there is no device \"%.40s\"; CUDA has %d here, the first is cuda:0", id, all);
}

static enum status open_context(struct cuda *c, struct error *err) {
  enum status status = check(c, c->cu.cuDevicePrimaryCtxRetain(&c->context, c->id), "cuDevicePrimaryCtxRetain", err);
  if (status) {
    c->context = NULL;
    return error_prefix(err, "%s", c->device.name);
  }
  status = enter(c, err);
  return status ? status : check(c, c->cu.cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate", err);
}

/* All kernels at once: one that is missing is told now. */
static enum status find_kernels(struct cuda *c, struct error *err) {
  for (int i = 0; i < DEVICE_KERNELS; i++) {
    CUresult code = c->cu.cuModuleGetFunction(&c->kernels[i], c->module, device_kernels[i].name);
    enum status status = check(c, code, "cuModuleGetFunction", err);
    if (status)
      return error_prefix(err, "the %s kernel", device_kernels[i].name);
  }
  return STATUS_OK;
}

/* Without cuBLASLt our own kernels multiply. */
static enum status open_matmul(struct cuda *c, struct error *err) {
  enum status status = cuda_matmul_open(&c->matmul, &c->cu, err);
  if (status == STATUS_UNSUPPORTED_VALUE) {
    log_warn("matmuls on %s are slow, and fp32: %s", c->device.name, err->text);
    return STATUS_OK;
  }
  if (status)
    return error_prefix(err, "cuBLASLt on %s", c->device.name);
  size_t version = cuda_matmul_version(c->matmul);
  log_info("matmuls on %s by cuBLASLt %zu.%zu", c->device.name, version / 10000, version / 100 % 100);
  c->device.ops = &with_library;
  return STATUS_OK;
}

enum status cuda_open(struct device **out, const char *id, struct error *err) {
  struct cuda *c = calloc(1, sizeof *c);
  int arch = 0;
  if (!c)
    return error_no_memory(err, "a device");
  enum status status = cuda_library_driver(&c->cu, &c->driver_version, CUDA_DRIVER_SONAME, err);
  status = status ? status : find(c, &arch, id, err);
  status = status ? status : open_context(c, err);
  status = status ? status : cuda_program_load(&c->module, &c->cu, c->driver_version, arch, err);
  status = status ? status : find_kernels(c, err);
  status = status ? status : open_matmul(c, err);
  if (status == STATUS_OK)
    *out = &c->device;
  else
    close_device(&c->device);
  return status;
}
