/* CUDA's libraries, opened when they are first needed: nothing links them, and a machine without them lacks this
   backend only. Each stays open until the process ends. */
#ifndef WORKER_BACKEND_CUDA_CUDA_LIBRARY_H
#define WORKER_BACKEND_CUDA_CUDA_LIBRARY_H

#include "base/error.h"
#include "worker/backend/cuda/cuda_types.h"

#define CUDA_FUNCTION(result, name, parameters) result(*name) parameters;
struct cuda_driver {
#include "worker/backend/cuda/driver.def"
};
struct cuda_nvrtc {
#include "worker/backend/cuda/nvrtc.def"
};
struct cuda_cublaslt {
#include "worker/backend/cuda/cublaslt.def"
};
#undef CUDA_FUNCTION

#define CUDA_DRIVER_SONAME "libcuda.so.1" /* comes with the kernel's driver */
enum { CUDA_VERSION_MIN = 12000 };        /* of the driver: what older ones have was never tried */

/* STATUS_UNSUPPORTED_VALUE when the library is not there, or lacks a function: the text names what is missing. The
   driver is initialised too: no GPU, or a driver that is too old or does not fit its kernel module, is told so.
   *version: of CUDA, as the driver knows it (13000: 13.0). soname: CUDA_DRIVER_SONAME. */
NODISCARD enum status cuda_library_driver(struct cuda_driver *out, int *version, const char *soname, struct error *err);
NODISCARD enum status cuda_library_nvrtc(struct cuda_nvrtc *out, struct error *err);
NODISCARD enum status cuda_library_cublaslt(struct cuda_cublaslt *out, struct error *err);

/* STATUS_OK for CUDA_SUCCESS. Else "`call` failed: CUDA_ERROR_... (what that is)": STATUS_OUT_OF_MEMORY,
   STATUS_DEVICE_LOST for errors after which a context answers nothing else, or STATUS_INTERNAL. */
enum status cuda_library_check(const struct cuda_driver *cu, CUresult code, const char *call, struct error *err);

#endif
