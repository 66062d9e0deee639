#include "worker/backend/cpu/matmul.h"

#include <stdint.h>
#include <string.h>

enum {
  GROUP_FLOATS = 64 << 10, /* a packed group: half of a small second-level cache */
  GROUP_MOST = 4096,       /* columns */
  DEPTH_MAX = 1024,        /* longer sums are cut into parts */
  DEPTH_STRAIGHT = 256,
  BLOCK_MAX = 256,    /* the largest block of a quantised type: parts are multiples of it */
  ROWS_LEAST = 256,   /* of a task: decoding is shared by many rows, */
  TASKS_A_THREAD = 8, /* but all cores find work to the end */
  TASKS_LEAST = 4,
  CONVERT_ROWS = 64, /* of a task that converts A */
  ALIGN_FLOATS = 16, /* a line of cache */
  ROWS_AHEAD = 8,
};

struct pass {
  const struct matmul *p;
  const struct multiplier *m;
  const unsigned char *a;      /* A as m reads it */
  size_t columns, depth, part; /* of B; of a sum's part */
  size_t lda;                  /* numbers a row of A */
  size_t group, groups;        /* columns of a task */
  size_t chunk, chunks;        /* rows of a task */
  float *converted;            /* room for A */
  float *scratch;
  size_t thread_floats;
};

static size_t ceil_div(size_t n, size_t d) {
  return (n + d - 1) / d;
}

static size_t round_up(size_t n, size_t to) {
  return ceil_div(n, to) * to;
}

/* What the low-rank part adds to the depth, and rows of floats that it adds to a panel: one of both. */
static size_t rank_depth(const struct multiplier *m, size_t R) {
  return m->rank_depth ? m->rank_depth(R) : 0;
}

static size_t rank_rows(const struct multiplier *m, size_t R) {
  return m->rank_depth ? 0 : R;
}

static size_t decode_floats(const struct multiplier *m) {
  return m->panel * DEPTH_MAX; /* a panel's rows; a group's columns are fewer */
}

/* --- packing -------------------------------------------------------------------------------------- */

/* The panels of one part of the sums. */
struct panels {
  float *at;
  size_t first, count; /* columns */
  size_t from, depth;  /* of B's rows; depth 0 .. */
  size_t rows;         /* of a panel */
};

/* Row 0 starts the sums, then the depth's, then R of V. */
static float *panel_row(const struct pass *pass, const struct panels *panels, size_t panel, size_t row) {
  return panels->at + (panel * panels->rows + row) * pass->m->panel;
}

static size_t columns_of(const struct pass *pass, const struct panels *panels, size_t panel) {
  size_t width = pass->m->panel, left = panels->count - panel * width;
  return left < width ? left : width;
}

/* A row of all panels from floats, times `scale`; NULL: zeros. */
static void spread(const struct pass *pass, const struct panels *panels, size_t row, const float *from, float scale) {
  size_t width = pass->m->panel;
  for (size_t p = 0; p * width < panels->count; p++) {
    float *to = panel_row(pass, panels, p, row);
    size_t n = columns_of(pass, panels, p);
    for (size_t j = 0; j < n; j++)
      to[j] = from ? from[p * width + j] * scale : 0.0f;
    memset(to + n, 0, (width - n) * sizeof *to);
  }
}

/* B is the weight's transpose: its columns are rows of the weight. */
static void pack_transposed(const struct pass *pass, const struct panels *panels, float *scratch) {
  size_t width = pass->m->panel;
  const float *rows[KERNELS_PANEL_MAX];
  for (size_t p = 0; p * width < panels->count; p++) {
    size_t n = columns_of(pass, panels, p);
    for (size_t j = 0; j < n; j++)
      rows[j] = weight_part(pass->p->weight, panels->first + p * width + j, panels->from, panels->depth,
                            scratch + j * panels->depth);
    pass->m->pack_columns(panel_row(pass, panels, p, 1), rows, n, panels->depth);
  }
}

/* Pieces of rows are too short for the processor to see that the next row's follows: they are asked for some rows
   ahead. */
