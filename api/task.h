/* The order a worker gets: one JSON document on file descriptor 3, written by the daemon's
   supervisor, parsed by reflect-worker. Paths are absolute. */
#ifndef API_TASK_H
#define API_TASK_H

#include <jansson.h>
#include <stdint.h>

#include "api/job.h"

enum task_kind {
  TASK_TRAIN,  /* train `spec` and publish artifacts in output_dir */
  TASK_CHECK,  /* read the file `training` from end to end and report what is in it */
};

struct task_file {
  const char *id;        /* "file-..." */
  const char *path;      /* the bytes on disk */
  const char *filename;  /* as the user named it: its extension (.jsonl, .csv, .tsv) gives the format */
};

struct task {
  enum task_kind kind;
  const char *job_id;            /* TRAIN */
  const char *fine_tuned_model;  /* TRAIN: the name the adapter will have */
  const char *model_dir;         /* TRAIN: the base model's folder */
  const char *output_dir;        /* TRAIN: exists and is empty */
  struct task_file training;
  struct task_file validation;   /* path NULL: none */
  int64_t threads;               /* 0: all cores this process may use */
  struct job_spec spec;          /* TRAIN */
};

NODISCARD json_t *task_json(const struct task *task);
/* Strings live in `arena`; spec.metadata borrows from `document`. */
NODISCARD enum status task_parse(struct task *out, const json_t *document, struct arena *arena, struct error *err);

#endif
