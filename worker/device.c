#include "worker/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/cuda/cuda.h"
#include "worker/backend/device/device_backend.h"
#include "worker/backend/opencl/opencl.h"

enum { DEVICES_MAX = 32 };

static size_t list_cuda(struct device_info *out, size_t room) {
  struct cuda_listed found[DEVICES_MAX];
  struct error err;
  size_t all = 0, count = 0;
  if (cuda_list(found, COUNT_OF(found), &all, &err))
    log_info("no CUDA: %s", err.text);
  for (size_t i = 0; i < all && i < COUNT_OF(found) && count < room; i++, count++) {
    out[count] = (struct device_info){.memory = (int64_t)found[i].memory, .gpu = true};
    snprintf(out[count].name, sizeof out->name, "%.15s", found[i].id);
    snprintf(out[count].processor, sizeof out->processor, "%.127s", found[i].name);
  }
  return count;
}

/* A GPU that CUDA has is left out: it would be two devices, each with a job of its own. */
static size_t list_opencl(struct device_info *out, size_t room, bool with_cuda) {
  struct opencl_listed found[DEVICES_MAX];
  struct error err;
  size_t all = 0, count = 0;
  if (opencl_list(found, COUNT_OF(found), &all, &err))
    log_info("no OpenCL: %s", err.text);
  for (size_t i = 0; i < all && i < COUNT_OF(found) && count < room; i++) {
    if (with_cuda && strstr(found[i].name, "(NVIDIA CUDA)"))
      continue;
    out[count] = (struct device_info){.memory = (int64_t)found[i].memory, .gpu = found[i].gpu};
    snprintf(out[count].name, sizeof out->name, "%.15s", found[i].id);
    snprintf(out[count++].processor, sizeof out->processor, "%.127s", found[i].name);
  }
  return count;
}

size_t device_list(struct device_info *out, size_t room) {
  const struct isa *isa;
  size_t count = 0;
  if (count < room && isa_find(&isa, getenv("REFLECT_ISA"), NULL) == STATUS_OK) {
    out[count] = (struct device_info){.name = "cpu"};
    snprintf(out[count++].processor, sizeof out->processor, "%s", isa->name);
  }
  size_t cuda = list_cuda(out + count, room - count);
  count += cuda;
  return count + list_opencl(out + count, room - count, cuda > 0);
}

/* The first device that is meant. */
static enum status find_device(struct device_info *out, const char *wanted, struct error *err) {
  struct device_info all[DEVICES_MAX];
  size_t count = device_list(all, COUNT_OF(all));
  char names[400] = "";
  for (size_t i = 0; i < count; i++) {
    size_t used = strlen(names);
    if (device_matches(wanted, all[i].name)) {
      *out = all[i];
      return STATUS_OK;
    }
    snprintf(names + used, sizeof names - used, "%s%.15s", i ? ", " : "", all[i].name);
  }
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device", "there is no device \"%.40s\" here; there is %s",
                   wanted, names);
}

/* The adapters' small factors are computed on the host, by its own kernels. */
static enum status open_gpu(struct backend *out, const char *name, int threads, struct error *err) {
  const struct isa *isa;
  struct device *device;
  enum status status = isa_find(&isa, getenv("REFLECT_ISA"), err);
  if (!status)
    status = strncmp(name, "cuda", 4) == 0 ? cuda_open(&device, name, err) : opencl_open(&device, name, err);
  status = status ? status : device_backend_open(out, device, threads, err);
  if (!status) {
    out->isa = isa;
    out->kernels = isa->kernels;
    snprintf(out->device_name, sizeof out->device_name, "%s", name);
  }
  return status;
}

enum status device_open(struct backend *out, const char *name, int threads, struct error *err) {
  struct device_info device;
  *out = (struct backend){0};
  if (!name || strcmp(name, "cpu") == 0)
    return cpu_open(out, threads, NULL, err);
  enum status status = find_device(&device, name, err);
  return status ? status : open_gpu(out, device.name, threads, err);
}
