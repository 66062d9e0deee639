#include "api/tenant.h"

#include <string.h>

bool tenant_valid(const char *name) {
  size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
  return length > 0 && length < TENANT_BYTES && name[length] == '\0' && name[0] != '-';
}
