/* What a job is made of on this machine: its base model, its files, the adapter it starts from. */
#ifndef SERVER_MATERIALS_H
#define SERVER_MATERIALS_H

#include "server/run.h"

/* Fills what follows from task->spec, a job of the tenant's: model_dir, training, validation, start, threads and
   matmul. Texts are the run's. */
NODISCARD enum status materials_find(struct task *task, struct run *run, const char *tenant, struct error *err);

#endif
