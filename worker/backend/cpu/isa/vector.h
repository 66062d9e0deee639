/* Vectors of ISA_WIDTH fp32 lanes by GCC's vector extensions, and the functions on them that C lacks. Included only by
   the files of this folder, which are compiled once per instruction set. A function for which GCC finds no good
   instruction has an intrinsic beside its plain form: the plain form says what it does. */
#ifndef WORKER_BACKEND_CPU_ISA_VECTOR_H
#define WORKER_BACKEND_CPU_ISA_VECTOR_H

#ifdef __AVX2__
#include <immintrin.h>
#endif
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef ISA /* for readers that are no kernel build: editors, the test that compiles each header */
#define ISA generic
#define ISA_WIDTH 4
#endif

/* ISA_NAME(gemm) is gemm_generic, gemm_avx2 or gemm_avx512. */
#define ISA_JOIN2(name, isa) name##_##isa
#define ISA_JOIN(name, isa) ISA_JOIN2(name, isa)
#define ISA_NAME(name) ISA_JOIN(name, ISA)
#define ISA_TEXT2(isa) #isa
#define ISA_TEXT(isa) ISA_TEXT2(isa)

enum {
  W = ISA_WIDTH,
#if defined __AVX512F__ || defined __aarch64__
  REGISTERS = 32, /* that hold vectors */
#else
  REGISTERS = 16,
#endif
};
typedef float vf __attribute__((vector_size(ISA_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(ISA_WIDTH * 4)));
typedef uint32_t vu __attribute__((vector_size(ISA_WIDTH * 4)));
typedef float v8 __attribute__((vector_size(32)));

#if ISA_WIDTH == 16
static const vi lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif ISA_WIDTH == 8
static const vi lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7};
#else
static const vi lane_numbers = {0, 1, 2, 3};
#endif

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
#if defined __AVX512F__
  return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), no, yes);
#elif defined __AVX2__
  return _mm256_blendv_ps(no, yes, (vf)mask);
#else
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
#endif
}

/* a > b ? a : b: where one of them is NaN, b. */
static inline vf vmax(vf a, vf b) {
#if defined __AVX512F__
  return _mm512_max_ps(a, b);
#elif defined __AVX2__
  return _mm256_max_ps(a, b);
#else
  return vselect(a > b, a, b);
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

/* p[0], p[step], p[2 * step], ... */
static inline vf load_every(const float *p, int step) {
#if defined __AVX512F__
  return (vf)_mm512_i32gather_ps((__m512i)(lane_numbers * step), p, 4);
#elif defined __AVX2__
  return (vf)_mm256_i32gather_ps(p, (__m256i)(lane_numbers * step), 4);
#else
  vf v;
  for (int i = 0; i < W; i++)
    v[i] = p[i * step];
  return v;
#endif
}

/* Lane i of the result is lane i + n, counted round. */
static inline vf lanes_from(vf v, int n) {
  return __builtin_shuffle(v, (lane_numbers + n) & (W - 1));
}

/* Sums in a fixed tree, the same for any caller. */
static inline float lanes_sum(vf v) {
#pragma GCC unroll 4
  for (int n = W / 2; n > 0; n /= 2)
    v += lanes_from(v, n);
  return v[0];
}

static inline float lanes_max(vf v) {
#pragma GCC unroll 4
  for (int n = W / 2; n > 0; n /= 2)
    v = vmax(v, lanes_from(v, n));
  return v[0];
}

/* 2^n times p where the float `shifted` is n + 1.5 * 2^23: what it has above n leaves by the shift. */
static inline vf times_power(vf p, vf shifted) {
  return (vf)((vi)p + ((vi)shifted << 23));
}

static const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */

/* e^x for x <= 88; e^-87 below -87. 2^n times a polynomial for [-ln 2 / 2, ln 2 / 2] whose largest relative error is
   least: below 1e-7 with its rounding. NaN stays NaN. */
static inline vf vexp_floor(vf x) {
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
  return times_power(p, shifted);
}

/* The same, but 0 below -87. */
static inline vf vexp(vf x) {
  vi tiny = x < splat(-87.0f);
  return (vf)(~tiny & (vi)vexp_floor(x));
}

/* Near 0 an odd polynomial, fitted by least squares on [0, 0.6] to a relative error below 1e-7; beyond, 1 less what is
   left. */
static inline vf vtanh(vf x) {
  vf a = vmax(x, -x), z = x * x;
  vf p = z * -5.895130691e-3f + 2.079594739e-2f;
  p = p * z - 5.378382277e-2f;
  p = p * z + 1.333192403e-1f;
  p = p * z - 3.333329800e-1f;
  vf far = 1.0f - 2.0f / (vexp_floor(vmax(splat(-40.0f), -a) * -2.0f) + 1.0f);
  return vselect(a < 0.6f, x + x * z * p, vselect(x < 0.0f, -far, far));
}

/* 2^x for x < 128, the same way; 0 up to -127: there f is 0 and p is 1, whose exponent n takes away. Two at once,
   step by step: each fills the gaps of the other's chain of steps. */
static inline void vexp2(vf x[2]) {
  static const float steps[] = {1.340664391e-3f, 9.617692975e-3f, 5.550310551e-2f,
                                2.402265278e-1f, 6.931472150e-1f, 1.0f};
  vf shifted[2], f[2], p[2];
  for (int i = 0; i < 2; i++)
    x[i] = vmax(splat(-127.0f), x[i]);
  for (int i = 0; i < 2; i++)
    shifted[i] = x[i] + to_integer;
  for (int i = 0; i < 2; i++)
    f[i] = x[i] - (shifted[i] - to_integer);
  for (int i = 0; i < 2; i++)
    p[i] = splat(1.559467759e-4f);
#pragma GCC unroll 6
  for (int step = 0; step < 6; step++)
    for (int i = 0; i < 2; i++)
      p[i] = p[i] * f[i] + steps[step];
  for (int i = 0; i < 2; i++)
    x[i] = times_power(p[i], shifted[i]);
}

/* The natural logarithm of normal numbers. y, their bits read as an integer, is near it (1 + m for 2^m); what is left,
   log r for r = x / e^y, is 2 artanh z: its terms from z^5 on are below 1e-9. */
static inline vf vlog(vf x) {
  vf y = __builtin_convertvector((vi)x - (vi)splat(1.0f), vf) * (0.693147181f / 8388608) + 0.03f;
  vf r = x * vexp_floor(-y), z = (r - 1.0f) / (r + 1.0f);
  return y + z * (2.0f + z * z * 0.666666667f);
}

/* 1 / (1 + e^-x); fp32 holds e^88. */
static inline vf sigmoid(vf x) {
  return 1.0f / (1.0f + vexp_floor(-vmax(splat(-88.0f), x)));
}

#endif
