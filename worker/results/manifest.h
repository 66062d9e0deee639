/* training_manifest.json: what a training was made of and what came of it, so that anybody can look whether that is
   what he has. */
#ifndef WORKER_RESULTS_MANIFEST_H
#define WORKER_RESULTS_MANIFEST_H

#include "worker/data/dataset.h"
#include "worker/train/training.h"

/* {id, filename, bytes, sha256} of a data file. */
NODISCARD enum status manifest_data(json_t **out, const struct task_file *file, struct error *err);
/* A new object. `files`: the {name, bytes, sha256} of what was written, borrowed; `learnt`: the examples; NULL: they
 * have no labels. */
NODISCARD enum status manifest_make(json_t **out, struct training *training, const struct dataset *learnt,
                                    json_t *files, struct error *err);

#endif
