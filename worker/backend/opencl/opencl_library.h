/* libOpenCL.so.1, opened when it is first needed: nothing links it; a machine without it lacks this backend only. */
#ifndef WORKER_BACKEND_OPENCL_OPENCL_LIBRARY_H
#define WORKER_BACKEND_OPENCL_OPENCL_LIBRARY_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS /* clCreateCommandQueue: 2.0 has another one, and 1.2 is what is everywhere */
#include <CL/cl.h>

#include "base/error.h"

struct opencl_library {
#define OPENCL_FUNCTION(name) __typeof__(&(name)) name;
#include "worker/backend/opencl/functions.def"
#undef OPENCL_FUNCTION
};

#define OPENCL_SONAME "libOpenCL.so.1"

/* Its functions; the library stays open until the process ends. STATUS_UNSUPPORTED_VALUE when it is not there, or lacks
   a function, the text naming what is missing. */
NODISCARD enum status opencl_library_open(struct opencl_library *out, const char *soname, struct error *err);

/* "CL_OUT_OF_RESOURCES"; of a code that has no name here, its number, which the next call overwrites. */
const char *opencl_error_name(cl_int code);
/* STATUS_OK for CL_SUCCESS; else "`call` failed: CL_...", STATUS_OUT_OF_MEMORY where the code says so or
   STATUS_INTERNAL. */
enum status opencl_error_check(struct error *err, cl_int code, const char *call);

#endif
