/* What is changed of jobs that exist: `jobs set` and `jobs delete`. */
#ifndef CLI_QUEUE_H
#define CLI_QUEUE_H

#include "cli/command.h"

extern const struct option_table queue_set_table;
enum exit_code queue_set(struct cli *cli, const char *const *operands, const void *values, json_t *document);
enum exit_code queue_delete(struct cli *cli, const char *const *operands, const void *values, json_t *document);

#endif
