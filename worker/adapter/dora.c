/* DoRA (Liu et al., 2024): W' = m o (W + s B A) / ||W + s B A||, a length m_i for each row and LoRA for its direction.
   As in PEFT the lengths that are divided by are constants of the backward pass (section 4.3 there). In op_linear's
   contract: LoRA's factors, and scale_i = m_i / ||w_i + s b_i A||.

   B A is never formed:
     ||w_i + s b_i A||^2 = ||w_i||^2 + s b_i . (2 W A^T + s B A A^T)_i
   Backward: LoRA's, and dm_i = grad_scale_i / ||w_i + s b_i A||. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/adapter/lora.h"

/* The squared length of w_i + s b_i A, or of w_i where B is zero. */
static double squared_length(const struct adapter *a, const float *w, size_t row, double *changed) {
  const struct lora_state *state = a->state;
  const float *A = a->parameters[LORA_A]->data, *b = a->parameters[LORA_B]->data + row * a->rank;
  size_t in = a->linear->in;
  double sum = 0;
  for (size_t j = 0; j < in; j++)
    changed[j] = (double)w[j];
  for (size_t k = 0; k < a->rank; k++)
    for (size_t j = 0; b[k] != 0 && j < in; j++)
      changed[j] += state->scale * (double)b[k] * (double)A[k * in + j];
  for (size_t j = 0; j < in; j++)
    sum += changed[j] * changed[j];
  return sum;
}

/* The magnitude at first, which leaves the lengths as they are, and squares[out] of the frozen rows. */
static enum status measure(const struct adapter *a, float *squares, struct error *err) {
  const struct linear *l = a->linear;
  float *scratch = malloc(l->in * sizeof *scratch);
  double *changed = malloc(l->in * sizeof *changed);
  enum status status = scratch && changed ? STATUS_OK : error_no_memory(err, "the adapter");
  for (size_t i = 0; !status && i < l->out; i++) {
    const float *w = weight_rows(&l->weight, i, 1, scratch);
    double sum = 0, length = sqrt(squared_length(a, w, i, changed));
    for (size_t j = 0; j < l->in; j++)
      sum += (double)w[j] * (double)w[j];
    squares[i] = (float)sum;
    a->parameters[LORA_MAGNITUDE]->data[i] = (float)length;
    if (!(length > 0))
      status = error_set(err, STATUS_INVALID_VALUE, "adapter.use_dora",
                         "row %zu of %s is all zeros: it has no direction, which use_dora needs", i, l->name);
  }
  free(scratch);
  free(changed);
  return status;
}

/* G = A A^T: R x R, on its way to the host and back. */
static enum status reserve_core(struct adapter *a, struct arena *arena, struct error *err) {
  a->told_count = a->given_count = a->low.R * a->low.R;
  a->told.host = arena_array(arena, a->told_count, sizeof(double));
  a->given.host = arena_array(arena, a->given_count, sizeof(double));
  return a->told.host && a->given.host ? STATUS_OK : error_no_memory(err, "the adapter");
}

static enum status dora_attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  size_t out = a->linear->out;
  enum status status = lora_attach(a, parameters, seed, err);
  struct lora_state *state = a->state;
  struct place own[2];
  if (status)
    return status;
  a->parameters[LORA_MAGNITUDE] =
      adapter_parameter(a, parameters, "lora_magnitude_vector", 1, (const int64_t[]){(int64_t)out});
  if (!a->parameters[LORA_MAGNITUDE])
    return error_no_memory(err, "the adapter");
  status = reserve_core(a, parameters->arena, err);
  status = status ? status : adapter_vectors(a, parameters, own, COUNT_OF(own), err);
  float *squares = status ? NULL : malloc(out * sizeof *squares);
  if (!status)
    status = squares ? measure(a, squares, err) : error_no_memory(err, "the adapter");
  if (!status) {
    state->squares = own[0];
    state->inverse_norms = own[1];
    if (parameters->buffers)
      parameters->buffers->backend->ops->write(parameters->buffers->backend, own[0], squares, out * sizeof *squares);
    else
      memcpy(place_floats(own[0]), squares, out * sizeof *squares);
  }
  free(squares);
  return status;
}

static void dora_forward_ask(struct adapter *a, struct backend *b) {
  lora_forward_factors(a, b);
  b->ops->gram(b, a->told, a->low.down, a->linear->in, a->low.R);
}

static enum status dora_forward_solve(struct adapter *a, struct error *err) {
  (void)err;
  memcpy(a->given.host, a->told.host, a->told_count * sizeof *a->told.host);
  return STATUS_OK;
}

static void dora_forward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  const struct lora_state *state = a->state;
  size_t out = a->linear->out, R = low->R;
  struct place F = low->up_t, V = low->grad_up; /* not in use between steps, or made anew below */
  b->ops->weight_times(b, F, &a->linear->weight, low->down, R, false);
  b->ops->times_core(b, V, R, low->up_back, R, out, R, a->given);
  b->ops->copy(b, &(struct strided_copy){.to = V,
                                         .to_row = R,
                                         .to_col = 1,
                                         .from = F,
                                         .from_row = R,
                                         .from_col = 1,
                                         .rows = out,
                                         .cols = R,
                                         .scale = 2,
                                         .accumulate = true});
  b->ops->inverse_norms(b, state->inverse_norms, state->squares, low->up_back, V, out, R);
  b->ops->multiply(b, a->scale.scale, a->parameters[LORA_MAGNITUDE]->at, state->inverse_norms, out, false);
  b->ops->copy(b, &(struct strided_copy){.to = low->up_t,
                                         .to_row = 1,
                                         .to_col = out,
                                         .from = low->up_back,
                                         .from_row = R,
                                         .from_col = 1,
                                         .rows = out,
                                         .cols = R,
                                         .scale = 1});
  adapter_zero_grads(a, b);
}

static void dora_backward_factors(struct adapter *a, struct backend *b) {
  const struct lora_state *state = a->state;
  lora_backward_factors(a, b);
  b->ops->multiply(b, a->parameters[LORA_MAGNITUDE]->grad_at, a->scale.grad_scale, state->inverse_norms, a->linear->out,
                   true);
}

static void dora_merge(const struct adapter *a, struct backend *b, float *merged) {
  size_t in = a->linear->in, out = a->linear->out;
  float *scale = adapter_fetch(b, a->scale.scale, out);
  adapter_merge_low_rank(a, b, merged);
  for (size_t i = 0; i < out; i++)
    for (size_t j = 0; j < in; j++)
      merged[i * in + j] *= scale[i];
  free(scale);
}

const struct adapter_ops adapter_dora = {.attach = dora_attach,
                                         .forward_ask = dora_forward_ask,
                                         .forward_solve = dora_forward_solve,
                                         .forward_factors = dora_forward_factors,
                                         .backward_factors = dora_backward_factors,
                                         .merge = dora_merge,
                                         .lr_ratio = lora_lr_ratio};
