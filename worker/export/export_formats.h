/* One format each; see export.h. */
#ifndef WORKER_EXPORT_EXPORT_FORMATS_H
#define WORKER_EXPORT_EXPORT_FORMATS_H

#include "api/job.h"
#include "worker/export/artifact.h"

NODISCARD enum status export_lora(const struct export *e, struct error *err);
NODISCARD enum status export_merged(const struct export *e, enum export_type type, struct error *err);
/* STATUS_UNSUPPORTED_VALUE where export_gguf would refuse the model; nothing is written. */
NODISCARD enum status export_gguf_check(const struct export *e, struct error *err);
NODISCARD enum status export_gguf(const struct export *e, enum export_type type, struct error *err);
NODISCARD enum status export_gguf_lora(const struct export *e, struct error *err);
NODISCARD enum status export_diffusers_lora(const struct export *e, struct error *err);
NODISCARD enum status export_kohya_lora(const struct export *e, struct error *err);

#endif
