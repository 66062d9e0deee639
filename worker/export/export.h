/* What a trained adapter can be written as besides PEFT's own format (api/job.h: export_format). Each file is
   published in the output folder and then announced with its size and hash. */
#ifndef WORKER_EXPORT_EXPORT_H
#define WORKER_EXPORT_EXPORT_H

#include "api/job.h"
#include "worker/model/model.h"
#include "worker/report.h"

/* A model with its adapter, and where the files go. */
struct export {
  struct model *model;
  const struct adapter_spec *spec;
  const char *base;      /* the base model's id, for configs and cards */
  const char *base_path; /* its folder or file: tokenizer files are copied from there */
  const char *output_dir;
  json_t *announced; /* {name, bytes, sha256} of each file is added; NULL: nobody asks */
  struct report *report;
};

/* Writes every format of the list but "peft". STATUS_UNSUPPORTED_VALUE names what the model or the method
   cannot be written as. */
NODISCARD enum status export_formats(const struct export *e, const struct string_list *formats, struct error *err);

/* For the formats. Tells the daemon of output_dir/path under `name`. */
NODISCARD enum status export_announce(const struct export *e, const char *name, const char *path, bool result_file,
                                      struct error *err);
/* Packs the folder output_dir/folder (its files and those of folders in it, in the order of their names) as
   output_dir/<folder>.tar, removes the folder and announces the archive. */
NODISCARD enum status export_pack(const struct export *e, const char *folder, struct error *err);

/* The numbers of a tensor of the base with everything trained in it, as floats into out: the merged weight of
   an adapted module, a trained weight or bias, or the base's own. */
NODISCARD enum status export_numbers(float *out, const struct export *e, const char *name, struct error *err);

/* One format each. */
NODISCARD enum status export_lora(const struct export *e, struct error *err);
NODISCARD enum status export_merged(const struct export *e, enum export_type type, struct error *err);
NODISCARD enum status export_gguf(const struct export *e, enum export_type type, struct error *err);
NODISCARD enum status export_gguf_lora(const struct export *e, struct error *err);
NODISCARD enum status export_diffusers_lora(const struct export *e, struct error *err);
NODISCARD enum status export_kohya_lora(const struct export *e, struct error *err);

#endif
