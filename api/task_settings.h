/* Settings that some tasks alone read: another job that sets one is told so, by its name. */
#ifndef API_TASK_SETTINGS_H
#define API_TASK_SETTINGS_H

#include "api/job_task.h"

/* Adds a fault for each that is not at its default and that the job does not read. What the job learns its task says,
   else `learnt`, what its data are for; OUTPUT_COUNT: they are not looked at yet, and all that is known is that it
   learns no pictures. Of the data only what the body left open is judged. */
void task_settings_judge(const struct job_spec *spec, enum job_output learnt, struct fault_list *faults);

#endif
