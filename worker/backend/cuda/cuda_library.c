#include "worker/backend/cuda/cuda_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

#define PARAM "scheduling.device"

/* ELF notes for packaging tools, as OpenCL's (opencl_library.c). The newest version that was tried comes first. */
#define NVRTC_SONAMES "libnvrtc.so.13", "libnvrtc.so.12"
#define CUBLASLT_SONAMES "libcublasLt.so.13", "libcublasLt.so.12"
#define NOTE_JSON                                                                                                      \
  "[{\"feature\":\"cuda\",\"description\":\"Training on a GPU of NVIDIA\",\"priority\":\"suggested\","                 \
  "\"soname\":[\"" CUDA_DRIVER_SONAME "\"]},"                                                                          \
  "{\"feature\":\"cublaslt\",\"description\":\"Matmuls on a GPU of NVIDIA\",\"priority\":\"suggested\","               \
  "\"soname\":[\"libcublasLt.so.13\",\"libcublasLt.so.12\"]},"                                                         \
  "{\"feature\":\"nvrtc\",\"description\":\"Kernels compiled for a GPU of NVIDIA\",\"priority\":\"suggested\","        \
  "\"soname\":[\"libnvrtc.so.13\",\"libnvrtc.so.12\"]}]"
static const struct {
  uint32_t name_bytes, json_bytes, type;
  char name[4];
  _Alignas(4) char json[sizeof NOTE_JSON];
} note_dlopen __attribute__((used, section(".note.dlopen"), aligned(4))) = {sizeof "FDO", sizeof NOTE_JSON, 0x407C0C0A,
                                                                            "FDO", NOTE_JSON};

struct function {
  const char *name;
  size_t place;
};

/* `functions` of the first library of `sonames` (its end is NULL) that is there, into the struct at `out`. */
static enum status open_library(void *out, const struct function *functions, size_t count, const char *what,
                                const char *const *sonames, struct error *err) {
  void *library = NULL;
  char reason[256] = "";
  const char *soname = *sonames;
  for (size_t i = 0; sonames[i] && !library; i++) {
    soname = sonames[i];
    library = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library && i == 0)
      snprintf(reason, sizeof reason, "%s", dlerror());
  }
  if (!library)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "%s is not installed here: %s", what, reason);
  enum status status = STATUS_OK;
  for (size_t i = 0; i < count && status == STATUS_OK; i++) {
    void *function = dlsym(library, functions[i].name);
    memcpy((char *)out + functions[i].place, &function, sizeof function);
    if (!function)
      status = error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "%s has no function %s", soname, functions[i].name);
  }
  dlclose(library); /* NODELETE: it stays */
  return status;
}

/* What cuInit says of a machine rather than of us. */
static enum status initialise(const struct cuda_driver *cu, int *version, struct error *err) {
  CUresult code = cu->cuInit(0);
  if (code == CUDA_ERROR_NO_DEVICE)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "CUDA finds no GPU on this machine");
  if (code == CUDA_ERROR_STUB_LIBRARY)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM,
                     CUDA_DRIVER_SONAME " is the stub that programs are linked with, not a driver");
  enum status status = cuda_library_check(cu, code, "cuInit", err);
  status = status ? status : cuda_library_check(cu, cu->cuDriverGetVersion(version), "cuDriverGetVersion", err);
  if (status) {
    snprintf(err->param, sizeof err->param, PARAM);
    error_prefix(err, "CUDA does not start");
    return err->status = STATUS_UNSUPPORTED_VALUE;
  }
  if (*version < CUDA_VERSION_MIN)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM,
                     "the driver is too old: it knows CUDA %d.%d, and %d.%d is needed", *version / 1000,
                     *version % 1000 / 10, CUDA_VERSION_MIN / 1000, CUDA_VERSION_MIN % 1000 / 10);
  return STATUS_OK;
}

enum status cuda_library_driver(struct cuda_driver *out, int *version, const char *soname, struct error *err) {
#define CUDA_FUNCTION(result, name, parameters) {#name, offsetof(struct cuda_driver, name)},
  static const struct function functions[] = {
#include "worker/backend/cuda/driver.def"
  };
#undef CUDA_FUNCTION
  enum status status =
      open_library(out, functions, COUNT_OF(functions), "CUDA", (const char *const[]){soname, NULL}, err);
  return status ? status : initialise(out, version, err);
}

enum status cuda_library_nvrtc(struct cuda_nvrtc *out, struct error *err) {
#define CUDA_FUNCTION(result, name, parameters) {#name, offsetof(struct cuda_nvrtc, name)},
  static const struct function functions[] = {
#include "worker/backend/cuda/nvrtc.def"
  };
#undef CUDA_FUNCTION
  return open_library(out, functions, COUNT_OF(functions), "NVRTC", (const char *const[]){NVRTC_SONAMES, NULL}, err);
}

enum status cuda_library_cublaslt(struct cuda_cublaslt *out, struct error *err) {
#define CUDA_FUNCTION(result, name, parameters) {#name, offsetof(struct cuda_cublaslt, name)},
  static const struct function functions[] = {
#include "worker/backend/cuda/cublaslt.def"
  };
#undef CUDA_FUNCTION
  return open_library(out, functions, COUNT_OF(functions), "cuBLASLt", (const char *const[]){CUBLASLT_SONAMES, NULL},
                      err);
}

/* Errors that every later call of the context gives too: only a new process can use the GPU again. */
static bool is_lost(CUresult code) {
  switch (code) {
  case CUDA_ERROR_DEVICE_UNAVAILABLE:
  case CUDA_ERROR_ECC_UNCORRECTABLE:
  case CUDA_ERROR_NVLINK_UNCORRECTABLE:
  case CUDA_ERROR_CONTAINED:
  case CUDA_ERROR_ILLEGAL_ADDRESS:
  case CUDA_ERROR_LAUNCH_TIMEOUT:
  case CUDA_ERROR_CONTEXT_IS_DESTROYED:
  case CUDA_ERROR_ASSERT:
  case CUDA_ERROR_HARDWARE_STACK_ERROR:
  case CUDA_ERROR_ILLEGAL_INSTRUCTION:
  case CUDA_ERROR_MISALIGNED_ADDRESS:
  case CUDA_ERROR_INVALID_ADDRESS_SPACE:
  case CUDA_ERROR_INVALID_PC:
  case CUDA_ERROR_LAUNCH_FAILED:
  case CUDA_ERROR_EXTERNAL_DEVICE:
  case CUDA_ERROR_UNKNOWN: return true;
  }
  return false;
}

enum status cuda_library_check(const struct cuda_driver *cu, CUresult code, const char *call, struct error *err) {
  const char *name = NULL, *meaning = NULL;
  if (code == CUDA_SUCCESS)
    return STATUS_OK;
  if (cu->cuGetErrorName(code, &name) != CUDA_SUCCESS || !name)
    name = "an error without a name";
  if (cu->cuGetErrorString(code, &meaning) != CUDA_SUCCESS || !meaning)
    meaning = "unknown";
  enum status status = code == CUDA_ERROR_OUT_OF_MEMORY ? STATUS_OUT_OF_MEMORY
                       : is_lost(code)                  ? STATUS_DEVICE_LOST
                                                        : STATUS_INTERNAL;
  return error_set(err, status, NULL, "%s failed: %s (%u, %s)", call, name, code, meaning);
}
