/* Blocks to floats and back. The results are those of ggml's own reference, bit for bit: the order of
   the roundings below is part of the format. */
#include "worker/file/ggml.h"

#include <math.h>
#include <string.h>

#include "base/attr.h"

enum { K_ELEMENTS = 256, SMALL_ELEMENTS = 32 };

/* --- single numbers ------------------------------------------------------------------------------- */

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint16_t load16(const unsigned char *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static void store16(unsigned char *p, uint16_t value) {
  p[0] = (unsigned char)value;
  p[1] = (unsigned char)(value >> 8);
}

/* Without branches, so that the loops over it become vector code. */
static inline float from_half(uint16_t half) {
  uint32_t magnitude = half & 0x7FFFu, sign = (uint32_t)(half & 0x8000u) << 16;
  uint32_t normal = (magnitude << 13) + (112u << 23);           /* the exponent's bias: 15 becomes 127 */
  uint32_t special = normal | 0x7F800000u;                      /* infinity and NaN */
  uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-24f); /* zero and subnormals */
  uint32_t bits = magnitude >= 0x7C00u ? special : normal;
  bits = magnitude < 0x0400u ? small : bits;
  return float_of(bits | sign);
}

static float half_at(const unsigned char *p) {
  return from_half(load16(p));
}

/* Nearest, ties to even; NaN stays one. */
static uint16_t to_half(float value) {
  uint32_t bits = bits_of(value), magnitude = bits & 0x7FFFFFFFu;
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  if (magnitude > 0x7F800000u)
    return sign | 0x7E00u | (uint16_t)(magnitude >> 13 & 0x3FFu);
  if (magnitude >= 0x477FF000u)  /* 65520 and more */
    return sign | 0x7C00u;
  if (magnitude < 0x38800000u)   /* below 2^-14 the unit is 2^-24, as that of floats from 0.5 to 1 */
    return sign | (uint16_t)(bits_of(float_of(magnitude) + 0.5f) - 0x3F000000u);
  return sign | (uint16_t)((magnitude + 0xFFFu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13);
}

static uint16_t to_brain(float value) {
  uint32_t bits = bits_of(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* --- decoding: `blocks` blocks each --------------------------------------------------------------- */

/* On x86-64 compiled twice, chosen when the program starts. This file is compiled without fused multiply-add: all give
   the same bits. */
#ifdef __x86_64__
#define DECODER(name) __attribute__((target_clones("avx2", "default"))) static void name
#else
#define DECODER(name) static void name
#endif

DECODER(decode_f32)(float *out, const unsigned char *in, size_t blocks) {
  memcpy(out, in, blocks * sizeof *out);
}

DECODER(decode_f16)(float *out, const unsigned char *in, size_t blocks) {
  for (size_t i = 0; i < blocks; i++)
    out[i] = half_at(in + 2 * i);
}

DECODER(decode_bf16)(float *out, const unsigned char *in, size_t blocks) {
  for (size_t i = 0; i < blocks; i++)
    out[i] = float_of((uint32_t)load16(in + 2 * i) << 16);
}

/* scale, 32 signed bytes */
DECODER(decode_q8_0)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 34, out += SMALL_ELEMENTS) {
    float d = half_at(in);
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[i] = d * (float)(int8_t)in[2 + i];
  }
}

/* The 32 numbers of 16 bytes: 0..15 in their low halves, 16..31 in the high ones. */
static inline void unpack_4(unsigned char out[SMALL_ELEMENTS], const unsigned char *in) {
  uint64_t bytes[2], low[2], high[2];
  memcpy(bytes, in, sizeof bytes);
  for (int i = 0; i < 2; i++) {
    low[i] = bytes[i] & 0x0F0F0F0F0F0F0F0F;
    high[i] = bytes[i] >> 4 & 0x0F0F0F0F0F0F0F0F;
  }
  memcpy(out, low, sizeof low);
  memcpy(out + 16, high, sizeof high);
}

/* scale, 16 bytes */
DECODER(decode_q4_0)(float *out, const unsigned char *in, size_t blocks) {
  unsigned char q[SMALL_ELEMENTS];
  for (; blocks > 0; blocks--, in += 18, out += SMALL_ELEMENTS) {
    float d = half_at(in);
    unpack_4(q, in + 2);
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[i] = d * (float)(q[i] - 8);
  }
}

/* scale, minimum, 16 bytes */
DECODER(decode_q4_1)(float *out, const unsigned char *in, size_t blocks) {
  unsigned char q[SMALL_ELEMENTS];
  for (; blocks > 0; blocks--, in += 20, out += SMALL_ELEMENTS) {
    float d = half_at(in), m = half_at(in + 2);
    unpack_4(q, in + 4);
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[i] = d * (float)q[i] + m;
  }
}

/* The 32 numbers of Q5_0 and Q5_1: a fifth bit for each element in 4 bytes, then 16 bytes. */
static inline void unpack_5(int32_t out[SMALL_ELEMENTS], const unsigned char *in) {
  uint32_t high = load16(in) | (uint32_t)load16(in + 2) << 16;
  unsigned char q[SMALL_ELEMENTS];
  unpack_4(q, in + 4);
  for (uint32_t i = 0; i < SMALL_ELEMENTS; i++)
    out[i] = (int32_t)(q[i] | (high >> i & 1u) << 4);
}

DECODER(decode_q5_0)(float *out, const unsigned char *in, size_t blocks) {
  int32_t q[SMALL_ELEMENTS];
  for (; blocks > 0; blocks--, in += 22, out += SMALL_ELEMENTS) {
    float d = half_at(in);
    unpack_5(q, in + 2);
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[i] = d * (float)(q[i] - 16);
  }
}

DECODER(decode_q5_1)(float *out, const unsigned char *in, size_t blocks) {
  int32_t q[SMALL_ELEMENTS];
  for (; blocks > 0; blocks--, in += 24, out += SMALL_ELEMENTS) {
    float d = half_at(in), m = half_at(in + 2);
    unpack_5(q, in + 4);
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[i] = d * (float)q[i] + m;
  }
}

const int8_t ggml_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t ggml_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static inline void decode_values(float *out, float d, const int8_t *values, const unsigned char *in) {
  unsigned char q[SMALL_ELEMENTS];
  unpack_4(q, in);
  for (size_t i = 0; i < SMALL_ELEMENTS; i++)
    out[i] = d * (float)values[q[i]];
}

/* scale, 16 bytes */
DECODER(decode_iq4_nl)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 18, out += SMALL_ELEMENTS)
    decode_values(out, half_at(in), ggml_iq4_values, in + 2);
}

