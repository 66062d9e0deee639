/* NVRTC: CUDA C compiled where the program runs. */
#ifndef WORKER_BACKEND_CUDA_CUDA_NVRTC_H
#define WORKER_BACKEND_CUDA_CUDA_NVRTC_H

#include <stdbool.h>

#include "worker/backend/cuda/cuda_library.h"

enum { CUDA_IMAGE_MAX = 64 << 20 }; /* bytes of what was compiled */

struct cuda_compiler {
  struct cuda_nvrtc nvrtc;
  int major, minor; /* its version */
  bool cubin;       /* it compiles for the GPU itself; else to PTX, which the driver compiles */
  char option[64];  /* that says for what */
};

/* For a GPU of compute capability `arch`. STATUS_UNSUPPORTED_VALUE when there is no NVRTC, or none for such a GPU. */
NODISCARD enum status cuda_nvrtc_open(struct cuda_compiler *out, int arch, struct error *err);
/* The caller frees *image, which a zero follows. STATUS_INTERNAL has the first words of what the compiler says, the log
   all of them. */
NODISCARD enum status cuda_nvrtc_compile(char **image, size_t *length, const struct cuda_compiler *compiler,
                                         const char *source, struct error *err);

#endif
