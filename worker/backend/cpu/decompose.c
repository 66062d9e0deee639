#include "worker/backend/cpu/decompose.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* LAPACK's, with the lengths of the texts that Fortran adds. Matrices are column-major: k rows of ours, one after the
   other, are k columns there. */
extern void dgeqrf_(const blasint *m, const blasint *n, double *a, const blasint *lda, double *tau, double *work,
                    const blasint *lwork, blasint *info);
extern void dorgqr_(const blasint *m, const blasint *n, const blasint *k, double *a, const blasint *lda,
                    const double *tau, double *work, const blasint *lwork, blasint *info);
extern void dsyevr_(const char *jobz, const char *range, const char *uplo, const blasint *n, double *a,
                    const blasint *lda, const double *vl, const double *vu, const blasint *il, const blasint *iu,
                    const double *abstol, blasint *m, double *w, double *z, const blasint *ldz, blasint *isuppz,
                    double *work, const blasint *lwork, blasint *iwork, const blasint *liwork, blasint *info, size_t,
                    size_t, size_t);

enum {
  PANEL = 256,    /* rows or columns of W that are decoded at a time: whole blocks of any type */
  WORK_ROWS = 96, /* LAPACK's blocks, at most, and what dsyevr has beside them */
  WORK_INTS = 10, /* dsyevr's, for each row */
};

void decompose_begin(void) {
  openblas_set_num_threads(1);
}

static size_t shorter(const struct weight *w) {
  return w->rows < w->cols ? w->rows : w->cols;
}

static size_t longer(const struct weight *w) {
  return w->rows < w->cols ? w->cols : w->rows;
}

bool decompose_left_is_shorter(const struct weight *w) {
  return w->rows < w->cols;
}

/* --- parts of the weight -------------------------------------------------------------------------- */

/* A part of W in double: `rows` rows of `cols` columns. */
struct panel {
  float *decoded;
  double *numbers;
};

static size_t panel_bytes(const struct weight *w) {
  return PANEL * longer(w) * sizeof(double) + w->cols * sizeof(float);
}

static enum status panel_new(struct panel *out, const struct weight *w, struct error *err) {
  out->decoded = malloc(w->cols * sizeof *out->decoded);
  out->numbers = malloc(PANEL * longer(w) * sizeof *out->numbers);
  return out->decoded && out->numbers ? STATUS_OK : error_no_memory(err, "a decomposition");
}

static void panel_free(struct panel *p) {
  free(p->decoded);
  free(p->numbers);
}

static void panel_read(const struct panel *p, const struct weight *w, size_t row, size_t rows, size_t col,
                       size_t cols) {
  for (size_t i = 0; i < rows; i++) {
    const float *part = weight_part(w, row + i, col, cols, p->decoded);
    for (size_t j = 0; j < cols; j++)
      p->numbers[i * cols + j] = (double)part[j];
  }
}

static size_t part_of(size_t all, size_t first) {
  return all - first < PANEL ? all - first : PANEL;
}

enum status decompose_project(double *out, const struct weight *w, const double *basis, bool left, size_t k,
                              struct error *err) {
  struct panel p;
  CHECK(w->rows <= INT_MAX && w->cols <= INT_MAX && k <= shorter(w));
  blasint rows = (blasint)w->rows, cols = (blasint)w->cols, vectors = (blasint)k;
  enum status status = panel_new(&p, w, err);
  for (size_t row = 0; !status && row < w->rows; row += PANEL) {
    blasint n = (blasint)part_of(w->rows, row);
    panel_read(&p, w, row, (size_t)n, 0, w->cols);
    if (left)
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, vectors, cols, n, 1, basis + row, rows, p.numbers, cols,
                  row ? 1 : 0, out, cols);
    else
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, vectors, n, cols, 1, basis, cols, p.numbers, cols, 0,
                  out + row, rows);
  }
  panel_free(&p);
  return status;
}

/* The upper triangle of the shorter side's Gram matrix: W W^T by columns of W, or W^T W by rows. */
static enum status gram_of(double *gram, const struct weight *w, struct error *err) {
  struct panel p;
  bool left = decompose_left_is_shorter(w);
  blasint side = (blasint)shorter(w);
  enum status status = panel_new(&p, w, err);
  for (size_t at = 0; !status && at < longer(w); at += PANEL) {
    size_t n = part_of(longer(w), at);
    if (left)
      panel_read(&p, w, 0, w->rows, at, n);
    else
      panel_read(&p, w, at, n, 0, w->cols);
    cblas_dsyrk(CblasRowMajor, CblasUpper, left ? CblasNoTrans : CblasTrans, side, (blasint)n, 1, p.numbers,
                left ? (blasint)n : side, at ? 1 : 0, gram, side);
  }
  panel_free(&p);
  for (size_t i = 0; !status && i < (size_t)side; i++)
    if (!isfinite(gram[i * (size_t)side + i]))
      status = error_set(err, STATUS_INVALID_VALUE, NULL, "the weight has numbers that are not finite");
  return status;
}

/* --- LAPACK --------------------------------------------------------------------------------------- */

/* The k leading eigenvectors of a symmetric matrix (n x n, its upper triangle, which is spent), the one of the largest
   value first. */
