#include <stdbool.h>
#include <stdint.h>

#include "tests/worker/backend/cuda/standin/standin.h"
#include "tests/worker/backend/device/host_kernels.h"
#include "worker/backend/device/device.c"

#define CUDA_FUNCTION(result, name, parameters) result name parameters;
#include "worker/backend/cuda/driver.def"
#undef CUDA_FUNCTION

/* Addresses of the device are none of the host. */
#define TAG ((CUdeviceptr)1 << 62)
enum { ALIGN = 512, ALLOCATIONS_MAX = 1 << 16, QUEUE_MAX = 1 << 16, NO_BINARY = 209, TOO_MUCH = 701 };

struct CUctx_st {
  int retained;
};
struct CUstream_st {
  bool alive;
};
struct CUmod_st {
  bool alive;
};
struct CUfunc_st {
  enum device_kernel kernel;
};

static struct CUctx_st context;
static struct CUstream_st stream;
static struct CUmod_st module;
static struct CUfunc_st functions[DEVICE_KERNELS];
static _Thread_local CUcontext current;
static bool initialised, lost;
static long allocated, launched, ran; /* calls since the context was made */

static struct {
  char *memory;
  size_t bytes;
} allocations[ALLOCATIONS_MAX];
static size_t allocation_count, allocated_bytes;

static struct {
  void (*run)(void *data);
  void *data;
} queue[QUEUE_MAX];
static size_t queued;

/* --- checks --------------------------------------------------------------------------------------- */

static void need_init(const char *call) {
  if (!initialised)
    STANDIN_WRONG("%s before cuInit", call);
}

