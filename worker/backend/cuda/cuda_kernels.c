#include "worker/backend/cuda/cuda_kernels.h"

#include <stddef.h>

#ifdef CUDA_FATBIN

#define EMBED(path)                                                                                                    \
  __asm__(".section .rodata, \"a\"\n"                                                                                  \
          ".balign 64\n"                                                                                               \
          "cuda_fatbin_bytes:\n"                                                                                       \
          ".incbin \"" path "\"\n"                                                                                     \
          ".previous\n");
EMBED(CUDA_FATBIN)
extern const unsigned char cuda_fatbin_bytes[];

const unsigned char *const cuda_kernels = cuda_fatbin_bytes;
const int cuda_kernels_version = CUDA_FATBIN_VERSION;

#else

const unsigned char *const cuda_kernels = NULL;
const int cuda_kernels_version = 0;

#endif
