/* Following a job to its end. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/command.h"

/* Listens to the job's stream of events, draws its progress, prints its events; a server, or a proxy before it, that
   has no stream is asked once a second, which is told. EXIT_DONE only when the job succeeded; EXIT_UNSUCCESSFUL, with
   its error printed, when it failed or was cancelled. A server that cannot be reached is asked again, ever more slowly,
   for `patience_seconds`. An interrupt ends the program, not the job. */
enum exit_code watch_job(struct cli *cli, const char *job_id, int64_t patience_seconds);

#endif
