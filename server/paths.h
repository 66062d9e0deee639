/* Where things lie under the data folder:
     reflectd.db                     the store; -wal, -shm: its log and what its readers share
     reflectd.db-reserve             bytes set aside for a full disk
     store.id                        which store belongs here
     files/<file-id>, <part-id>      uploaded bytes
     jobs/<job-id>/log.txt           what the job's workers wrote to stderr
     jobs/<job-id>/<lease-token>/    what the worker with that lease made
     jobs/<job-id>/exports/<seq>/    what an export made afterwards
     asking/<key>/                   what the driver of a device keeps while a question is worked out
     serving/<number>/<adapter>/     links to the files of the adapters that a base model is asked with
     lost+found/                     what the store does not know of
   A daemon that uses the folder holds a lock on the folder itself. */
#ifndef SERVER_PATHS_H
#define SERVER_PATHS_H

#include <inttypes.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/str.h"
#include "config/config.h"

enum { PATH_BYTES = 1024 };

/* Formats a path into out[PATH_BYTES]; STATUS_IO when it does not fit. */
NODISCARD enum status path_format(char out[PATH_BYTES], struct error *err, const char *format, ...) PRINTF(3, 4);

/* `text` for clients, appended: where it names the data folder, the models folder or the worker, the folders above them
   are left out. They are the operator's. */
void path_hide(struct str *out, const char *text, const struct config *config);

#define PATH_FILE "files/%s"
#define PATH_ASKING "asking/%s"
#define PATH_SERVING "serving"
#define PATH_SERVING_MODEL "serving/%llu"
#define PATH_JOB "jobs/%s"
#define PATH_LOG "jobs/%s/log.txt"
#define PATH_OUTPUT "jobs/%s/%lld"
#define PATH_EXPORTS "jobs/%s/exports"
#define PATH_EXPORT "jobs/%s/exports/%lld"

#endif
