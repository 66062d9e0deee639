#include "worker/backend/cpu/conv.h"

#include <stdint.h>

#include "worker/backend/cpu/packed_b.h"

enum {
  KC_MIN = 288,         /* rows of B that are packed together, where the channels suffice: 32 of them for 3 x 3 */
  CHANNEL_BLOCK = 8,    /* a chunk of channels is a multiple of it */
  TILE_ROWS = 48,       /* of A: gathered into L1 and L2, used while they are there */
  MC_MIN = 256,         /* packing is shared by many rows, */
  TASKS_PER_THREAD = 8, /* but all cores have work until the end */
};

/* Pixels of `to` that the same taps see something of: forward all pixels and all taps. Transposed every stride-th pixel
   is seen by every stride-th tap, and what the others would gather for it is zeros. Lines, then columns. */
struct phase {
  size_t first[2], count[2]; /* pixels, `step` apart */
  size_t tap[2], taps[2];    /* the first tap, and how many, likewise */
  size_t step[2];
};

struct gemm {
  const struct conv *p;
  const struct gemm_ukernel *u;
  struct phase phase;
  size_t taps, channels, chunk; /* of A; a part of K is the phase's taps of `chunk` channels */
  size_t rows, n, nc, n_blocks, mc, m_blocks;
  float *scratch;
  size_t thread_floats;
};

/* Channels [first, first + count) of all taps, for columns [j, j + nc) of C. */
struct part_of_k {
  size_t first, count, j;
};

size_t conv_taps(const struct convolution *c) {
  return c->kernel[0] * c->kernel[1];
}

size_t conv_seen(const struct conv_taps *t, size_t at, size_t tap, int axis) {
  const struct convolution *c = t->convolution;
  size_t size = axis ? t->from.width : t->from.height, stride = c->stride[axis], before = c->before[axis], seen;
  if (!t->transposed)
    seen = at * stride + tap - before; /* wraps where it is negative, and is too large then */
  else if ((at + before - tap) % stride != 0 || at + before < tap)
    return SIZE_MAX;
  else
    seen = (at + before - tap) / stride;
  return seen < size ? seen : SIZE_MAX;
}

/* --- phases --------------------------------------------------------------------------------------- */

static size_t phase_count(const struct conv_taps *t) {
  return t->transposed ? t->convolution->stride[0] * t->convolution->stride[1] : 1;
}

static struct phase phase_at(const struct conv_taps *t, size_t index) {
  const struct convolution *c = t->convolution;
  const size_t size[2] = {t->to.height, t->to.width};
  struct phase phase;
  for (int axis = 0; axis < 2; axis++) {
    size_t step = t->transposed ? c->stride[axis] : 1, first = axis ? index % step : index / (phase_count(t) / step);
    size_t tap = t->transposed ? (first + c->before[axis]) % step : 0;
    phase.step[axis] = step;
    phase.first[axis] = first;
    phase.count[axis] = first < size[axis] ? ceil_div(size[axis] - first, step) : 0;
    phase.tap[axis] = tap;
    phase.taps[axis] = tap < c->kernel[axis] ? ceil_div(c->kernel[axis] - tap, step) : 0;
  }
  return phase;
}

static size_t phase_rows(const struct gemm *g) {
  return g->p->taps.to.count * g->phase.count[0] * g->phase.count[1];
}

/* The pixel of `to` that a row of the phase is. */
static size_t pixel_of(const struct gemm *g, size_t row) {
  const struct phase *f = &g->phase;
  const struct images *to = &g->p->taps.to;
  size_t line = row / f->count[1], image = line / f->count[0];
  size_t y = f->first[0] + line % f->count[0] * f->step[0], x = f->first[1] + row % f->count[1] * f->step[1];
  return (image * to->height + y) * to->width + x;
}

/* --- packing B ------------------------------------------------------------------------------------ */

