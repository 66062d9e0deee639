/* Dropout masks for the files of this folder. */
#ifndef WORKER_BACKEND_ISA_DROPOUT_H
#define WORKER_BACKEND_ISA_DROPOUT_H

#include "worker/backend/isa/vector.h"
#include "worker/backend/kernels.h"

enum { DROPOUT_GROUP = 64 }; /* elements made at once */

/* The multipliers (0 or scale) of elements [64 * group, 64 * group + 64) of a row into out: Philox
   4x32 with 7 rounds (the fewest that pass BigCrush; Salmon et al., SC 2011) on eight counters at
   once, two 16-bit draws a word. */
static inline void dropout_group(float out[DROPOUT_GROUP], const struct dropout *d, uint64_t row, uint64_t group) {
  __m256i c0 =
      _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)(group * 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  __m256i c1 = _mm256_set1_epi32((int)(uint32_t)row), c2 = _mm256_set1_epi32((int)(uint32_t)d->site);
  __m256i c3 = _mm256_set1_epi32((int)(uint32_t)(d->site >> 32));
  uint32_t k0 = (uint32_t)d->seed, k1 = (uint32_t)(d->seed >> 32);
  const __m256i m0 = _mm256_set1_epi32((int)0xD2511F53u), m1 = _mm256_set1_epi32((int)0xCD9E8D57u);
  for (int round = 0; round < 7; round++) {
    __m256i e0 = _mm256_mul_epu32(c0, m0), o0 = _mm256_mul_epu32(_mm256_srli_epi64(c0, 32), m0);
    __m256i e1 = _mm256_mul_epu32(c2, m1), o1 = _mm256_mul_epu32(_mm256_srli_epi64(c2, 32), m1);
    __m256i high0 = _mm256_blend_epi32(_mm256_srli_epi64(e0, 32), o0, 0xAA);
    __m256i high1 = _mm256_blend_epi32(_mm256_srli_epi64(e1, 32), o1, 0xAA);
    __m256i low0 = _mm256_blend_epi32(e0, _mm256_slli_epi64(o0, 32), 0xAA);
    __m256i low1 = _mm256_blend_epi32(e1, _mm256_slli_epi64(o1, 32), 0xAA);
    c0 = _mm256_xor_si256(_mm256_xor_si256(high1, c1), _mm256_set1_epi32((int)k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), _mm256_set1_epi32((int)k1));
    c1 = low1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const __m256i threshold = _mm256_set1_epi32((int)d->threshold - 1), low = _mm256_set1_epi32(0xFFFF);
  const __m256 scale = _mm256_set1_ps(d->scale);
  const __m256i words[4] = {c0, c1, c2, c3};
  for (int w = 0; w < 4; w++) {
    __m256i a = _mm256_and_si256(words[w], low), b = _mm256_srli_epi32(words[w], 16);
    __m256 keep_a = _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, threshold));
    __m256 keep_b = _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, threshold));
    _mm256_storeu_ps(out + w * 16, _mm256_and_ps(keep_a, scale));
    _mm256_storeu_ps(out + w * 16 + 8, _mm256_and_ps(keep_b, scale));
  }
}

#endif
