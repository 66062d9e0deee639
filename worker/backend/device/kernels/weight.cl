/* A frozen matrix as its file has it, decoded while a tile of it is loaded: four elements of a row at a time, which in
   every format share a block, a scale and a shift. worker/file/ggml.c has the formats in full. */

enum {
  WEIGHT_F32 = 0,
  WEIGHT_F16 = 1,
  WEIGHT_Q4_0 = 2,
  WEIGHT_Q4_1 = 3,
  WEIGHT_Q5_0 = 6,
  WEIGHT_Q5_1 = 7,
  WEIGHT_Q8_0 = 8,
  WEIGHT_Q2_K = 10,
  WEIGHT_Q3_K = 11,
  WEIGHT_Q4_K = 12,
  WEIGHT_Q5_K = 13,
  WEIGHT_Q6_K = 14,
  WEIGHT_IQ4_NL = 20,
  WEIGHT_IQ4_XS = 23,
  WEIGHT_BF16 = 30,
  WEIGHT_MXFP4 = 39,
};

/* With bf16 (1, not 0) to the nearest one, ties to even; NaN stays NaN. */
DEVICE float round_to(float x, int bf16) {
  const uint bits = bits_of_float(x), low = bf16 && x == x ? 0xFFFFu : 0u;
  return float_of_bits((bits + (low ? 0x7FFFu + (bits >> 16 & 1u) : 0u)) & ~low);
}

DEVICE uint load_16(GLOBAL const uchar *p) {
  return (uint)p[0] | (uint)p[1] << 8;
}

DEVICE uint load_32(GLOBAL const uchar *p) {
  return load_16(p) | load_16(p + 2) << 16;
}

DEVICE int signed_byte(uint byte) {
  return (int)(byte ^ 0x80u) - 0x80;
}

DEVICE float load_half(GLOBAL const uchar *p) {
  const uint half_bits = load_16(p), magnitude = half_bits & 0x7FFFu, sign = (half_bits & 0x8000u) << 16;
  const uint normal = (magnitude << 13) + (112u << 23); /* the exponent's bias: 15 becomes 127 */
  if (magnitude >= 0x7C00u)
    return float_of_bits(sign | normal | 0x7F800000u);
  if (magnitude >= 0x0400u)
    return float_of_bits(sign | normal);
  const float small = (float)(int)magnitude * 0x1p-24f;
  return sign ? -small : small;
}

/* Elements at .. at + 3 of a block of 32; at is a multiple of 4. Those from 16 on are the high halves of the bytes. */
DEVICE void decode_small(float out[4], GLOBAL const uchar *block, int type, int at) {
  const int has_minimum = type == WEIGHT_Q4_1 || type == WEIGHT_Q5_1;
  const int has_fifth = type == WEIGHT_Q5_0 || type == WEIGHT_Q5_1;
  const float d = load_half(block), m = has_minimum ? load_half(block + 2) : 0.0f;
  const int middle = has_minimum ? 0 : has_fifth ? 16 : 8;
  GLOBAL const uchar *bytes = block + (has_minimum ? 4 : 2);
  const uint fifth = has_fifth ? load_32(bytes) : 0u;
  bytes += has_fifth ? 4 : 0;
  for (int i = 0; i < 4; i++) {
    const uint low = (uint)bytes[(at + i) % 16] >> (at / 16 * 4) & 15u;
    out[i] = d * (float)((int)(low | (fifth >> (at + i) & 1u) << 4) - middle) + m;
  }
}

/* Scale and minimum of group g (32 elements) of Q4_K and Q5_K: 6 bits each, in 12 bytes. */
DEVICE uint group_scale(GLOBAL const uchar *packed, int g) {
  return g < 4 ? packed[g] & 63u : (packed[g + 4] & 15u) | (uint)packed[g - 4] >> 6 << 4;
}

DEVICE uint group_minimum(GLOBAL const uchar *packed, int g) {
  return g < 4 ? packed[g + 4] & 63u : (uint)packed[g + 4] >> 4 | (uint)packed[g] >> 6 << 4;
}

