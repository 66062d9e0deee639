#include "api/inert.h"

#include <stdint.h>
#include <stdio.h>

json_t *inert_without(const json_t *object, const struct inert_member *rows, const char *path,
                      struct fault_list *faults) {
  json_t *rest = json_copy((json_t *)(uintptr_t)object);
  for (; rest && rows->name; rows++) {
    const json_t *value = json_object_get(rest, rows->name);
    if (!value)
      continue;
    bool fine = json_is_null(value);
    for (size_t i = 0; !fine && i < COUNT_OF(rows->accepted) && rows->accepted[i]; i++) {
      json_t *accepted = json_loads(rows->accepted[i], JSON_DECODE_ANY, NULL);
      fine = json_equal(accepted, value);
      json_decref(accepted);
    }
    char param[96];
    snprintf(param, sizeof param, "%s%s%s", path, *path ? "." : "", rows->name);
    if (!fine)
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, param, "%s: %s", param, rows->refusal);
    json_object_del(rest, rows->name);
  }
  if (!rest)
    fault_add(faults, STATUS_OUT_OF_MEMORY, path, "the body does not fit into memory");
  return rest;
}
