/* Householder Reflection Adaptation (Yuan et al., NeurIPS 2024): W' = W H1 ... Hr with
   Hi = I - 2 u_i u_i^T / |u_i|^2 and the u_i the columns of U (in x r, PEFT's hra_u).

   With S = U^T U and M = mask o S, where mask is 1/2 on the diagonal, 1 above and 0 below,
   H1 ... Hr = I - U M^-1 U^T (compact WY; Schreiber and Van Loan, 1989); with Gram-Schmidt
   (apply_GS) mask is 1/2 everywhere and H = I - 2 U S^-1 U^T, the reflection in the whole span.
   So W' = W - F M^-1 U^T with F = W U: a rank-r change, run by op_linear (adapter.h). The length of
   u_i is divided out by M's diagonal; no column is ever normalised.

   Backward, from the accumulated X^T C, dY^T Q and K = C^T Q:
     dU = -X^T C + U (G + G^T) - W^T (dY^T Q),  G = mask o K. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "worker/adapter/adapter.h"

/* A squared column length, or a Cholesky pivot relative to its diagonal, below this is singular. */
static const double TINY = 1e-12;

/* Matrices to work in, rank x rank, which the host keeps: a step allocates nothing. */
enum { GRAM, L_OF_S, HALF, MATRICES };

static double *own(const struct adapter *a, int which) {
  return (double *)a->state + (size_t)which * a->rank * a->rank;
}

/* What the host gives: M^-1 and its transpose forward, the coefficients T backward. */
enum { CORE, CORE_T };

static struct core given(const struct adapter *a, int which) {
  size_t at = (size_t)which * adapter_room(a->rank * a->rank);
  return (struct core){a->given.host + at, place_at(a->given.at, at * sizeof(float))};
}

static double mask_at(bool gram_schmidt, size_t i, size_t j) {
  return gram_schmidt || i == j ? 0.5 : i < j ? 1.0 : 0.0;
}

/* Paired start: columns 2k and 2k + 1 are equal, H_2k H_2k+1 = I, so training starts at W' = W.
   The bound is that of PEFT's kaiming_uniform(a = sqrt 5), whose fan-in is the number of columns. */
static void hra_initialise(struct adapter *a, uint64_t seed) {
  size_t in = a->linear->in, r = a->rank;
  struct rng rng;
  adapter_rng(&rng, a, seed, "");
  bool paired = a->spec->hra.init_weights && r % 2 == 0 && !a->spec->hra.apply_GS;
  size_t columns = paired ? r / 2 : r, copies = paired ? 2 : 1;
  float bound = 1.0f / sqrtf((float)columns);
  for (size_t i = 0; i < in; i++)
    for (size_t j = 0; j < columns; j++) {
      float u = (2 * rng_uniform(&rng) - 1) * bound;
      for (size_t c = 0; c < copies; c++)
        a->parameters[0]->data[i * r + j * copies + c] = u;
    }
}

static enum status hra_attach(struct adapter *a, struct parameter_list *parameters, uint64_t seed, struct error *err) {
  const struct hra_spec *spec = &a->spec->hra;
  size_t r = (size_t)spec->r;
  const char *module = a->linear->name;
  if (spec->apply_GS && r > a->linear->in)
    return error_set(err, STATUS_INVALID_VALUE, "adapter.r",
                     "r is %zu, but %s has only %zu inputs: Gram-Schmidt needs r <= inputs", r, module, a->linear->in);
  const int64_t shape[] = {(int64_t)a->linear->in, (int64_t)r};
  a->parameters[0] = adapter_parameter(a, parameters, "hra_u", 2, shape);
  a->given_count = 2 * adapter_room(r * r);
  a->told_count = (r + 7) / 8 * 8 * ((r + 7) / 8 * 8); /* S, or K in adapter_low_rank's R x R */
  a->state = arena_array(parameters->arena, MATRICES * r * r, sizeof(double));
  a->told.host = arena_array(parameters->arena, a->told_count, sizeof(double));
  a->given.host = arena_array(parameters->arena, a->given_count, sizeof(double));
  if (!a->parameters[0] || !a->state || !a->told.host || !a->given.host)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", module);
  enum status status = adapter_low_rank(a, parameters, r, false, err);
  if (status)
    return status;
  a->low.sign = -1;
  hra_initialise(a, seed);
  return STATUS_OK;
}

/* inverse = (upper triangular T)^-1, by back substitution on the columns of I. */
static void invert_upper(double *inverse, const double *T, size_t r) {
  memset(inverse, 0, r * r * sizeof *inverse);
  for (size_t c = 0; c < r; c++)
    for (size_t i = c + 1; i-- > 0;) {
      double sum = i == c;
      for (size_t k = i + 1; k <= c; k++)
        sum -= T[i * r + k] * inverse[k * r + c];
      inverse[i * r + c] = sum / T[i * r + i];
    }
}

