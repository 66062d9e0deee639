/* Bytes of the server into local files, complete and verified or not at all. */
#ifndef CLI_DOWNLOAD_H
#define CLI_DOWNLOAD_H

#include "cli/command.h"

/* GET `path` into the file `name`, which appears under that name only when all of it is there and,
   unless `sha256` is NULL, its hash is that one (STATUS_IO when it is not). */
NODISCARD enum status download_to_file(struct cli *cli, const char *path, const char *name, const char *sha256,
                                       struct error *err);
/* GET `path` to standard output as it comes, or as text that is safe to show where that is a terminal. */
NODISCARD enum status download_to_output(struct cli *cli, const char *path, struct error *err);

/* The artifacts of a job into the folder `out` (made when absent): those of the adapter, the one called `name`
   unless it is NULL, or all with `all`. Prints what was written. */
enum exit_code download_artifacts(struct cli *cli, const char *job_id, const char *out, const char *name, bool all);

#endif
