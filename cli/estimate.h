/* reflect jobs estimate: what a job would take, for people. */
#ifndef CLI_ESTIMATE_H
#define CLI_ESTIMATE_H

#include "cli/command.h"

/* Asks for the estimate of a job's body and prints it. EXIT_UNSUCCESSFUL: the job does not fit. */
enum exit_code estimate_show(struct cli *cli, const json_t *body);

#endif
