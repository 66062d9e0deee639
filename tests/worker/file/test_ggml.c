/* Every element type decodes, and those that are written encode, to exactly the bits that the gguf Python
   package gives: for pseudo-random blocks, many with infinite, NaN, zero or subnormal scales (hashes made by
   make_ggml_cases.py), and for the numbers where rounding is delicate. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"
#include "worker/file/ggml.h"

enum { BLOCKS = 128, SCALES_MAX = 2 };

static uint32_t next(uint32_t *state) {
  return *state = *state * 1664525u + 1013904223u;
}

/* Where the half-precision scales of a block lie; the count. */
static size_t scales_of(size_t at[SCALES_MAX], enum ggml_type type) {
  at[0] = type == GGML_Q6_K ? 208 : type == GGML_Q3_K ? 108 : type == GGML_Q2_K ? 80 : 0;
  at[1] = at[0] + 2;
  switch (type) {
  case GGML_F32:
  case GGML_F16:
  case GGML_MXFP4:
  case GGML_BF16: return 0;
  case GGML_Q8_0:
  case GGML_Q4_0:
  case GGML_Q5_0:
  case GGML_Q3_K:
  case GGML_IQ4_NL:
  case GGML_IQ4_XS:
  case GGML_Q6_K: return 1;
  case GGML_Q4_1:
  case GGML_Q5_1:
  case GGML_Q2_K:
  case GGML_Q4_K:
  case GGML_Q5_K: return 2;
  }
  return 0;
}

/* Little-endian floats with one kind of NaN, hashed. */
static void hash_floats(char out[HASH_HEX], float *values, size_t count) {
  uint32_t nan = 0x7FC00000;
  for (size_t i = 0; i < count; i++)
    if (isnan(values[i]))
      memcpy(&values[i], &nan, sizeof nan);
  hash_bytes(out, values, count * sizeof *values);
}

static void decodes_like_the_reference(void **state) {
  static const uint16_t special[] = {0x7C00, 0xFC00, 0x7E00, 0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0x3C00};
  static const struct {
    enum ggml_type type;
    const char *hash;
  } cases[] = {
      {GGML_F32, "9c3bc2fff195db7472d197fa7ffe6e368954372afe881a53e4f3835a26f6828a"},
      {GGML_F16, "0a23bc53b8969d799173dabb477239f0214f41987609660bd82687cc7e2f7357"},
      {GGML_BF16, "e440a9390968d92fc30446a49b8d1d31d5f2303cfa2d690437681983587ab14c"},
      {GGML_Q8_0, "54a5095f816b53cfef88c47831f2b96fc04ba0ad5360281f130ece932a2365de"},
      {GGML_Q4_0, "18b1cb9a843260736e2b6b550edf70de3d8f93e30dfbabb4cd17491c8fe49819"},
      {GGML_Q4_1, "be9fdc11c3ed88c5bb58ee29f37ef9659cd4ddfdc61a56bb1cdc62b06b6edef6"},
      {GGML_Q5_0, "bd417fff117586aea01922d02b100951cbe49f28629c6311c979e1b499dbe16e"},
      {GGML_Q5_1, "8d2dbb608dbb0b1cbaa6525ffed0c16630b38f7f35146aaaf2035dbc5eb09a80"},
      {GGML_Q4_K, "a878e2ea990447497e57fda43e7a4c2f18d40ef0a1cf9cf8d59134bd28511a5e"},
      {GGML_Q5_K, "a1024e01f6b8809b9d3705d8686b4dd7e00ff81e6b7ed8ec18187ef82d4a8c09"},
      {GGML_Q6_K, "0b51804d12a5bed93074d31dc2875b43a20065169698e4791acc613b41fe93c6"},
      {GGML_Q2_K, "a7029e7203fdbdc839d4ba6bf033bebe556ae7983455b6589ca6e325fdac55cb"},
      {GGML_Q3_K, "47cdfebba44b2352c05c02f3c1965384a3301b7d5b173a1f0db78e989e2a2a3a"},
      {GGML_IQ4_NL, "9385aab77780ce98eb0a3627d2773d40abfe5150347522b33e332d60b2c84254"},
      {GGML_IQ4_XS, "4ea689bd7875b196bb4f8a547403f9314c7cfbf306d213a257f31c8bb7b081f8"},
      {GGML_MXFP4, "97a83afcd012e312b9aa8af68070dda2652ae898d1ddb846ff7f9f3cdc61dc21"},
  };
  (void)state;
  for (size_t c = 0; c < COUNT_OF(cases); c++) {
    const struct ggml_type_info *info = ggml_type_info(cases[c].type);
    assert_non_null(info);
    size_t blocks = info->block > 1 ? BLOCKS : BLOCKS * 32, at[SCALES_MAX], scales = scales_of(at, cases[c].type);
    uint32_t random = cases[c].type;
    unsigned char *bytes = malloc(blocks * info->bytes);
    float *out = malloc(blocks * info->block * sizeof *out);
    assert_true(bytes && out);
    for (size_t i = 0; i < blocks * info->bytes; i++)
      bytes[i] = (unsigned char)(next(&random) >> 24);
    for (size_t i = 0; i < blocks / 2; i++)
      for (size_t s = 0; s < scales; s++) {
        uint16_t scale = special[(i + at[s]) % COUNT_OF(special)];
        bytes[i * info->bytes + at[s]] = (unsigned char)scale;
        bytes[i * info->bytes + at[s] + 1] = (unsigned char)(scale >> 8);
      }
    char hash[HASH_HEX];
    ggml_to_f32(out, bytes, cases[c].type, blocks * info->block);
    hash_floats(hash, out, blocks * info->block);
    if (strcmp(hash, cases[c].hash) != 0)
      fail_msg("%s decodes otherwise than the reference: %s", info->name, hash);
    free(bytes);
    free(out);
  }
}

