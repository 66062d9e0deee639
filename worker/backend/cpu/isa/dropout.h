/* Dropout masks for the files of this folder: Philox 4x32 with 7 rounds (the fewest that pass BigCrush; Salmon et
   al., SC 2011), two 16-bit draws a word. A counter is (elements / 8 of a group, row, site); its 8 draws are 8
   elements apart, so that 8 counters make the 64 elements of a group. */
#ifndef WORKER_BACKEND_CPU_ISA_DROPOUT_H
#define WORKER_BACKEND_CPU_ISA_DROPOUT_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

enum {
  DROPOUT_GROUP = 64,                             /* elements of 8 counters */
  DROPOUT_GROUPS = W == 16 ? 2 : 1,               /* that dropout_strip makes at once, */
  DROPOUT_STRIP = DROPOUT_GROUPS * DROPOUT_GROUP, /* and their elements */
  DROPOUT_PARTS = DROPOUT_STRIP / 8 / W,          /* of a strip: W counters each */
  DROPOUT_PANEL = 2 * W,                          /* rows that dropout_panel makes at once */
};

/* A word in the low half of each lane; the upper half is whatever arithmetic left there. */
typedef uint64_t vl __attribute__((vector_size(ISA_WIDTH * 4)));

static const uint32_t philox_m0 = 0xD2511F53u, philox_m1 = 0xCD9E8D57u;

static inline vl splat_word(uint32_t x) {
  return x + (vl){0};
}

/* The 64-bit products of the low halves. */
static inline vl word_product(vl a, uint32_t b) {
#if defined __AVX512F__
  return (vl)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi32((int)b));
#elif defined __AVX2__
  return (vl)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi32((int)b));
#else
  return (a & UINT32_MAX) * b;
#endif
}

/* The low halves of a and b in one vector: of each 128 bits, a's two words, then b's. */
static inline vi low_words(vl a, vl b) {
#if ISA_WIDTH == 16
  const vi order = {0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30};
#elif ISA_WIDTH == 8
  const vi order = {0, 2, 8, 10, 4, 6, 12, 14};
#else
  const vi order = {0, 2, 4, 6};
#endif
  return (vi)__builtin_shuffle((vf)a, (vf)b, order);
}

/* low_words(count_words, count_words + 2) is lane_numbers. */
#if ISA_WIDTH == 16
static const vl count_words = {0, 1, 4, 5, 8, 9, 12, 13};
#elif ISA_WIDTH == 8
static const vl count_words = {0, 1, 4, 5};
#else
static const vl count_words = {0, 1};
#endif

struct philox_key {
  uint32_t a[7], b[7]; /* of each round */
};

static inline struct philox_key philox_key(uint64_t seed) {
  struct philox_key key;
  for (uint32_t i = 0; i < 7; i++) {
    key.a[i] = (uint32_t)seed + i * 0x9E3779B9u;
    key.b[i] = (uint32_t)(seed >> 32) + i * 0xBB67AE85u;
  }
  return key;
}

/* The last four rounds. The first three differ: some of their words are the same for all lanes. */
static inline void philox_finish(vl c[4], const struct philox_key *key) {
  for (int i = 3; i < 7; i++) {
    vl p0 = word_product(c[0], philox_m0), p1 = word_product(c[2], philox_m1);
    c[0] = (p1 >> 32) ^ c[1] ^ splat_word(key->a[i]);
    c[2] = (p0 >> 32) ^ c[3] ^ splat_word(key->b[i]);
    c[1] = p1;
    c[3] = p0;
  }
}

/* Which of a word's two draws keep their element: all ones, or 0. */
static inline void kept_pair(vi pair[2], vi words, const struct dropout *d) {
  const vi below = (int32_t)d->threshold - 1 - (vi){0};
  pair[0] = (words & 0xFFFF) > below;
  pair[1] = (vi)((vu)words >> 16) > below;
}

