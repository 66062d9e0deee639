/* What a job's body may have, as data that forms are made from: out of the tables that validate it. Pure. */
#ifndef API_CAPABILITIES_H
#define API_CAPABILITIES_H

#include "api/data_use.h"

/* {job: [{path, members}], methods, tasks, objectives, recipes, precisions, exports, sweep}. A new reference; NULL: no
   memory. */
NODISCARD json_t *capabilities_json(void);
/* Names of the tasks that a model can learn. A new reference. */
NODISCARD json_t *capabilities_tasks(struct data_tasks can);

#endif
