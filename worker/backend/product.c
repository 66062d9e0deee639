#include "worker/backend/product.h"

#include <string.h>

enum {
  GROUP_FLOATS = 64 << 10, /* a packed group: half of a small second-level cache */
  GROUP_MOST = 4096,       /* columns */
  DEPTH_MAX = 1024,        /* longer sums are cut into parts */
  DEPTH_STRAIGHT = 256,
  BLOCK_MAX = 256,         /* the largest block of a quantised type: parts are multiples of it */
  ROWS_LEAST = 256,        /* of a task: decoding is shared by many rows, */
  ROWS_MOST = 1024,
  ROWS_STEP = 12,
  TASKS_A_THREAD = 8, /* but all cores find work to the end */
};

struct pass {
  const struct product *p;
  const struct kernels *kernels;
  size_t columns, depth, part; /* of B; of a sum's part */
  size_t group, groups;        /* columns of a task */
  size_t chunk, chunks;        /* rows of a task */
  float *scratch;
  size_t thread_floats;
};

static size_t ceil_div(size_t n, size_t d) {
  return (n + d - 1) / d;
}

static size_t round_up(size_t n, size_t to) {
  return ceil_div(n, to) * to;
}

static size_t decode_floats(const struct kernels *k) {
  return k->panel * DEPTH_MAX; /* a panel's rows; a group's columns are fewer */
}

/* --- packing -------------------------------------------------------------------------------------- */

/* Where row `row` of a panel begins: row 0 starts the sums, `depth` rows of B, then R of V. */
static float *panel_row(const struct pass *pass, float *panels, size_t panel, size_t row, size_t panel_rows) {
  return panels + (panel * panel_rows + row) * pass->kernels->panel;
}

/* A row of all the group's panels from `count` floats, times `scale`; NULL: zeros. */
static void spread(const struct pass *pass, float *panels, size_t row, size_t panel_rows, const float *from,
                   size_t count, float scale) {
  size_t width = pass->kernels->panel;
  for (size_t p = 0; p * width < count; p++) {
    float *to = panel_row(pass, panels, p, row, panel_rows);
    size_t n = count - p * width < width ? count - p * width : width;
    for (size_t j = 0; j < n; j++)
      to[j] = from ? from[p * width + j] * scale : 0.0f;
    memset(to + n, 0, (width - n) * sizeof *to);
  }
}

/* B is the weight's transpose: its columns are rows of the weight. */
static void pack_transposed(const struct pass *pass, float *panels, size_t panel_rows, size_t first, size_t count,
                            size_t from, size_t depth, float *scratch) {
  const struct weight *w = pass->p->weight;
  size_t width = pass->kernels->panel;
  const float *rows[KERNELS_PANEL_MAX];
  for (size_t p = 0; p * width < count; p++) {
    size_t n = count - p * width < width ? count - p * width : width;
    for (size_t j = 0; j < n; j++)
      rows[j] = weight_part(w, first + p * width + j, from, depth, scratch + j * depth);
    pass->kernels->pack(panel_row(pass, panels, p, 1, panel_rows), rows, n, depth);
  }
}

static void pack_straight(const struct pass *pass, float *panels, size_t panel_rows, size_t first, size_t count,
                          size_t from, size_t depth, float *scratch) {
  size_t width = pass->kernels->panel;
  for (size_t k = 0; k < depth; k++) {
    const float *row = weight_part(pass->p->weight, from + k, first, count, scratch);
    size_t p = 0;
    for (; (p + 1) * width <= count; p++)
      memcpy(panel_row(pass, panels, p, 1 + k, panel_rows), row + p * width, width * sizeof *row);
    if (p * width < count) {
      float *to = panel_row(pass, panels, p, 1 + k, panel_rows);
      memcpy(to, row + p * width, (count - p * width) * sizeof *row);
      memset(to + (count - p * width), 0, ((p + 1) * width - count) * sizeof *row);
    }
  }
}

/* --- one task ------------------------------------------------------------------------------------- */

static void task(void *payload, size_t index, int thread) {
  const struct pass *pass = payload;
  const struct product *p = pass->p;
  size_t row = index / pass->groups * pass->chunk, first = index % pass->groups * pass->group;
  size_t rows = p->rows - row < pass->chunk ? p->rows - row : pass->chunk;
  size_t columns = pass->columns - first < pass->group ? pass->columns - first : pass->group;
  float *scratch = pass->scratch + (size_t)thread * pass->thread_floats;
  float *panels = scratch + decode_floats(pass->kernels);
  for (size_t from = 0; from < pass->depth; from += pass->part) {
    bool last = from + pass->part >= pass->depth;
    size_t depth = last ? pass->depth - from : pass->part, R = last ? p->R : 0, panel_rows = 1 + depth + R;
    spread(pass, panels, 0, panel_rows, from == 0 && p->bias ? p->bias + first : NULL, columns, 1);
    (p->transposed ? pack_transposed : pack_straight)(pass, panels, panel_rows, first, columns, from, depth, scratch);
    for (size_t r = 0; r < R; r++)
      spread(pass, panels, 1 + depth + r, panel_rows, p->v + r * pass->columns + first, columns, p->sign);
    pass->kernels->product(&(struct panel_product){.c = p->c + row * pass->columns + first,
                                                   .ldc = pass->columns,
                                                   .a = p->a + row * pass->depth + from,
                                                   .lda = pass->depth,
                                                   .q = R ? p->q + row * R : NULL,
                                                   .panels = panels,
                                                   .rows = rows,
                                                   .columns = columns,
                                                   .depth = depth,
                                                   .R = R,
                                                   .accumulate = p->accumulate || from > 0});
  }
}

