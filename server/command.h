/* Subcommands of reflectd (`reflectd fsck`): a row in the table of command.c each. Without one the daemon runs. */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include <stdbool.h>

#include "config/config.h"

/* Exit statuses, the daemon's too. */
enum { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

struct command {
  const char *name;
  const char *takes; /* its own options and words, for --help; "": none */
  const char *does;
  int (*run)(int argc, char **argv); /* argv[0] is its name; the exit status */
};

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);
/* A line for each, for --help; appended. */
void command_help(struct str *out);

/* Takes an option of the command's own (name: "--to") out of the arguments: "--to VALUE" or "--to=VALUE". *value NULL:
   it is not there. STATUS_MISSING_PARAMETER: it has no value. */
NODISCARD enum status command_take(const char **value, int *argc, char **argv, const char *name, struct error *err);
/* What is left are the daemon's options: read, or false with the exit status, after a word to the user: --help was
   asked for or they cannot be read. */
bool command_config(struct config *config, int *code, int argc, char **argv, struct arena *arena);
/* Says what went wrong; the exit status that follows. */
int command_fault(const struct error *err);

#endif
