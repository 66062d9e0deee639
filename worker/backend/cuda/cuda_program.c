#include "worker/backend/cuda/cuda_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"
#include "base/log.h"
#include "worker/backend/cuda/cuda_kernels.h"
#include "worker/backend/cuda/cuda_nvrtc.h"
#include "worker/backend/device/program.h"

#define CACHE_HEAD "reflectd kernels 1 " /* and the SHA-256 of what follows, and a newline */
enum { HEAD_BYTES = sizeof CACHE_HEAD - 1 + HASH_HEX, CACHE_PATH = 1024 };

/* --- the cache ------------------------------------------------------------------------------------ */

void cuda_program_cache(char *out, size_t room) {
  const char *own = getenv("REFLECT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (own && *own)
    snprintf(out, room, "%s", own);
  else if (xdg && *xdg)
    snprintf(out, room, "%s/reflectd", xdg);
  else if (home && *home)
    snprintf(out, room, "%s/.cache/reflectd", home);
  else
    out[0] = 0;
}

/* Whatever the compiled code depends on is in the name; "": there is no folder. */
static void name_in_cache(char path[CACHE_PATH], const struct cuda_compiler *compiler, int driver_version) {
  char folder[CACHE_PATH - 100], key[HASH_HEX], versions[64];
  struct hash hash;
  cuda_program_cache(folder, sizeof folder);
  path[0] = 0;
  if (!folder[0])
    return;
  snprintf(versions, sizeof versions, "NVRTC %d.%d, driver %d, ", compiler->major, compiler->minor, driver_version);
  hash_init(&hash);
  hash_add(&hash, versions, strlen(versions));
  hash_add(&hash, compiler->option, strlen(compiler->option) + 1);
  hash_add(&hash, device_program, strlen(device_program));
  hash_hex(&hash, key);
  snprintf(path, CACHE_PATH, "%s/cuda-kernels-%.32s", folder, key);
}

/* The image of a file that is whole: it has the hash that it says. The caller frees *whole, in which it lies. */
static bool read_cache(const char *path, char **whole, char **image) {
  struct error err;
  size_t length;
  char hash[HASH_HEX];
  *whole = NULL;
  if (!path[0] || access(path, F_OK) != 0 || file_read(whole, &length, path, CUDA_IMAGE_MAX, &err))
    return false;
  if (length > HEAD_BYTES && memcmp(*whole, CACHE_HEAD, sizeof CACHE_HEAD - 1) == 0) {
    *image = *whole + HEAD_BYTES;
    hash_bytes(hash, *image, length - HEAD_BYTES);
    if (memcmp(*whole + sizeof CACHE_HEAD - 1, hash, HASH_HEX - 1) == 0)
      return true;
  }
  log_warn("%s is damaged: the kernels are compiled again", path);
  free(*whole);
  *whole = NULL;
  return false;
}

/* Published whole or not at all; a folder that cannot be written costs the next worker the time to compile. */
static void write_cache(const char *path, const char *image, size_t length) {
  struct error err;
  char head[HEAD_BYTES + 1], hash[HASH_HEX], folder[CACHE_PATH];
  struct file_new file;
  if (!path[0])
    return;
  hash_bytes(hash, image, length);
  snprintf(head, sizeof head, CACHE_HEAD "%s\n", hash);
  snprintf(folder, sizeof folder, "%s", path);
  *strrchr(folder, '/') = 0;
  enum status status = file_mkdirs(folder, &err);
  status = status ? status : file_create(&file, path, &err);
  if (!status) {
    status = file_write(&file, head, HEAD_BYTES, &err);
    status = status ? status : file_write(&file, image, length, &err);
    status = status ? status : file_publish(&file, NULL, &err);
  }
  if (status)
    log_info("compiled kernels are not kept: %s", err.text);
}

/* --- loading -------------------------------------------------------------------------------------- */

static enum status load(CUmodule *out, const struct cuda_driver *cu, const void *image, struct error *err) {
  char log[256] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
  CUresult code = cu->cuModuleLoadDataEx(out, image, COUNT_OF(options), options, values);
  enum status status = cuda_library_check(cu, code, "cuModuleLoadDataEx", err);
  size_t used = status ? strlen(err->text) : 0;
  if (status && log[0])
    snprintf(err->text + used, sizeof err->text - used, ": %s", log);
  return status;
}

static enum status load_compiled(CUmodule *out, const struct cuda_driver *cu, int driver_version, int arch,
                                 struct error *err) {
  struct cuda_compiler compiler;
  char path[CACHE_PATH], *whole = NULL, *image = NULL;
  size_t length = 0;
  enum status status = cuda_nvrtc_open(&compiler, arch, err);
  if (status)
    return status;
  name_in_cache(path, &compiler, driver_version);
  if (read_cache(path, &whole, &image)) {
    status = load(out, cu, image, err);
    free(whole);
    if (!status || status != STATUS_INTERNAL)
      return status;
    log_warn("%s is not loaded: %s", path, err->text);
  }
  image = NULL;
  status = cuda_nvrtc_compile(&image, &length, &compiler, device_program, err);
  status = status ? status : load(out, cu, image, err);
  if (!status)
    write_cache(path, image, length);
  free(image);
  return status;
}

/* A driver loads what a CUDA of its own major version, or an older one, has made. */
static bool built_for(int driver_version) {
  return cuda_kernels && driver_version / 1000 >= cuda_kernels_version;
}

enum status cuda_program_available(int driver_version, struct error *err) {
  struct cuda_nvrtc nvrtc;
  if (built_for(driver_version))
    return STATUS_OK;
  enum status status = cuda_library_nvrtc(&nvrtc, err);
  if (status && cuda_kernels)
    error_prefix(err, "this worker has kernels of CUDA %d and the driver knows CUDA %d.%d: NVRTC would compile them",
                 cuda_kernels_version, driver_version / 1000, driver_version % 1000 / 10);
  else if (status)
    error_prefix(err, "this worker was built without nvcc: NVRTC would compile the kernels");
  return status;
}

enum status cuda_program_load(CUmodule *out, const struct cuda_driver *cu, int driver_version, int arch,
                              struct error *err) {
  struct error built = {0};
  if (built_for(driver_version)) {
    enum status status = load(out, cu, cuda_kernels, &built);
    if (status == STATUS_OK)
      return status;
    if (status != STATUS_INTERNAL) {
      *err = built;
      return status;
    }
    log_warn("the kernels of this worker are not loaded (%s): NVRTC compiles them", built.text);
  }
  enum status status = load_compiled(out, cu, driver_version, arch, err);
  if (status && built.text[0])
    error_prefix(err, "%.200s", built.text);
  return status;
}
