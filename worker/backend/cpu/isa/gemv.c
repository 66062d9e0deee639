/* Few rows of activations times a frozen weight that is read once, where its file has it: GROUP elements of a row are
   decoded into registers and multiplied with up to four rows of X, which are in L1. Each element of Y is one sum in one
   order: lane l of chain c has the elements whose place in their group is l + W c, l + W (c + CHAINS), ... */
#include "worker/backend/cpu/isa/gemv.h"

#include "worker/backend/cpu/isa/half.h"
#include "worker/backend/weight.h"

enum {
  GROUP = GEMV_GROUP,
  PARTS = GROUP / W,
  CHAINS = 2,  /* of additions: one need not wait for the other */
  COLUMNS = 4, /* of Y side by side where there is one row: more chains */
  CACHE_LINE = 64,
};

/* W bytes as integers. */
static inline vi load_bytes(const unsigned char *p) {
#if defined __AVX512F__
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif defined __AVX2__
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
  uint8_t v __attribute__((vector_size(ISA_WIDTH)));
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vi);
#endif
}

static inline vi load_signed_bytes(const unsigned char *p) {
#if defined __AVX512F__
  return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif defined __AVX2__
  return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
  return (load_bytes(p) << 24) >> 24;
#endif
}

static inline vf floats(vi v) {
  return __builtin_convertvector(v, vf);
}

/* --- a group of a block, as worker/file/ggml.c has it --------------------------------------------- */

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

DECODER(decode_q8_0) {
  (void)group;
  float d = half_at(in);
  UNROLLED(part, PARTS)
    out[part] = floats(load_signed_bytes(in + 2 + part * W)) * d;
}

/* Numbers q * d + m of 16 bytes: 0..15 in their low halves, 16..31 in the high ones. */
static inline void decode_low_high(vf out[PARTS], const unsigned char *in, float d, float m) {
  UNROLLED(part, PARTS / 2) {
    vi bytes = load_bytes(in + part * W);
    out[part] = floats(bytes & 15) * d + m;
    out[part + PARTS / 2] = floats(bytes >> 4) * d + m;
  }
}

DECODER(decode_q4_0) {
  (void)group;
  float d = half_at(in);
  decode_low_high(out, in + 2, d, -8 * d);
}

DECODER(decode_q4_1) {
  (void)group;
  decode_low_high(out, in + 4, half_at(in), half_at(in + 2));
}

/* 32 bits, the first element's lowest: 16 where the element's is set. */
static inline vi fifth_bits(uint32_t bits, size_t part) {
  vu all = (vu){0} + bits, places = ((vu){0} + 1) << (vu)(lane_numbers + (int32_t)(part * W));
  return (vi)((all & places) != 0) & 16;
}

/* The same with a fifth bit for each number, in 4 bytes before the 16. */
static inline void decode_fives(vf out[PARTS], const unsigned char *in, float d, float m) {
  uint32_t bits;
  memcpy(&bits, in, sizeof bits);
  UNROLLED(part, PARTS / 2) {
    vi bytes = load_bytes(in + 4 + part * W);
    out[part] = floats((bytes & 15) | fifth_bits(bits, part)) * d + m;
    out[part + PARTS / 2] = floats(bytes >> 4 | fifth_bits(bits, part + PARTS / 2)) * d + m;
  }
}

DECODER(decode_q5_0) {
  (void)group;
  float d = half_at(in);
  decode_fives(out, in + 2, d, -16 * d);
}

