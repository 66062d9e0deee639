/* Matmuls with frozen weights by a device's own library: its operands are made ready in memory of a fixed size, a panel
   at a time, where they are not there as the library takes them. */
#include "worker/backend/device/device_op.h"

enum { PANEL_BYTES = 32 << 20, COLS_EACH = 8 };

enum { WEIGHT_PANEL, INPUT_PANEL, PANELS };

size_t device_library_bytes(void) {
  return (size_t)PANELS * PANEL_BYTES;
}

/* Numbers from a row of a panel to the next: 16 bytes and more, as tensor cores take them. */
static size_t stride_of(size_t cols) {
  return device_groups(cols, COLS_EACH) * COLS_EACH;
}

static size_t rows_of_panel(size_t cols, size_t size) {
  CHECK(stride_of(cols) * size <= PANEL_BYTES);
  return PANEL_BYTES / (stride_of(cols) * size);
}

static struct place panel(const struct backend *backend, int which) {
  return place_at(backend->device->library, (size_t)which * PANEL_BYTES);
}

/* A walk over the panels of a product. */
struct walk {
  struct backend *backend;
  const struct device_matmul *m;
  size_t N, K;
  bool bf16, direct; /* the weight is taken where it lies */
  size_t input;      /* 1 + the first row of the inputs that are rounded now */
};

/* Rows [first, first + rows) of the weight. */
static struct place weight_panel(const struct walk *p, size_t first, size_t rows) {
  const struct weight *w = p->m->weight;
  if (p->direct)
    return w->place;
  const struct decode_args args = {device_weight_args(w),   (int)first, (int)rows, (int)w->cols,
                                   (int)stride_of(w->cols), p->bf16};
  device_launch_each(p->backend, DEVICE_decode_weight, rows * stride_of(w->cols) / 4,
                     PLACES(panel(p->backend, WEIGHT_PANEL), w->place), &args);
  return panel(p->backend, WEIGHT_PANEL);
}

/* Rows [first, first + rows) of A, whole. */
static struct place input_panel(struct walk *p, size_t first, size_t rows) {
  if (!p->bf16)
    return place_at(p->m->a, first * p->K * sizeof(float));
  const struct round_args args = {(int)first, (int)rows, (int)p->K, (int)stride_of(p->K)};
  if (p->input != 1 + first)
    device_launch_each(p->backend, DEVICE_round_rows, rows * stride_of(p->K) / 4,
                       PLACES(panel(p->backend, INPUT_PANEL), p->m->a), &args);
  p->input = 1 + first;
  return panel(p->backend, INPUT_PANEL);
}

/* Rows [w_first, w_first + w_rows) of the weight, which are columns of C or, not transposed, a part of the depth. */
static struct device_gemm part_of(struct walk *p, size_t x_first, size_t x_rows, struct place weight, size_t w_first,
                                  size_t w_rows) {
  const struct device_matmul *m = p->m;
  size_t size = p->bf16 ? 2 : sizeof(float), first_col = m->transposed ? w_first : 0;
  return (struct device_gemm){.a = place_at(input_panel(p, x_first, x_rows), m->transposed ? 0 : w_first * size),
                              .b = weight,
                              .c = place_at(m->c, (x_first * p->N + first_col) * sizeof(float)),
                              .bias = m->bias.buffer && (m->transposed || w_first == 0)
                                          ? place_at(m->bias, first_col * sizeof(float))
                                          : NOWHERE,
                              .rows = x_rows,
                              .cols = m->transposed ? w_rows : p->N,
                              .depth = m->transposed ? p->K : w_rows,
                              .a_row = p->bf16 ? stride_of(p->K) : p->K,
                              .b_row = p->direct ? m->weight->cols : stride_of(m->weight->cols),
                              .c_row = p->N,
                              .transposed = m->transposed,
                              .bf16 = p->bf16,
                              .accumulate = m->accumulate || (!m->transposed && w_first > 0),
                              .alpha = m->alpha};
}

/* + alpha * sign * Q V: short, and our own. */
static void add_low_rank(struct backend *backend, const struct device_matmul *m, size_t N) {
  const struct weight v = device_floats(m->v, m->R, N);
  const struct device_matmul share = {
      .c = m->c, .a = m->q, .rows = m->rows, .weight = &v, .accumulate = true, .alpha = m->alpha * m->sign};
  device_matmul_kernel(backend, &share);
}

bool device_library_matmul(struct backend *backend, const struct device_matmul *m) {
  struct device_backend *own = backend->device;
  const struct weight *w = m->weight;
  struct walk p = {.backend = backend, .m = m, .bf16 = m->precision == PRECISION_BF16};
  if (!own->device->ops->gemm || (m->dropout && m->dropout->threshold) || own->fault.status || m->rows == 0)
    return false;
  p.N = m->transposed ? w->rows : w->cols;
  p.K = m->transposed ? w->cols : w->rows;
  p.direct = !w->heads && (w->rounded ? GGML_BF16 : w->type) == (p.bf16 ? GGML_BF16 : GGML_F32);
  size_t w_each = p.direct ? w->rows : rows_of_panel(w->cols, p.bf16 ? 2 : sizeof(float));
  size_t x_each = p.bf16 ? rows_of_panel(p.K, 2) : m->rows;
  bool begun = false;
  for (size_t first = 0, rows; first < w->rows; first += rows) {
    rows = w->rows - first < w_each ? w->rows - first : w_each;
    struct place weight = weight_panel(&p, first, rows);
    for (size_t at = 0, count; at < m->rows && !own->fault.status; at += count) {
      count = m->rows - at < x_each ? m->rows - at : x_each;
      struct error err;
      const struct device_gemm part = part_of(&p, at, count, weight, first, rows);
      enum status status = own->fault.status ? STATUS_OK : own->device->ops->gemm(own->device, &part, &err);
      if (status == STATUS_UNSUPPORTED_VALUE && !begun)
        return false; /* nothing was done */
      if (status)
        own->fault = err;
      begun = true;
    }
  }
  if (m->R)
    add_low_rank(backend, m, p.N);
  return true;
}