static void pack_straight(const struct pass *pass, const struct panels *panels, float *scratch) {
  const struct multiplier *m = pass->m;
  const struct weight *w = pass->p->weight;
  const float *rows[KERNELS_PACKED_MAX], *pieces[KERNELS_PACKED_MAX];
  size_t padded = round_up(panels->depth, m->depth_block);
  for (size_t k = 0; k < padded; k += m->packed) {
    for (size_t i = 0; i < m->packed; i++)
      rows[i] = k + i < panels->depth
                    ? weight_part(w, panels->from + k + i, panels->first, panels->count, scratch + i * panels->count)
                    : NULL;
    for (size_t i = 0; i < m->packed; i++)
      weight_fetch(w, panels->from + k + i + ROWS_AHEAD, panels->first, panels->count);
    for (size_t p = 0; p * m->panel < panels->count; p++) {
      for (size_t i = 0; i < m->packed; i++)
        pieces[i] = rows[i] ? rows[i] + p * m->panel : NULL;
      m->pack_row(panel_row(pass, panels, p, 1 + k / m->packed), pieces, columns_of(pass, panels, p));
    }
  }
}

static void pack_low_rank(const struct pass *pass, const struct panels *panels, size_t row) {
  const struct matmul *p = pass->p;
  const struct multiplier *m = pass->m;
  const float *v = p->v + panels->first;
  for (size_t r = 0; r < rank_rows(m, p->R); r++)
    spread(pass, panels, row + r, v + r * pass->columns, p->sign);
  for (size_t i = 0; rank_depth(m, p->R) && i * m->panel < panels->count; i++)
    m->pack_rank(panel_row(pass, panels, i, row), v + i * m->panel, pass->columns, columns_of(pass, panels, i), p->R,
                 p->sign);
}

/* --- one task ------------------------------------------------------------------------------------- */

static void task(void *payload, size_t index, int thread) {
  const struct pass *pass = payload;
  const struct matmul *p = pass->p;
  const struct multiplier *m = pass->m;
  size_t row = index / pass->groups * pass->chunk, first = index % pass->groups * pass->group;
  size_t rows = p->rows - row < pass->chunk ? p->rows - row : pass->chunk;
  size_t columns = pass->columns - first < pass->group ? pass->columns - first : pass->group;
  float *scratch = pass->scratch + (size_t)thread * pass->thread_floats;
  for (size_t from = 0; from < pass->depth; from += pass->part) {
    bool last = from + pass->part >= pass->depth;
    size_t depth = last ? pass->depth - from : pass->part, R = last ? p->R : 0;
    size_t own = round_up(depth, m->depth_block), padded = own + rank_depth(m, R);
    struct panels panels = {.at = scratch + decode_floats(m),
                            .first = first,
                            .count = columns,
                            .from = from,
                            .depth = depth,
                            .rows = 1 + padded / m->packed + rank_rows(m, R)};
    spread(pass, &panels, 0, from == 0 && p->bias ? p->bias + first : NULL, 1);
    (p->transposed ? pack_transposed : pack_straight)(pass, &panels, scratch);
    if (R)
      pack_low_rank(pass, &panels, 1 + own / m->packed);
    m->run(&(struct panel_product){.c = p->c + row * pass->columns + first,
                                   .ldc = pass->columns,
                                   .a = pass->a + (row * pass->lda + from * m->row_block) * m->number,
                                   .lda = pass->lda,
                                   .q = R ? p->q + row * R : NULL,
                                   .panels = panels.at,
                                   .rows = rows,
                                   .columns = columns,
                                   .depth = padded,
                                   .R = rank_rows(m, R),
                                   .accumulate = p->accumulate || from > 0});
  }
}

static void convert_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct pass *pass = payload;
  size_t first = index * CONVERT_ROWS, left = pass->p->rows - first;
  unsigned char *out = (unsigned char *)pass->converted + first * pass->lda * pass->m->number;
  const struct matmul *p = pass->p;
  pass->m->convert((void *)out, p->a + first * pass->depth, p->R ? p->q + first * p->R : NULL,
                   left < CONVERT_ROWS ? left : CONVERT_ROWS, pass->depth, p->R);
}

/* --- how it is cut -------------------------------------------------------------------------------- */

static size_t row_numbers(const struct multiplier *m, size_t depth, size_t R) {
  return round_up(depth, m->depth_block) + rank_depth(m, R);
}

static size_t converted_floats(const struct multiplier *m, size_t rows, size_t depth, size_t R) {
  size_t bytes = round_up(rows, m->row_step) * row_numbers(m, depth, R) * m->number;
  return m->convert ? round_up(bytes / sizeof(float), ALIGN_FLOATS) : 0;
}

