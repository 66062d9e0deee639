/* What a trained adapter can be written as besides PEFT's own format (api/job.h: export_format). */
#ifndef WORKER_EXPORT_EXPORT_H
#define WORKER_EXPORT_EXPORT_H

#include "api/job.h"
#include "worker/export/artifact.h"

/* Could the model be written in every format of the list, as far as that does not depend on what is learnt? For before
   the training. Errors are those of export_formats. */
NODISCARD enum status export_check(const struct export *e, const struct string_list *formats, struct error *err);
/* Writes every format of the list but "peft". STATUS_UNSUPPORTED_VALUE names what the model or the method
   cannot be written as. */
NODISCARD enum status export_formats(const struct export *e, const struct string_list *formats, struct error *err);

#endif
