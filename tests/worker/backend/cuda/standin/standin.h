/* Libraries that stand in for CUDA's on a machine without a GPU: they run what they are asked for on the host, and
   check that they are asked as CUDA's documentation says. What is wrong ends the process with a sentence.

   Work that is queued is done when the stream is waited for and not before, so that who does not wait reads nothing.
   The variable STANDIN has settings, "name=number" with commas:
     devices, version, arch, memory (MiB)      what there is: 1, 13000, 90, 4096
     fail_alloc, fail_launch                   the how manieth call fails; 0: none
     lost                                      the how manieth launch loses the device when it runs
     fatbin=0                                  the driver loads no fat binary
     image=0                                   nor what NVRTC made, as long as the file STANDIN_ONCE is there
     compiles=0                                NVRTC finds an error in any program
     algorithms=0                              cuBLASLt has none */
#ifndef TESTS_WORKER_BACKEND_CUDA_STANDIN_STANDIN_H
#define TESTS_WORKER_BACKEND_CUDA_STANDIN_STANDIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/backend/cuda/cuda_types.h"

#define STANDIN_WRONG(...) (fprintf(stderr, "stand-in: " __VA_ARGS__), fputc('\n', stderr), abort())

static inline long standin_setting(const char *name, long otherwise) {
  const char *at = getenv("STANDIN");
  size_t length = strlen(name);
  for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (strncmp(at, name, length) == 0 && at[length] == '=')
      return strtol(at + length + 1, NULL, 10);
  return otherwise;
}

/* Of libcuda: where memory of the device is, which must be alive and have so many bytes (NULL for 0: none); and work
   for the stream, `bytes` of data being copied. */
void *standin_memory(CUdeviceptr at, size_t bytes);
void standin_enqueue(CUstream stream, void (*run)(void *data), const void *data, size_t bytes);

#endif
