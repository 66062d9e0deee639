#include "worker/device.h"

#include <string.h>

#include "worker/backend/cpu/cpu.h"

enum status device_open(struct backend *out, const char *name, int threads, struct error *err) {
  if (!name || strcmp(name, "cpu") == 0)
    return cpu_open(out, threads, NULL, err);
  *out = (struct backend){0};
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device", "there is no device \"%.40s\" here", name);
}
