/* The tensors of a model with everything trained in it, by Hugging Face's names, in the order of the base's files; what
   those lack comes last. Numbers are made one tensor at a time. */
#ifndef WORKER_EXPORT_MERGED_TENSORS_H
#define WORKER_EXPORT_MERGED_TENSORS_H

#include "base/arena.h"
#include "worker/file/safetensors.h"
#include "worker/model/model.h"

struct merged_tensor {
  const char *name;
  int rank;
  int64_t shape[ST_RANK_MAX];
  const char *source; /* its name in the base's files; NULL: they lack it */
  const float *made;  /* its numbers then */
};

struct merged_tensors {
  const struct model *model;
  struct arena arena;
  struct merged_tensor *item;
  size_t count, largest; /* tensors; elements of the largest one */
  float *numbers;        /* [largest], from the first call of merged_tensors_read on */
};

/* The model must outlive *out. Empty after a failure; merged_tensors_done is due in any case. */
NODISCARD enum status merged_tensors_list(struct merged_tensors *out, const struct model *model, struct error *err);
void merged_tensors_done(struct merged_tensors *tensors);
size_t merged_tensor_elements(const struct merged_tensor *tensor);
/* Numbers of a tensor, in Hugging Face's order: valid until the next call. */
NODISCARD enum status merged_tensors_read(const float **out, struct merged_tensors *tensors, size_t index,
                                          struct error *err);

#endif
