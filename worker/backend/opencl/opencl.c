#include "worker/backend/opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/backend/device/program.h"
#include "worker/backend/opencl/opencl_list.h"

struct opencl {
  struct device device;
  struct opencl_library cl;
  cl_device_id id;
  cl_context context;
  cl_command_queue queue; /* in order */
  cl_program program;
  cl_kernel kernels[DEVICE_KERNELS];
};

struct buffer {
  cl_mem memory;
  size_t bytes;
};

static struct opencl *opencl_of(struct device *device) {
  return (struct opencl *)(void *)device; /* its first member */
}

/* --- memory --------------------------------------------------------------------------------------- */

static enum status allocate(struct device *device, struct buffer **out, size_t bytes, struct error *err) {
  struct opencl *o = opencl_of(device);
  cl_int code;
  struct buffer *buffer = malloc(sizeof *buffer);
  if (!buffer)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory");
  buffer->bytes = bytes;
  buffer->memory = o->cl.clCreateBuffer(o->context, CL_MEM_READ_WRITE, bytes ? bytes : 1, NULL, &code);
  if (code == CL_SUCCESS) {
    *out = buffer;
    return STATUS_OK;
  }
  free(buffer);
  enum status status = opencl_error_check(err, code, "clCreateBuffer");
  return error_prefix(err, "%zu bytes on %s", bytes, device->name), status;
}

static void release(struct device *device, struct buffer *buffer) {
  if (buffer)
    opencl_of(device)->cl.clReleaseMemObject(buffer->memory);
  free(buffer);
}

static void check_range(struct place memory, size_t bytes) {
  CHECK(memory.buffer && memory.offset <= memory.buffer->bytes && bytes <= memory.buffer->bytes - memory.offset);
}

static enum status write_to(struct device *device, struct place to, const void *from, size_t bytes, struct error *err) {
  struct opencl *o = opencl_of(device);
  check_range(to, bytes);
  if (bytes == 0)
    return STATUS_OK;
  cl_int code = o->cl.clEnqueueWriteBuffer(o->queue, to.buffer->memory, CL_TRUE, to.offset, bytes, from, 0, NULL, NULL);
  return opencl_error_check(err, code, "clEnqueueWriteBuffer");
}

static enum status read_from(struct device *device, void *to, struct place from, size_t bytes, struct error *err) {
  struct opencl *o = opencl_of(device);
  check_range(from, bytes);
  if (bytes == 0)
    return STATUS_OK;
  cl_int code =
      o->cl.clEnqueueReadBuffer(o->queue, from.buffer->memory, CL_TRUE, from.offset, bytes, to, 0, NULL, NULL);
  return opencl_error_check(err, code, "clEnqueueReadBuffer");
}

static enum status copy(struct device *device, struct place to, struct place from, size_t bytes, struct error *err) {
  struct opencl *o = opencl_of(device);
  check_range(to, bytes);
  check_range(from, bytes);
  if (bytes == 0)
    return STATUS_OK;
  cl_int code = o->cl.clEnqueueCopyBuffer(o->queue, from.buffer->memory, to.buffer->memory, from.offset, to.offset,
                                          bytes, 0, NULL, NULL);
  return opencl_error_check(err, code, "clEnqueueCopyBuffer");
}

/* --- kernels -------------------------------------------------------------------------------------- */