/* What a call that works in a context begins with. */
static CUresult need_context(const char *call) {
  need_init(call);
  if (!current || current->retained == 0)
    STANDIN_WRONG("%s in no context", call);
  return lost ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

static void need_stream(const char *call, CUstream s) {
  if (s != &stream || !stream.alive)
    STANDIN_WRONG("%s in a stream that is none", call);
}

#define IN_CONTEXT                                                                                                     \
  do {                                                                                                                 \
    CUresult code_ = need_context(__func__);                                                                           \
    if (code_ != CUDA_SUCCESS)                                                                                         \
      return code_;                                                                                                    \
  } while (0)

void *standin_memory(CUdeviceptr at, size_t bytes) {
  char *memory = (char *)(uintptr_t)(at ^ TAG);
  if (at == 0)
    return NULL;
  for (size_t i = 0; i < allocation_count; i++)
    if (memory >= allocations[i].memory && memory <= allocations[i].memory + allocations[i].bytes) {
      if (bytes > (size_t)(allocations[i].memory + allocations[i].bytes - memory))
        STANDIN_WRONG("%zu bytes of memory where %zu are", bytes,
                      (size_t)(allocations[i].memory + allocations[i].bytes - memory));
      return memory;
    }
  STANDIN_WRONG("memory at %llx, which is not the device's or was freed", at);
}

void standin_enqueue(CUstream s, void (*run)(void *data), const void *data, size_t bytes) {
  need_stream("work", s);
  if (queued == QUEUE_MAX)
    STANDIN_WRONG("more than %d pieces of work in the queue", QUEUE_MAX);
  queue[queued].run = run;
  queue[queued].data = malloc(bytes);
  if (!queue[queued].data)
    STANDIN_WRONG("no memory");
  memcpy(queue[queued++].data, data, bytes);
}

static void run_queue(void) {
  for (size_t i = 0; i < queued; i++) {
    if (!lost)
      queue[i].run(queue[i].data);
    free(queue[i].data);
  }
  queued = 0;
}

__attribute__((destructor)) static void check_end(void) {
  if (lost || (context.retained == 0 && allocation_count == 0))
    return;
  fprintf(stderr, "stand-in: at the end the context is retained %d times, with %zu allocations\n", context.retained,
          allocation_count);
  abort();
}

/* --- devices and contexts ------------------------------------------------------------------------- */

CUresult cuInit(unsigned flags) {
  if (flags)
    STANDIN_WRONG("cuInit with flags");
  initialised = true;
  return standin_setting("devices", 1) ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version) {
  *version = (int)standin_setting("version", 13000);
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult code, const char **name) {
  *name = code == CUDA_ERROR_OUT_OF_MEMORY   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
          : code == TOO_MUCH                 ? "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
          : code == NO_BINARY                ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
                                             : NULL;
  return *name ? CUDA_SUCCESS : 1;
}

CUresult cuGetErrorString(CUresult code, const char **text) {
  *text = code == CUDA_ERROR_LAUNCH_FAILED ? "unspecified launch failure" : "something failed";
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
  need_init(__func__);
  *count = (int)standin_setting("devices", 1);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int number) {
  need_init(__func__);
  if (number < 0 || number >= standin_setting("devices", 1))
    return 101;
  *device = 100 + number;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int room, CUdevice device) {
  snprintf(name, (size_t)room, "Stand-in %d", device - 100);
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  (void)device;
  *bytes = (size_t)standin_setting("memory", 4096) << 20;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  int arch = (int)standin_setting("arch", 90);
  (void)device;
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
    *value = arch / 10;
  else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
    *value = arch % 10;
  else
    STANDIN_WRONG("attribute %u", attribute);
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
  need_init(__func__);
  if (device < 100)
    STANDIN_WRONG("cuDevicePrimaryCtxRetain of a number, not a device");
  if (lost)
    return CUDA_ERROR_LAUNCH_FAILED;
  context.retained++;
  allocated = launched = ran = 0;
  *out = &context;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  (void)device;
  if (context.retained-- == 0)
    STANDIN_WRONG("the context is released more often than retained");
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext to) {
  if (to && (to != &context || context.retained == 0))
    STANDIN_WRONG("cuCtxSetCurrent of no context");
  current = to;
  return lost ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *out, unsigned flags) {
  IN_CONTEXT;
  if (flags != CU_STREAM_NON_BLOCKING || stream.alive)
    STANDIN_WRONG("a stream with flags %u, or a second one", flags);
  stream.alive = true;
  *out = &stream;
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream s) {
  IN_CONTEXT;
  need_stream(__func__, s);
  run_queue();
  return lost ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream s) {
  IN_CONTEXT;
  need_stream(__func__, s);
  run_queue();
  stream.alive = false;
  return CUDA_SUCCESS;
}

/* --- memory --------------------------------------------------------------------------------------- */

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t bytes) {
  IN_CONTEXT;
  void *memory;
  size_t all = (size_t)standin_setting("memory", 4096) << 20;
  if (bytes == 0)
    return 1;
  if (++allocated == standin_setting("fail_alloc", 0) || bytes > all - allocated_bytes ||
      posix_memalign(&memory, ALIGN, bytes) != 0)
    return CUDA_ERROR_OUT_OF_MEMORY;
  if (allocation_count == ALLOCATIONS_MAX)
    STANDIN_WRONG("more than %d allocations", ALLOCATIONS_MAX);
  memset(memory, 0xFF, bytes); /* NaNs: memory of a device is not zero */
  allocations[allocation_count].memory = memory;
  allocations[allocation_count++].bytes = bytes;
  allocated_bytes += bytes;
  *out = (CUdeviceptr)(uintptr_t)memory ^ TAG;
  return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr at) {
  IN_CONTEXT;
  char *memory = (char *)(uintptr_t)(at ^ TAG);
  if (queued)
    STANDIN_WRONG("memory is freed while work is queued that may use it");
  for (size_t i = 0; i < allocation_count; i++)
    if (allocations[i].memory == memory) {
      allocated_bytes -= allocations[i].bytes;
      free(memory);
      allocations[i] = allocations[--allocation_count];
      return CUDA_SUCCESS;
    }
  STANDIN_WRONG("cuMemFree of %llx, which was never allocated or was freed", at);
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *all) {
  IN_CONTEXT;
  *all = (size_t)standin_setting("memory", 4096) << 20;
  *free_bytes = *all - allocated_bytes;
  return CUDA_SUCCESS;
}

struct copy {
  void *to;
  const void *from;
  size_t bytes;
};

static void run_copy(void *data) {
  const struct copy *c = data;
  memmove(c->to, c->from, c->bytes);
}

