#include "server/devices.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/process.h"

enum { LIST_BYTES = 1 << 16, LIST_MS = 20000 /* a GPU's driver may take seconds */ };

/* ---- what the worker finds ---- */

static size_t list(struct device_info out[DEVICES_MAX], const struct config *config) {
  AUTO(str_done) struct str text;
  struct error err;
  size_t count = 0;
  char *arguments[] = {(char *)(uintptr_t)config->worker_path, (char *)(uintptr_t) "--list-devices", NULL};
  str_init(&text, LIST_BYTES);
  if (process_output(&text, arguments, LIST_MS, &err))
    log_error("the worker's list of devices: %s", err.text);
  for (char *line = text.text, *end; line && count < DEVICES_MAX && (end = strchr(line, '\n')); line = end + 1)
    if (device_info_parse(&out[count], line, (size_t)(end - line), &err))
      log_error("the worker's list of devices: %s", err.text);
    else
      count++;
  return count;
}

/* ---- what the operator allows ---- */

/* The next entry of `devices`, names and kinds with commas; false: there are no more. */
static bool next_entry(char entry[DEVICE_NAME_MAX], const char **at) {
  size_t length = strcspn(*at, ",");
  if (!**at)
    return false;
  snprintf(entry, DEVICE_NAME_MAX, "%.*s", (int)length, *at);
  *at += length + ((*at)[length] == ',');
  return true;
}

static bool allowed(const char *devices, const char *name) {
  char entry[DEVICE_NAME_MAX];
  while (next_entry(entry, &devices))
    if (device_matches(entry, name))
      return true;
  return false;
}

enum status devices_check(const struct config *config, struct error *err) {
  char entry[DEVICE_NAME_MAX];
  const char *at = config->devices;
  while (next_entry(entry, &at))
    if (!device_wanted_valid(entry))
      return error_set(
          err, STATUS_INVALID_VALUE, "devices",
          "devices: \"%s\" is no device; it has auto, cpu, opencl, cuda, or one like opencl:0, with commas", entry);
  return STATUS_OK;
}

static void warn_of_missing(const struct devices *devices, const char *named) {
  char entry[DEVICE_NAME_MAX];
  while (next_entry(entry, &named))
    if (!devices_has(devices, entry))
      log_warn("devices names %s, which is not there", entry);
}

void devices_find(struct devices *out, const struct config *config) {
  struct device_info found[DEVICES_MAX];
  size_t count = list(found, config);
  *out = (struct devices){.cpu = allowed(config->devices, "cpu")};
  for (size_t i = 0; i < count; i++)
    if (strcmp(found[i].name, "cpu") == 0)
      snprintf(out->cpu_processor, sizeof out->cpu_processor, "%s", found[i].processor);
  for (size_t i = 0; i < count; i++)
    if (strcmp(found[i].name, "cpu") != 0 && allowed(config->devices, found[i].name)) {
      log_info("jobs may run on %s, %s", found[i].name, found[i].processor);
      out->other[out->count++] = found[i];
    }
  warn_of_missing(out, config->devices);
  if (!out->cpu && out->count == 0) {
    log_warn("no device that devices names is there: jobs run on the CPU");
    out->cpu = true;
  }
}

enum status devices_print(struct str *out, const struct config *config, struct error *err) {
  struct device_info found[DEVICES_MAX];
  enum status status = devices_check(config, err);
  size_t count = status ? 0 : list(found, config);
  if (status)
    return status;
  if (count == 0)
    return error_set(err, STATUS_UNAVAILABLE, "worker_path", "%s lists no devices", config->worker_path);
  for (size_t i = 0; i < count; i++) {
    str_printf(out, "%-10s %s", found[i].name, found[i].processor);
    if (found[i].memory)
      str_printf(out, ", %lld MiB", (long long)(found[i].memory >> 20));
    str_printf(out, "%s\n", allowed(config->devices, found[i].name) ? "" : " (not in `devices`)");
  }
  return STATUS_OK;
}

/* ---- what a job wants ---- */

void devices_takes(struct str *out, const struct devices *devices, const struct device_info *device) {
  const char *comma = "";
  str_puts(out, "[");
  if (device && device->gpu) {
    str_puts(out, "\"auto\"");
    comma = ",";
  }
  for (size_t i = 0; i < devices->count; i++) {
    const struct device_info *one = &devices->other[i];
    if (device && device != one)
      continue;
    str_printf(out, "%s\"%.*s\",\"%s\"", comma, (int)strcspn(one->name, ":"), one->name, one->name);
    comma = ",";
  }
  str_puts(out, "]");
}

bool devices_has(const struct devices *devices, const char *wanted) {
  if (devices->cpu && device_matches(wanted, "cpu"))
    return true;
  for (size_t i = 0; i < devices->count; i++)
    if (device_takes(&devices->other[i], wanted))
      return true;
  return false;
}

void devices_names(struct str *out, const struct devices *devices) {
  if (devices->cpu)
    str_puts(out, "cpu");
  for (size_t i = 0; i < devices->count; i++)
    str_printf(out, "%s%s", devices->cpu || i ? ", " : "", devices->other[i].name);
}
