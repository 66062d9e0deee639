/* fp16 to fp32. */
#ifndef WORKER_BACKEND_CPU_ISA_HALF_H
#define WORKER_BACKEND_CPU_ISA_HALF_H

#include "worker/backend/cpu/isa/vector.h"

/* W numbers of 16 bits. */
static inline vi load_16(const unsigned char *p) {
#if defined __AVX512F__
  return (vi)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined __AVX2__
  return (vi)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
  uint16_t v __attribute__((vector_size(ISA_WIDTH * 2)));
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vi);
#endif
}

/* The bits of fp16 in the lower halves. Zero and subnormals are multiples of 2^-24; the bias of the other exponents is
   15, and becomes 127. */
static inline vf half_to_float(vi half) {
  vi magnitude = half & 0x7FFF, sign = (half & 0x8000) << 16;
  vi normal = (magnitude << 13) + (112 << 23), special = normal | 0x7F800000;
  vf small = __builtin_convertvector(magnitude, vf) * 0x1p-24f;
  vf v = vselect(magnitude < 0x0400, small, vselect(magnitude >= 0x7C00, (vf)special, (vf)normal));
  return (vf)((vi)v | sign);
}

static inline vf load_half(const unsigned char *p) {
#if defined __AVX512F__
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined __F16C__
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
  return half_to_float(load_16(p));
#endif
}

static inline float half_at(const unsigned char *p) {
  uint16_t bits;
  memcpy(&bits, p, sizeof bits);
#if defined __F16C__
  return _cvtsh_ss(bits);
#else
  return half_to_float((vi){bits})[0];
#endif
}

/* Two numbers, in the first lanes. */
static inline vf halves_at(const unsigned char *p) {
  uint32_t bits;
  memcpy(&bits, p, sizeof bits);
#if defined __AVX512F__
  return _mm512_castps128_ps512(_mm_cvtph_ps(_mm_cvtsi32_si128((int)bits)));
#elif defined __F16C__
  return _mm256_castps128_ps256(_mm_cvtph_ps(_mm_cvtsi32_si128((int)bits)));
#else
  return half_to_float((vi){(int32_t)(bits & 0xFFFF), (int32_t)(bits >> 16)});
#endif
}

#endif
