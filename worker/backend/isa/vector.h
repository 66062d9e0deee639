/* Float vectors of ISA_WIDTH lanes by GCC's vector extensions, and the functions on them that C
   lacks. Included only by the files of this folder, which are compiled once per instruction set. */
#ifndef WORKER_BACKEND_ISA_VECTOR_H
#define WORKER_BACKEND_ISA_VECTOR_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef ISA /* for readers that are no kernel build: editors, the test that compiles each header */
#define ISA avx2
#define ISA_WIDTH 8
#endif

/* ISA_NAME(gemm) is gemm_avx2 or gemm_avx512. */
#define ISA_JOIN2(name, isa) name##_##isa
#define ISA_JOIN(name, isa) ISA_JOIN2(name, isa)
#define ISA_NAME(name) ISA_JOIN(name, ISA)
#define ISA_TEXT2(isa) #isa
#define ISA_TEXT(isa) ISA_TEXT2(isa)

enum { W = ISA_WIDTH };
typedef float vf __attribute__((vector_size(ISA_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(ISA_WIDTH * 4)));
typedef uint32_t vu __attribute__((vector_size(ISA_WIDTH * 4)));
typedef float v8 __attribute__((vector_size(32)));

static inline vf load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(float *p, vf v) {
  memcpy(p, &v, sizeof v);
}

static inline v8 load8(const float *p) {
  v8 v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store8(float *p, v8 v) {
  memcpy(p, &v, sizeof v);
}

static inline vf splat(float x) {
  return x - (vf){0};
}

/* Lanes whose mask is all ones take `yes`, those whose mask is 0 `no`. */
static inline vf vselect(vi mask, vf yes, vf no) {
#if ISA_WIDTH == 16
  return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), no, yes);
#else
  return _mm256_blendv_ps(no, yes, (vf)mask);
#endif
}

/* a > b ? a : b: where one of them is NaN, b. */
static inline vf vmax(vf a, vf b) {
#if ISA_WIDTH == 16
  return _mm512_max_ps(a, b);
#else
  return _mm256_max_ps(a, b);
#endif
}

/* The first `count` lanes (0 < count < W); the others are `rest`. */
static inline vf load_part(const float *p, size_t count, float rest) {
  vf v = splat(rest);
  memcpy(&v, p, count * sizeof *p);
  return v;
}

static inline void store_part(float *p, vf v, size_t count) {
  memcpy(p, &v, count * sizeof *p);
}

/* Sums in a fixed tree, the same for any caller. */
static inline float lanes_sum(vf v) {
  float a[ISA_WIDTH];
  store(a, v);
  for (int n = ISA_WIDTH / 2; n > 0; n /= 2)
    for (int i = 0; i < n; i++)
      a[i] += a[i + n];
  return a[0];
}

static inline float lanes_max(vf v) {
  float a[ISA_WIDTH];
  store(a, v);
  for (int n = ISA_WIDTH / 2; n > 0; n /= 2)
    for (int i = 0; i < n; i++)
      a[i] = a[i] > a[i + n] ? a[i] : a[i + n];
  return a[0];
}

/* 2^n times p where the float `shifted` is n + 1.5 * 2^23: what it has above n leaves by the shift. */
static inline vf times_power(vf p, vf shifted) {
  return (vf)((vi)p + ((vi)shifted << 23));
}

static const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */

/* e^x for x <= 88; 0 below -87. 2^n times a polynomial for [-ln 2 / 2, ln 2 / 2] whose largest relative
   error is least: below 1e-7 with its rounding. NaN stays NaN. */
static inline vf vexp(vf x) {
  vi tiny = x < splat(-87.0f);
  vf clamped = vmax(splat(-87.0f), x);
  vf shifted = clamped * 1.44269504088896341f + to_integer;
  vf n = shifted - to_integer;
  vf f = clamped - n * 0.693359375f; /* ln 2 in two parts */
  f = f + n * 2.12194440e-4f;
  vf p = f * 1.406124041e-3f + 8.379011162e-3f;
  p = p * f + 4.166477730e-2f;
  p = p * f + 1.666636544e-1f;
  p = p * f + 5.000000434e-1f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  return (vf)(~tiny & (vi)times_power(p, shifted));
}

/* 2^x for x < 128, the same way; 0 up to -127: there f is 0 and p is 1, whose exponent n takes away. */
static inline vf vexp2(vf x) {
  vf clamped = vmax(splat(-127.0f), x);
  vf shifted = clamped + to_integer;
  vf f = clamped - (shifted - to_integer);
  vf p = f * 1.559467759e-4f + 1.340664391e-3f;
  p = p * f + 9.617692975e-3f;
  p = p * f + 5.550310551e-2f;
  p = p * f + 2.402265278e-1f;
  p = p * f + 6.931472150e-1f;
  p = p * f + 1.0f;
  return times_power(p, shifted);
}

#endif
