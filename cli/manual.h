/* reflect(1), written from the tables of nouns, commands and options. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "base/str.h"
#include "cli/command.h"

/* Appended. */
void manual_program(struct str *out, const struct noun *const *nouns, size_t noun_count,
                    const struct option_table *global);

#endif
