/* Few rows of activations times a frozen weight that is read once, where its file has it: GROUP elements of a row are
   decoded into registers and multiplied with up to four rows of X, which are in L1. Each element of Y is one sum in one
   order, whatever rows and columns are beside it.
   Numbers of the file that are floats are multiplied as such: lane l of chain c has the elements whose place in their
   group is l + W c, l + W (c + CHAINS), ... Quantised ones are small integers, and so is X in fixed point of 16 bits: a
   group's products are summed exactly, and scaled once. */
#include "worker/backend/cpu/isa/gemv.h"

#include "worker/backend/cpu/isa/half.h"
#include "worker/backend/weight.h"

enum {
  GROUP = GEMV_GROUP,
  PARTS = GROUP / W,
  CHAINS = 2,  /* of additions: one need not wait for the other */
  COLUMNS = 4, /* of Y side by side where there is one row: more chains */
  CACHE_LINE = 64,
  FIXED_MOST = 32767,
};

static inline vf floats(vi v) {
  return __builtin_convertvector(v, vf);
}

/* --- floats --------------------------------------------------------------------------------------- */

#define DECODER(name) static inline void name(vf out[PARTS], const unsigned char *in, size_t group)
/* Under a sanitizer each of the copies would have its checks, and take minutes to compile. */
#ifdef __SANITIZE_ADDRESS__
#define UNROLLED(i, count) for (size_t i = 0; i < (count); i++)
#else
#define UNROLLED(i, count) _Pragma("GCC unroll 8") for (size_t i = 0; i < (count); i++)
#endif

DECODER(decode_f32) {
  (void)group;
  UNROLLED(part, PARTS)
    memcpy(&out[part], in + part * sizeof *out, sizeof *out);
}

DECODER(decode_f16) {
  (void)group;
  UNROLLED(part, PARTS)
    out[part] = load_half(in + part * W * 2);
}

DECODER(decode_bf16) {
  (void)group;
  UNROLLED(part, PARTS)
    out[part] = (vf)(load_16(in + part * W * 2) << 16);
}

/* --- quantised groups ----------------------------------------------------------------------------- */

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t int8x16 __attribute__((vector_size(16)));
typedef int16_t vh __attribute__((vector_size(ISA_WIDTH * 4))); /* 2 W lanes */
typedef int16_t half_vh __attribute__((vector_size(ISA_WIDTH * 2))); /* W lanes */

/* A group is d q + m; its halves may have a scale and a minimum each. */
struct quants {
  int8x16 q[2];
  float d[2], m[2];
};

enum { HALVES = GROUP / (2 * W) }; /* vectors of a group of 16-bit integers */

static inline void widen(vh out[HALVES], const int8x16 q[2]) {
#if defined __AVX512F__
  out[0] = (vh)_mm512_cvtepi8_epi16(_mm256_set_m128i((__m128i)q[1], (__m128i)q[0]));
#elif defined __AVX2__
  out[0] = (vh)_mm256_cvtepi8_epi16((__m128i)q[0]);
  out[1] = (vh)_mm256_cvtepi8_epi16((__m128i)q[1]);
#else
  UNROLLED(i, HALVES) {
    int8_t part __attribute__((vector_size(ISA_WIDTH * 2)));
    memcpy(&part, (const char *)q + i * sizeof part, sizeof part);
    out[i] = __builtin_convertvector(part, vh);
  }
#endif
}

