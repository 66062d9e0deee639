/* The other programs of reflectd, which lie beside this one, run to be asked something. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/* The program of that name beside this one. False: there is none that can be run. */
bool program_find(char out[PATH_MAX], const char *name);
/* Runs `arguments` ([0] is the path, NULL ends them) and appends what it says to `said`; what does not fit is thrown
   away. *code is its exit status, 128 + N where a signal ended it. One that is not done after `seconds` is killed, and
   is STATUS_UNAVAILABLE. */
NODISCARD enum status program_run(struct str *said, int *code, const char *const *arguments, int seconds,
                                  struct error *err);

/* The next line of what was said, without its end; *rest moves behind it. NULL: there is none. */
char *program_line(char **rest);

#endif