static size_t thread_floats(const struct multiplier *m, size_t R) {
  size_t panels = GROUP_FLOATS + (1 + rank_rows(m, R) + rank_depth(m, R)) *
                                     BLOCK_MAX; /* one step of columns may be wider than a group should be */
  return round_up(decode_floats(m) + panels, ALIGN_FLOATS);
}

size_t matmul_scratch(const struct backend *b, size_t rows, size_t depth, size_t R) {
  return ALIGN_FLOATS + converted_floats(b->multiplier, rows, depth, R) +
         (size_t)pool_threads(b->pool) * thread_floats(b->multiplier, R);
}

/* How sums are cut depends on the shapes alone. Groups are whole panels, and whole blocks where B's rows are the
   weight's. */
static void cut_columns(struct pass *pass, int threads) {
  const struct matmul *p = pass->p;
  size_t block = p->transposed ? 1 : weight_block(p->weight), width = pass->m->panel;
  size_t step = block > width ? block : width, deepest = GROUP_FLOATS / step / BLOCK_MAX * BLOCK_MAX;
  size_t longest = p->transposed ? DEPTH_MAX : DEPTH_STRAIGHT; /* then a group is wide: long pieces of the rows */
  deepest = deepest < longest ? deepest : longest;
  pass->part = pass->depth;
  if (pass->depth > deepest)
    pass->part = round_up(ceil_div(pass->depth, ceil_div(pass->depth, deepest)), BLOCK_MAX);
  size_t rows = 1 + (pass->part + rank_depth(pass->m, p->R)) / pass->m->packed + rank_rows(pass->m, p->R);
  size_t most = GROUP_FLOATS / rows / step * step;
  most = most < step ? step : most < GROUP_MOST ? most : GROUP_MOST;
  size_t groups = ceil_div(pass->columns, most);
  size_t least = ceil_div((size_t)threads * TASKS_LEAST, ceil_div(p->rows, ROWS_LEAST));
  groups = groups < least && threads > 1 ? least : groups;
  pass->group = round_up(ceil_div(pass->columns, groups), step);
  pass->groups = ceil_div(pass->columns, pass->group);
}

static void cut_rows(struct pass *pass, int threads) {
  size_t rows = pass->p->rows, wanted = ceil_div((size_t)threads * TASKS_A_THREAD, pass->groups);
  size_t chunk = ceil_div(rows, wanted), most = pass->m->rows_most;
  chunk = chunk < ROWS_LEAST ? ROWS_LEAST : chunk > most ? most : chunk;
  if (threads == 1)
    chunk = most;
  pass->chunks = ceil_div(rows, chunk);
  pass->chunk = round_up(ceil_div(rows, pass->chunks), pass->m->row_step);
  pass->chunks = ceil_div(rows, pass->chunk);
}

void matmul_run(const struct backend *b, const struct matmul *p, float *scratch) {
  struct pass pass = {.p = p, .m = b->multiplier, .a = (const unsigned char *)p->a};
  if (p->rows == 0)
    return;
  size_t line = ALIGN_FLOATS * sizeof *scratch, past = (uintptr_t)scratch % line;
  pass.converted = scratch + (past ? (line - past) / sizeof *scratch : 0);
  pass.columns = p->transposed ? p->weight->rows : p->weight->cols;
  pass.depth = p->transposed ? p->weight->cols : p->weight->rows;
  pass.lda = row_numbers(pass.m, pass.depth, p->R);
  pass.scratch = pass.converted + converted_floats(pass.m, p->rows, pass.depth, p->R);
  pass.thread_floats = thread_floats(pass.m, p->R);
  cut_columns(&pass, pool_threads(b->pool));
  cut_rows(&pass, pool_threads(b->pool));
  if (pass.m->convert) {
    pool_run(b->pool, ceil_div(p->rows, CONVERT_ROWS), convert_task, &pass);
    pass.a = (const unsigned char *)pass.converted;
  }
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

void matmul_thin(float *y, const struct weight *w, const float *u, size_t R, const struct kernels *kernels) {
  thin(y, w, u, R, false, kernels);
}

void matmul_thin_transposed(float *y, const struct weight *w, const float *u, size_t R,
                             const struct kernels *kernels) {
  thin(y, w, u, R, true, kernels);
}