/* A kernel's pointer: a buffer, or a part of one as an object of its own, which the caller releases. */
static cl_int set_pointer(struct opencl *o, cl_kernel kernel, cl_uint index, struct place memory, cl_mem *part) {
  cl_int code = CL_SUCCESS;
  *part = NULL;
  if (!memory.buffer)
    return o->cl.clSetKernelArg(kernel, index, sizeof(cl_mem), NULL);
  check_range(memory, 0);
  if (memory.offset == 0)
    return o->cl.clSetKernelArg(kernel, index, sizeof(cl_mem), (const void *)&memory.buffer->memory);
  CHECK(memory.offset % PLACE_ALIGN == 0 && memory.offset < memory.buffer->bytes);
  const cl_buffer_region region = {memory.offset, memory.buffer->bytes - memory.offset};
  *part =
      o->cl.clCreateSubBuffer(memory.buffer->memory, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
  return code == CL_SUCCESS ? o->cl.clSetKernelArg(kernel, index, sizeof(cl_mem), (const void *)part) : code;
}

/* Kernels are made when they are first needed. */
static enum status kernel_of(struct opencl *o, enum device_kernel which, cl_kernel *out, struct error *err) {
  cl_int code = CL_SUCCESS;
  if (!o->kernels[which])
    o->kernels[which] = o->cl.clCreateKernel(o->program, device_kernels[which].name, &code);
  *out = o->kernels[which];
  return opencl_error_check(err, code, "clCreateKernel");
}

static enum status launch(struct device *device, enum device_kernel which, const size_t groups[3],
                          const struct place *pointers, const void *args, struct error *err) {
  struct opencl *o = opencl_of(device);
  const struct device_kernel_info *info = &device_kernels[which];
  if (groups[0] == 0 || groups[1] == 0 || groups[2] == 0)
    return STATUS_OK;
  cl_kernel kernel;
  enum status status = kernel_of(o, which, &kernel, err);
  if (status != STATUS_OK)
    return status;
  cl_mem parts[DEVICE_POINTERS_MAX] = {0};
  cl_int code = CL_SUCCESS;
  for (int i = 0; i < info->pointers && code == CL_SUCCESS; i++)
    code = set_pointer(o, kernel, (cl_uint)i, pointers[i], &parts[i]);
  if (code == CL_SUCCESS)
    code = o->cl.clSetKernelArg(kernel, (cl_uint)info->pointers, info->args_bytes, args);
  const size_t items[3] = {groups[0] * DEVICE_GROUP_ITEMS, groups[1], groups[2]};
  if (code == CL_SUCCESS)
    code = o->cl.clEnqueueNDRangeKernel(o->queue, kernel, 3, NULL, items, (const size_t[]){DEVICE_GROUP_ITEMS, 1, 1}, 0,
                                        NULL, NULL);
  for (int i = 0; i < info->pointers; i++)
    if (parts[i])
      o->cl.clReleaseMemObject(parts[i]); /* what is in the queue keeps it */
  device->launches += code == CL_SUCCESS;
  return opencl_error_check(err, code, info->name);
}

static enum status finish(struct device *device, struct error *err) {
  struct opencl *o = opencl_of(device);
  return opencl_error_check(err, o->cl.clFinish(o->queue), "clFinish");
}

/* --- opening -------------------------------------------------------------------------------------- */

static void close_device(struct device *device) {
  struct opencl *o = opencl_of(device);
  for (int i = 0; i < DEVICE_KERNELS; i++)
    if (o->kernels[i])
      o->cl.clReleaseKernel(o->kernels[i]);
  if (o->program)
    o->cl.clReleaseProgram(o->program);
  if (o->queue)
    o->cl.clReleaseCommandQueue(o->queue);
  if (o->context)
    o->cl.clReleaseContext(o->context);
  free(o);
}

static const struct device_ops ops = {.kind = "opencl",
                                      .allocate = allocate,
                                      .release = release,
                                      .write = write_to,
                                      .read = read_from,
                                      .copy = copy,
                                      .launch = launch,
                                      .finish = finish,
                                      .close = close_device};

static enum status build(struct opencl *o, struct error *err) {
  cl_int code;
  o->program = o->cl.clCreateProgramWithSource(o->context, 1, (const char *[]){device_program}, NULL, &code);
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clCreateProgramWithSource");
  code = o->cl.clBuildProgram(o->program, 1, &o->id, "-cl-std=CL1.2", NULL, NULL);
  if (code == CL_SUCCESS)
    return STATUS_OK;
  char log[4096] = "";
  size_t length = 0;
  if (o->cl.clGetProgramBuildInfo(o->program, o->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length) == CL_SUCCESS &&
      length <= sizeof log)
    o->cl.clGetProgramBuildInfo(o->program, o->id, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
  enum status status = opencl_error_check(err, code, "clBuildProgram");
  return error_set(err, status, NULL, "the kernels do not build for %s: %s: %s", o->device.name,
                   opencl_error_name(code), log);
}

/* What the kernels take for granted. */
static enum status check_limits(const struct opencl *o, struct error *err) {
  enum { LOCAL_BYTES = 32 * 1024 };
  size_t items = 0;
  cl_ulong local_bytes = 0;
  cl_uint address_bits = 0;
  cl_bool little_endian = CL_FALSE, compiler = CL_FALSE;
  cl_int code = o->cl.clGetDeviceInfo(o->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof items, &items, NULL);
  if (code == CL_SUCCESS)
    code = o->cl.clGetDeviceInfo(o->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local_bytes, &local_bytes, NULL);
  if (code == CL_SUCCESS)
    code = o->cl.clGetDeviceInfo(o->id, CL_DEVICE_ADDRESS_BITS, sizeof address_bits, &address_bits, NULL);
  if (code == CL_SUCCESS)
    code = o->cl.clGetDeviceInfo(o->id, CL_DEVICE_ENDIAN_LITTLE, sizeof little_endian, &little_endian, NULL);
  if (code == CL_SUCCESS)
    code = o->cl.clGetDeviceInfo(o->id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clGetDeviceInfo");
  if (items >= DEVICE_GROUP_ITEMS && local_bytes >= LOCAL_BYTES && address_bits == 64 && little_endian && compiler)
    return STATUS_OK;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                   "%s has no compiler, or not 64 bits, work-groups of %d and %d bytes of local memory", o->device.name,
                   DEVICE_GROUP_ITEMS, LOCAL_BYTES);
}

static enum status open_queue(struct opencl *o, struct error *err) {
  cl_int code;
  o->context = o->cl.clCreateContext(NULL, 1, &o->id, NULL, NULL, &code);
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clCreateContext");
  o->queue = o->cl.clCreateCommandQueue(o->context, o->id, 0, &code);
  return opencl_error_check(err, code, "clCreateCommandQueue");
}

/* The device that `id` names. */
static enum status find(struct opencl *o, const char *id, struct error *err) {
  cl_device_id ids[OPENCL_DEVICES_MAX];
  size_t count;
  enum status status = opencl_list_ids(&o->cl, ids, &count, err);
  for (size_t i = 0; status == STATUS_OK && i < count; i++) {
    struct opencl_listed listed;
    status = opencl_list_describe(&o->cl, ids[i], i, &listed, err);
    if (status != STATUS_OK || strcmp(listed.id, id) != 0)
      continue;
    o->id = ids[i];
    o->device = (struct device){.ops = &ops, .memory = listed.memory};
    memcpy(o->device.name, listed.name, sizeof listed.name);
    return STATUS_OK;
  }
  if (status != STATUS_OK)
    return status;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                   "there is no device \"%.40s\"; OpenCL has %zu here, the first is opencl:0", id, count);
}

enum status opencl_open(struct device **out, const char *id, struct error *err) {
  struct opencl *o = calloc(1, sizeof *o);
  if (!o)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for a device");
  enum status status = opencl_library_open(&o->cl, OPENCL_SONAME, err);
  if (status == STATUS_OK)
    status = find(o, id, err);
  if (status == STATUS_OK)
    status = check_limits(o, err);
  if (status == STATUS_OK)
    status = open_queue(o, err);
  if (status == STATUS_OK)
    status = build(o, err);
  if (status == STATUS_OK)
    *out = &o->device;
  else
    close_device(&o->device);
  return status;
}
