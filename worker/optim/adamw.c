#include "worker/optim/adamw.h"

#include <math.h>
#include <stdlib.h>

enum status adamw_init(struct adamw *adamw, const struct parameter_list *parameters, struct error *err) {
  size_t count = parameter_elements(parameters);
  adamw->steps = 0;
  adamw->m = calloc(count + 1, sizeof *adamw->m);
  adamw->v = calloc(count + 1, sizeof *adamw->v);
  if (adamw->m && adamw->v)
    return STATUS_OK;
  adamw_done(adamw);
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the optimiser's state of %zu parameters", count);
}

void adamw_done(struct adamw *adamw) {
  free(adamw->m);
  free(adamw->v);
  adamw->m = adamw->v = NULL;
}

enum status adamw_update(struct adamw *adamw, const struct parameter_list *parameters, const struct backend *backend,
                         double learning_rate, double *norm, struct error *err) {
  double squares = 0;
  for (size_t i = 0; i < parameters->count; i++)
    squares += backend->kernels->sum_squares(parameters->item[i]->grad, parameters->item[i]->count);
  *norm = sqrt(squares);
  if (!isfinite(*norm))
    return error_set(err, STATUS_NAN_LOSS, NULL, "the gradient stopped being finite at step %lld; lower learning_rate",
                     (long long)adamw->steps + 1);
  double clip = 1;
  if (adamw->max_grad_norm > 0 && adamw->max_grad_norm < *norm + 1e-6)
    clip = adamw->max_grad_norm / (*norm + 1e-6);
  adamw->steps++;
  double step_size = learning_rate / (1 - pow(adamw->beta1, (double)adamw->steps));
  double root_scale = 1 / sqrt(1 - pow(adamw->beta2, (double)adamw->steps));
  size_t at = 0;
  for (size_t i = 0; i < parameters->count; i++) {
    struct parameter *p = parameters->item[i];
    double decay = p->decay ? 1 - learning_rate * adamw->weight_decay : 1;
    backend->kernels->adamw(p->data, adamw->m + at, adamw->v + at, p->grad, p->count, (float)clip, (float)adamw->beta1,
                            (float)adamw->beta2, (float)adamw->epsilon, (float)step_size, (float)root_scale,
                            (float)decay);
    at += p->count;
  }
  return STATUS_OK;
}
