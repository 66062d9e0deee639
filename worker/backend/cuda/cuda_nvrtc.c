#include "worker/backend/cuda/cuda_nvrtc.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/log.h"

enum { ARCHS_MAX = 64 };

static enum status check(const struct cuda_nvrtc *n, nvrtcResult code, const char *call, struct error *err) {
  if (code == NVRTC_SUCCESS)
    return STATUS_OK;
  return error_set(err, STATUS_INTERNAL, NULL, "%s failed: %s", call, n->nvrtcGetErrorString(code));
}

/* The GPU's own code where NVRTC knows the GPU, else PTX of the newest one before it. */
static enum status choose(struct cuda_compiler *r, int arch, struct error *err) {
  const struct cuda_nvrtc *n = &r->nvrtc;
  int count = 0, archs[ARCHS_MAX], best = 0;
  enum status status = check(n, n->nvrtcVersion(&r->major, &r->minor), "nvrtcVersion", err);
  status = status ? status : check(n, n->nvrtcGetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs", err);
  if (!status && (count < 1 || count > ARCHS_MAX))
    status = error_set(err, STATUS_INTERNAL, NULL, "NVRTC knows %d kinds of GPUs", count);
  status = status ? status : check(n, n->nvrtcGetSupportedArchs(archs), "nvrtcGetSupportedArchs", err);
  if (status)
    return status;
  for (int i = 0; i < count; i++)
    if (archs[i] <= arch && archs[i] > best)
      best = archs[i];
  if (!best)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "NVRTC %d.%d does not compile for a GPU of compute capability %d.%d", r->major, r->minor,
                     arch / 10, arch % 10);
  r->cubin = best == arch;
  snprintf(r->option, sizeof r->option, "--gpu-architecture=%s_%d", r->cubin ? "sm" : "compute", best);
  return STATUS_OK;
}

/* The beginning of what the compiler says. */
static enum status with_log(const struct cuda_nvrtc *n, nvrtcProgram program, nvrtcResult code, struct error *err) {
  size_t length = 0;
  char *log = NULL;
  if (n->nvrtcGetProgramLogSize(program, &length) == NVRTC_SUCCESS && length > 1 && length < CUDA_IMAGE_MAX)
    log = calloc(1, length + 1);
  if (log && n->nvrtcGetProgramLog(program, log) != NVRTC_SUCCESS)
    log[0] = 0;
  enum status status = error_set(err, STATUS_INTERNAL, NULL, "NVRTC does not compile the kernels: %s: %s",
                                 n->nvrtcGetErrorString(code), log ? log : "");
  if (log)
    log_error("NVRTC: %s", log);
  free(log);
  return status;
}

/* The caller frees *image, which a zero follows. */
static enum status take_image(char **image, size_t *length, const struct cuda_nvrtc *n, nvrtcProgram program,
                              bool cubin, struct error *err) {
  enum status status = cubin ? check(n, n->nvrtcGetCUBINSize(program, length), "nvrtcGetCUBINSize", err)
                             : check(n, n->nvrtcGetPTXSize(program, length), "nvrtcGetPTXSize", err);
  if (status)
    return status;
  if (*length == 0 || *length > CUDA_IMAGE_MAX)
    return error_set(err, STATUS_INTERNAL, NULL, "NVRTC made kernels of %zu bytes", *length);
  *image = calloc(1, *length + 1);
  if (!*image)
    return error_no_memory(err, "compiled kernels");
  return cubin ? check(n, n->nvrtcGetCUBIN(program, *image), "nvrtcGetCUBIN", err)
               : check(n, n->nvrtcGetPTX(program, *image), "nvrtcGetPTX", err);
}

enum status cuda_nvrtc_open(struct cuda_compiler *out, int arch, struct error *err) {
  *out = (struct cuda_compiler){0};
  enum status status = cuda_library_nvrtc(&out->nvrtc, err);
  return status ? status : choose(out, arch, err);
}

enum status cuda_nvrtc_compile(char **image, size_t *length, const struct cuda_compiler *r, const char *source,
                               struct error *err) {
  const struct cuda_nvrtc *n = &r->nvrtc;
  nvrtcProgram program;
  const char *const options[] = {r->option};
  log_info("NVRTC %d.%d compiles the kernels, %s", r->major, r->minor, r->option);
  enum status status =
      check(n, n->nvrtcCreateProgram(&program, source, "kernels.cu", 0, NULL, NULL), "nvrtcCreateProgram", err);
  if (status)
    return status;
  nvrtcResult code = n->nvrtcCompileProgram(program, COUNT_OF(options), options);
  status =
      code == NVRTC_SUCCESS ? take_image(image, length, n, program, r->cubin, err) : with_log(n, program, code, err);
  n->nvrtcDestroyProgram(&program);
  return status;
}