/* Of a block of 256: scale, scale of the minima, 12 bytes of group scales, of Q5_K 32 bytes of fifth bits, 128 bytes:
   two groups in each 32. */
DEVICE void decode_k45(float out[4], GLOBAL const uchar *block, int type, int at) {
  const int g = at / 32, in_group = at % 32;
  const float d = load_half(block) * (float)(int)group_scale(block + 4, g);
  const float m = load_half(block + 2) * (float)(int)group_minimum(block + 4, g);
  GLOBAL const uchar *fifth = block + 16, *low = block + (type == WEIGHT_Q5_K ? 48 : 16) + g / 2 * 32;
  for (int i = in_group; i < in_group + 4; i++) {
    uint q = (uint)low[i] >> (g % 2 * 4) & 15u;
    if (type == WEIGHT_Q5_K)
      q |= ((uint)fifth[i] >> g & 1u) << 4;
    out[i - in_group] = d * (float)(int)q - m;
  }
}

/* 128 bytes of low halves, 64 of upper pairs of bits, 16 signed scales (one for 16 elements), scale. */
DEVICE void decode_q6_k(float out[4], GLOBAL const uchar *block, int at) {
  const int g = at / 32, part = g % 4, in_group = at % 32;
  const float d = load_half(block + 208) * (float)signed_byte(block[192 + at / 16]);
  GLOBAL const uchar *low = block + g / 4 * 64 + part % 2 * 32, *high = block + 128 + g / 4 * 32;
  for (int i = in_group; i < in_group + 4; i++) {
    const uint q = ((uint)low[i] >> (part / 2 * 4) & 15u) | ((uint)high[i] >> (2 * part) & 3u) << 4;
    out[i - in_group] = d * (float)((int)q - 32);
  }
}

/* What four bits stand for: of MXFP4, or of IQ4_NL and IQ4_XS; four signed bytes a word. */
DEVICE float value_of_4(int mxfp4, uint q) {
  const uint low = mxfp4 ? (q & 4u ? 0x0C080604u : 0x03020100u) : (q & 4u ? 0xF6EADDCFu : 0xBFAD9881u);
  const uint high = mxfp4 ? (q & 4u ? 0xF4F8FAFCu : 0xFDFEFF00u) : (q & 4u ? 0x71594535u : 0x26190D01u);
  return (float)signed_byte((q & 8u ? high : low) >> (q % 4u * 8u) & 255u);
}

/* IQ4_NL and MXFP4, and groups of 32 of IQ4_XS: scale, upper pairs of bits of 8 group scales, their lower halves in 4
   bytes, 16 bytes a group. */
DEVICE void decode_values(float out[4], GLOBAL const uchar *block, int type, int at) {
  const int g = at / 32, in_group = at % 32, mxfp4 = type == WEIGHT_MXFP4;
  GLOBAL const uchar *bytes = block + (mxfp4 ? 1 : type == WEIGHT_IQ4_NL ? 2 : 8 + g * 16);
  const uint e = block[0]; /* MXFP4: the scale is half of 2^(e - 127) */
  float d = mxfp4 ? float_of_bits(e < 2u ? 0x00200000u << e : (e - 1u) << 23) : load_half(block);
  if (type == WEIGHT_IQ4_XS) {
    const uint low = (uint)block[4 + g / 2] >> (g % 2 * 4) & 15u, high = load_16(block + 2) >> (2 * g) & 3u;
    d *= (float)((int)(low | high << 4) - 32);
  }
  for (int i = in_group; i < in_group + 4; i++)
    out[i - in_group] = d * value_of_4(mxfp4, (uint)bytes[i % 16] >> (i / 16 * 4) & 15u);
}

/* Of a block of 256 in groups of 16. Q2_K: 16 bytes with scale and minimum in their halves, 64 of pairs of bits, scale,
   scale of the minima. Q3_K: 32 bytes of third bits (0 takes 4 away), 64 of pairs of bits, 12 of scales of 6 bits,
   scale. */