/* The file's rows are (channel, tap); these are (tap of the phase, channel). `stride` is from a tap to the next. */
static void reorder(float *to, size_t stride, const float *from, const struct gemm *g, size_t channels) {
  const struct convolution *conv = g->p->taps.convolution;
  const struct phase *f = &g->phase;
  size_t all = conv_taps(conv);
  for (size_t i = 0; i < f->taps[0]; i++)
    for (size_t j = 0; j < f->taps[1]; j++, to += stride) {
      size_t tap = (f->tap[0] + i * f->step[0]) * conv->kernel[1] + f->tap[1] + j * f->step[1];
      for (size_t c = 0; c < channels; c++)
        to[c] = from[c * all + tap];
    }
}

/* A column of B is a row of the weight. */
static void pack_columns(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, float *raw) {
  size_t nr = g->u->nr, kc = k->count * g->taps, all = conv_taps(g->p->taps.convolution);
  float *reordered = raw + k->count * all;
  const float *columns[GEMM_NR_MAX];
  for (size_t p = 0; p * nr < b->nc; p++) {
    size_t n = packed_columns(b, p);
    for (size_t j = 0; j < n; j++) {
      const float *row = weight_part(g->p->weight, k->j + p * nr + j, k->first * all, k->count * all, raw);
      reorder(reordered + j * kc, k->count, row, g, k->count);
      columns[j] = reordered + j * kc;
    }
    g->u->pack_b_columns(packed_row(b, p, 1), columns, n, kc);
  }
}

/* A row of B is a tap of some columns' channels in one row of the weight. */
static void pack_rows(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, float *raw) {
  const struct gemm_ukernel *u = g->u;
  size_t kc = k->count * g->taps, nc = b->nc, all = conv_taps(g->p->taps.convolution);
  float *reordered = raw + nc * all;
  for (size_t c = 0; c < k->count; c++) {
    const float *row = weight_part(g->p->weight, k->first + c, k->j * all, nc * all, raw);
    reorder(reordered + c * nc, k->count * nc, row, g, nc);
  }
  const float *rows[GEMM_VNNI_MAX];
  for (size_t i = 0; i < round_up(kc, u->k_block); i += u->vnni)
    for (size_t p = 0; p * u->nr < nc; p++) {
      for (size_t v = 0; v < u->vnni; v++)
        rows[v] = i + v < kc ? reordered + (i + v) * nc + p * u->nr : NULL;
      u->pack_b_rows(packed_row(b, p, 1 + i / u->vnni), rows, packed_columns(b, p));
    }
}

static struct packed_b pack_b(const struct gemm *g, const struct part_of_k *k, size_t nc, size_t R, float *panels,
                              float *raw) {
  const struct conv *p = g->p;
  size_t padded = round_up(k->count * g->taps, g->u->k_block);
  struct packed_b b = {g->u, panels, nc, 1 + (padded + rank_k(g->u, R)) / g->u->vnni + rank_rows(g->u, R)};
  packed_fp32_row(&b, 0, k->first == 0 && p->bias ? p->bias + k->j : NULL, 1);
  (p->taps.transposed ? pack_rows : pack_columns)(g, &b, k, raw);
  if (R)
    packed_v(&b, 1 + padded / g->u->vnni, p->v + k->j, g->n, R, p->sign);
  return b;
}

/* --- gathering A ---------------------------------------------------------------------------------- */

/* One row of A: what the kernel sees at a pixel of `to`. */
static void gather_row(float *to, const struct gemm *g, const struct part_of_k *k, size_t pixel) {
  const struct conv_taps *t = &g->p->taps;
  const struct phase *f = &g->phase;
  size_t width = t->to.width, x = pixel % width, y = pixel / width % t->to.height;
  size_t image = pixel / width / t->to.height;
  for (size_t i = 0; i < f->taps[0]; i++) {
    size_t line = conv_seen(t, y, f->tap[0] + i * f->step[0], 0);
    const float *from = g->p->a + (image * t->from.height + line) * t->from.width * g->channels + k->first;
    for (size_t j = 0; j < f->taps[1]; j++, to += k->count) {
      size_t column = line == SIZE_MAX ? SIZE_MAX : conv_seen(t, x, f->tap[1] + j * f->step[1], 1);
      if (column == SIZE_MAX)
        memset(to, 0, k->count * sizeof *to);
      else
        memcpy(to, from + column * g->channels, k->count * sizeof *to);
    }
  }
}

