/* What a reference case has, and how near our numbers are to it. */
#ifndef TESTS_GOLDEN_REFERENCE_H
#define TESTS_GOLDEN_REFERENCE_H

#include "worker/train/learner.h"

struct worst {
  double output, loss, gradient, parameter, merged;
  bool output_only; /* nothing is trained: the others say nothing */
};

struct reference {
  struct safetensors io;
  struct arena arena;
};

/* A tensor of io.safetensors as floats, in the reference's arena. */
enum status reference_get(float **out, size_t *count, struct reference *ref, const char *name, struct error *err);
/* ||a - b|| / ||b|| */
double reference_norm_error(const float *a, const float *b, size_t n);
/* The largest difference relative to the largest magnitude. */
double reference_max_error(const float *a, const float *b, size_t n);
/* Raises *worst to the error of the parameters, or their gradients, against the tensors prefix.KEY. */
enum status reference_parameters(double *worst, const struct model *model, struct reference *ref, const char *prefix,
                                 bool gradients, struct error *err);
/* Likewise of the first adapted weight with its adapter merged. */
enum status reference_merged(double *worst, struct learner *learner, struct reference *ref, struct error *err);

#endif