/* half of 2^(e - 127) */
static float half_of_e8m0(unsigned char e) {
  return float_of(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* the scale's exponent, 16 bytes */
DECODER(decode_mxfp4)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 17, out += SMALL_ELEMENTS)
    decode_values(out, half_of_e8m0(in[0]), ggml_mxfp4_values, in + 1);
}

/* scale, upper pairs of bits of 8 group scales, their lower halves in 4 bytes, then 16 bytes a group of 32 */
DECODER(decode_iq4_xs)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 136, out += K_ELEMENTS)
    for (size_t group = 0; group < 8; group++) {
      int low = in[4 + group / 2] >> group % 2 * 4 & 15, high = load16(in + 2) >> 2 * group & 3;
      decode_values(out + group * 32, half_at(in) * (float)((low | high << 4) - 32), ggml_iq4_values,
                    in + 8 + group * 16);
    }
}

/* 16 bytes with scale and minimum of 16 elements in their halves, 64 bytes of pairs of bits, scale, scale of the
   minima */
DECODER(decode_q2_k)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 84, out += K_ELEMENTS)
    for (size_t group = 0; group < 16; group++) {
      const unsigned char *q = in + 16 + group / 8 * 32 + group % 2 * 16;
      unsigned shift = (unsigned)(group % 8 / 2 * 2);
      float d = half_at(in + 80) * (float)(in[group] & 15), m = half_at(in + 82) * (float)(in[group] >> 4);
      for (size_t i = 0; i < 16; i++)
        out[group * 16 + i] = d * (float)(q[i] >> shift & 3) - m;
    }
}