/* --- tasks ---------------------------------------------------------------------------------------- */

static size_t padded_k(const struct gemm *g, size_t channels, size_t R) {
  return round_up(channels * g->taps, g->u->k_block) + rank_k(g->u, R);
}

static size_t tile_rows(const struct gemm_ukernel *u) {
  return round_up(TILE_ROWS, u->mr);
}

static size_t tile_floats(const struct gemm *g, size_t R) {
  return round_up(tile_rows(g->u) * padded_k(g, g->chunk, R), CACHE_LINE_FLOATS);
}

static size_t panels_floats(const struct gemm *g, size_t R) {
  size_t rows = 1 + padded_k(g, g->chunk, R) / g->u->vnni + rank_rows(g->u, R);
  return round_up(rows * round_up(g->nc, g->u->nr), CACHE_LINE_FLOATS);
}

/* Rows of C from `row` on, evenly apart, with the packed block. `tile` has room for A as it is gathered, and packed. */
static void multiply_rows(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, size_t row,
                          size_t rows, size_t R, float *tile) {
  const struct conv *p = g->p;
  const struct gemm_ukernel *u = g->u;
  size_t kc = k->count * g->taps;
  const float *a = tile, *q = R ? p->q + row * R : NULL;
  for (size_t i = 0; i < rows; i++)
    gather_row(tile + i * kc, g, k, pixel_of(g, row + i));
  if (u->pack_a) {
    float *packed = tile + tile_floats(g, p->R);
    u->pack_a(packed, tile, q, rows, kc, R);
    a = packed;
  }
  u->macrokernel(&(struct gemm_block){.c = p->c + pixel_of(g, row) * g->n + k->j,
                                      .ldc = g->phase.step[1] * g->n,
                                      .a = a,
                                      .lda = padded_k(g, k->count, R),
                                      .q = q,
                                      .panels = b->panels,
                                      .m = rows,
                                      .n = b->nc,
                                      .k = padded_k(g, k->count, R),
                                      .R = rank_rows(u, R),
                                      .accumulate = p->accumulate || k->first > 0});
}

/* Rows from `row` on that a tile may have: where not all pixels are the phase's, those of one line. */
static size_t tile_end(const struct gemm *g, size_t row, size_t end) {
  size_t most = row + tile_rows(g->u), width = g->phase.count[1], line = (row / width + 1) * width;
  end = end < most ? end : most;
  return phase_count(&g->p->taps) == 1 || end < line ? end : line;
}

/* Pixels that no tap sees. */
static void clear_rows(const struct gemm *g, size_t row, size_t end, size_t j, size_t nc) {
  for (; row < end && !g->p->accumulate; row++)
    memset(g->p->c + pixel_of(g, row) * g->n + j, 0, nc * sizeof *g->p->c);
}

/* An MC x NC block of C. */
static void block_task(void *payload, size_t index, int thread) {
  const struct gemm *g = payload;
  size_t i = index / g->n_blocks * g->mc, j = index % g->n_blocks * g->nc;
  size_t end = g->rows - i < g->mc ? g->rows : i + g->mc, nc = g->n - j < g->nc ? g->n - j : g->nc;
  float *panels = g->scratch + (size_t)thread * g->thread_floats, *tile = panels + panels_floats(g, g->p->R);
  float *raw = tile + 2 * tile_floats(g, g->p->R);
  if (g->taps == 0)
    clear_rows(g, i, end, j, nc);
  for (size_t first = 0; g->taps && first < g->channels; first += g->chunk) {
    size_t left = g->channels - first, R = left <= g->chunk ? g->p->R : 0;
    struct part_of_k k = {first, left < g->chunk ? left : g->chunk, j};
    struct packed_b b = pack_b(g, &k, nc, R, panels, raw);
    for (size_t row = i, next; row < end; row = next) {
      next = tile_end(g, row, end);
      multiply_rows(g, &b, &k, row, next - row, R, tile);
    }
  }
}

