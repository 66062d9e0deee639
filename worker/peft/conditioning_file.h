/* A model's conditioning embedding on disk, beside an adapter's files: conditioning_embedding.safetensors, fp32, under
   the names that it has in a ControlNetModel of diffusers (worker/model/conditioning_embedding.h). */
#ifndef WORKER_PEFT_CONDITIONING_FILE_H
#define WORKER_PEFT_CONDITIONING_FILE_H

#include "worker/model/model.h"

/* Is there one in the adapter's folder? */
bool conditioning_file_is(const char *folder);
/* Fills the parameters that belong there (peft_save writes it). STATUS_MODEL_INVALID where the folder has no such file
   and the model has the parameters, or the other way round, and where a tensor lacks, has another shape or is none of
   them. */
NODISCARD enum status conditioning_file_load(struct model *model, const char *folder, struct error *err);

#endif
