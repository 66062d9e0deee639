#include "worker/backend/cpu/matmul_openblas.h"

#include <cblas.h>
#include <string.h>

/* C is cut into tasks of MC x NC. OpenBLAS may sum an element in another order where a block has another shape, so the
   cut depends on the shapes alone and not on the number of threads. OpenBLAS packs its operands in each task, so blocks
   are large where the shapes leave enough tasks. */
enum {
  MC_MAX = 512,
  MC_MIN = 128,
  NC_MAX = 512, /* NC is whole blocks of the weight's type, which have at most 256 elements, */
  NC_STEP = 16, /* and a multiple of this */
  KC = 512,     /* of a decoded part of B */
  TASKS_MIN = 16,
  ROUND_A_FLOATS = 1 << 16,
};

struct gemm {
  const struct matmul *p;
  const float *a; /* rounded to bf16 where the precision is */
  size_t n, k;
  size_t mc, nc, n_blocks;
  bool direct; /* OpenBLAS reads the weight where it lies */
  bool round;  /* bf16 emulation */
  float *rounded_a;
  float *decoded; /* NC_MAX x KC for each thread */
};

static size_t ceil_div(size_t n, size_t d) {
  return (n + d - 1) / d;
}

static size_t round_up(size_t n, size_t to) {
  return ceil_div(n, to) * to;
}

/* --- bf16 emulation ------------------------------------------------------------------------------- */

/* To nearest, ties to even; NaN stays NaN. */
static void round_bf16(float *out, const float *in, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, &in[i], sizeof bits);
    uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1)) & 0xFFFF0000u;
    bits = (bits & 0x7FFFFFFFu) > 0x7F800000u ? bits : rounded;
    memcpy(&out[i], &bits, sizeof bits);
  }
}

static void round_a_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct gemm *g = payload;
  size_t first = index * ROUND_A_FLOATS, left = g->p->rows * g->k - first;
  round_bf16(g->rounded_a + first, g->p->a + first, left < ROUND_A_FLOATS ? left : ROUND_A_FLOATS);
}

/* --- a block of C --------------------------------------------------------------------------------- */

struct block {
  float *c;
  const float *a;
  size_t j;    /* the first column */
  size_t m, n; /* rows and columns */
};

/* C = beta C + A's columns [k, k + kc) times B's rows [k, k + kc), which `b` has: rows of the weight, ldb apart. */
static void multiply(const struct gemm *g, const struct block *block, size_t k, size_t kc, const float *b, size_t ldb,
                     float beta) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, g->p->transposed ? CblasTrans : CblasNoTrans, (blasint)block->m,
              (blasint)block->n, (blasint)kc, 1, block->a + k, (blasint)g->k, b, (blasint)ldb, beta, block->c,
              (blasint)g->n);
}

/* A part of the weight in fp32: `rows` rows, `cols` columns. */
static void decode(float *out, const struct gemm *g, size_t row, size_t rows, size_t col, size_t cols) {
  for (size_t i = 0; i < rows; i++, out += cols) {
    const float *part = weight_part(g->p->weight, row + i, col, cols, out);
    if (g->round)
      round_bf16(out, part, cols);
    else if (part != out)
      memcpy(out, part, cols * sizeof *out);
  }
}

static void multiply_decoded(const struct gemm *g, const struct block *block, float *decoded, float beta) {
  for (size_t k = 0; k < g->k; k += KC, beta = 1) {
    size_t kc = g->k - k < KC ? g->k - k : KC;
    if (g->p->transposed)
      decode(decoded, g, block->j, block->n, k, kc);
    else
      decode(decoded, g, k, kc, block->j, block->n);
    multiply(g, block, k, kc, decoded, g->p->transposed ? kc : block->n, beta);
  }
}

static void multiply_direct(const struct gemm *g, const struct block *block, float beta) {
  const struct weight *w = g->p->weight;
  const float *b =
      g->p->transposed ? weight_part(w, block->j, 0, w->cols, NULL) : weight_part(w, 0, block->j, block->n, NULL);
  multiply(g, block, 0, g->k, b, w->cols, beta);
}

static void add_bias(const struct gemm *g, const struct block *block) {
  for (size_t i = 0; i < block->m; i++)
    for (size_t j = 0; j < block->n; j++) {
      float *c = &block->c[i * g->n + j];
      *c = g->p->accumulate ? *c + g->p->bias[block->j + j] : g->p->bias[block->j + j];
    }
}

static void block_task(void *payload, size_t index, int thread) {
  const struct gemm *g = payload;
  const struct matmul *p = g->p;
  size_t i = index / g->n_blocks * g->mc, j = index % g->n_blocks * g->nc;
  struct block block = {.c = p->c + i * g->n + j,
                        .a = g->a + i * g->k,
                        .j = j,
                        .m = p->rows - i < g->mc ? p->rows - i : g->mc,
                        .n = g->n - j < g->nc ? g->n - j : g->nc};
  float beta = p->accumulate || p->bias ? 1 : 0;
  if (p->bias)
    add_bias(g, &block);
  if (g->direct)
    multiply_direct(g, &block, beta);
  else
    multiply_decoded(g, &block, g->decoded + (size_t)thread * NC_MAX * KC, beta);
  if (p->R)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)block.m, (blasint)block.n, (blasint)p->R, p->sign,
                p->q + i * p->R, (blasint)p->R, p->v + j, (blasint)g->n, 1, block.c, (blasint)g->n);
}

/* --- the whole ------------------------------------------------------------------------------------ */

void matmul_openblas_start(void) {
  openblas_set_num_threads(1);
}

size_t matmul_openblas_scratch(const struct backend *b, size_t rows, size_t k) {
  size_t rounded = b->precision == PRECISION_BF16 ? rows * k : 0;
  return rounded + (size_t)pool_threads(b->pool) * NC_MAX * KC;
}

/* Returns the number of blocks along the rows. */
static size_t cut(struct gemm *g) {
  size_t step = g->p->transposed ? 1 : weight_block(g->p->weight), rows = g->p->rows;
  step = step < NC_STEP ? NC_STEP : step;
  g->nc = round_up(ceil_div(g->n, ceil_div(g->n, NC_MAX)), step);
  g->n_blocks = ceil_div(g->n, g->nc);
  size_t blocks = ceil_div(TASKS_MIN, g->n_blocks), least = ceil_div(rows, MC_MAX), most = ceil_div(rows, MC_MIN);
  blocks = blocks < least ? least : blocks > most ? most : blocks;
  g->mc = ceil_div(rows, blocks);
  return ceil_div(rows, g->mc);
}

void matmul_openblas_run(const struct backend *b, const struct matmul *p, float *scratch) {
  const struct weight *w = p->weight;
  struct gemm g = {.p = p, .a = p->a, .n = p->transposed ? w->rows : w->cols, .k = p->transposed ? w->cols : w->rows};
  g.round = b->precision == PRECISION_BF16;
  g.direct = w->type == GGML_F32 && !w->heads && !g.round;
  g.rounded_a = scratch;
  g.decoded = scratch + (g.round ? p->rows * g.k : 0);
  size_t m_blocks = cut(&g);
  if (g.round) {
    pool_run(b->pool, ceil_div(p->rows * g.k, ROUND_A_FLOATS), round_a_task, &g);
    g.a = g.rounded_a;
  }
  pool_run(b->pool, m_blocks * g.n_blocks, block_task, &g);
}
