/* reflect files check: what is in a data file, for people. */
#ifndef CLI_FILE_CHECK_H
#define CLI_FILE_CHECK_H

#include "cli/command.h"

struct check_options {
  const char *model, *against, *task, *text, *label;
};
extern const struct option_table check_option_table;

/* EXIT_UNSUCCESSFUL: it has lines that cannot be used. */
enum exit_code file_check(struct cli *cli, const char *id, const struct check_options *options);

#endif
