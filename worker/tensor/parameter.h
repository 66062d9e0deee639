/* What training changes: a named array with its gradient. */
#ifndef WORKER_TENSOR_PARAMETER_H
#define WORKER_TENSOR_PARAMETER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "worker/backend/backend.h"

struct parameter {
  const char *key;  /* in its file: "base_model.model.<module>.hra_u" */
  const char *file; /* NULL: adapter_model.safetensors; else another one beside it, which PEFT does not know */
  int rank;
  int64_t shape[4]; /* outermost first */
  size_t count;     /* elements */
  /* On the host, and where the backend has them: the same memory, or copies that parameter_upload and
     parameter_download bring in step. */
  float *data;
  float *grad; /* zeroed before each step; ops add to it */
  struct place at, grad_at;
  double lr_ratio; /* its learning rate is so many times the step's; 1 at first */
  bool decay;      /* weight decay applies (not to biases and norms) */
  bool frozen;     /* saved like the others, but never changed */
  /* Its tensor in the file is this one and then the tail, along a dimension; NULL: this one alone. */
  struct parameter *tail, *tail_of;
  int tail_dimension;
};

/* Every trainable parameter of a run, in the order in which they were made. Memory is the arena's. On a backend with
   memory of its own many lie in one buffer, and their gradients at the same offsets in another one: what is done with
   all of them is a few launches. */
struct parameter_list {
  struct arena *arena;
  struct buffers *buffers;     /* owner of the backend's copies; NULL: parameters are in host memory */
  struct parameter_slab *slab; /* the last one; NULL: none */
  struct parameter **item;
  size_t count, max;
};

/* A new zeroed parameter appended to the list; NULL when memory runs out. `key` is copied. */
struct parameter *parameter_add_shaped(struct parameter_list *list, const char *key, int rank, const int64_t *shape);
/* The same for a matrix (rank 2) or a vector (rank 1; cols is ignored). */
struct parameter *parameter_add(struct parameter_list *list, const char *key, int rank, int64_t rows, int64_t cols);
/* Data and gradient, backend to host (pull) and host to backend (push). */
void parameter_pull(struct parameter *parameter, struct backend *backend);
void parameter_push(struct parameter *parameter, struct backend *backend);
/* All of them. */
void parameter_upload(const struct parameter_list *list);
NODISCARD enum status parameter_download(const struct parameter_list *list, struct error *err);
void parameter_zero_grads(struct parameter_list *list);
size_t parameter_elements(const struct parameter_list *list);
/* Without those that are frozen. */
size_t parameter_trained(const struct parameter_list *list);

#endif
