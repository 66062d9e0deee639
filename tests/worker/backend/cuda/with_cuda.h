/* The driver of this machine's GPU, or the libraries that stand in for it (standin/). */
#ifndef TESTS_WORKER_BACKEND_CUDA_WITH_CUDA_H
#define TESTS_WORKER_BACKEND_CUDA_WITH_CUDA_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A library that is loaded by path is found by its soname later: dlopen("libcuda.so.1") gives it. */
static void stand_in(const char *soname) {
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 200);
  if (length < 0)
    exit(2);
  path[length] = 0;
  char *tests = strstr(path, "/tests/");
  for (char *next = tests; next && (next = strstr(next + 1, "/tests/"));)
    tests = next;
  if (tests)
    snprintf(tests, sizeof path - (size_t)(tests - path), "/tests/worker/backend/cuda/standin/%s", soname);
  if (!dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
  }
}

/* Whatever the machine has. */
static inline void use_standin(void) {
  stand_in("libcuda.so.1");
  stand_in("libnvrtc.so.13");
  stand_in("libcublasLt.so.13");
}

/* True: there is a real GPU. */
static inline bool use_cuda(void) {
  if (access("/dev/nvidiactl", R_OK | W_OK) == 0)
    return true;
  use_standin();
  return false;
}

#endif
