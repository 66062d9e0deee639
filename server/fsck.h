/* `reflectd fsck`: does a data folder hold what its store says, and nothing else? It changes nothing, and works beside
   a running daemon. */
#ifndef SERVER_FSCK_H
#define SERVER_FSCK_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/* A line to `out` for each finding. *faults: how many are wrong; what the next start of a daemon puts right by itself
   is only noted. An error says that the folder could not be checked. */
NODISCARD enum status fsck_run(size_t *faults, const char *data, FILE *out, struct error *err);

/* Exit status 0: no fault; 1: faults; 2: it cannot be checked. */
int fsck_command(int argc, char **argv);

#endif
