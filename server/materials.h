/* What a job is made of on this machine: its base model, its files, the adapter it starts from. */
#ifndef SERVER_MATERIALS_H
#define SERVER_MATERIALS_H

#include "server/run.h"

/* The model of a TASK_SURVEY that asks for none's tokens: no folder is called so. */
#define MATERIALS_NO_MODEL "/"

/* Fills what follows from task->spec, a job of the tenant's: model_dir, training, validation, start, threads and
   matmul. Texts are the run's. */
NODISCARD enum status materials_find(struct task *task, struct run *run, const char *tenant, struct error *err);

#endif
