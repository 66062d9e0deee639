/* The check of an upload, whatever it is: data, an adapter, or pictures. */
#ifndef WORKER_UPLOAD_H
#define WORKER_UPLOAD_H

#include <jansson.h>

#include "api/task.h"

/* The report of worker/data/check.h, worker/peft/peft_source.h or worker/data/image_folder.h. */
NODISCARD enum status upload_check(json_t **report, const struct task_file *file, struct error *err);

#endif
