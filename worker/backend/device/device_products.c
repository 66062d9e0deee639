#include "worker/backend/device/device_op.h"

enum { /* tiles of the kernels, and what fills a large device */
  MATMUL_TILE = 64,
  SKINNY_ROWS = 128,
  SKINNY_COLS = 8,
  GROUPS_WANTED = 256,
  SPLIT_DEPTH = 256, /* at least so much of a depth is a part */
  SPLITS_MAX = 16,
  SUM_ROWS = 64, /* of a part of column sums */
};

struct weight device_floats(struct place place, size_t rows, size_t cols) {
  return (struct weight){.rows = rows, .cols = cols, .type = GGML_F32, .place = place};
}

struct dropout_args device_dropout_args(const struct dropout *d) {
  return d && d->threshold ? (struct dropout_args){d->seed, d->site, d->threshold, d->scale}
                           : (struct dropout_args){.scale = 1};
}

struct weight_args device_weight_args(const struct weight *w) {
  enum ggml_type type = w->rounded ? GGML_BF16 : w->type;
  const struct ggml_type_info *info = ggml_type_info(type);
  return (struct weight_args){.type = (int)type,
                              .block = (int)info->block,
                              .block_bytes = (int)info->bytes,
                              .row = (int)w->cols,
                              .head_rows = w->heads ? (int)(w->rows / w->heads) : 0};
}

void device_matmul(struct backend *backend, const struct device_matmul *m) {
  if (!device_library_matmul(backend, m))
    device_matmul_kernel(backend, m);
}

void device_matmul_kernel(struct backend *backend, const struct device_matmul *m) {
  const struct weight *w = m->weight;
  size_t N = m->transposed ? w->rows : w->cols, K = m->transposed ? w->cols : w->rows;
  struct weight_args weight = device_weight_args(w);
  weight.bf16 = m->precision == PRECISION_BF16;
  const struct matmul_args args = {.dropout = device_dropout_args(m->dropout),
                                   .weight = weight,
                                   .rows = (int)m->rows,
                                   .cols = (int)N,
                                   .depth = (int)K,
                                   .a_row = (int)K,
                                   .a_col = 1,
                                   .c_row = (int)N,
                                   .c_col = 1,
                                   .transposed = m->transposed,
                                   .rank = (int)m->R,
                                   .sign = m->sign,
                                   .alpha = m->alpha,
                                   .accumulate = m->accumulate,
                                   .splits = 1};
  device_launch(backend, DEVICE_matmul, device_groups(N, MATMUL_TILE), device_groups(m->rows, MATMUL_TILE), 1,
                PLACES(m->c, m->a, w->place, m->q, m->v, m->bias), &args);
}

size_t device_splits(size_t depth, size_t groups) {
  size_t wanted = device_groups(GROUPS_WANTED, groups ? groups : 1), most = device_groups(depth, SPLIT_DEPTH);
  size_t splits = wanted < most ? wanted : most;
  return splits < 1 ? 1 : splits > SPLITS_MAX ? SPLITS_MAX : splits;
}

void device_sum_splits(struct backend *backend, struct place out, struct place parts, size_t count, size_t splits,
                       bool accumulate) {
  const struct sum_splits_args args = {(long)count, (int)splits, accumulate, 1.0f};
  device_launch_each(backend, DEVICE_sum_splits, count, PLACES(out, parts), &args);
}

static size_t skinny_splits(size_t rows, size_t cols, size_t depth) {
  return device_splits(depth, device_groups(rows, SKINNY_ROWS) * device_groups(cols, SKINNY_COLS));
}

size_t device_skinny_floats(size_t rows, size_t cols, size_t depth) {
  return skinny_splits(rows, cols, depth) * rows * cols;
}

/* One part needs no sum. */
void device_skinny(struct backend *backend, const struct device_skinny *s, struct place parts) {
  size_t splits = skinny_splits(s->rows, s->cols, s->depth);
  const struct skinny_args args = {.dropout = device_dropout_args(s->dropout),
                                   .rows = (int)s->rows,
                                   .cols = (int)s->cols,
                                   .depth = (int)s->depth,
                                   .a_row = (int)s->a_row,
                                   .a_col = (int)s->a_col,
                                   .splits = (int)splits,
                                   .accumulate = splits == 1 && s->accumulate};
  device_launch(backend, DEVICE_skinny, device_groups(s->rows, SKINNY_ROWS), device_groups(s->cols, SKINNY_COLS),
                splits, PLACES(splits == 1 ? s->out : parts, s->a, s->b), &args);
  if (splits > 1)
    device_sum_splits(backend, s->out, parts, s->rows * s->cols, splits, s->accumulate);
}

static size_t sum_parts(size_t rows) {
  size_t splits = device_groups(rows, SUM_ROWS);
  return splits > SPLITS_MAX ? SPLITS_MAX : splits ? splits : 1;
}

size_t device_column_sums_floats(size_t rows, size_t cols) {
  return sum_parts(rows) * cols;
}

void device_column_sums(struct backend *backend, struct place out, struct place x, struct place y, size_t rows,
                        size_t cols, struct place parts) {
  const struct column_sums_args args = {(int)rows, (int)cols, (int)sum_parts(rows)};
  device_launch(backend, DEVICE_column_sums, device_groups(cols, DEVICE_GROUP_ITEMS), sum_parts(rows), 1,
                PLACES(parts, x, y), &args);
  device_sum_splits(backend, out, parts, cols, sum_parts(rows), true);
}