/* inverse = (S / 2)^-1 = 2 L^-1 L^-T with S = L^T L, L upper triangular. False at a pivot that is
   all rounding. `L` and `half` are r x r of scratch. */
static bool invert_gram(double *inverse, const double *S, double *L, double *half, size_t r) {
  memset(L, 0, r * r * sizeof *L);
  for (size_t i = 0; i < r; i++) {
    double pivot = S[i * r + i];
    for (size_t k = 0; k < i; k++)
      pivot -= L[k * r + i] * L[k * r + i];
    if (!(pivot > TINY * S[i * r + i]))
      return false;
    L[i * r + i] = sqrt(pivot);
    for (size_t j = i + 1; j < r; j++) {
      double sum = S[i * r + j];
      for (size_t k = 0; k < i; k++)
        sum -= L[k * r + i] * L[k * r + j];
      L[i * r + j] = sum / L[i * r + i];
    }
  }
  invert_upper(half, L, r);
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < r; j++) {
      double sum = 0;
      for (size_t k = i > j ? i : j; k < r; k++)
        sum += half[i * r + k] * half[j * r + k];
      inverse[i * r + j] = 2 * sum;
    }
  return true;
}

/* ||I - Uh^T Uh||_F, Uh = U with unit columns. */
static double penalty_of(const double *S, size_t r) {
  double sum = 0;
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < r; j++) {
      double e = (i == j) - S[i * r + j] / sqrt(S[i * r + i] * S[j * r + j]);
      sum += i == j ? 0 : e * e;
    }
  return sqrt(sum);
}

/* Factors of op_linear's contract from U and M^-1. */
static void hra_forward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = low->R;
  struct place U = a->parameters[0]->at;
  struct place padded = low->grad_down, F = low->grad_up;             /* not in use between steps */
  b->ops->times_core(b, low->down, R, U, r, in, r, given(a, CORE_T)); /* U M^-T */
  struct strided_copy copy = {.from = U, .rows = in, .cols = r, .from_row = r, .from_col = 1, .scale = 1};
  copy.to = padded;
  copy.to_row = R;
  copy.to_col = 1;
  b->ops->copy(b, &copy);
  copy.to = low->down_back_t; /* U^T */
  copy.to_row = 1;
  copy.to_col = in;
  b->ops->copy(b, &copy);
  b->ops->weight_times(b, F, &a->linear->weight, padded, R, false);
  b->ops->times_core(b, low->up_back, R, F, R, out, r, given(a, CORE)); /* F M^-1 */
  copy = (struct strided_copy){.from = F, .rows = out, .cols = r, .from_row = R, .from_col = 1, .scale = 1};
  copy.to = low->up_t; /* F^T */
  copy.to_row = 1;
  copy.to_col = out;
  b->ops->copy(b, &copy);
  adapter_zero_grads(a, b);
}

static void hra_forward_ask(struct adapter *a, struct backend *b) {
  b->ops->gram(b, a->told, a->parameters[0]->at, a->linear->in, a->rank);
}

/* S must give a direction to each reflection. */
static enum status check_lengths(const struct adapter *a, const double *S, struct error *err) {
  size_t r = a->rank;
  for (size_t i = 0; i < r; i++)
    if (!(S[i * r + i] > TINY) || !isfinite(S[i * r + i]))
      return error_set(err, isfinite(S[i * r + i]) ? STATUS_INVALID_VALUE : STATUS_NAN_LOSS, "adapter.r",
                       "reflection %zu of %s has length %g: it defines no direction", i, a->linear->name,
                       sqrt(S[i * r + i]));
  return STATUS_OK;
}

static enum status hra_forward_solve(struct adapter *a, struct error *err) {
  size_t r = a->rank;
  double *S = own(a, GRAM), *L = own(a, L_OF_S), *core = given(a, CORE).host, *transposed = given(a, CORE_T).host;
  memcpy(S, a->told.host, r * r * sizeof *S);
  enum status status = check_lengths(a, S, err);
  if (status)
    return status;
  if (a->spec->hra.apply_GS) {
    if (!invert_gram(core, S, L, own(a, HALF), r))
      return error_set(err, STATUS_INVALID_VALUE, "adapter.apply_GS",
                       "the reflections of %s are linearly dependent: Gram-Schmidt is singular there", a->linear->name);
  } else {
    for (size_t i = 0; i < r; i++)
      for (size_t j = 0; j < r; j++)
        L[i * r + j] = mask_at(false, i, j) * S[i * r + j];
    invert_upper(core, L, r);
  }
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < r; j++)
      transposed[i * r + j] = core[j * r + i];
  a->penalty = penalty_of(S, r);
  return STATUS_OK;
}

