#include "worker/backend/cuda/cuda_list.h"

#include <stdio.h>

#include "base/log.h"
#include "worker/backend/cuda/cuda_program.h"

#define PARAM "scheduling.device"

enum status cuda_list_describe(const struct cuda_driver *cu, int number, CUdevice *id, struct cuda_listed *out,
                               struct error *err) {
  char name[256] = "";
  size_t memory = 0;
  int major = 0, minor = 0;
  enum status status = cuda_library_check(cu, cu->cuDeviceGet(id, number), "cuDeviceGet", err);
  status =
      status ? status : cuda_library_check(cu, cu->cuDeviceGetName(name, sizeof name, *id), "cuDeviceGetName", err);
  status = status ? status : cuda_library_check(cu, cu->cuDeviceTotalMem_v2(&memory, *id), "cuDeviceTotalMem", err);
  CUresult code = cu->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, *id);
  status = status ? status : cuda_library_check(cu, code, "cuDeviceGetAttribute", err);
  code = cu->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, *id);
  status = status ? status : cuda_library_check(cu, code, "cuDeviceGetAttribute", err);
  if (status)
    return status;
  snprintf(out->id, sizeof out->id, "cuda:%d", number);
  snprintf(out->name, sizeof out->name, "%.90s (compute capability %d.%d)", name, major, minor);
  out->memory = memory;
  out->arch = 10 * major + minor;
  if (out->arch < CUDA_ARCH_MIN)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "%s, %s, is too old: compute capability %d.%d is needed",
                     out->id, out->name, CUDA_ARCH_MIN / 10, CUDA_ARCH_MIN % 10);
  return STATUS_OK;
}

enum status cuda_list(struct cuda_listed *out, size_t room, size_t *count, struct error *err) {
  struct cuda_driver cu;
  int version = 0, all = 0;
  size_t found = 0;
  enum status status = cuda_library_driver(&cu, &version, CUDA_DRIVER_SONAME, err);
  status = status ? status : cuda_program_available(version, err);
  status = status ? status : cuda_library_check(&cu, cu.cuDeviceGetCount(&all), "cuDeviceGetCount", err);
  if (status)
    return status;
  error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "CUDA finds no GPU on this machine");
  for (int i = 0; i < all; i++) {
    struct cuda_listed listed;
    CUdevice id;
    if (cuda_list_describe(&cu, i, &id, &listed, err)) {
      log_info("a GPU is left out: %s", err->text);
      continue;
    }
    if (found < room)
      out[found] = listed;
    found++;
  }
  if (found == 0)
    return err->status;
  *count = found;
  return STATUS_OK;
}
