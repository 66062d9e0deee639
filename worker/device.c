#include "worker/device.h"

#include <stdlib.h>
#include <string.h>

#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/device/device_backend.h"
#include "worker/backend/opencl/opencl.h"

/* The adapters' small factors are computed on the host, by its own kernels. */
static enum status open_opencl(struct backend *out, const char *name, int threads, struct error *err) {
  const struct isa *isa;
  struct device *device;
  enum status status = isa_find(&isa, getenv("REFLECT_ISA"), err);
  status = status ? status : opencl_open(&device, name, err);
  status = status ? status : device_backend_open(out, device, threads, err);
  if (!status) {
    out->isa = isa;
    out->kernels = isa->kernels;
  }
  return status;
}

enum status device_open(struct backend *out, const char *name, int threads, struct error *err) {
  if (!name || strcmp(name, "cpu") == 0)
    return cpu_open(out, threads, NULL, err);
  *out = (struct backend){0};
  if (strncmp(name, "opencl:", 7) == 0)
    return open_opencl(out, name, threads, err);
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device", "there is no device \"%.40s\" here", name);
}
