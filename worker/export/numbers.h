/* The weights of a model with everything trained in it. */
#ifndef WORKER_EXPORT_NUMBERS_H
#define WORKER_EXPORT_NUMBERS_H

#include "worker/model/model.h"

/* The numbers of a tensor of the base, as floats into out: the merged weight of an adapted module, a trained weight or
   bias, or the base's own. */
NODISCARD enum status numbers_read(float *out, const struct model *m, const char *name, struct error *err);

#endif
