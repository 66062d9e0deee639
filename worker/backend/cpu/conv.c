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

struct gemm {
  const struct conv *p;
  const struct gemm_ukernel *u;
  size_t taps, channels, chunk; /* of A; a part of K is the taps of `chunk` channels */
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

/* --- packing B ------------------------------------------------------------------------------------ */

/* The file's rows are (channel, tap); these are (tap, channel). `stride` is from a tap to the next. */
static void reorder(float *to, size_t stride, const float *from, size_t taps, size_t channels) {
  for (size_t t = 0; t < taps; t++)
    for (size_t c = 0; c < channels; c++)
      to[t * stride + c] = from[c * taps + t];
}

/* A column of B is a row of the weight. */
static void pack_columns(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, float *raw) {
  size_t nr = g->u->nr, kc = k->count * g->taps;
  float *reordered = raw + kc;
  const float *columns[GEMM_NR_MAX];
  for (size_t p = 0; p * nr < b->nc; p++) {
    size_t n = packed_columns(b, p);
    for (size_t j = 0; j < n; j++) {
      const float *row = weight_part(g->p->weight, k->j + p * nr + j, k->first * g->taps, kc, raw);
      reorder(reordered + j * kc, k->count, row, g->taps, k->count);
      columns[j] = reordered + j * kc;
    }
    g->u->pack_b_columns(packed_row(b, p, 1), columns, n, kc);
  }
}

/* A row of B is a tap of some columns' channels in one row of the weight. */
static void pack_rows(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, float *raw) {
  const struct gemm_ukernel *u = g->u;
  size_t kc = k->count * g->taps, nc = b->nc;
  float *reordered = raw + nc * g->taps;
  for (size_t c = 0; c < k->count; c++) {
    const float *row = weight_part(g->p->weight, k->first + c, k->j * g->taps, nc * g->taps, raw);
    reorder(reordered + c * nc, k->count * nc, row, g->taps, nc);
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
  size_t width = t->to.width, x = pixel % width, y = pixel / width % t->to.height;
  size_t image = pixel / width / t->to.height;
  const size_t *kernel = t->convolution->kernel;
  for (size_t i = 0; i < kernel[0]; i++) {
    size_t line = conv_seen(t, y, i, 0);
    const float *from = g->p->a + (image * t->from.height + line) * t->from.width * g->channels + k->first;
    for (size_t j = 0; j < kernel[1]; j++, to += k->count) {
      size_t column = line == SIZE_MAX ? SIZE_MAX : conv_seen(t, x, j, 1);
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

/* Rows of C from `row` on, with the packed block. `tile` has room for A as it is gathered, and packed. */
static void multiply_rows(const struct gemm *g, const struct packed_b *b, const struct part_of_k *k, size_t row,
                          size_t rows, size_t R, float *tile) {
  const struct conv *p = g->p;
  const struct gemm_ukernel *u = g->u;
  size_t kc = k->count * g->taps;
  const float *a = tile, *q = R ? p->q + row * R : NULL;
  for (size_t i = 0; i < rows; i++)
    gather_row(tile + i * kc, g, k, row + i);
  if (u->pack_a) {
    float *packed = tile + tile_floats(g, p->R);
    u->pack_a(packed, tile, q, rows, kc, R);
    a = packed;
  }
  u->macrokernel(&(struct gemm_block){.c = p->c + row * g->n + k->j,
                                      .ldc = g->n,
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

/* An MC x NC block of C. */
static void block_task(void *payload, size_t index, int thread) {
  const struct gemm *g = payload;
  size_t i = index / g->n_blocks * g->mc, j = index % g->n_blocks * g->nc, step = tile_rows(g->u);
  size_t end = g->rows - i < g->mc ? g->rows : i + g->mc, nc = g->n - j < g->nc ? g->n - j : g->nc;
  float *panels = g->scratch + (size_t)thread * g->thread_floats, *tile = panels + panels_floats(g, g->p->R);
  float *raw = tile + 2 * tile_floats(g, g->p->R);
  for (size_t first = 0; first < g->channels; first += g->chunk) {
    size_t left = g->channels - first, R = left <= g->chunk ? g->p->R : 0;
    struct part_of_k k = {first, left < g->chunk ? left : g->chunk, j};
    struct packed_b b = pack_b(g, &k, nc, R, panels, raw);
    for (size_t row = i; row < end; row += step)
      multiply_rows(g, &b, &k, row, end - row < step ? end - row : step, R, tile);
  }
}

/* --- blocking ------------------------------------------------------------------------------------- */

/* The chunk decides the order of sums, so it depends on the shapes alone. */
static void choose_blocks(struct gemm *g, size_t R) {
  size_t nr = g->u->nr, chunk = ceil_div(KC_MIN, g->taps);
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
  size_t kc = g->chunk * g->taps, columns = kc + g->u->nr * kc, rows = (g->nc + g->chunk * g->nc) * g->taps;
  size_t raw = columns > rows ? columns : rows;
  return panels_floats(g, R) + 2 * tile_floats(g, R) + round_up(raw, CACHE_LINE_FLOATS);
}

static struct gemm gemm_of(const struct backend *b, const struct convolution *c, size_t channels, size_t n, size_t R) {
  struct gemm g = {.u = b->gemm, .taps = conv_taps(c), .channels = channels, .n = n};
  choose_blocks(&g, R);
  g.thread_floats = thread_floats(&g, R);
  return g;
}

size_t conv_scratch(const struct backend *b, const struct linear *l, size_t R) {
  const struct convolution *c = l->convolution;
  size_t forward = gemm_of(b, c, c->channels, l->out, R).thread_floats;
  size_t transposed = gemm_of(b, c, l->out, c->channels, R).thread_floats;
  return CACHE_LINE_FLOATS + (size_t)pool_threads(b->pool) * (forward > transposed ? forward : transposed);
}

void conv_run(const struct backend *b, const struct conv *p, float *scratch) {
  const struct convolution *c = p->taps.convolution;
  bool transposed = p->taps.transposed;
  struct gemm g =
      gemm_of(b, c, transposed ? p->weight->rows : c->channels, transposed ? c->channels : p->weight->rows, p->R);
  size_t line = CACHE_LINE_FLOATS * sizeof *scratch, past = (uintptr_t)scratch % line;
  g.p = p;
  g.scratch = scratch + (past ? (line - past) / sizeof *scratch : 0);
  g.rows = images_rows(&p->taps.to);
  size_t threads = (size_t)pool_threads(b->pool),
         blocks = threads > 1 ? ceil_div(threads * TASKS_PER_THREAD, g.n_blocks) : 1;
  g.mc = ceil_div(g.rows, blocks);
  g.mc = round_up(g.mc < MC_MIN ? MC_MIN : g.mc, tile_rows(g.u));
  g.m_blocks = ceil_div(g.rows, g.mc);
  pool_run(b->pool, g.m_blocks * g.n_blocks, block_task, &g);
}