/* Of one row, the multipliers of elements [DROPOUT_STRIP * strip, + DROPOUT_STRIP). Lanes are counters. */
static inline void dropout_strip(float out[DROPOUT_STRIP], const struct dropout *d, uint64_t row, uint64_t strip) {
  const struct philox_key key = philox_key(d->seed);
  const uint32_t c2 = (uint32_t)d->site, c3 = (uint32_t)(d->site >> 32);
  const uint64_t p1 = (uint64_t)c2 * philox_m1; /* rounds one and two of the words that all lanes share */
  const uint32_t a0 = (uint32_t)(p1 >> 32) ^ (uint32_t)row ^ key.a[0], a1 = (uint32_t)p1;
  const uint64_t p0 = (uint64_t)a0 * philox_m0;
  const uint32_t b2 = (uint32_t)(p0 >> 32) ^ key.b[1], b3 = (uint32_t)p0;
  for (uint32_t part = 0; part < DROPOUT_PARTS; part++, out += W) {
    vl state[2][4];
    for (uint32_t i = 0; i < 2; i++) {
      vl a3 = word_product(count_words + (((uint32_t)strip * DROPOUT_PARTS + part) * W + 2 * i), philox_m0);
      vl b1 = word_product((a3 >> 32) ^ splat_word(c3 ^ key.b[0]), philox_m1);
      vl q0 = word_product((b1 >> 32) ^ splat_word(a1 ^ key.a[1]), philox_m0);
      vl q1 = word_product(a3 ^ splat_word(b2), philox_m1);
      vl *c = state[i];
      c[0] = (q1 >> 32) ^ b1 ^ splat_word(key.a[2]);
      c[1] = q1;
      c[2] = (q0 >> 32) ^ splat_word(b3 ^ key.b[2]);
      c[3] = q0;
      philox_finish(c, &key);
    }
    for (int w = 0; w < 4; w++) {
      vi pair[2];
      kept_pair(pair, low_words(state[0][w], state[1][w]), d);
      for (int half = 0; half < 2; half++) {
        vi multiplier = pair[half] & (vi)splat(d->scale);
        float *at = out + w * 16 + half * 8;
        for (int group = 0; group < DROPOUT_GROUPS; group++)
          memcpy(at + group * DROPOUT_GROUP, (const char *)&multiplier + group * 32, W < 8 ? 16 : 32);
      }
    }
  }
}

/* Of DROPOUT_PANEL rows from `row` on, which elements of a group are kept: out[element * DROPOUT_PANEL + row] is all
   ones or 0, for apply_dropout, which leaves the scale to the caller. Lanes are rows. */
static inline void dropout_panel(float out[DROPOUT_GROUP * DROPOUT_PANEL], const struct dropout *d, uint64_t row,
                                 uint64_t group) {
  const struct philox_key key = philox_key(d->seed);
  const uint32_t c2 = (uint32_t)d->site, c3 = (uint32_t)(d->site >> 32);
  const uint64_t p1 = (uint64_t)c2 * philox_m1;
  vl high[4], low[4]; /* what the rows are after two rounds */
  for (size_t i = 0; i < 4; i++) {
    low[i] = word_product((count_words + (row + i / 2 * W + i % 2 * 2)) ^ splat_word((uint32_t)(p1 >> 32) ^ key.a[0]),
                          philox_m0);
    high[i] = low[i] >> 32;
  }
  for (uint32_t counter = 0; counter < 8; counter++) {
    const uint64_t p0 = (uint64_t)((uint32_t)group * 8 + counter) * philox_m0;
    const uint64_t q1 = (uint64_t)((uint32_t)(p0 >> 32) ^ c3 ^ key.b[0]) * philox_m1;
    const uint64_t q0 = (uint64_t)((uint32_t)(q1 >> 32) ^ (uint32_t)p1 ^ key.a[1]) * philox_m0;
    for (size_t j = 0; j < 2; j++) {
      vl state[2][4];
      for (size_t i = 0; i < 2; i++) {
        vl *c = state[i], r1 = word_product(high[2 * j + i] ^ splat_word((uint32_t)p0 ^ key.b[1]), philox_m1);
        c[0] = (r1 >> 32) ^ splat_word((uint32_t)q1 ^ key.a[2]);
        c[1] = r1;
        c[2] = low[2 * j + i] ^ splat_word((uint32_t)(q0 >> 32) ^ key.b[2]);
        c[3] = splat_word((uint32_t)q0);
        philox_finish(c, &key);
      }
      for (size_t w = 0; w < 4; w++) {
        vi pair[2];
        kept_pair(pair, low_words(state[0][w], state[1][w]), d);
        for (size_t half = 0; half < 2; half++)
          store(out + (w * 16 + half * 8 + counter) * DROPOUT_PANEL + j * W, (vf)pair[half]);
      }
    }
  }
}

static inline vf apply_dropout(vf x, const float *mask) {
  return (vf)((vi)x & (vi)load(mask));
}

#endif
