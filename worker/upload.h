/* The check of an upload, whatever it is: data, an adapter, or pictures. */
#ifndef WORKER_UPLOAD_H
#define WORKER_UPLOAD_H

#include <jansson.h>

#include "api/task.h"
#include "worker/report.h"

/* What worker/data/check.h, worker/peft/peft_source.h or worker/data/image_folder.h say of it. A long check is told of
   through `report`. */
NODISCARD enum status upload_check(json_t **found, const struct task_file *file, struct report *report,
                                   struct error *err);

#endif