DEVICE void decode_k23(float out[4], GLOBAL const uchar *block, int type, int at) {
  const int g = at / 16, part = at / 32, in_part = at % 32, three = type == WEIGHT_Q3_K;
  GLOBAL const uchar *pairs = block + (three ? 32 : 16) + at / 128 * 32, *packed = block + 96;
  const uint low = (uint)packed[three ? g % 8 : 0] >> (g / 8 * 4) & 15u;
  const uint high = three ? (uint)packed[8 + g % 4] >> (g / 4 * 2) & 3u : 0u;
  const float scale = three ? (float)((int)(low | high << 4) - 32) : (float)(int)(block[g] & 15u);
  const float d = load_half(block + (three ? 108 : 80)) * scale;
  const float m = three ? 0.0f : load_half(block + 82) * (float)(int)((uint)block[g] >> 4);
  for (int i = in_part; i < in_part + 4; i++) {
    const int q = (int)((uint)pairs[i] >> (part % 4 * 2) & 3u);
    const int less = three && ((uint)block[i] >> part & 1u) == 0u ? 4 : 0;
    out[i - in_part] = d * (float)(q - less) - m;
  }
}

/* Types whose every number stands alone: a row may end within the four. F32 is aligned to its size. */
DEVICE void decode_plain(float out[4], GLOBAL const uchar *weight, int type, long at, int count) {
  for (int i = 0; i < count; i++)
    if (type == WEIGHT_F32)
      out[i] = ((GLOBAL const float *)weight)[at + i];
    else if (type == WEIGHT_F16)
      out[i] = load_half(weight + 2 * (at + i));
    else
      out[i] = float_of_bits(load_16(weight + 2 * (at + i)) << 16);
}

/* The row where the file has row `row`. */
DEVICE int weight_file_row(struct weight_args w, int row) {
  if (w.head_rows == 0)
    return row;
  const int in_head = row % w.head_rows, middle = w.head_rows / 2;
  return row - in_head + 2 * (in_head % middle) + in_head / middle;
}

/* Elements (row, col .. col + 3), col a multiple of 4, of a matrix of rows x cols whose numbers begin `first` after
   the weight's; zeros outside of it. */
DEVICE void weight_run(float out[4], GLOBAL const uchar *weight, struct weight_args w, long first, int row, int col,
                       int rows, int cols) {
  for (int i = 0; i < 4; i++)
    out[i] = 0.0f;
  if (row >= rows || col >= cols)
    return;
  const long at = first + (long)weight_file_row(w, row) * w.row + col;
  if (w.block == 1) {
    decode_plain(out, weight, w.type, at, cols - col < 4 ? cols - col : 4);
    for (int i = 0; i < 4; i++)
      out[i] = round_to(out[i], w.bf16);
    return;
  }
  GLOBAL const uchar *block = weight + at / w.block * w.block_bytes;
  const int in_block = (int)(at % w.block);
  if (w.type == WEIGHT_Q8_0) {
    const float d = load_half(block);
    for (int i = 0; i < 4; i++)
      out[i] = d * (float)signed_byte(block[2 + in_block + i]);
  } else if (w.type == WEIGHT_Q6_K) {
    decode_q6_k(out, block, in_block);
  } else if (w.type == WEIGHT_Q2_K || w.type == WEIGHT_Q3_K) {
    decode_k23(out, block, w.type, in_block);
  } else if (w.type == WEIGHT_IQ4_NL || w.type == WEIGHT_IQ4_XS || w.type == WEIGHT_MXFP4) {
    decode_values(out, block, w.type, in_block);
  } else if (w.block == 256) {
    decode_k45(out, block, w.type, in_block);
  } else {
    decode_small(out, block, w.type, in_block);
  }
  for (int i = 0; i < 4; i++)
    out[i] = round_to(out[i], w.bf16);
}
