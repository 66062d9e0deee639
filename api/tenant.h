/* Tenants: whose files, jobs and models something is, and who sees nothing of the others'. */
#ifndef API_TENANT_H
#define API_TENANT_H

#include <stdbool.h>

/* The one that is always there: of everybody where no key is set up. The operator is one of its administrators. */
#define TENANT_DEFAULT "default"

enum { TENANT_BYTES = 64 };

/* 1 to 63 of a-z, 0-9 and -, not beginning with -. */
bool tenant_valid(const char *name);

#endif
