/* The kernels as a GPU's driver loads them: compiled by nvcc when the worker was built, else, or for a driver or a GPU
   that cannot load these, by NVRTC, which takes seconds and is kept on the disk. */
#ifndef WORKER_BACKEND_CUDA_CUDA_PROGRAM_H
#define WORKER_BACKEND_CUDA_CUDA_PROGRAM_H

#include "worker/backend/cuda/cuda_library.h"

/* The oldest compute capability that kernels are compiled for, major * 10 + minor. */
enum { CUDA_ARCH_MIN = 75 };

/* Is there a way to have kernels for a driver of that version? Else STATUS_UNSUPPORTED_VALUE, saying what is missing.
 */
NODISCARD enum status cuda_program_available(int driver_version, struct error *err);

/* All kernels for a GPU of compute capability `arch` into the current context; the caller unloads the module. Kernels
   that do not compile are STATUS_INTERNAL with the compiler's words. */
NODISCARD enum status cuda_program_load(CUmodule *out, const struct cuda_driver *cu, int driver_version, int arch,
                                        struct error *err);

/* The folder where compiled kernels are kept: $REFLECT_CACHE, $XDG_CACHE_HOME/reflectd or ~/.cache/reflectd; "": none.
   A worker that may not write there compiles them each time. */
void cuda_program_cache(char *out, size_t room);

#endif