static enum status eigenvectors(double *vectors, double *matrix, size_t n, size_t k, struct error *err) {
  blasint side = (blasint)n, first = side - (blasint)k + 1, found, info = 0;
  blasint work_count = (blasint)(WORK_ROWS * n), int_count = (blasint)(WORK_INTS * n);
  double none = 0, *values = malloc(n * sizeof *values), *work = malloc(WORK_ROWS * n * sizeof *work);
  double *ascending = malloc(k * n * sizeof *ascending);
  blasint *ints = malloc((WORK_INTS + 2) * n * sizeof *ints); /* and the supports of the vectors */
  enum status status = values && work && ascending && ints ? STATUS_OK : error_no_memory(err, "a decomposition");
  if (!status) {
    dsyevr_("V", k == n ? "A" : "I", "L", &side, matrix, &side, &none, &none, &first, &side, &none, &found, values,
            ascending, &side, ints + int_count, work, &work_count, ints, &int_count, &info, 1, 1, 1);
    if (info || found != (blasint)k)
      status = error_set(err, STATUS_INVALID_VALUE, NULL, "its singular vectors were not found");
  }
  for (size_t i = 0; !status && i < k; i++)
    memcpy(vectors + i * n, ascending + (k - 1 - i) * n, n * sizeof *vectors);
  free(values);
  free(work);
  free(ascending);
  free(ints);
  return status;
}

/* k vectors of n numbers become orthonormal ones that span the same: Q of Q R. */
static enum status orthonormalise(double *vectors, size_t n, size_t k, struct error *err) {
  blasint rows = (blasint)n, cols = (blasint)k, count = (blasint)(WORK_ROWS * k), info;
  double *tau = malloc(k * sizeof *tau), *work = malloc(WORK_ROWS * k * sizeof *work);
  enum status status = tau && work ? STATUS_OK : error_no_memory(err, "a decomposition");
  if (!status) {
    dgeqrf_(&rows, &cols, vectors, &rows, tau, work, &count, &info);
    CHECK(info == 0);
    dorgqr_(&rows, &cols, &cols, vectors, &rows, tau, work, &count, &info);
    CHECK(info == 0);
  }
  free(tau);
  free(work);
  return status;
}

/* --- bases ---------------------------------------------------------------------------------------- */

size_t decompose_bytes(const struct weight *w, size_t k, bool leading) {
  size_t side = shorter(w);
  size_t numbers = k * longer(w) + WORK_ROWS * k + k * k + (leading ? side * (side + k + WORK_ROWS + WORK_INTS) : 0);
  return panel_bytes(w) + numbers * sizeof(double);
}

enum status decompose_leading(double *basis, const struct weight *w, size_t k, struct error *err) {
  size_t side = shorter(w);
  CHECK(k > 0 && k <= side && longer(w) <= INT_MAX);
  double *gram = malloc(side * side * sizeof *gram);
  enum status status = gram ? gram_of(gram, w, err) : error_no_memory(err, "a decomposition");
  status = status ? status : eigenvectors(basis, gram, side, k, err);
  free(gram);
  return status;
}

/* Turns the basis to the singular vectors of what W is in it: with basis W = p, to the eigenvectors of p p^T. */
static enum status turn(double *basis, const double *p, const struct weight *w, size_t k, struct error *err) {
  blasint vectors = (blasint)k, side = (blasint)shorter(w), other = (blasint)longer(w);
  double *gram = malloc(2 * k * k * sizeof *gram), *turned = malloc(k * longer(w) * sizeof *turned);
  enum status status = gram && turned ? STATUS_OK : error_no_memory(err, "a decomposition");
  if (!status) {
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, vectors, side, 1, p, side, 0, gram, vectors);
    status = eigenvectors(gram + k * k, gram, k, k, err);
  }
  if (!status) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, vectors, other, vectors, 1, gram + k * k, vectors, basis,
                other, 0, turned, other);
    memcpy(basis, turned, k * longer(w) * sizeof *basis);
  }
  free(gram);
  free(turned);
  return status;
}

static bool all_finite(const double *numbers, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += numbers[i] * 0;
  return sum == 0;
}

enum status decompose_range(double *basis, const struct weight *w, size_t k, int64_t iterations, struct rng *rng,
                            struct error *err) {
  bool left = !decompose_left_is_shorter(w);
  CHECK(k > 0 && k <= shorter(w));
  double *other = malloc(k * shorter(w) * sizeof *other);
  if (!other)
    return error_no_memory(err, "a decomposition");
  for (size_t i = 0; i < k * shorter(w); i++)
    other[i] = rng_normal(rng);
  enum status status = decompose_project(basis, w, other, !left, k, err);
  if (!status && !all_finite(basis, k * longer(w)))
    status = error_set(err, STATUS_INVALID_VALUE, NULL, "the weight has numbers that are not finite");
  status = status ? status : orthonormalise(basis, longer(w), k, err);
  for (int64_t i = 0; !status && i < iterations; i++) {
    status = decompose_project(other, w, basis, left, k, err);
    status = status ? status : orthonormalise(other, shorter(w), k, err);
    status = status ? status : decompose_project(basis, w, other, !left, k, err);
    status = status ? status : orthonormalise(basis, longer(w), k, err);
  }
  status = status ? status : decompose_project(other, w, basis, left, k, err);
  status = status ? status : turn(basis, other, w, k, err);
  free(other);
  return status;
}

enum status decompose_qr(double *basis, const struct weight *w, size_t k, struct error *err) {
  size_t block = weight_block(w), cols = (k + block - 1) / block * block;
  CHECK(k > 0 && k <= shorter(w));
  float *row = malloc(cols * sizeof *row);
  if (!row)
    return error_no_memory(err, "a decomposition");
  for (size_t i = 0; i < w->rows; i++) {
    const float *part = weight_part(w, i, 0, cols, row);
    for (size_t j = 0; j < k; j++)
      basis[j * w->rows + i] = (double)part[j];
  }
  free(row);
  if (!all_finite(basis, k * w->rows))
    return error_set(err, STATUS_INVALID_VALUE, NULL, "the weight has numbers that are not finite");
  return orthonormalise(basis, w->rows, k, err);
}
