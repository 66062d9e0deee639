#include "api/device.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const char *const kinds[] = {"cpu", "opencl", "cuda"};

/* The kind that the name begins with, and what follows it; NULL: none. */
static const char *rest_of(const char *name) {
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    size_t length = strlen(kinds[i]);
    if (strncmp(name, kinds[i], length) == 0)
      return name + length;
  }
  return NULL;
}

/* "", or ":" and at most three digits */
static bool is_number(const char *rest) {
  if (!*rest)
    return true;
  size_t digits = strspn(rest + 1, "0123456789");
  return *rest == ':' && digits >= 1 && digits <= 3 && !rest[1 + digits];
}

bool device_wanted_valid(const char *wanted) {
  const char *rest = rest_of(wanted);
  return strcmp(wanted, "auto") == 0 || strcmp(wanted, "cpu") == 0 ||
         (rest && is_number(rest) && strncmp(wanted, "cpu", 3) != 0);
}

bool device_matches(const char *wanted, const char *name) {
  size_t kind = strcspn(name, ":");
  return strcmp(wanted, "auto") == 0 || strcmp(wanted, name) == 0 ||
         (strlen(wanted) == kind && strncmp(wanted, name, kind) == 0);
}

bool device_takes(const struct device_info *device, const char *wanted) {
  if (strcmp(wanted, "auto") == 0)
    return device->gpu || strcmp(device->name, "cpu") == 0;
  return device_matches(wanted, device->name);
}

bool device_info_write(struct str *out, const struct device_info *device) {
  AUTO(json_release)
  json_t *object = json_pack("{s:s s:s s:I s:b}", "name", device->name, "processor", device->processor, "memory",
                             (json_int_t)device->memory, "gpu", device->gpu);
  return object && json_append(out, object) && str_putc(out, '\n');
}

enum status device_info_parse(struct device_info *out, const char *line, size_t length, struct error *err) {
  static const struct json_limits limits = {.bytes_max = 4096};
  AUTO(json_release) json_t *object = NULL;
  const char *name = "", *processor = "";
  *out = (struct device_info){0};
  enum status status = json_parse(&object, line, length, &limits, err);
  status = status ? status : json_get_string(&name, object, "name", "", err);
  status = status ? status : json_get_string(&processor, object, "processor", "", err);
  status = status ? status : json_get_int(&out->memory, object, "memory", 0, 0, INT64_MAX, err);
  if (status)
    return status;
  if (!device_wanted_valid(name) || strlen(name) >= sizeof out->name ||
      (strcmp(name, "cpu") != 0 && !strchr(name, ':')))
    return error_set(err, STATUS_INVALID_VALUE, "name", "\"%.40s\" is no device", name);
  out->gpu = json_is_true(json_object_get(object, "gpu"));
  snprintf(out->name, sizeof out->name, "%s", name);
  snprintf(out->processor, sizeof out->processor, "%s", processor);
  return STATUS_OK;
}
