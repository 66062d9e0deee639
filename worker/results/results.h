/* What a finished job leaves: the PEFT folder, its archive, the curve (as CSV and for TensorBoard), the predictions,
   and the manifest that says how they were made. Each file is published, then announced. */
#ifndef WORKER_RESULTS_RESULTS_H
#define WORKER_RESULTS_RESULTS_H

#include "worker/train/training.h"

/* Whether what the job exports can be written, before anything is learnt. Errors are export_check's. */
NODISCARD enum status results_check(const struct training *training, struct error *err);
/* `validation` may be NULL. */
NODISCARD enum status results_publish(struct training *training, const struct dataset *learnt,
                                      const struct dataset *validation, struct error *err);

#endif
