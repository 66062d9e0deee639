/* The check of an upload: a worker reads the file from end to end; its report or its complaint is stored
   with the file. */
#ifndef SERVER_CHECKING_H
#define SERVER_CHECKING_H

#include "server/run.h"
#include "storage/db_file.h"

extern const struct run_kind checking_kind;
/* Starts its worker, or it ends itself and the status says why. */
NODISCARD enum status checking_start(struct run *run, const struct file_row *file, struct error *err);

#endif
