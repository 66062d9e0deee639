/* Do a job's settings fit its data? What would end the job once its data are read is refused when it is created. Pure.
 */
#ifndef API_DATA_FIT_H
#define API_DATA_FIT_H

#include "api/data_use.h"

/* Of a training file that the job can use so (data_use.h): adds a fault for a metric that the job would not measure, a
   setting that only another task reads, a batch without negatives, a warm-up that is all of the training. */
void data_fit_judge(const struct job_spec *spec, enum data_use use, const struct data_file *training,
                    struct fault_list *faults);

#endif