/* --- how it is cut -------------------------------------------------------------------------------- */

size_t product_scratch(const struct backend *b, size_t R) {
  size_t panels = GROUP_FLOATS + (1 + R) * BLOCK_MAX; /* one step of columns may be wider than a group should be */
  return (size_t)pool_threads(b->pool) * (decode_floats(b->kernels) + panels);
}

/* Groups are whole panels, and whole blocks where B's rows are the weight's. */
static void cut_columns(struct pass *pass) {
  const struct product *p = pass->p;
  size_t block = p->transposed ? 1 : weight_block(p->weight), width = pass->kernels->panel;
  size_t step = block > width ? block : width, deepest = GROUP_FLOATS / step / BLOCK_MAX * BLOCK_MAX;
  size_t longest = p->transposed ? DEPTH_MAX : DEPTH_STRAIGHT; /* then a group is wide: long pieces of the rows */
  deepest = deepest < longest ? deepest : longest;
  pass->part = pass->depth;
  if (pass->depth > deepest)
    pass->part = round_up(ceil_div(pass->depth, ceil_div(pass->depth, deepest)), BLOCK_MAX);
  size_t most = GROUP_FLOATS / (1 + pass->part + p->R) / step * step;
  most = most < step ? step : most < GROUP_MOST ? most : GROUP_MOST;
  pass->group = round_up(ceil_div(pass->columns, ceil_div(pass->columns, most)), step);
  pass->groups = ceil_div(pass->columns, pass->group);
}

static void cut_rows(struct pass *pass, int threads) {
  size_t rows = pass->p->rows, wanted = ceil_div((size_t)threads * TASKS_A_THREAD, pass->groups);
  size_t chunk = ceil_div(rows, wanted);
  chunk = chunk < ROWS_LEAST ? ROWS_LEAST : chunk > ROWS_MOST ? ROWS_MOST : chunk;
  if (threads == 1)
    chunk = ROWS_MOST;
  pass->chunks = ceil_div(rows, chunk);
  pass->chunk = round_up(ceil_div(rows, pass->chunks), ROWS_STEP);
  pass->chunks = ceil_div(rows, pass->chunk);
}

void product_run(const struct backend *b, const struct product *p, float *scratch) {
  struct pass pass = {.p = p, .kernels = b->kernels, .scratch = scratch};
  if (p->rows == 0)
    return;
  pass.columns = p->transposed ? p->weight->rows : p->weight->cols;
  pass.depth = p->transposed ? p->weight->cols : p->weight->rows;
  pass.thread_floats = product_scratch(b, p->R) / (size_t)pool_threads(b->pool);
  cut_columns(&pass);
  cut_rows(&pass, pool_threads(b->pool));
  pool_run(b->pool, pass.chunks * pass.groups, task, &pass);
}

/* --- thin ones ------------------------------------------------------------------------------------ */

enum { THIN_ROWS = 24, THIN_COLS = BLOCK_MAX };

/* A block of the weight as floats, *stride apart. */
static const float *thin_block(size_t *stride, const struct weight *w, size_t row, size_t rows, size_t col, size_t cols,
                               float own[THIN_ROWS * THIN_COLS]) {
  *stride = w->cols;
  if (w->type == GGML_F32 && !w->heads)
    return weight_part(w, row, col, cols, NULL);
  *stride = cols;
  for (size_t i = 0; i < rows; i++) {
    const float *part = weight_part(w, row + i, col, cols, own + i * cols);
    if (part != own + i * cols)
      memcpy(own + i * cols, part, cols * sizeof *own);
  }
  return own;
}

static void thin(float *y, const struct weight *w, const float *u, size_t R, bool transposed,
                 const struct kernels *kernels) {
  float own[THIN_ROWS * THIN_COLS];
  for (size_t row = 0; row < w->rows; row += THIN_ROWS) {
    size_t rows = w->rows - row < THIN_ROWS ? w->rows - row : THIN_ROWS, stride;
    for (size_t col = 0; col < w->cols; col += THIN_COLS) {
      size_t cols = w->cols - col < THIN_COLS ? w->cols - col : THIN_COLS;
      const float *block = thin_block(&stride, w, row, rows, col, cols, own);
      if (transposed)
        kernels->gemm(y + col * R, R, block, 1, stride, u + row * R, R, cols, R, rows, 1.0f, true);
      else
        kernels->gemm(y + row * R, R, block, stride, 1, u + col * R, R, rows, R, cols, 1.0f, col > 0);
    }
  }
}

void product_thin(float *y, const struct weight *w, const float *u, size_t R, const struct kernels *kernels) {
  thin(y, w, u, R, false, kernels);
}

void product_thin_transposed(float *y, const struct weight *w, const float *u, size_t R,
                             const struct kernels *kernels) {
  thin(y, w, u, R, true, kernels);
}
