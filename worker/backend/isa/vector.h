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

static inline vf vselect(vi mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

static inline vf vmax(vf a, vf b) {
  return vselect(a > b, a, b);
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

/* e^x for x <= 88; 0 below -87. 2^n times a Taylor polynomial of degree 7 on [-ln 2 / 2, ln 2 / 2]:
   relative error below 1e-7. NaN stays NaN. */
static inline vf vexp(vf x) {
  vi tiny = x < splat(-87.0f);
  vf clamped = vselect(tiny, splat(-87.0f), x);
  vf shifted = clamped * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  vf n = shifted - 12582912.0f;
  vf f = clamped - n * 0.693359375f; /* ln 2 in two parts */
  f = f + n * 2.12194440e-4f;
  vf p = f * 1.98412698e-4f + 1.38888889e-3f;
  p = p * f + 8.33333333e-3f;
  p = p * f + 4.16666667e-2f;
  p = p * f + 1.66666667e-1f;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  vi exponent = ((vi)shifted - (vi)splat(12582912.0f)) << 23;
  return vselect(tiny, (vf){0}, (vf)((vi)p + exponent));
}

#endif
