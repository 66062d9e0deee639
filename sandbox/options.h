/* The command line of reflect-sandbox. */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include "base/error.h"
#include "sandbox/plan.h"

/* *probe: only to say what this machine has. */
NODISCARD enum status options_parse(struct plan *out, bool *probe, int argc, char **argv, struct error *err);
const char *options_help(void);

#endif
