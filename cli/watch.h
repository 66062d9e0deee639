/* Following a job to its end. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/command.h"

/* Polls the job once a second, draws its progress, prints its events. EXIT_DONE only when it
   succeeded; EXIT_UNSUCCESSFUL, with the job's error printed, when it failed or was cancelled. A
   server that cannot be reached is asked again, ever more slowly, for `patience_seconds`. */
enum exit_code watch_job(struct cli *cli, const char *job_id, int64_t patience_seconds);

enum { WATCH_PATIENCE_SECONDS = 600 };

#endif
