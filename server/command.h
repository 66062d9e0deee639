/* What the subcommands of reflectd (`reflectd fsck`) share. Each is a row in the table of main.c. */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include "config/config.h"

/* Exit statuses, the daemon's too. */
enum { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

struct command {
  const char *name;
  const char *takes; /* its own options and words, for --help; "": none */
  const char *does;
  int (*run)(int argc, char **argv); /* argv[0] is its name; the exit status */
};

/* Takes an option of the command's own (name: "--to") out of the arguments: "--to VALUE" or "--to=VALUE"; a value
   that begins with "--" only in the second form. *value NULL: it is not there. STATUS_MISSING_PARAMETER: it has no
   value. */
NODISCARD enum status command_take(const char **value, int *argc, char **argv, const char *name, struct error *err);
/* What is left are the daemon's options. */
NODISCARD enum status command_config(struct config *config, int argc, char **argv, struct arena *arena,
                                     struct error *err);
/* Says what went wrong; the exit status that follows. */
int command_fault(const struct error *err);

#endif
