#include "worker/backend/opencl/opencl_list.h"

#include <stdio.h>

enum status opencl_list_ids(const struct opencl_library *cl, cl_device_id ids[OPENCL_DEVICES_MAX], size_t *count,
                            struct error *err) {
  enum { NO_PLATFORM = -1001 }; /* CL_PLATFORM_NOT_FOUND_KHR: the loader found no driver */
  cl_platform_id platforms[OPENCL_PLATFORMS_MAX];
  cl_uint platform_count = 0;
  cl_int code = cl->clGetPlatformIDs(OPENCL_PLATFORMS_MAX, platforms, &platform_count);
  if (code == NO_PLATFORM || (code == CL_SUCCESS && platform_count == 0))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "OpenCL has no platform: no driver is installed");
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clGetPlatformIDs");
  size_t found = 0;
  for (cl_uint i = 0; i < platform_count && i < OPENCL_PLATFORMS_MAX && found < OPENCL_DEVICES_MAX; i++) {
    cl_uint of_platform = 0, room = (cl_uint)(OPENCL_DEVICES_MAX - found);
    code = cl->clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, room, ids + found, &of_platform);
    if (code == CL_DEVICE_NOT_FOUND)
      continue;
    if (code != CL_SUCCESS)
      return opencl_error_check(err, code, "clGetDeviceIDs");
    found += of_platform < room ? of_platform : room;
  }
  if (found == 0)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device", "OpenCL has no device on this machine");
  *count = found;
  return STATUS_OK;
}

enum status opencl_list_describe(const struct opencl_library *cl, cl_device_id id, size_t number,
                                 struct opencl_listed *out, struct error *err) {
  char name[256] = "", platform_name[256] = "";
  cl_ulong memory = 0;
  cl_device_type type = 0;
  cl_platform_id platform;
  cl_int code = cl->clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof name, name, NULL);
  if (code == CL_SUCCESS)
    code = cl->clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
  if (code == CL_SUCCESS)
    code = cl->clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
  if (code == CL_SUCCESS)
    code = cl->clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof platform, (void *)&platform, NULL);
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clGetDeviceInfo");
  code = cl->clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof platform_name, platform_name, NULL);
  if (code != CL_SUCCESS)
    return opencl_error_check(err, code, "clGetPlatformInfo");
  snprintf(out->id, sizeof out->id, "opencl:%zu", number);
  snprintf(out->name, sizeof out->name, "%.80s (%.40s)", name, platform_name);
  out->memory = memory;
  out->gpu = !(type & CL_DEVICE_TYPE_CPU);
  return STATUS_OK;
}

enum status opencl_list(struct opencl_listed *out, size_t room, size_t *count, struct error *err) {
  struct opencl_library cl;
  cl_device_id ids[OPENCL_DEVICES_MAX];
  size_t found;
  enum status status = opencl_library_open(&cl, OPENCL_SONAME, err);
  if (status == STATUS_OK)
    status = opencl_list_ids(&cl, ids, &found, err);
  for (size_t i = 0; status == STATUS_OK && i < found && i < room; i++)
    status = opencl_list_describe(&cl, ids[i], i, out + i, err);
  if (status == STATUS_OK)
    *count = found;
  return status;
}
