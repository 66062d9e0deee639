#include "sandbox/options.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/layers.h"

static const char *const device_kinds[DEVICE_KIND_COUNT] = {
    [DEVICE_CPU] = "cpu", [DEVICE_OPENCL] = "opencl", [DEVICE_CUDA] = "cuda"};

const char *options_help(void) {
  return "usage: reflect-sandbox [OPTION VALUE]... -- PROGRAM [ARGUMENT]...\n"
         "       reflect-sandbox --probe\n\n"
         "Starts a worker that can touch only what is named here. The daemon calls it; it links no more than it "
         "needs.\n\n"
         "  --model PATH        the base model, read-only: a folder and what its links lead to, or a file and its\n"
         "                      other parts\n"
         "  --read PATH         a file or folder, read-only; may be repeated\n"
         "  --write FOLDER      what it may write in; may be repeated\n"
         "  --execute PATH      programs that it may start; may be repeated\n"
         "  --device KIND       cpu, opencl or cuda: what the driver needs besides\n"
         "  --scratch FOLDER    for a driver's cache; in one that it may write in\n"
         "  --memory BYTES      that it may have written to\n"
         "  --cgroup FOLDER     the control group to join\n"
         "  --file-bytes BYTES  the largest file it may write\n"
         "  --parent PID        the process to die with\n"
         "  --without LAYER     leaves a layer out, or `all` that the kernel could lack\n"
         "  --probe             tries every layer and prints which there are\n";
}

static enum status add_path(struct plan_paths *paths, const char *value, struct error *err) {
  if (value[0] != '/')
    return error_set(err, STATUS_INVALID_VALUE, NULL, "%s is no absolute path", value);
  if (paths->count == PLAN_PATHS_MAX)
    return error_set(err, STATUS_INVALID_VALUE, NULL, "more than %d paths", PLAN_PATHS_MAX);
  paths->item[paths->count++] = value;
  return STATUS_OK;
}

static enum status leave_out(struct plan *plan, const char *name, struct error *err) {
  bool all = strcmp(name, "all") == 0, found = all;
  for (int i = 0; i < LAYER_COUNT; i++)
    if (strcmp(name, layer_name((enum layer)i)) == 0 || (all && layer_may_lack((enum layer)i)))
      found = plan->without[i] = true;
  return found ? STATUS_OK : error_set(err, STATUS_INVALID_VALUE, NULL, "there is no layer %s", name);
}

static enum status set_device(struct plan *plan, const char *name, struct error *err) {
  for (int i = 0; i < DEVICE_KIND_COUNT; i++)
    if (strcmp(name, device_kinds[i]) == 0) {
      plan->device = (enum device_kind)i;
      return STATUS_OK;
    }
  return error_set(err, STATUS_INVALID_VALUE, NULL, "there is no kind of device %s", name);
}

static enum status set_number(uint64_t *out, const char *value, struct error *err) {
  char *end;
  *out = strtoull(value, &end, 10);
  return value[0] >= '0' && value[0] <= '9' && !*end
             ? STATUS_OK
             : error_set(err, STATUS_INVALID_VALUE, NULL, "%s is no number", value);
}

static enum status set_option(struct plan *plan, const char *name, const char *value, struct error *err) {
  uint64_t number = 0;
  enum status status;
  if (strcmp(name, "--model") == 0) {
    struct plan_paths one = {.count = 0};
    plan->model = value;
    return add_path(&one, value, err);
  }
  if (strcmp(name, "--scratch") == 0) {
    plan->scratch = value;
    return STATUS_OK;
  }
  if (strcmp(name, "--cgroup") == 0) {
    plan->cgroup = value;
    return STATUS_OK;
  }
  if (strcmp(name, "--read") == 0)
    return add_path(&plan->read, value, err);
  if (strcmp(name, "--write") == 0)
    return add_path(&plan->write, value, err);
  if (strcmp(name, "--execute") == 0)
    return add_path(&plan->execute, value, err);
  if (strcmp(name, "--device") == 0)
    return set_device(plan, value, err);
  if (strcmp(name, "--without") == 0)
    return leave_out(plan, value, err);
  if (strcmp(name, "--memory") == 0)
    return set_number(&plan->memory, value, err);
  if (strcmp(name, "--file-bytes") == 0)
    return set_number(&plan->file_bytes, value, err);
  if (strcmp(name, "--parent") != 0)
    return error_set(err, STATUS_UNKNOWN_PARAMETER, NULL, "%s is no option", name);
  status = set_number(&number, value, err);
  plan->parent = (pid_t)number;
  return status;
}

enum status options_parse(struct plan *out, bool *probe, int argc, char **argv, struct error *err) {
  int i = 1;
  *out = (struct plan){.file_bytes = UINT64_MAX};
  *probe = argc == 2 && strcmp(argv[1], "--probe") == 0;
  if (*probe)
    return STATUS_OK;
  for (; i < argc && strcmp(argv[i], "--") != 0; i += 2) {
    if (i + 1 >= argc)
      return error_set(err, STATUS_MISSING_PARAMETER, NULL, "%s needs a value", argv[i]);
    enum status status = set_option(out, argv[i], argv[i + 1], err);
    if (status)
      return error_prefix(err, "%s", argv[i]);
  }
  if (i + 1 >= argc)
    return error_set(err, STATUS_MISSING_PARAMETER, NULL, "no program after --");
  out->command = argv + i + 1;
  return STATUS_OK;
}
