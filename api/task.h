/* The order a worker gets: one JSON document on file descriptor 3, written by the daemon's
   supervisor, parsed by reflect-worker. Paths are absolute. */
#ifndef API_TASK_H
#define API_TASK_H

#include <jansson.h>
#include <stdint.h>

#include "api/job.h"

enum task_kind {
  TASK_TRAIN,    /* train `spec` and publish artifacts in output_dir */
  TASK_CHECK,    /* read the file `training` from end to end and report what is in it */
  TASK_INSPECT,  /* open the base model in model_dir and report what it is good for */
  TASK_ESTIMATE, /* make ready what trains `spec`, report what it will take, and train nothing */
  TASK_PLAN,     /* make ready what trains `spec`, report what memory it is planned to take, and run nothing */
  TASK_SURVEY,   /* read `training` and say what is in it beside `validation` (may be none), for the columns of `spec`;
                    its   examples' tokens where there is a model_dir */
  TASK_EXPORT,   /* write the adapter at `start` of a finished job in the formats `exports` to output_dir */
  TASK_GENERATE, /* hold the base model in model_dir and answer the lines of api/generation.h until they end; the
                    adapters are folders of output_dir */
  TASK_COMPARE,  /* compare the maps of two folders and report how like they are; the command line's alone */
};

enum { TASK_RESUME_MAX = 16 };

struct task_file {
  const char *id;       /* "file-..." */
  const char *path;     /* the bytes on disk */
  const char *filename; /* as the user named it: its extension (.jsonl, .csv, .tsv) gives the format */
};

/* What a COMPARE reads, and so measures (worker/compare.h). */
enum map_kind { MAPS_SEGMENTATION, MAPS_LANDMARK, MAPS_CANNY, MAPS_EDGES, MAP_KIND_COUNT };
extern const char *const map_kind_names[MAP_KIND_COUNT + 1]; /* "segmentation", ...; NULL ends them */

struct task_maps {
  const char *truth_dir; /* the originals' */
  const char *maps_dir;  /* of what is measured */
  int kind;              /* enum map_kind */
  int64_t ignore;        /* SEGMENTATION: the class, as 0xrrggbb, that is left out where the truth has it; -1: none */
  double scale;          /* LANDMARK: of the truth's coordinates */
};

struct task {
  enum task_kind kind;
  const char *job_id;           /* TRAIN */
  const char *request_id;       /* TRAIN: of the request that made the job, for the log; NULL: not known */
  int64_t attempt;              /* TRAIN: for the log */
  const char *fine_tuned_model; /* TRAIN: the name the adapter will have */
  /* An ESTIMATE and a PLAN have what a TRAIN has, but job_id, fine_tuned_model and resume; output_dir where they run on
     a device. */
  const char *model_dir;       /* TRAIN, EXPORT, INSPECT, GENERATE: the base model's folder, or its .gguf file */
  const char *output_dir;      /* TRAIN: exists and is empty; EXPORT, GENERATE: exists */
  struct string_list resume;   /* TRAIN: state files of this job (EVENT_STATE), newest first: training goes on from the
                                  first that is whole and of this job, a warning names each other and why; where none
                                  is, a warning says that it starts anew. Empty: it starts. At most TASK_RESUME_MAX */
  const char *start;           /* TRAIN: NULL, or the adapter to start from; EXPORT: the adapter. A folder with
                                  adapter_config.json and adapter_model.safetensors, or an archive of one */
  const char *clip_dir;        /* the model of spec.image.clip_model; NULL: none */
  const char *dino_dir;        /* likewise of dino_model */
  struct string_list exports;  /* EXPORT: normalised */
  struct task_file training;   /* TRAIN, CHECK */
  struct task_file validation; /* path NULL: none */
  int64_t memory_bytes;        /* GENERATE: of the KV caches and adapters together, at most; TRAIN, ESTIMATE, PLAN: a
                                  step is planned so that the process takes no more, as far as that can be; 0: see
                                  learner.h */
  int64_t memory_bytes_max;    /* TRAIN, ESTIMATE: what is planned to take more does not fit; 0: no limit */
  int64_t threads;             /* 0: all cores this process may use */
  int matmul;                  /* TRAIN: enum matmul_library */
  const char *device;          /* TRAIN: where it runs ("opencl:0"); NULL: the CPU */
  bool device_may_fit;         /* TRAIN: the CPU where the job's memory does not fit the device */
  struct job_spec spec;        /* TRAIN, EXPORT, ESTIMATE, PLAN */
  struct task_maps maps;       /* COMPARE */
};

NODISCARD json_t *task_json(const struct task *task);
/* Strings live in `arena`; spec.metadata borrows from `document`. */
NODISCARD enum status task_parse(struct task *out, const json_t *document, struct arena *arena, struct error *err);

#endif