static void encodes_like_the_reference(void **state) {
  static const struct {
    enum ggml_type type;
    const char *hash;
  } cases[] = {
      {GGML_F32, "cd1ef009c393842801dc701bd7bc3abbf58d5ecb927bf607d245076e2296a903"},
      {GGML_F16, "133f3116abdd0ad34e998f3b33f76f5f853d94f0af030f7953f3bd282949e8f5"},
      {GGML_BF16, "b9715772a44c03cadb6948374755cadd5ebe8d63c4b5830cf709ca9170a01ce9"},
      {GGML_Q8_0, "303ab5938d3b876c4450b7469344ec4c3096cfb0f89ed8d778f409430d8471e1"},
  };
  (void)state;
  static float in[BLOCKS * 32];
  static unsigned char out[sizeof in];
  for (size_t c = 0; c < COUNT_OF(cases); c++) {
    const struct ggml_type_info *info = ggml_type_info(cases[c].type);
    uint32_t random = cases[c].type;
    char hash[HASH_HEX];
    for (size_t i = 0; i < COUNT_OF(in); i++) {
      uint32_t bits = next(&random);
      in[i] = ldexpf((float)((int)(bits >> 16) - 32768), -(int)(bits & 31));
    }
    assert_true(ggml_from_f32(out, in, cases[c].type, COUNT_OF(in)));
    hash_bytes(hash, out, COUNT_OF(in) / info->block * info->bytes);
    if (strcmp(hash, cases[c].hash) != 0)
      fail_msg("%s encodes otherwise than the reference: %s", info->name, hash);
  }
}

