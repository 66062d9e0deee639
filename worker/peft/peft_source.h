/* An adapter in PEFT's format as it is found: a folder, or an archive of one that somebody uploaded. */
#ifndef WORKER_PEFT_PEFT_SOURCE_H
#define WORKER_PEFT_PEFT_SOURCE_H

#include <jansson.h>

#include "api/job.h"
#include "worker/file/archive.h"
#include "worker/file/safetensors.h"
#include "worker/model/classes.h"

struct peft_source {
  const char *path; /* borrowed: for messages */
  json_t *config;   /* adapter_config.json */
  json_t *labels;   /* labels.json: what a classifier's outputs are; NULL: not there */
  struct safetensors tensors;
  struct archive_member members[4]; /* of an archive */
};

/* Needs adapter_config.json and adapter_model.safetensors, labels.json may be there; adapter_model.bin (a pickle, which
   runs code when it is loaded) and tensors without elements are refused. STATUS_MODEL_INVALID, or DATASET_INVALID for a
   bad archive. Empty after a failure. */
NODISCARD enum status peft_source_open(struct peft_source *out, const char *path, struct error *err);
void peft_source_close(struct peft_source *source);

/* What it was trained as; strings live in `arena`. STATUS_UNSUPPORTED_VALUE names what this engine has not. */
NODISCARD enum status peft_source_spec(struct adapter_spec *out, const struct peft_source *source, struct arena *arena,
                                       struct error *err);
/* STATUS_INVALID_VALUE naming the first member in which the job's adapter differs from it, both values told. Members
   that say how to start or which modules (the tensors tell that) may differ. */
NODISCARD enum status peft_source_compare(const struct peft_source *source, const struct adapter_spec *spec,
                                          struct error *err);
/* The tensor for PEFT's key "base_model.model.<...>", which the file may have without that beginning; NULL: none. */
const struct st_tensor *peft_source_tensor(const struct peft_source *source, const char *key);
/* What its classifier's head gives, by its tensors, its task_type and its labels. */
struct peft_head {
  enum job_output output;
  struct classes classes; /* count 0: it has no head, it is a language model's */
};
/* Strings live in `arena`. */
NODISCARD enum status peft_source_head(struct peft_head *out, const struct peft_source *source, struct arena *arena,
                                       struct error *err);
/* The check of an upload: {kind "adapter", peft_type, adapter, tensors, parameters, base_model, bytes}. */
NODISCARD enum status peft_source_check(json_t **report, const char *path, struct error *err);

#endif
