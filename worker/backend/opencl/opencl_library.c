#include "worker/backend/opencl/opencl_library.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

/* An ELF note that says so: packaging tools and `readelf -n` find it (https://uapi-group.org/specifications/specs/
   elf_dlopen_metadata). */
#define NOTE_JSON                                                                                                      \
  "[{\"feature\":\"opencl\",\"description\":\"Training on a GPU through OpenCL\",\"priority\":\"suggested\","          \
  "\"soname\":[\"" OPENCL_SONAME "\"]}]"
static const struct {
  uint32_t name_bytes, json_bytes, type;
  char name[4];
  _Alignas(4) char json[sizeof NOTE_JSON];
} note_dlopen __attribute__((used, section(".note.dlopen"), aligned(4))) = {
    sizeof "FDO", sizeof NOTE_JSON, 0x407C0C0A, "FDO", NOTE_JSON};

#define PARAM "scheduling.device"

enum status opencl_library_open(struct opencl_library *out, const char *soname, struct error *err) {
  static const struct {
    const char *name;
    size_t place;
  } functions[] = {
#define OPENCL_FUNCTION(name) {#name, offsetof(struct opencl_library, name)},
#include "worker/backend/opencl/functions.def"
#undef OPENCL_FUNCTION
  };
  void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "OpenCL is not installed here: %s", dlerror());
  enum status status = STATUS_OK;
  struct opencl_library found;
  for (size_t i = 0; i < COUNT_OF(functions) && status == STATUS_OK; i++) {
    void *function = dlsym(library, functions[i].name);
    memcpy((char *)&found + functions[i].place, &function, sizeof function);
    if (!function)
      status = error_set(err, STATUS_UNSUPPORTED_VALUE, PARAM, "%s has no function %s", soname, functions[i].name);
  }
  dlclose(library); /* NODELETE: it stays */
  if (status == STATUS_OK)
    *out = found;
  return status;
}

const char *opencl_error_name(cl_int code) {
  static char number[32];
  switch (code) {
#define OPENCL_ERROR(name) \
  case name: return #name;
#include "worker/backend/opencl/errors.def"
#undef OPENCL_ERROR
  }
  snprintf(number, sizeof number, "error %d", code);
  return number;
}

enum status opencl_error_check(struct error *err, cl_int code, const char *call) {
  if (code == CL_SUCCESS)
    return STATUS_OK;
  bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
                code == CL_OUT_OF_HOST_MEMORY || code == CL_INVALID_BUFFER_SIZE;
  return error_set(err, memory ? STATUS_OUT_OF_MEMORY : STATUS_INTERNAL, NULL, "%s failed: %s", call,
                   opencl_error_name(code));
}