/* Adds weight * d penalty / dU to the coefficients T of dU += U T. From S alone: with norms n_i,
   G = Uh^T Uh, E = G - I, L = ||E||: d/du_i = (2 / L) (sum_j uh_j E_ji - uh_i sum_j G_ij E_ji) / n_i. */
static void penalty_backward(const struct adapter *a, double *T, double weight) {
  size_t r = a->rank;
  double L = a->penalty;
  const double *S = own(a, GRAM);
  for (size_t i = 0; i < r; i++) {
    double own = 0, ni = sqrt(S[i * r + i]);
    for (size_t j = 0; j < r; j++) {
      double nj = sqrt(S[j * r + j]), G = S[i * r + j] / (ni * nj), E = i == j ? 0 : G;
      T[j * r + i] += weight * 2 / L * E / (nj * ni);
      own += G * E;
    }
    T[i * r + i] -= weight * 2 / L * own / (ni * ni);
  }
}

static void hra_backward_ask(struct adapter *a, struct backend *b) {
  b->ops->copy_core(b, a->told, a->low.grad_core, a->low.R * a->low.R);
}

static void hra_backward_solve(struct adapter *a, double penalty_weight) {
  size_t r = a->rank, R = a->low.R;
  bool gs = a->spec->hra.apply_GS;
  const double *K = a->told.host;
  double *T = given(a, CORE).host;
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < r; j++)
      T[i * r + j] = mask_at(gs, i, j) * K[i * R + j] + mask_at(gs, j, i) * K[j * R + i];
  if (penalty_weight > 0 && a->penalty > 0)
    penalty_backward(a, T, penalty_weight);
}

static void hra_backward_factors(struct adapter *a, struct backend *b) {
  const struct low_rank *low = &a->low;
  size_t r = a->rank, R = low->R;
  /* grad_down becomes X^T C + W^T (dY^T Q) */
  b->ops->weight_times(b, low->grad_down, &a->linear->weight, low->grad_up, R, true);
  b->ops->add_times_core(b, a->parameters[0]->grad_at, a->parameters[0]->at, low->grad_down, R, a->linear->in, r,
                         given(a, CORE));
}

/* A = U^T, B = -W U M^-1. */
static void hra_low_rank(const struct adapter *a, struct backend *b, float *A, float *B) {
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, R = a->low.R;
  float *up_back = adapter_fetch(b, a->low.up_back, out * R);
  b->ops->read(b, A, a->low.down_back_t, r * in * sizeof *A);
  for (size_t o = 0; o < out; o++)
    for (size_t j = 0; j < r; j++)
      B[o * r + j] = -up_back[o * R + j];
  free(up_back);
}

/* tr(I - H) = tr(M^-1 S), and H is orthogonal, so 1 minus its share of each of the r dimensions is the mean cosine.
   With Gram-Schmidt M^-1 = 2 S^-1: always a reflection of the whole span. */
static void hra_telemetry(const struct adapter *a, struct adapter_telemetry *out) {
  size_t r = a->rank;
  const double *S = own(a, GRAM);
  double *inverse = own(a, HALF), trace = 2 * (double)r, sum = 0;
  *out = (struct adapter_telemetry){0};
  if (!a->spec->hra.apply_GS) {
    trace = 0;
    invert_upper(inverse, own(a, L_OF_S), r);
    for (size_t i = 0; i < r; i++)
      for (size_t j = i; j < r; j++)
        trace += inverse[i * r + j] * S[j * r + i];
  }
  for (size_t i = 0; i < r; i++)
    for (size_t j = 0; j < i; j++) {
      double cosine = fabs(S[i * r + j]) / sqrt(S[i * r + i] * S[j * r + j]);
      sum += cosine;
      out->defect_max = fmax(out->defect_max, cosine);
    }
  out->angle = acos(fmax(-1, fmin(1, 1 - trace / (double)r)));
  out->defect = r > 1 ? 2 * sum / (double)(r * (r - 1)) : 0;
}

const struct adapter_ops adapter_hra = {.attach = hra_attach,
                                        .forward_ask = hra_forward_ask,
                                        .forward_solve = hra_forward_solve,
                                        .forward_factors = hra_forward_factors,
                                        .backward_ask = hra_backward_ask,
                                        .backward_solve = hra_backward_solve,
                                        .backward_factors = hra_backward_factors,
                                        .merge = adapter_merge_low_rank,
                                        .low_rank = hra_low_rank,
                                        .telemetry = hra_telemetry};
