/* One export of a finished job: a worker writes its adapter in another format; the files join the job's
   artifacts. */
#ifndef SERVER_EXPORTING_H
#define SERVER_EXPORTING_H

#include "server/run.h"
#include "storage/db_export.h"

extern const struct run_kind exporting_kind;
/* What it takes of the budget. */
struct budget_need exporting_need(const struct run *run);
/* As training_start. */
NODISCARD enum status exporting_start(struct run *run, const struct export_row *export, struct error *err);

#endif
