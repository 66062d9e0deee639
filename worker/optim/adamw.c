#include "worker/optim/adamw.h"

#include <math.h>
#include <stdlib.h>

/* Floats from one array to the next in a buffer. */
static size_t aligned(size_t count) {
  enum { EACH = PLACE_ALIGN / sizeof(float) };
  return (count + EACH - 1) / EACH * EACH;
}

/* The moments of all parameters lie in one buffer, m and v of each side by side; what is frozen has none. */
enum status adamw_init(struct adamw *adamw, const struct parameter_list *parameters, struct backend *backend,
                       struct error *err) {
  size_t count = parameter_trained(parameters), floats = 1;
  struct place at = {0};
  for (size_t i = 0; i < parameters->count; i++)
    floats += parameters->item[i]->frozen ? 0 : 2 * aligned(parameters->item[i]->count);
  adamw->steps = 0;
  adamw->buffers = (struct buffers){.backend = backend};
  adamw->slice_count = parameters->count;
  adamw->slices = calloc(parameters->count + 1, sizeof *adamw->slices);
  enum status status = adamw->slices ? buffers_new(&adamw->buffers, &at, floats * sizeof(float), err)
                                     : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory");
  if (status) {
    adamw_done(adamw);
    return error_prefix(err, "the optimiser's state of %zu parameters", count);
  }
  for (size_t i = 0; i < parameters->count; i++) {
    const struct parameter *p = parameters->item[i];
    size_t trained = p->frozen ? 0 : p->count, bytes = aligned(trained) * sizeof(float);
    adamw->slices[i] = (struct adamw_slice){.p = p->at,
                                            .grad = p->grad_at,
                                            .m = at,
                                            .v = place_at(at, bytes),
                                            .count = trained,
                                            .lr_ratio = p->lr_ratio,
                                            .decay = p->decay};
    at = place_at(at, 2 * bytes);
  }
  return STATUS_OK;
}

void adamw_done(struct adamw *adamw) {
  buffers_release(&adamw->buffers);
  free(adamw->slices);
  adamw->slices = NULL;
  adamw->slice_count = 0;
}

enum status adamw_update(struct adamw *adamw, double learning_rate, double *norm, struct error *err) {
  struct backend *backend = adamw->buffers.backend;
  *norm = sqrt(backend->ops->grad_squares(backend, adamw->slices, adamw->slice_count));
  if (!isfinite(*norm))
    return error_set(err, STATUS_NAN_LOSS, NULL, "the gradient stopped being finite at step %lld; lower learning_rate",
                     (long long)adamw->steps + 1);
  double clip = 1;
  if (adamw->max_grad_norm > 0 && adamw->max_grad_norm < *norm + 1e-6)
    clip = adamw->max_grad_norm / (*norm + 1e-6);
  adamw->steps++;
  bool corrected = !adamw->uncorrected;
  const struct adamw_step step = {
      .grad_scale = (float)clip,
      .beta1 = (float)adamw->beta1,
      .beta2 = (float)adamw->beta2,
      .epsilon = (float)adamw->epsilon,
      .step_size = corrected ? learning_rate / (1 - pow(adamw->beta1, (double)adamw->steps)) : learning_rate,
      .root_scale = (float)(corrected ? 1 / sqrt(1 - pow(adamw->beta2, (double)adamw->steps)) : 1),
      .decay = learning_rate * adamw->weight_decay,
  };
  backend->ops->adamw(backend, adamw->slices, adamw->slice_count, &step);
  return STATUS_OK;
}