DECODER(decode_q5_1) {
  (void)group;
  decode_fives(out, in + 4, half_at(in), half_at(in + 2));
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Halves of bytes that stand for signed bytes. */
static inline void decode_values(vf out[PARTS], const unsigned char *in, const int8_t values[16], float d) {
  bytes16 table, q, halves[2];
  memcpy(&table, values, sizeof table);
  memcpy(&q, in, sizeof q);
  halves[0] = __builtin_shuffle(table, q & 15);
  halves[1] = __builtin_shuffle(table, q >> 4);
  UNROLLED(part, PARTS)
    out[part] = floats(load_signed_bytes((const unsigned char *)halves + part * W)) * d;
}

DECODER(decode_iq4_nl) {
  (void)group;
  decode_values(out, in + 2, ggml_iq4_values, half_at(in));
}

DECODER(decode_iq4_xs) {
  int low = in[4 + group / 2] >> group % 2 * 4 & 15, high = in[2 + group / 4] >> group % 4 * 2 & 3;
  decode_values(out, in + 8 + group * 16, ggml_iq4_values, half_at(in) * (float)((low | high << 4) - 32));
}

/* The scale is half of a power of two, the byte its exponent. */
DECODER(decode_mxfp4) {
  (void)group;
  uint32_t bits = in[0] < 2 ? 0x00200000u << in[0] : (uint32_t)(in[0] - 1) << 23;
  float d;
  memcpy(&d, &bits, sizeof d);
  decode_values(out, in + 1, ggml_mxfp4_values, d);
}

/* Scale and minimum of 16 elements are the halves of a byte. */
DECODER(decode_q2_k) {
  const unsigned char *q = in + 16 + group / 4 * 32;
  float block = half_at(in + 80), minima = half_at(in + 82);
  UNROLLED(part, PARTS) {
    unsigned char packed = in[group * 2 + part * W / 16];
    float d = block * (float)(packed & 15), m = minima * (float)(packed >> 4);
    out[part] = floats(load_bytes(q + part * W) >> (int)(group % 4 * 2) & 3) * d - m;
  }
}

/* A scale of 16 elements has six bits; the third bit of a number takes 4 away where it is 0. */
DECODER(decode_q3_k) {
  const unsigned char *q = in + 32 + group / 4 * 32, *packed = in + 96;
  float block = half_at(in + 108);
  UNROLLED(part, PARTS) {
    size_t of = group * 2 + part * W / 16;
    int scale = (packed[of % 8] >> of / 8 * 4 & 15) | (packed[8 + of % 4] >> of / 4 * 2 & 3) << 4;
    float d = block * (float)(scale - 32);
    vi two = load_bytes(q + part * W) >> (int)(group % 4 * 2) & 3, high = load_bytes(in + part * W) >> (int)group & 1;
    out[part] = floats(two | high << 2) * d - 4 * d;
  }
}

/* A group's scale and minimum have six bits each. */
struct scaled {
  float d, m;
};

static inline struct scaled scaled_of(const unsigned char *in, size_t group) {
  const unsigned char *packed = in + 4 + group % 4;
  int scale = group < 4 ? packed[0] & 63 : (packed[8] & 15) | packed[0] >> 6 << 4;
  int minimum = group < 4 ? packed[4] & 63 : packed[8] >> 4 | packed[4] >> 6 << 4;
  return (struct scaled){half_at(in) * (float)scale, half_at(in + 2) * (float)minimum};
}

DECODER(decode_q4_k) {
  const unsigned char *q = in + 16 + group / 2 * 32;
  struct scaled by = scaled_of(in, group);
  UNROLLED(part, PARTS) {
    vi bytes = load_bytes(q + part * W);
    out[part] = floats(group % 2 ? bytes >> 4 : bytes & 15) * by.d - by.m;
  }
}

DECODER(decode_q5_k) {
  const unsigned char *high = in + 16, *q = in + 48 + group / 2 * 32;
  struct scaled by = scaled_of(in, group);
  UNROLLED(part, PARTS) {
    vi bytes = load_bytes(q + part * W), fifth = load_bytes(high + part * W) >> (int)group & 1;
    out[part] = floats((group % 2 ? bytes >> 4 : bytes & 15) | fifth << 4) * by.d - by.m;
  }
}

DECODER(decode_q6_k) {
  const unsigned char *low = in + group / 4 * 64 + group % 2 * 32, *high = in + 128 + group / 4 * 32;
  float block = half_at(in + 208);
  UNROLLED(part, PARTS) {
    vi four = load_bytes(low + part * W), two = load_bytes(high + part * W) >> (int)(group % 4 * 2) & 3;
    float d = block * (float)(int8_t)in[192 + group * 2 + part * W / 16];
    out[part] = floats((group % 4 < 2 ? four & 15 : four >> 4) | two << 4) * d - 32 * d;
  }
}

/* --- tiles ---------------------------------------------------------------------------------------- */

/* M x N elements of Y. The first rows' tiles prefetch the rows of the weight that come next. */
typedef void tile_function(const struct gemv *g, size_t row, size_t column);

#define TILE(name, M, N, decode, BLOCK, BYTES)                                                                         \
  static void name(const struct gemv *g, size_t row, size_t column) {                                                  \
    vf acc[M][N][CHAINS];                                                                                              \
    memset(acc, 0, sizeof acc);                                                                                        \
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

struct tiles {
  tile_function *wide;             /* a row, COLUMNS columns */
  tile_function *one, *two, *four; /* so many rows, a column */
};

#define TILES(type, BLOCK, BYTES)                                                                                      \
  TILE(wide_##type, 1, COLUMNS, decode_##type, BLOCK, BYTES)                                                           \
  TILE(one_##type, 1, 1, decode_##type, BLOCK, BYTES)                                                                  \
  TILE(two_##type, 2, 1, decode_##type, BLOCK, BYTES)                                                                  \
  TILE(four_##type, 4, 1, decode_##type, BLOCK, BYTES)                                                                 \
  static const struct tiles tiles_##type = {wide_##type, one_##type, two_##type, four_##type};

TILES(f32, GROUP, GROUP * 4)
TILES(f16, GROUP, GROUP * 2)
TILES(bf16, GROUP, GROUP * 2)
TILES(q8_0, 32, 34)
TILES(q4_0, 32, 18)
TILES(q4_1, 32, 20)
TILES(q5_0, 32, 22)
TILES(q5_1, 32, 24)
TILES(iq4_nl, 32, 18)
TILES(mxfp4, 32, 17)
TILES(iq4_xs, 256, 136)
TILES(q2_k, 256, 84)
TILES(q3_k, 256, 110)
TILES(q4_k, 256, 144)
TILES(q5_k, 256, 176)
TILES(q6_k, 256, 210)

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
