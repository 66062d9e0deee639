/* The holes that were found in other readers of GGUF are not in this one. Each row is a test of that name,
   with files made as the attack's were:

     hole                          root cause there                               test here
     CVE-2024-21825                array length times element size wraps          cve_2024_21825_...
     CVE-2024-23496                string length plus 1 wraps                     cve_2024_23496_...
     CVE-2024-21836                number of tensors times struct size wraps      cve_2024_21836_...
     CVE-2024-23605                number of keys times struct size wraps         cve_2024_23605_...
     CVE-2024-21802                number of dimensions indexes a fixed array     cve_2024_21802_...
     CVE-2024-42478, -42479        a place in memory taken from the sender        cve_2024_42478_42479_...
     CVE-2025-49847                64-bit length of a token cast to 32 bits       cve_2025_49847_...
     CVE-2025-52566                the same for the text to tokenise              (the tokenizer's tests)
     CVE-2025-53630                sum of the tensors' sizes wraps                cve_2025_53630_...
     CVE-2026-27940                start of the data plus size wraps              cve_2026_27940_...
     CVE-2026-33298                dimensions times stride wraps                  cve_2026_33298_...
     PR 24759, 26318, issue 27203  padding wraps after the check; product of      padding_and_elements_...
                                   dimensions turns negative
     (no number)                   array declared as bytes read as numbers        arrays_are_of_the_type_...
     CVE-2026-21869                a negative number used as a count              cve_2026_21869_...
     CVE-2026-43629                counts of a saved state multiplied unchecked   cve_2026_43629_... (test_checkpoint.c)
     CVE-2026-7482                 offset and size beyond the end of the file     cve_2026_7482_...
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker/file/gguf_image.h"

static struct image image; /* what the current test builds */

static void refused(const char *says) {
  image_refused(&image, says);
}

static void accepted(void) {
  image_accepted(&image);
}

/* One tensor "t" with this place in a file without keys and with `data` bytes of data. */
static void one_tensor(uint64_t rows, uint64_t columns, uint32_t type, uint64_t offset, size_t data) {
  image_head(&image, 1, 0);
  image_tensor(&image, "t", rows, columns, type, offset);
  image_data(&image, 32, data);
}

static void cve_2024_21825_array_length_times_size(void **state) {
  static const struct {
    uint32_t type;
    uint64_t count;
  } cases[] = {{GGUF_U64, UINT64_MAX / 8 + 1},  {GGUF_U64, UINT64_MAX / 8 + 2},    {GGUF_U32, UINT64_MAX / 4 + 2},
               {GGUF_U8, UINT64_MAX},           {GGUF_STRING, UINT64_MAX / 16 + 2}, {GGUF_STRING, UINT64_MAX},
               {GGUF_F64, (uint64_t)1 << 61},   {GGUF_I16, (uint64_t)1 << 63}};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    image_head(&image, 0, 1);
    image_array(&image, "a", cases[i].type, cases[i].count);
    image_data(&image, 1, 64);
    refused(cases[i].type == GGUF_STRING ? "strings, but the file has only 64 more bytes" : "key a: ");
  }
}

static void cve_2024_23496_string_length_plus_one(void **state) {
  static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 7, (uint64_t)1 << 63, 65};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(lengths); i++) {
    image_head(&image, 0, 1); /* as a value */
    image_key(&image, "s", GGUF_STRING);
    image_number(&image, lengths[i], 8);
    image_data(&image, 1, 64);
    refused("key s: byte ");
    image_head(&image, 0, 1); /* as a key */
    image_number(&image, lengths[i], 8);
    image_data(&image, 1, 64);
    refused("a key needs ");
    image_head(&image, 1, 0); /* as a tensor's name */
    image_number(&image, lengths[i], 8);
    image_data(&image, 1, 64);
    refused("a tensor's name needs ");
    image_head(&image, 0, 1); /* in an array */
    image_array(&image, "s", GGUF_STRING, 1);
    image_number(&image, lengths[i], 8);
    image_data(&image, 1, 64);
    refused("key s: byte ");
  }
}

static void cve_2024_21836_number_of_tensors(void **state) {
  static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX / 72 + 1, (uint64_t)1 << 58, 1 << 20, 3};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    image_head(&image, counts[i], 0);
    image_data(&image, 1, 2 * 33 + 32);
    refused("byte 8: the header claims ");
  }
}