static void rounds_halves_to_nearest_even(void **state) {
  static const struct {
    float in;
    uint16_t half, brain;
  } cases[] = {
      {0.0f, 0x0000, 0x0000},           {-0.0f, 0x8000, 0x8000},          {1.0f, 0x3C00, 0x3F80},
      {65504.0f, 0x7BFF, 0x4780},       {0x1.ffdffep15f, 0x7BFF, 0x4780}, {65520.0f, 0x7C00, 0x4780},
      {-1e9f, 0xFC00, 0xCE6E},          {0x1p-14f, 0x0400, 0x3880},       {0x1p-24f, 0x0001, 0x3380},
      {0x1p-25f, 0x0000, 0x3300},       {0x1.8p-25f, 0x0001, 0x3340},     {0x1.8p-24f, 0x0002, 0x33C0},
      {0x1.ff8p-15f, 0x03FF, 0x3880},   {0x1.ffcp-15f, 0x0400, 0x3880},   {0x1.ffap-15f, 0x03FF, 0x3880},
      {0x1.002p0f, 0x3C00, 0x3F80},     {0x1.006p0f, 0x3C02, 0x3F80},
      {0x1.01p0f, 0x3C04, 0x3F80},      {0x1.03p0f, 0x3C0C, 0x3F82},      {0x1p-149f, 0x0000, 0x0000},
      {INFINITY, 0x7C00, 0x7F80},       {-INFINITY, 0xFC00, 0xFF80},      {0x1.fffffep127f, 0x7C00, 0x7F80},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    unsigned char half[2], brain[2];
    assert_true(ggml_from_f32(half, &cases[i].in, GGML_F16, 1));
    assert_true(ggml_from_f32(brain, &cases[i].in, GGML_BF16, 1));
    assert_int_equal(half[0] | half[1] << 8, cases[i].half);
    assert_int_equal(brain[0] | brain[1] << 8, cases[i].brain);
  }
}

/* All 65536 of either kind come back as they were; NaN stays NaN. */
static void halves_survive_the_way_there_and_back(void **state) {
  static const enum ggml_type types[] = {GGML_F16, GGML_BF16};
  (void)state;
  for (size_t t = 0; t < COUNT_OF(types); t++)
    for (uint32_t bits = 0; bits < 65536; bits++) {
      unsigned char in[2] = {(unsigned char)bits, (unsigned char)(bits >> 8)}, out[2];
      float value;
      ggml_to_f32(&value, in, types[t], 1);
      assert_true(ggml_from_f32(out, &value, types[t], 1));
      if (isnan(value)) {
        ggml_to_f32(&value, out, types[t], 1);
        assert_true(isnan(value));
      } else {
        assert_memory_equal(in, out, 2);
      }
    }
}

/* A block shares one scale: one number that is not finite must not vanish among those that are. */
static void q8_0_shows_what_is_not_finite(void **state) {
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  (void)state;
  for (size_t b = 0; b < COUNT_OF(bad); b++)
    for (size_t at = 0; at < 32; at += 31) {
      float in[64], out[64];
      unsigned char blocks[68];
      for (size_t i = 0; i < 64; i++)
        in[i] = (float)i;
      in[at] = bad[b];
      assert_true(ggml_from_f32(blocks, in, GGML_Q8_0, 64));
      ggml_to_f32(out, blocks, GGML_Q8_0, 64);
      for (size_t i = 0; i < 32; i++)
        assert_true(isnan(out[i]));
      assert_true(out[63] > 62.9f && out[63] < 63.1f);
    }
}

static void knows_its_types_only(void **state) {
  float number = 1;
  unsigned char block[4];
  (void)state;
  for (uint32_t type = 0; type < 64; type++) {
    const struct ggml_type_info *info = ggml_type_info(type);
    bool known = type <= 3 || (type >= 6 && type <= 8) || (type >= 10 && type <= 14) || type == 20 || type == 23 ||
                 type == 30 || type == 39;
    assert_int_equal(info != NULL, known);
  }
  assert_null(ggml_type_info(UINT32_MAX));
  assert_string_equal(ggml_type_info(GGML_Q4_K)->name, "Q4_K");
  assert_false(ggml_from_f32(block, &number, GGML_Q4_1, 0));
  assert_false(ggml_from_f32(block, &number, GGML_Q6_K, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decodes_like_the_reference),
      cmocka_unit_test(encodes_like_the_reference),
      cmocka_unit_test(rounds_halves_to_nearest_even),
      cmocka_unit_test(halves_survive_the_way_there_and_back),
      cmocka_unit_test(q8_0_shows_what_is_not_finite),
      cmocka_unit_test(knows_its_types_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
