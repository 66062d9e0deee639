/* What a job is made of on this machine: its base model, its files, the adapter it starts from. */
#ifndef SERVER_MATERIALS_H
#define SERVER_MATERIALS_H

#include "server/models.h"
#include "server/run.h"

/* The model of a TASK_SURVEY that asks for none's tokens: no folder is called so. */
#define MATERIALS_NO_MODEL "/"

/* As models_find, but that a model that is gone while others are there was taken away, and an empty folder is a mount
   that is not there: STATUS_UNAVAILABLE. */
NODISCARD enum status materials_model(struct base_model *out, const char *folder, const char *id, struct arena *arena,
                                      struct error *err);
/* Fills what follows from task->spec, a job of the tenant's: model_dir, training, validation, start, threads and
   matmul. Texts are the run's. */
NODISCARD enum status materials_find(struct task *task, struct run *run, const char *tenant, struct error *err);

#endif
