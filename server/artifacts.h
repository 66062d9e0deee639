/* What a worker announces: noted at once, verified beside the loop when it has ended well, stored with the job. Only
   previews are stored when they are made, so that they are seen while the job runs, and however it ends. */
#ifndef SERVER_ARTIFACTS_H
#define SERVER_ARTIFACTS_H

#include "server/run.h"

struct announced {
  const char *name;
  const char *path; /* relative to the output folder */
  int64_t bytes;
  const char *sha256;
  bool result_file;
};
enum { ANNOUNCED_MAX = 256 };

struct artifacts {
  struct run *run;    /* whose they are */
  const char *output; /* its folder, relative to the data folder */
  size_t count;
  struct announced item[ANNOUNCED_MAX];
  uv_work_t work; /* reads them beside the loop */
  void (*verified)(struct run *run);
  int reads; /* how often they were, for what a disk cannot read it may read later */
  bool is_broken;
  struct error broken; /* the first that is not as announced, or could not be read */
};

/* An artifact event, of a preview or of what is the job's once it has succeeded. */
bool artifacts_is_preview(const struct event *event);
NODISCARD enum status artifacts_note(struct artifacts *artifacts, const struct event *event, struct error *err);
/* A preview: its row, at once. Inside a transaction. *forgotten grows by how many older ones go. */
NODISCARD enum status artifacts_store_preview(const struct artifacts *artifacts, const struct event *event,
                                              int64_t *forgotten, struct error *err);
/* Once the worker has ended: every announced file is read and compared with what was said of it; `verified` follows. */
void artifacts_verify(struct artifacts *artifacts, void (*verified)(struct run *run));
/* run_evidence, and what is known of them. */
struct evidence artifacts_evidence(const struct artifacts *artifacts);
/* Their rows. Inside a transaction. */
NODISCARD enum status artifacts_store(struct artifacts *artifacts, struct error *err);

#endif
