/* What `reflect doctor` finds, a line a finding. */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include <jansson.h>
#include <stddef.h>

#include "base/attr.h"
#include "cli/command.h"

enum finding_level {
  FINDING_OK,
  FINDING_SKIPPED, /* it could not be looked at here, and need not be */
  FINDING_WARN,    /* it works, but not as well as it could */
  FINDING_FAIL,    /* it does not work */
  FINDING_COUNT,
};

struct findings {
  json_t *checks; /* [{check, status, message, advice}] */
  size_t count[FINDING_COUNT];
  bool quiet; /* nothing is printed as it is found */
};

/* Prints and keeps a finding. `check` is its word ("disk"); `advice`, what to do, NULL where there is nothing to do. */
void finding(struct findings *findings, enum finding_level level, const char *check, const char *advice,
             const char *format, ...) PRINTF(5, 6);

struct doctor_options {
  const char *data; /* the folder of a daemon on this machine, or NULL */
};

/* This machine, as a host of a daemon. */
void doctor_host(struct findings *findings, const struct doctor_options *options);
/* The daemon that the client would talk to. */
void doctor_server(struct findings *findings, struct cli *cli);

#endif