/* The products of neighbours, summed. */
static inline vi pair_sums(vh a, vh b) {
#if defined __AVX512F__
  return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined __AVX2__
  return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  vi x = (vi)a, y = (vi)b;
  return (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
#endif
}

/* Lanes whose sum is the product of a group and x, which is in fixed point, by halves. 32767 * 127 * 8 fits 32 bits. */
static inline void products(vi sums[2], const int8x16 q[2], const int16_t *x) {
  vh w[HALVES];
  widen(w, q);
  sums[0] = sums[1] = (vi){0};
  UNROLLED(i, HALVES) {
    vh part;
    memcpy(&part, x + i * 2 * W, sizeof part);
    sums[i * 2 / (HALVES > 1 ? HALVES : 2)] += pair_sums(w[i], part);
  }
}

/* The same times d and the scale of x. Of 16 lanes one vector has both halves. */
static inline vf scaled(const struct quants *q, const int16_t *x, float scale, int scales) {
  vi sums[2];
  products(sums, q->q, x);
  if (scales == 1)
    return floats(HALVES == 1 ? sums[0] : sums[0] + sums[1]) * (q->d[0] * scale);
  if (HALVES == 1)
    return floats(sums[0]) * vselect(lane_numbers < W / 2, splat(q->d[0] * scale), splat(q->d[1] * scale));
  return floats(sums[0]) * (q->d[0] * scale) + floats(sums[1]) * (q->d[1] * scale);
}

/* --- a group of a block, as worker/file/ggml.c has it --------------------------------------------- */

#define QUANTS(name) static inline void name(struct quants *out, const unsigned char *in, size_t group)

static inline bytes16 load_bytes(const unsigned char *p) {
  bytes16 v;
  memcpy(&v, p, sizeof v);
  return v;
}

QUANTS(decode_q8_0) {
  (void)group;
  out->d[0] = half_at(in);
  memcpy(out->q, in + 2, sizeof out->q);
}

/* Numbers of 16 bytes: 0..15 in their low halves, 16..31 in the high ones. */
static inline void low_and_high(struct quants *out, const unsigned char *in, uint8_t zero) {
  bytes16 bytes = load_bytes(in);
  out->q[0] = (int8x16)((bytes & 15) - zero);
  out->q[1] = (int8x16)((bytes >> 4) - zero);
}

QUANTS(decode_q4_0) {
  (void)group;
  out->d[0] = half_at(in);
  low_and_high(out, in + 2, 8);
}

/* Half of the largest number is taken away, and comes back with the minimum: the products are smaller. */
QUANTS(decode_q4_1) {
  (void)group;
  vf two = halves_at(in);
  out->d[0] = two[0];
  out->m[0] = two[1] + 8 * two[0];
  low_and_high(out, in + 4, 8);
}

/* 16 where an element's bit is set, of 16 bits, the first element's lowest. */
static inline bytes16 fifth_bits(const unsigned char *in) {
  static const bytes16 places = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  bytes16 bits;
  memset(&bits, in[0], 8);
  memset((unsigned char *)&bits + 8, in[1], 8);
  return (bytes16)((bits & places) != 0) & 16;
}

/* The same with a fifth bit for each number, in 4 bytes before the 16. */
static inline void fives(struct quants *out, const unsigned char *in) {
  bytes16 bytes = load_bytes(in + 4);
  out->q[0] = (int8x16)(((bytes & 15) | fifth_bits(in)) - 16);
  out->q[1] = (int8x16)(((bytes >> 4) | fifth_bits(in + 2)) - 16);
}

QUANTS(decode_q5_0) {
  (void)group;
  out->d[0] = half_at(in);
  fives(out, in + 2);
}

QUANTS(decode_q5_1) {
  (void)group;
  vf two = halves_at(in);
  out->d[0] = two[0];
  out->m[0] = two[1] + 16 * two[0];
  fives(out, in + 4);
}

/* Halves of bytes that stand for signed bytes. */
static inline void table_values(struct quants *out, const unsigned char *in, const int8_t values[16]) {
  bytes16 table, q = load_bytes(in);
  memcpy(&table, values, sizeof table);
  out->q[0] = (int8x16)__builtin_shuffle(table, q & 15);
  out->q[1] = (int8x16)__builtin_shuffle(table, q >> 4);
}

QUANTS(decode_iq4_nl) {
  (void)group;
  out->d[0] = half_at(in);
  table_values(out, in + 2, ggml_iq4_values);
}

QUANTS(decode_iq4_xs) {
  int low = in[4 + group / 2] >> group % 2 * 4 & 15, high = in[2 + group / 4] >> group % 4 * 2 & 3;
  out->d[0] = half_at(in) * (float)((low | high << 4) - 32);
  table_values(out, in + 8 + group * 16, ggml_iq4_values);
}

/* The scale is half of a power of two, the byte its exponent. */
QUANTS(decode_mxfp4) {
  (void)group;
  uint32_t bits = in[0] < 2 ? 0x00200000u << in[0] : (uint32_t)(in[0] - 1) << 23;
  memcpy(out->d, &bits, sizeof bits);
  table_values(out, in + 1, ggml_mxfp4_values);
}

/* Scale and minimum of 16 elements are the halves of a byte. */
QUANTS(decode_q2_k) {
  const unsigned char *q = in + 16 + group / 4 * 32, *packed = in + group * 2;
  float block = half_at(in + 80), minima = half_at(in + 82);
  UNROLLED(i, 2) {
    out->d[i] = block * (float)(packed[i] & 15);
    out->m[i] = -(minima * (float)(packed[i] >> 4));
    out->q[i] = (int8x16)(load_bytes(q + i * 16) >> (uint8_t)(group % 4 * 2) & 3);
  }
}

/* A scale of 16 elements has six bits; the third bit of a number takes 4 away where it is 0. */
QUANTS(decode_q3_k) {
  const unsigned char *q = in + 32 + group / 4 * 32, *packed = in + 96;
  float block = half_at(in + 108);
  UNROLLED(i, 2) {
    size_t of = group * 2 + i;
    int scale = (packed[of % 8] >> of / 8 * 4 & 15) | (packed[8 + of % 4] >> of / 4 * 2 & 3) << 4;
    bytes16 two = load_bytes(q + i * 16) >> (uint8_t)(group % 4 * 2) & 3;
    bytes16 high = load_bytes(in + i * 16) >> (uint8_t)group & 1;
    out->d[i] = block * (float)(scale - 32);
    out->q[i] = (int8x16)((two | high << 2) - 4);
  }
}

/* A group's scale and minimum have six bits each; `zero` was taken away from its numbers. */
static inline void scale_group(struct quants *out, const unsigned char *in, size_t group, float zero) {
  const unsigned char *packed = in + 4 + group % 4;
  int scale = group < 4 ? packed[0] & 63 : (packed[8] & 15) | packed[0] >> 6 << 4;
  int minimum = group < 4 ? packed[4] & 63 : packed[8] >> 4 | packed[4] >> 6 << 4;
  out->d[0] = half_at(in) * (float)scale;
  out->m[0] = zero * out->d[0] - half_at(in + 2) * (float)minimum;
}

QUANTS(decode_q4_k) {
  const unsigned char *q = in + 16 + group / 2 * 32;
  scale_group(out, in, group, 8);
  UNROLLED(i, 2) {
    bytes16 bytes = load_bytes(q + i * 16);
    out->q[i] = (int8x16)((group % 2 ? bytes >> 4 : bytes & 15) - 8);
  }
}

QUANTS(decode_q5_k) {
  const unsigned char *high = in + 16, *q = in + 48 + group / 2 * 32;
  scale_group(out, in, group, 16);
  UNROLLED(i, 2) {
    bytes16 bytes = load_bytes(q + i * 16), fifth = load_bytes(high + i * 16) >> (uint8_t)group & 1;
    out->q[i] = (int8x16)(((group % 2 ? bytes >> 4 : bytes & 15) | fifth << 4) - 16);
  }
}

QUANTS(decode_q6_k) {
  const unsigned char *low = in + group / 4 * 64 + group % 2 * 32, *high = in + 128 + group / 4 * 32;
  float block = half_at(in + 208);
  UNROLLED(i, 2) {
    bytes16 four = load_bytes(low + i * 16), two = load_bytes(high + i * 16) >> (uint8_t)(group % 4 * 2) & 3;
    out->d[i] = block * (float)(int8_t)in[192 + group * 2 + i];
    out->q[i] = (int8x16)(((group % 4 < 2 ? four & 15 : four >> 4) | two << 4) - 32);
  }
}

/* --- activations in fixed point ------------------------------------------------------------------- */

/* What is not finite makes its whole group NaN, and with it each sum that has it. */
void ISA_NAME(gemv_fixed)(int16_t *out, struct gemv_group *groups, const float *x, size_t k) {
  for (size_t group = 0; group < k / GROUP; group++, x += GROUP, out += GROUP) {
    struct gemv_group *g = &groups[group];
    vf most = splat(0), sums[2] = {splat(0), splat(0)};
    UNROLLED(part, PARTS) {
      vf v = load(x + part * W);
      most = vmax(vmax(v, -v), most);
      sums[part * 2 / PARTS] += v;
    }
    float largest = lanes_max(most);
    g->sums[0] = lanes_sum(sums[0]);
    g->sums[1] = lanes_sum(sums[1]);
    g->sum = g->sums[0] + g->sums[1];
    bool finite = largest < INFINITY && fabsf(g->sum) < INFINITY;
    float by = finite && largest > 0 ? FIXED_MOST / largest : 0;
    g->scale = finite ? largest / FIXED_MOST : NAN;
    UNROLLED(part, PARTS) {
      vi whole = (vi)((finite ? load(x + part * W) : splat(0)) * by + to_integer) << 16 >> 16;
      half_vh narrow = __builtin_convertvector(whole, half_vh);
      memcpy(out + part * W, &narrow, sizeof narrow);
    }
  }
}

/* --- tiles ---------------------------------------------------------------------------------------- */

/* M x N elements of Y. The first rows' tiles prefetch the rows of the weight that come next. */
typedef void tile_function(const struct gemv *g, size_t row, size_t column);

#define TILE_FLOAT(name, M, N, decode, BLOCK, BYTES)                                                                   \
  static void name(const struct gemv *g, size_t row, size_t column) {                                                  \
    vf acc[M][N][CHAINS];                                                                                              \
    UNROLLED(i, M)                                                                                                     \
      UNROLLED(j, N)                                                                                                   \
        acc[i][j][0] = acc[i][j][1] = splat(0);                                                                        \
    const unsigned char *const *rows = g->rows + column, *const *next = column + 2 * (N) <= g->n ? rows + (N) : rows;  \
    const float *x = g->x + row * g->ldx;                                                                              \
    const size_t ldx = g->ldx, bytes = g->k / (BLOCK) * (BYTES);                                                       \
    for (size_t at = 0; at < bytes; at += (BYTES), x += (BLOCK))                                                       \
      UNROLLED(j, N) {                                                                                                 \
        for (size_t line = 0; row == 0 && line < (BYTES); line += CACHE_LINE)                                          \
          __builtin_prefetch(next[j] + at + line);                                                                     \
        UNROLLED(group, (BLOCK) / GROUP) {                                                                             \
          vf w[PARTS];                                                                                                 \
          decode(w, rows[j] + at, group);                                                                              \
          UNROLLED(part, PARTS)                                                                                        \
            UNROLLED(i, M)                                                                                             \
              acc[i][j][part % CHAINS] += w[part] * load(x + i * ldx + group * GROUP + part * W);                      \
        }                                                                                                              \
      }                                                                                                                \
    UNROLLED(i, M)                                                                                                     \
      UNROLLED(j, N)                                                                                                   \
        g->y[(row + i) * g->ldy + column + j] = lanes_sum(acc[i][j][0] + acc[i][j][1]);                                \
  }

#define TILE_QUANTS(name, M, N, decode, BLOCK, BYTES, SCALES, MINIMA)                                                  \
  static void name(const struct gemv *g, size_t row, size_t column) {                                                  \
    vf acc[M][N];                                                                                                      \
    float least[M][N];                                                                                                 \
    UNROLLED(i, M)                                                                                                     \
      UNROLLED(j, N)                                                                                                   \
        acc[i][j] = splat(least[i][j] = 0);                                                                            \
    const unsigned char *const *rows = g->rows + column, *const *next = column + 2 * (N) <= g->n ? rows + (N) : rows;  \
    const size_t groups = g->k / GROUP, bytes = g->k / (BLOCK) * (BYTES);                                              \
    const int16_t *x = g->fixed.x + row * g->k;                                                                        \
    const struct gemv_group *of = g->fixed.groups + row * groups;                                                      \
    for (size_t at = 0; at < bytes; at += (BYTES), x += (BLOCK), of += (BLOCK) / GROUP)                                \
      UNROLLED(j, N) {                                                                                                 \
        for (size_t line = 0; row == 0 && line < (BYTES); line += CACHE_LINE)                                          \
          __builtin_prefetch(next[j] + at + line);                                                                     \
        UNROLLED(group, (BLOCK) / GROUP) {                                                                             \
          struct quants q;                                                                                             \
          decode(&q, rows[j] + at, group);                                                                             \
          UNROLLED(i, M) {                                                                                             \
            const struct gemv_group *o = of + i * groups + group;                                                      \
            acc[i][j] += scaled(&q, x + i * g->k + group * GROUP, o->scale, SCALES);                                   \
            if (MINIMA)                                                                                                \
              least[i][j] += (SCALES) == 1 ? q.m[0] * o->sum : q.m[0] * o->sums[0] + q.m[1] * o->sums[1];              \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    UNROLLED(i, M)                                                                                                     \
      UNROLLED(j, N)                                                                                                   \
        g->y[(row + i) * g->ldy + column + j] = lanes_sum(acc[i][j]) + least[i][j];                                    \
  }

struct tiles {
  tile_function *wide;             /* a row, COLUMNS columns */
  tile_function *one, *two, *four; /* so many rows, a column */
};

#define TILES(TILE, type, ...)                                                                                         \
  TILE(wide_##type, 1, COLUMNS, decode_##type, __VA_ARGS__)                                                            \
  TILE(one_##type, 1, 1, decode_##type, __VA_ARGS__)                                                                   \
  TILE(two_##type, 2, 1, decode_##type, __VA_ARGS__)                                                                   \
  TILE(four_##type, 4, 1, decode_##type, __VA_ARGS__)                                                                  \
  static const struct tiles tiles_##type = {wide_##type, one_##type, two_##type, four_##type};

TILES(TILE_FLOAT, f32, GROUP, GROUP * 4)
TILES(TILE_FLOAT, f16, GROUP, GROUP * 2)
TILES(TILE_FLOAT, bf16, GROUP, GROUP * 2)
/* elements and bytes of a block; scales of a group; whether it has minima */
TILES(TILE_QUANTS, q8_0, 32, 34, 1, false)
TILES(TILE_QUANTS, q4_0, 32, 18, 1, false)
TILES(TILE_QUANTS, q4_1, 32, 20, 1, true)
TILES(TILE_QUANTS, q5_0, 32, 22, 1, false)
TILES(TILE_QUANTS, q5_1, 32, 24, 1, true)
TILES(TILE_QUANTS, iq4_nl, 32, 18, 1, false)
TILES(TILE_QUANTS, mxfp4, 32, 17, 1, false)
TILES(TILE_QUANTS, iq4_xs, 256, 136, 1, false)
TILES(TILE_QUANTS, q2_k, 256, 84, 2, true)
TILES(TILE_QUANTS, q3_k, 256, 110, 2, false)
TILES(TILE_QUANTS, q4_k, 256, 144, 1, true)
TILES(TILE_QUANTS, q5_k, 256, 176, 1, true)
TILES(TILE_QUANTS, q6_k, 256, 210, 2, false)

static const struct tiles *tiles_of(enum ggml_type type) {
  switch (type) {
  case GGML_F32: return &tiles_f32;
  case GGML_F16: return &tiles_f16;
  case GGML_BF16: return &tiles_bf16;
  case GGML_Q8_0: return &tiles_q8_0;
  case GGML_Q4_0: return &tiles_q4_0;
  case GGML_Q4_1: return &tiles_q4_1;
  case GGML_Q5_0: return &tiles_q5_0;
  case GGML_Q5_1: return &tiles_q5_1;
  case GGML_IQ4_NL: return &tiles_iq4_nl;
  case GGML_MXFP4: return &tiles_mxfp4;
  case GGML_IQ4_XS: return &tiles_iq4_xs;
  case GGML_Q2_K: return &tiles_q2_k;
  case GGML_Q3_K: return &tiles_q3_k;
  case GGML_Q4_K: return &tiles_q4_k;
  case GGML_Q5_K: return &tiles_q5_k;
  case GGML_Q6_K: return &tiles_q6_k;
  }
  return NULL; /* the engine reads no other */
}

/* Rows outside: four rows of X stay in L1 while the columns pass, and the next ones find the weight in L2. */
void ISA_NAME(gemv)(const struct gemv *g) {
  const struct tiles *t = tiles_of(g->type);
  for (size_t i = 0, rows; i < g->m; i += rows) {
    rows = g->m - i >= 4 ? 4 : g->m - i >= 2 ? 2 : 1;
    size_t j = 0;
    for (; rows == 1 && j + COLUMNS <= g->n; j += COLUMNS)
      t->wide(g, i, j);
    for (; j < g->n; j++)
      (rows == 4 ? t->four : rows == 2 ? t->two : t->one)(g, i, j);
  }
}
