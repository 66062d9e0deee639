#include "worker/backend/cpu/matmul_native.h"

#include <stdint.h>

#include "worker/backend/cpu/packed_b.h"

/* Blocking. C is cut into tasks of MC x NC, k into parts of KC. */
enum {
  NC_MAX = 4096,
  KC_MAX = 1024,
  KC_MAX_ROWS = 256,     /* where rows of B are packed: NC is then large, so that long pieces of the rows are read */
  QUANT_BLOCK_MAX = 256, /* the largest block of a quantised type: KC is a multiple of it */
  MC_MIN = 256,          /* decoding and packing are shared by many rows, */
  TASKS_PER_THREAD = 8,  /* but all cores have work until the end */
  TASKS_PER_THREAD_MIN = 4,
  PACK_A_ROWS = 64, /* of a task that packs A */
  PREFETCH_ROWS = 8,
};

struct gemm {
  const struct matmul *p;
  const struct gemm_ukernel *u;
  const unsigned char *a; /* as the ukernel reads it */
  size_t lda;             /* elements */
  size_t n, k, kc;
  size_t nc, n_blocks;
  size_t mc, m_blocks;
  float *packed_a;
  float *thread_scratch;
  size_t thread_floats;
};

/* Room for the decoded columns of one panel, or for vnni decoded rows of a block, which are fewer. */
static size_t decode_floats(const struct gemm_ukernel *u) {
  return u->nr * KC_MAX;
}

/* --- packing B ------------------------------------------------------------------------------------ */

/* Columns [j, j + nc) and rows [k, k + kc) of B. */
struct part_of_b {
  struct packed_b packed;
  size_t j, k, kc;
};

/* B is the weight's transpose: a column of B is a row of the weight. */
static void pack_b_columns(const struct gemm *g, const struct part_of_b *b, float *decoded) {
  size_t nr = g->u->nr;
  const float *columns[GEMM_NR_MAX];
  for (size_t p = 0; p * nr < b->packed.nc; p++) {
    size_t n = packed_columns(&b->packed, p);
    for (size_t j = 0; j < n; j++)
      columns[j] = weight_part(g->p->weight, b->j + p * nr + j, b->k, b->kc, decoded + j * b->kc);
    g->u->pack_b_columns(packed_row(&b->packed, p, 1), columns, n, b->kc);
  }
}

/* B is the weight. The pieces of its rows are too short for the hardware to prefetch the next row's piece. */
static void pack_b_rows(const struct gemm *g, const struct part_of_b *b, float *decoded) {
  const struct gemm_ukernel *u = g->u;
  const struct weight *w = g->p->weight;
  const float *rows[GEMM_VNNI_MAX], *pieces[GEMM_VNNI_MAX];
  size_t padded = round_up(b->kc, u->k_block), nc = b->packed.nc;
  for (size_t k = 0; k < padded; k += u->vnni) {
    for (size_t i = 0; i < u->vnni; i++)
      rows[i] = k + i < b->kc ? weight_part(w, b->k + k + i, b->j, nc, decoded + i * nc) : NULL;
    for (size_t i = 0; i < u->vnni; i++)
      weight_prefetch(w, b->k + k + i + PREFETCH_ROWS, b->j, nc);
    for (size_t p = 0; p * u->nr < nc; p++) {
      for (size_t i = 0; i < u->vnni; i++)
        pieces[i] = rows[i] ? rows[i] + p * u->nr : NULL;
      u->pack_b_rows(packed_row(&b->packed, p, 1 + k / u->vnni), pieces, packed_columns(&b->packed, p));
    }
  }
}

/* --- tasks ---------------------------------------------------------------------------------------- */

/* An MC x NC block of C. */
static void block_task(void *payload, size_t index, int thread) {
  const struct gemm *g = payload;
  const struct matmul *p = g->p;
  const struct gemm_ukernel *u = g->u;
  size_t i = index / g->n_blocks * g->mc, j = index % g->n_blocks * g->nc;
  size_t m = p->rows - i < g->mc ? p->rows - i : g->mc, n = g->n - j < g->nc ? g->n - j : g->nc;
  float *scratch = g->thread_scratch + (size_t)thread * g->thread_floats;
  for (size_t k = 0; k < g->k; k += g->kc) {
    bool last = k + g->kc >= g->k;
    size_t kc = last ? g->k - k : g->kc, R = last ? p->R : 0;
    size_t kc_padded = round_up(kc, u->k_block), kc_all = kc_padded + rank_k(u, R);
    struct part_of_b b = {
        .packed = {u, scratch + decode_floats(u), n, 1 + kc_all / u->vnni + rank_rows(u, R)}, .j = j, .k = k, .kc = kc};
    packed_fp32_row(&b.packed, 0, k == 0 && p->bias ? p->bias + j : NULL, 1);
    (p->transposed ? pack_b_columns : pack_b_rows)(g, &b, scratch);
    if (R)
      packed_v(&b.packed, 1 + kc_padded / u->vnni, p->v + j, g->n, R, p->sign);
    u->macrokernel(&(struct gemm_block){.c = p->c + i * g->n + j,
                                        .ldc = g->n,
                                        .a = g->a + (i * g->lda + k * u->m_block) * u->element_size,
                                        .lda = g->lda,
                                        .q = R ? p->q + i * R : NULL,
                                        .panels = b.packed.panels,
                                        .m = m,
                                        .n = n,
                                        .k = kc_all,
                                        .R = rank_rows(u, R),
                                        .accumulate = p->accumulate || k > 0});
  }
}