/* The host's bytes are read when the stream comes to it: a caller that does not wait has to leave them alone. */
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream s) {
  IN_CONTEXT;
  const struct copy c = {standin_memory(to, bytes), from, bytes};
  standin_enqueue(s, run_copy, &c, sizeof c);
  return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream s) {
  IN_CONTEXT;
  const struct copy c = {to, standin_memory(from, bytes), bytes};
  standin_enqueue(s, run_copy, &c, sizeof c);
  return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) {
  IN_CONTEXT;
  const struct copy c = {standin_memory(to, bytes), standin_memory(from, bytes), bytes};
  standin_enqueue(s, run_copy, &c, sizeof c);
  return CUDA_SUCCESS;
}

/* --- kernels -------------------------------------------------------------------------------------- */

static CUresult check_image(const void *image) {
  static const unsigned char fatbin[] = {0x50, 0xED, 0x55, 0xBA};
  const char *once = getenv("STANDIN_ONCE");
  if (memcmp(image, fatbin, sizeof fatbin) == 0)
    return standin_setting("fatbin", 1) ? CUDA_SUCCESS : NO_BINARY;
  if (memcmp(image, "\177ELF", 4) != 0 && !strstr(image, ".version"))
    STANDIN_WRONG("an image that is no fat binary, no cubin and no PTX");
  if (!standin_setting("image", 1) && once && remove(once) == 0)
    return NO_BINARY;
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned count, CUjit_option *options, void **values) {
  IN_CONTEXT;
  if (count != 2 || options[0] != CU_JIT_ERROR_LOG_BUFFER || options[1] != CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
    STANDIN_WRONG("options of a module");
  snprintf(values[0], (size_t)(uintptr_t)values[1], "a word of the loader");
  CUresult code = check_image(image);
  if (code != CUDA_SUCCESS)
    return code;
  if (module.alive)
    STANDIN_WRONG("a second module");
  module.alive = true;
  *out = &module;
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule m) {
  IN_CONTEXT;
  if (m != &module || !module.alive)
    STANDIN_WRONG("cuModuleUnload of no module");
  module.alive = false;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule m, const char *name) {
  IN_CONTEXT;
  if (m != &module || !module.alive)
    STANDIN_WRONG("cuModuleGetFunction of no module");
  for (int i = 0; i < DEVICE_KERNELS; i++)
    if (strcmp(device_kernels[i].name, name) == 0) {
      functions[i].kernel = (enum device_kernel)i;
      *out = &functions[i];
      return CUDA_SUCCESS;
    }
  return 500;
}

struct launch {
  enum device_kernel kernel;
  size_t groups[3];
  void *pointers[DEVICE_POINTERS_MAX];
  _Alignas(8) char args[512];
};

static void run_launch(void *data) {
  const struct launch *l = data;
  if (++ran == standin_setting("lost", 0))
    lost = true;
  else
    host_run(l->kernel, l->groups, l->pointers, l->args);
}

CUresult cuLaunchKernel(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned items_x, unsigned items_y,
                        unsigned items_z, unsigned shared, CUstream s, void **parameters, void **extra) {
  IN_CONTEXT;
  struct launch l = {.groups = {x, y, z}};
  if (f < functions || f >= functions + DEVICE_KERNELS || !module.alive)
    STANDIN_WRONG("a launch of no kernel");
  const struct device_kernel_info *info = &device_kernels[f->kernel];
  l.kernel = f->kernel;
  if (!x || !y || !z || x > 0x7FFFFFFF || y > 65535 || z > 65535)
    STANDIN_WRONG("%s: a grid of %u x %u x %u", info->name, x, y, z);
  if (items_x != GROUP_ITEMS || items_y != 1 || items_z != 1 || shared || extra || !parameters)
    STANDIN_WRONG("%s: groups of %u x %u x %u", info->name, items_x, items_y, items_z);
  if (++launched == standin_setting("fail_launch", 0))
    return TOO_MUCH;
  for (int i = 0; i < info->pointers; i++) {
    CUdeviceptr at;
    memcpy(&at, parameters[i], sizeof at);
    if (at % 256)
      STANDIN_WRONG("%s: pointer %d is aligned to less than 256 bytes", info->name, i);
    l.pointers[i] = standin_memory(at, 0);
  }
  memcpy(l.args, parameters[info->pointers], info->args_bytes);
  standin_enqueue(s, run_launch, &l, sizeof l);
  return CUDA_SUCCESS;
}
