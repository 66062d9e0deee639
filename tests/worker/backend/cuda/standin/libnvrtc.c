/* What it "compiles" begins as a cubin and has nothing in it. */
#include <stdbool.h>

#include "tests/worker/backend/cuda/standin/standin.h"

#define CUDA_FUNCTION(result, name, parameters) result name parameters;
#include "worker/backend/cuda/nvrtc.def"
#undef CUDA_FUNCTION

enum { COMPILATION = 6 };
static const int archs[] = {75, 80, 90, 100};
static const char log_text[] = "kernels.cu(7): error: a semicolon is missing\n";
static const char cubin[] = "\177ELF of the stand-in", ptx[] = ".version 9.0";

struct nvrtc_program {
  bool compiled, to_ptx;
};

nvrtcResult nvrtcVersion(int *major, int *minor) {
  *major = 13, *minor = 0;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
  *count = (int)(sizeof archs / sizeof *archs);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int *out) {
  memcpy(out, archs, sizeof archs);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *source, const char *name, int count,
                               const char *const *headers, const char *const *names) {
  (void)names;
  if (!strstr(source, "KERNEL matmul(") || strstr(source, "\n#include \"") || !name || count || headers)
    STANDIN_WRONG("a program that is not the kernels");
  *out = calloc(1, sizeof **out);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *options) {
  if (count != 1 || strncmp(options[0], "--gpu-architecture=", 19) != 0)
    STANDIN_WRONG("options of a compilation");
  program->to_ptx = strstr(options[0], "=compute_") != NULL;
  program->compiled = standin_setting("compiles", 1);
  return program->compiled ? NVRTC_SUCCESS : COMPILATION;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *bytes) {
  *bytes = program->compiled && !program->to_ptx ? sizeof cubin : 0;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *out) {
  (void)program;
  memcpy(out, cubin, sizeof cubin);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *bytes) {
  *bytes = program->compiled ? sizeof ptx : 0;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *out) {
  (void)program;
  memcpy(out, ptx, sizeof ptx);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *bytes) {
  *bytes = program->compiled ? 1 : sizeof log_text;
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *out) {
  memcpy(out, program->compiled ? "" : log_text, program->compiled ? 1 : sizeof log_text);
  return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
  free(*program);
  *program = NULL;
  return NVRTC_SUCCESS;
}

const char *nvrtcGetErrorString(nvrtcResult code) {
  return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "an error";
}
