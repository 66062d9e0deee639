/* Scripts by which shells complete reflect's commands and options, made from its tables. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "cli/command.h"

enum completion_shell { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH };
/* Appended. */
void completion_script(struct str *out, enum completion_shell shell, const struct noun *const *nouns, size_t noun_count,
                       const struct option_table *global);

#endif