/* 32 bytes of third bits (0 takes 4 away), 64 of pairs of bits, 12 of scales of 16 elements (6 bits: the halves of the
   first 8 bytes, and pairs of bits in the last 4), scale */
DECODER(decode_q3_k)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 110, out += K_ELEMENTS)
    for (size_t group = 0; group < 16; group++) {
      const unsigned char *high = in + group % 2 * 16, *q = in + 32 + group / 8 * 32 + group % 2 * 16, *s = in + 96;
      unsigned shift = (unsigned)(group % 8 / 2 * 2);
      int scale = (s[group % 8] >> group / 8 * 4 & 15) | (s[8 + group % 4] >> group / 4 * 2 & 3) << 4;
      float d = half_at(in + 108) * (float)(scale - 32);
      for (size_t i = 0; i < 16; i++)
        out[group * 16 + i] = d * (float)((q[i] >> shift & 3) - (high[i] >> group / 2 & 1 ? 0 : 4));
    }
}

/* Scale and minimum of group `i` (32 elements) of Q4_K and Q5_K: 6 bits each, in 12 bytes. Groups 0..3
   have bytes of their own, whose upper two bits are the upper bits of groups 4..7. */
static void scale_and_minimum(float *scale, float *minimum, const unsigned char *packed, size_t i) {
  if (i < 4) {
    *scale = (float)(packed[i] & 63);
    *minimum = (float)(packed[i + 4] & 63);
  } else {
    *scale = (float)((packed[i + 4] & 15) | (packed[i - 4] >> 6) << 4);
    *minimum = (float)((packed[i + 4] >> 4) | (packed[i] >> 6) << 4);
  }
}

/* scale, scale of the minima, 12 bytes of group scales, then 4 times 32 bytes: two groups in each */
DECODER(decode_q4_k)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 144, out += K_ELEMENTS)
    for (size_t group = 0; group < 8; group++) {
      const unsigned char *q = in + 16 + group / 2 * 32;
      unsigned shift = group % 2 ? 4 : 0;
      float scale, minimum;
      scale_and_minimum(&scale, &minimum, in + 4, group);
      float d = half_at(in) * scale, m = half_at(in + 2) * minimum;
      for (size_t i = 0; i < 32; i++)
        out[group * 32 + i] = d * (float)(q[i] >> shift & 15) - m;
    }
}

/* as Q4_K, with 32 bytes of fifth bits (bit `group`) before the halves */
DECODER(decode_q5_k)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 176, out += K_ELEMENTS)
    for (size_t group = 0; group < 8; group++) {
      const unsigned char *high = in + 16, *q = in + 48 + group / 2 * 32;
      unsigned shift = group % 2 ? 4 : 0;
      float scale, minimum;
      scale_and_minimum(&scale, &minimum, in + 4, group);
      float d = half_at(in) * scale, m = half_at(in + 2) * minimum;
      for (size_t i = 0; i < 32; i++)
        out[group * 32 + i] = d * (float)((q[i] >> shift & 15) | (high[i] >> group & 1) << 4) - m;
    }
}

/* 128 bytes of low halves, 64 of upper pairs of bits, 16 signed scales (one for 16 elements), scale */
DECODER(decode_q6_k)(float *out, const unsigned char *in, size_t blocks) {
  for (; blocks > 0; blocks--, in += 210, out += K_ELEMENTS)
    for (size_t group = 0; group < 8; group++) {
      size_t half = group / 4, part = group % 4;
      const unsigned char *low = in + half * 64 + part % 2 * 32, *high = in + 128 + half * 32;
      unsigned shift = part / 2 ? 4 : 0;
      int32_t q[32];
      for (size_t i = 0; i < 32; i++)
        q[i] = (low[i] >> shift & 15) | (high[i] >> (2 * part) & 3) << 4;
      for (size_t i = 0; i < 32; i += 16) {
        float d = half_at(in + 208) * (float)(int8_t)in[192 + group * 2 + i / 16];
        for (size_t j = i; j < i + 16; j++)
          out[group * 32 + j] = d * (float)(q[j] - 32);
      }
    }
}

/* --- the table ------------------------------------------------------------------------------------ */

