/* The help text, written from the tables of nouns, commands and options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "base/str.h"
#include "cli/command.h"

/* A command as people write it: "jobs create"; a noun's only verb may be left out, and is: "chat". */
void help_name(struct str *out, const struct noun *noun, const struct command *command);
/* `reflect --help`. */
void help_program(struct str *out, const struct noun *const *nouns, size_t noun_count,
                  const struct option_table *global);
/* `reflect jobs --help`; that of the command, where it is the only one and its verb may be left out. */
void help_noun(struct str *out, const struct noun *noun);
/* `reflect jobs create --help`. */
void help_command(struct str *out, const struct noun *noun, const struct command *command);

/* What the exit statuses mean. */
struct help_exit {
  int code;
  const char *doc;
};
extern const struct help_exit help_exits[];
extern const size_t help_exit_count;

#endif