static void pack_a_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct gemm *g = payload;
  const struct matmul *p = g->p;
  size_t i = index * PACK_A_ROWS, left = p->rows - i;
  unsigned char *out = (unsigned char *)g->packed_a + i * g->lda * g->u->element_size;
  g->u->pack_a((void *)out, p->a + i * g->k, p->R ? p->q + i * p->R : NULL, left < PACK_A_ROWS ? left : PACK_A_ROWS,
               g->k, p->R);
}

/* --- blocking ------------------------------------------------------------------------------------- */

static size_t packed_lda(const struct gemm_ukernel *u, size_t k, size_t R) {
  return round_up(k, u->k_block) + rank_k(u, R);
}

static size_t packed_a_floats(const struct gemm_ukernel *u, size_t rows, size_t k, size_t R) {
  size_t bytes = round_up(rows, u->mr) * packed_lda(u, k, R) * u->element_size;
  return u->pack_a ? round_up(bytes / sizeof(float), CACHE_LINE_FLOATS) : 0;
}

/* A block of B has B_BLOCK_FLOATS, or more where NC is one block of a quantised type. */
static size_t thread_floats(const struct gemm_ukernel *u, size_t R) {
  size_t more = (1 + rank_rows(u, R) + rank_k(u, R)) * QUANT_BLOCK_MAX;
  return round_up(decode_floats(u) + B_BLOCK_FLOATS + more, CACHE_LINE_FLOATS);
}

size_t matmul_native_scratch(const struct backend *b, size_t rows, size_t k, size_t R) {
  return CACHE_LINE_FLOATS + packed_a_floats(b->gemm, rows, k, R) +
         (size_t)pool_threads(b->pool) * thread_floats(b->gemm, R);
}

/* KC decides the order of sums, so it depends on the shapes alone. NC is a multiple of NR, and of the quantised type's
   block where rows of the weight are packed; it may depend on the number of threads. */
static void choose_kc_and_nc(struct gemm *g, int threads) {
  const struct matmul *p = g->p;
  size_t quant_block = p->transposed ? 1 : weight_block(p->weight), nr = g->u->nr;
  size_t step = quant_block > nr ? quant_block : nr;
  size_t kc_max = B_BLOCK_FLOATS / step / QUANT_BLOCK_MAX * QUANT_BLOCK_MAX;
  size_t kc_limit = p->transposed ? KC_MAX : KC_MAX_ROWS;
  kc_max = kc_max < kc_limit ? kc_max : kc_limit;
  g->kc = g->k;
  if (g->k > kc_max)
    g->kc = round_up(ceil_div(g->k, ceil_div(g->k, kc_max)), QUANT_BLOCK_MAX);
  size_t panel_rows = 1 + (g->kc + rank_k(g->u, p->R)) / g->u->vnni + rank_rows(g->u, p->R);
  size_t nc_max = B_BLOCK_FLOATS / panel_rows / step * step;
  nc_max = nc_max < step ? step : nc_max < NC_MAX ? nc_max : NC_MAX;
  size_t blocks = ceil_div(g->n, nc_max);
  size_t blocks_min = ceil_div((size_t)threads * TASKS_PER_THREAD_MIN, ceil_div(p->rows, MC_MIN));
  blocks = blocks < blocks_min && threads > 1 ? blocks_min : blocks;
  g->nc = round_up(ceil_div(g->n, blocks), step);
  g->n_blocks = ceil_div(g->n, g->nc);
}

static void choose_mc(struct gemm *g, int threads) {
  size_t rows = g->p->rows, blocks = ceil_div((size_t)threads * TASKS_PER_THREAD, g->n_blocks);
  size_t mc = ceil_div(rows, blocks), mc_max = g->u->mc_max;
  mc = mc < MC_MIN ? MC_MIN : mc > mc_max ? mc_max : mc;
  if (threads == 1)
    mc = mc_max;
  g->m_blocks = ceil_div(rows, mc);
  g->mc = round_up(ceil_div(rows, g->m_blocks), g->u->mr);
  g->m_blocks = ceil_div(rows, g->mc);
}

void matmul_native_run(const struct backend *b, const struct matmul *p, float *scratch) {
  struct gemm g = {.p = p, .u = b->gemm, .a = (const unsigned char *)p->a};
  size_t line = CACHE_LINE_FLOATS * sizeof *scratch, past = (uintptr_t)scratch % line;
  g.packed_a = scratch + (past ? (line - past) / sizeof *scratch : 0);
  g.n = p->transposed ? p->weight->rows : p->weight->cols;
  g.k = p->transposed ? p->weight->cols : p->weight->rows;
  g.lda = packed_lda(g.u, g.k, p->R);
  g.thread_scratch = g.packed_a + packed_a_floats(g.u, p->rows, g.k, p->R);
  g.thread_floats = thread_floats(g.u, p->R);
  choose_kc_and_nc(&g, pool_threads(b->pool));
  choose_mc(&g, pool_threads(b->pool));
  if (g.u->pack_a) {
    pool_run(b->pool, ceil_div(p->rows, PACK_A_ROWS), pack_a_task, &g);
    g.a = (const unsigned char *)g.packed_a;
  }
  pool_run(b->pool, g.m_blocks * g.n_blocks, block_task, &g);
}