static const struct {
  struct ggml_type_info info;
  void (*decode)(float *out, const unsigned char *in, size_t blocks);
} types[] = {
    [GGML_F32] = {{"F32", 1, 4}, decode_f32},
    [GGML_F16] = {{"F16", 1, 2}, decode_f16},
    [GGML_BF16] = {{"BF16", 1, 2}, decode_bf16},
    [GGML_Q8_0] = {{"Q8_0", SMALL_ELEMENTS, 34}, decode_q8_0},
    [GGML_Q4_0] = {{"Q4_0", SMALL_ELEMENTS, 18}, decode_q4_0},
    [GGML_Q4_1] = {{"Q4_1", SMALL_ELEMENTS, 20}, decode_q4_1},
    [GGML_Q5_0] = {{"Q5_0", SMALL_ELEMENTS, 22}, decode_q5_0},
    [GGML_Q5_1] = {{"Q5_1", SMALL_ELEMENTS, 24}, decode_q5_1},
    [GGML_IQ4_NL] = {{"IQ4_NL", SMALL_ELEMENTS, 18}, decode_iq4_nl},
    [GGML_MXFP4] = {{"MXFP4", SMALL_ELEMENTS, 17}, decode_mxfp4},
    [GGML_IQ4_XS] = {{"IQ4_XS", K_ELEMENTS, 136}, decode_iq4_xs},
    [GGML_Q2_K] = {{"Q2_K", K_ELEMENTS, 84}, decode_q2_k},
    [GGML_Q3_K] = {{"Q3_K", K_ELEMENTS, 110}, decode_q3_k},
    [GGML_Q4_K] = {{"Q4_K", K_ELEMENTS, 144}, decode_q4_k},
    [GGML_Q5_K] = {{"Q5_K", K_ELEMENTS, 176}, decode_q5_k},
    [GGML_Q6_K] = {{"Q6_K", K_ELEMENTS, 210}, decode_q6_k},
};

const struct ggml_type_info *ggml_type_info(uint32_t type) {
  return type < COUNT_OF(types) && types[type].decode ? &types[type].info : NULL;
}

void ggml_to_f32(float *out, const unsigned char *blocks, enum ggml_type type, size_t count) {
  const struct ggml_type_info *info = ggml_type_info(type);
  CHECK(info && count % info->block == 0);
  if (count)
    types[type].decode(out, blocks, count / info->block);
}

/* --- encoding ------------------------------------------------------------------------------------- */

/* A block with a number that is not finite becomes NaN as a whole: it has one scale. A scale too small
   for its inverse to be a float rounds to 0 as a half, whatever the bytes are. */
static void encode_q8_0(unsigned char *out, const float *in, size_t blocks) {
  for (; blocks > 0; blocks--, out += 34, in += SMALL_ELEMENTS) {
    float most = 0;
    bool finite = true;
    for (size_t i = 0; i < SMALL_ELEMENTS; i++) {
      most = fabsf(in[i]) > most ? fabsf(in[i]) : most;
      finite &= isfinite(in[i]) != 0;
    }
    float d = finite ? most / 127 : NAN, inverse = 1 / d;
    store16(out, to_half(d));
    for (size_t i = 0; i < SMALL_ELEMENTS; i++)
      out[2 + i] = (unsigned char)(isfinite(inverse) ? (int8_t)roundf(in[i] * inverse) : 0);
  }
}

bool ggml_from_f32(unsigned char *blocks, const float *in, enum ggml_type type, size_t count) {
  const struct ggml_type_info *info = ggml_type_info(type);
  if (!info)
    return false;
  CHECK(count % info->block == 0);
  if (type == GGML_F32) {
    if (count)
      memcpy(blocks, in, count * sizeof *in);
  } else if (type == GGML_F16) {
    for (size_t i = 0; i < count; i++)
      store16(blocks + 2 * i, to_half(in[i]));
  } else if (type == GGML_BF16) {
    for (size_t i = 0; i < count; i++)
      store16(blocks + 2 * i, to_brain(in[i]));
  } else if (type == GGML_Q8_0) {
    encode_q8_0(blocks, in, count / SMALL_ELEMENTS);
  } else {
    return false;
  }
  return true;
}
