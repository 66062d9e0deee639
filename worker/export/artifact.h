/* The files that a format is written as: each is published in the output folder and then announced with its size and
   hash. */
#ifndef WORKER_EXPORT_ARTIFACT_H
#define WORKER_EXPORT_ARTIFACT_H

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

/* Tells the daemon of output_dir/path under `name`. */
NODISCARD enum status export_announce(const struct export *e, const char *name, const char *path, bool result_file,
                                      struct error *err);
/* Packs the folder output_dir/folder (its files and those of folders in it, in the order of their names) as
   output_dir/<folder>.tar, removes the folder and announces the archive. */
NODISCARD enum status export_pack(const struct export *e, const char *folder, struct error *err);

#endif
