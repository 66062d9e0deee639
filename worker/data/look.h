/* What the first record of a data file gives: by it a job knows what to learn. */
#ifndef WORKER_DATA_LOOK_H
#define WORKER_DATA_LOOK_H

#include "api/data_use.h"

NODISCARD enum status look_at_data(struct data_given *given, const struct job_spec *spec, const char *path,
                                   const char *filename, struct error *err);

#endif