static void cve_2024_23605_number_of_keys(void **state) {
  static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX / 56 + 1, (uint64_t)1 << 58, 1 << 20, 5};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    image_head(&image, 0, counts[i]);
    image_data(&image, 1, 4 * 14 + 13);
    refused("byte 16: the header claims ");
  }
}

static void cve_2024_21802_number_of_dimensions(void **state) {
  static const uint32_t ranks[] = {0, 5, 8, 1 << 16, UINT32_MAX};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(ranks); i++) {
    image_head(&image, 1, 0);
    image_string(&image, "t");
    image_number(&image, ranks[i], 4);
    for (int k = 0; k < 16; k++)
      image_number(&image, 1, 8);
    refused("tensor t: ");
  }
}

/* Places are offsets from the beginning of the data, and end up within the bytes given. */
static void cve_2024_42478_42479_places_from_outside(void **state) {
  static const uint64_t offsets[] = {UINT64_MAX - 31, (uint64_t)1 << 63, 0x7FFFFFFFFFE0, 64, 32};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(offsets); i++) {
    one_tensor(0, 8, GGML_F32, offsets[i], 32);
    refused("t");
  }
  one_tensor(0, 8, GGML_F32, 0, 32);
  accepted();
}

static void cve_2025_49847_length_of_a_token_in_32_bits(void **state) {
  static const uint64_t lengths[] = {0x80000000, 0xFFFFFFFF, 0x100000001, 0x1000000000000003};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(lengths); i++) { /* as 32 bits: negative, -1, 1, 3 */
    image_head(&image, 0, 1);
    image_array(&image, "tokenizer.ggml.tokens", GGUF_STRING, 2);
    image_string(&image, "ok");
    image_number(&image, lengths[i], 8);
    image_data(&image, 1, 64);
    refused("key tokenizer.ggml.tokens: byte ");
  }
}

static void cve_2025_53630_sum_of_sizes(void **state) {
  (void)state;
  image_head(&image, 4, 0); /* four times 2^62 bytes are 0 in 64 bits */
  for (int i = 0; i < 4; i++) {
    const char name[2] = {(char)('a' + i), 0};
    image_tensor(&image, name, (uint64_t)1 << 30, (uint64_t)1 << 30, GGML_F32, (uint64_t)i << 62);
  }
  image_data(&image, 32, 64);
  refused("tensor a: needs 4611686018427387904 bytes, but the file has ");
  image_head(&image, 2, 0); /* small ones whose ends wrap */
  image_tensor(&image, "a", 0, 8, GGML_F32, 0);
  image_tensor(&image, "b", 0, 8, GGML_F32, UINT64_MAX - 31);
  image_data(&image, 32, 64);
  refused("tensor b: its offset 18446744073709551584 lies beyond any file");
}

static void cve_2026_27940_start_plus_size(void **state) {
  static const uint64_t backwards[] = {32, 64, 96};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(backwards); i++) { /* begin + offset + size is a small number again */
    one_tensor(0, 8, GGML_F32, 0 - backwards[i], 64);
    refused("tensor t: its offset ");
  }
  one_tensor(0, 8, GGML_F32, (uint64_t)0 - 128, 64); /* just no wrap */
  refused("needs 18446744073709551584 bytes (tensor t ends there) but has 128: the file is cut short");
}

static void cve_2026_33298_dimensions_times_stride(void **state) {
  (void)state;
  one_tensor((uint64_t)1 << 33, (uint64_t)1 << 33, GGML_F32, 0, 64);
  refused("tensor t: the dimensions need more bytes than there can be");
  one_tensor((uint64_t)1 << 31, (uint64_t)1 << 31, GGML_F32, 0, 64); /* 2^62 elements: 2^64 bytes */
  refused("tensor t: the dimensions need more bytes than there can be");
  image_head(&image, 1, 0); /* 2^66 elements of which the lowest 64 bits say 1 << 22 */
  image_string(&image, "t");
  image_number(&image, 4, 4);
  for (int i = 0; i < 3; i++)
    image_number(&image, (uint64_t)1 << 22, 8);
  image_number(&image, 1, 8);
  image_number(&image, GGML_F32, 4);
  image_number(&image, 0, 8);
  image_data(&image, 32, 64);
  refused("tensor t: the dimensions need more bytes than there can be");
}

