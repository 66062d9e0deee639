/* A job's body with its files. */
#ifndef CLI_JOB_FILES_H
#define CLI_JOB_FILES_H

#include "cli/command.h"
#include "cli/job_body.h"

/* The body (job_body_make) with its files, which are uploaded where paths were given. The caller owns *body, also on
   failure. */
enum exit_code job_files_body(struct cli *cli, json_t **body, const struct create_options *options, json_t *document);

#endif
