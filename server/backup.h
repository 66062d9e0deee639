/* `reflectd backup` and `reflectd restore`: a data folder copied with all that its store names, at one moment,
   verified. They are the same copy in two directions: a backup is a data folder that no daemon uses. */
#ifndef SERVER_BACKUP_H
#define SERVER_BACKUP_H

#include "base/error.h"

/* Copies the data folder `from`, which a daemon may be using, to `to`, which must not exist or be empty; it is there
   whole or not at all. *faults: what fsck_run finds in the copy, told on standard output. */
NODISCARD enum status backup_copy(size_t *faults, const char *from, const char *to, struct error *err);

int backup_command(int argc, char **argv);
int backup_restore(int argc, char **argv);

#endif