static void padding_and_elements_that_wrap(void **state) {
  static const uint64_t dimensions[] = {0, UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 40};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(dimensions); i++) {
    one_tensor(0, dimensions[i], GGML_F32, 0, 64);
    refused("tensor t: dimension 0 is ");
    one_tensor(dimensions[i] ? dimensions[i] : UINT64_MAX, 1, GGML_F32, 0, 64);
    refused("tensor t: dimension 1 is ");
  }
  one_tensor((uint64_t)1 << 39, (uint64_t)1 << 24, GGML_F16, 0, 64); /* elements: negative as int64 */
  refused("tensor t: ");
  one_tensor(0, 8, GGML_F32, UINT64_MAX, 64); /* rounding it up gives 0 */
  refused("tensor t: begins at byte 18446744073709551615 of the data, which is no multiple of 32");
  image_head(&image, 1, 1);
  image_u32(&image, "general.alignment", (uint32_t)1 << 31);
  image_tensor(&image, "t", 0, 8, GGML_F32, 0);
  image_data(&image, 32, 64);
  refused("key general.alignment: 2147483648 is no power of two from 1 to 65536");
}

static void arrays_are_of_the_type_that_is_asked(void **state) {
  const struct gguf_value *array;
  struct gguf gguf;
  struct error err;
  (void)state;
  image_head(&image, 0, 1);
  image_array(&image, "tokenizer.ggml.token_type", GGUF_I8, 8);
  image_data(&image, 1, 8);
  assert_int_equal(gguf_parse(&gguf, image.bytes, image.length, &err), STATUS_OK);
  static const enum gguf_type others[] = {GGUF_I32, GGUF_U8, GGUF_F32, GGUF_STRING, GGUF_U64};
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    assert_int_equal(gguf_get_array(&array, &gguf, "tokenizer.ggml.token_type", others[i], &err), STATUS_MODEL_INVALID);
    assert_null(array);
    assert_non_null(strstr(err.text, "key tokenizer.ggml.token_type: must be an array of "));
  }
  assert_int_equal(gguf_get_array(&array, &gguf, "tokenizer.ggml.token_type", GGUF_I8, &err), STATUS_OK);
  assert_int_equal(array->count, 8);
  gguf_close(&gguf);
}

static void cve_2026_21869_negative_counts(void **state) {
  static const struct {
    enum gguf_type type;
    size_t bytes;
  } cases[] = {{GGUF_I8, 1}, {GGUF_I16, 2}, {GGUF_I32, 4}, {GGUF_I64, 8}};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct gguf gguf;
    struct error err;
    uint64_t value = 0;
    image_head(&image, 0, 1);
    image_key(&image, "llama.block_count", cases[i].type);
    image_number(&image, (uint64_t)-5, cases[i].bytes);
    assert_int_equal(gguf_parse(&gguf, image.bytes, image.length, &err), STATUS_OK);
    assert_int_equal(gguf_get_u64(&value, &gguf, "llama.block_count", 1, &err), STATUS_MODEL_INVALID);
    assert_string_equal(err.text, "key llama.block_count: -5 must not be negative");
    gguf_close(&gguf);
  }
}

static void cve_2026_7482_beyond_the_end_of_the_file(void **state) {
  (void)state;
  one_tensor(4, 8, GGML_F32, 0, 127); /* one byte short */
  refused("needs 224 bytes (tensor t ends there) but has 223: the file is cut short");
  one_tensor(4, 32, GGML_Q8_0, 32, 4 * 34);
  refused("needs 264 bytes (tensor t ends there) but has 232: the file is cut short");
  one_tensor(1 << 20, 32, GGML_Q8_0, 0, 64);
  refused("tensor t: needs 35651584 bytes, but the file has 160");
  one_tensor(4, 32, GGML_Q8_0, 32, 32 + 4 * 34);
  accepted();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cve_2024_21825_array_length_times_size),
      cmocka_unit_test(cve_2024_23496_string_length_plus_one),
      cmocka_unit_test(cve_2024_21836_number_of_tensors),
      cmocka_unit_test(cve_2024_23605_number_of_keys),
      cmocka_unit_test(cve_2024_21802_number_of_dimensions),
      cmocka_unit_test(cve_2024_42478_42479_places_from_outside),
      cmocka_unit_test(cve_2025_49847_length_of_a_token_in_32_bits),
      cmocka_unit_test(cve_2025_53630_sum_of_sizes),
      cmocka_unit_test(cve_2026_27940_start_plus_size),
      cmocka_unit_test(cve_2026_33298_dimensions_times_stride),
      cmocka_unit_test(padding_and_elements_that_wrap),
      cmocka_unit_test(arrays_are_of_the_type_that_is_asked),
      cmocka_unit_test(cve_2026_21869_negative_counts),
      cmocka_unit_test(cve_2026_7482_beyond_the_end_of_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