/* --- blocking ------------------------------------------------------------------------------------- */

/* The chunk decides the order of sums, so it depends on the shapes alone. */
static void choose_blocks(struct gemm *g, size_t R) {
  size_t nr = g->u->nr, chunk = ceil_div(KC_MIN, g->taps ? g->taps : 1);
  chunk = round_up(chunk, CHANNEL_BLOCK);
  g->chunk = chunk < g->channels ? chunk : g->channels;
  size_t panel_rows = 1 + padded_k(g, g->chunk, R) / g->u->vnni + rank_rows(g->u, R);
  size_t most = B_BLOCK_FLOATS / panel_rows / nr * nr;
  most = most < nr ? nr : most;
  g->n_blocks = ceil_div(g->n, most);
  g->nc = round_up(ceil_div(g->n, g->n_blocks), nr);
  g->n_blocks = ceil_div(g->n, g->nc);
}

static size_t thread_floats(const struct gemm *g, size_t R) {
  size_t all = conv_taps(g->p->taps.convolution), columns = g->chunk * all + g->u->nr * g->chunk * g->taps;
  size_t rows = g->nc * all + g->chunk * g->nc * g->taps, raw = columns > rows ? columns : rows;
  return panels_floats(g, R) + 2 * tile_floats(g, R) + round_up(raw, CACHE_LINE_FLOATS);
}

static struct gemm gemm_of(const struct backend *b, const struct conv *p, size_t phase, size_t out, size_t R) {
  size_t channels = p->taps.convolution->channels;
  struct gemm g = {.p = p, .u = b->gemm, .phase = phase_at(&p->taps, phase)};
  g.taps = g.phase.taps[0] * g.phase.taps[1];
  g.channels = p->taps.transposed ? out : channels;
  g.n = p->taps.transposed ? channels : out;
  choose_blocks(&g, R);
  g.thread_floats = thread_floats(&g, R);
  return g;
}

size_t conv_scratch(const struct backend *b, const struct linear *l, size_t R) {
  size_t most = 0;
  for (int transposed = 0; transposed < 2; transposed++) {
    const struct conv p = {.taps = {.convolution = l->convolution, .transposed = transposed}};
    for (size_t phase = 0; phase < phase_count(&p.taps); phase++) {
      size_t floats = gemm_of(b, &p, phase, l->out, R).thread_floats;
      most = floats > most ? floats : most;
    }
  }
  return CACHE_LINE_FLOATS + (size_t)pool_threads(b->pool) * most;
}

static void run_phase(struct gemm *g, struct pool *pool, float *scratch) {
  size_t rows = phase_rows(g), threads = (size_t)pool_threads(pool);
  size_t blocks = threads > 1 ? ceil_div(threads * TASKS_PER_THREAD, g->n_blocks) : 1;
  g->scratch = scratch;
  g->rows = rows;
  g->mc = ceil_div(rows, blocks);
  g->mc = round_up(g->mc < MC_MIN ? MC_MIN : g->mc, tile_rows(g->u));
  g->m_blocks = ceil_div(rows, g->mc);
  pool_run(pool, g->m_blocks * g->n_blocks, block_task, g);
}

void conv_run(const struct backend *b, const struct conv *p, float *scratch) {
  size_t line = CACHE_LINE_FLOATS * sizeof *scratch, past = (uintptr_t)scratch % line;
  float *aligned = scratch + (past ? (line - past) / sizeof *scratch : 0);
  for (size_t phase = 0; phase < phase_count(&p->taps); phase++) {
    struct gemm g = gemm_of(b, p, phase, p->weight->rows, p->R);
    run_phase(&g, b->pool, aligned);
  }
}
