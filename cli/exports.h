/* reflect jobs export and exports: a finished adapter in other formats. */
#ifndef CLI_EXPORTS_H
#define CLI_EXPORTS_H

#include "cli/command.h"

/* Asks for the formats (separated by commas), waits until each has ended unless `no_wait`, prints how.
   EXIT_UNSUCCESSFUL when one of them failed; what became of earlier ones does not count. */
enum exit_code exports_make(struct cli *cli, const char *job_id, const char *formats, bool no_wait);
/* Lists what was asked for so far. */
enum exit_code exports_list(struct cli *cli, const char *job_id);

#endif
