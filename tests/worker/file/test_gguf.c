/* A GGUF file is either read exactly, or refused with an error that names the key, tensor or byte: one case
   for each rule, and every truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void refuses_other_files(void **state) {
  (void)state;
  image.length = 0;
  refused("is no GGUF file");
  image_bytes(&image, "GGU", 3);
  refused("is no GGUF file");
  image.length = 0;
  image_bytes(&image, "{\"a\": [1, 2, 3, 4, 5, 6, 7]}", 28);
  refused("is no GGUF file");
  static const uint32_t versions[] = {0, 1, 4, 0xFFFFFFFF};
  for (size_t i = 0; i < COUNT_OF(versions); i++) {
    image_head(&image, 0, 0);
    image.length = 4;
    image_number(&image, versions[i], 4);
    image.length = 24;
    refused("2 and 3 are read");
  }
  image_head(&image, 0, 0);
  memcpy(image.bytes + 4, "\0\0\0\3", 4);
  refused("byte 4: a big-endian GGUF file");
  image_head(&image, 0, 0);
  image.bytes[4] = 2;
  accepted();
}

static void refuses_bad_keys_and_values(void **state) {
  static const struct {
    const char *key;
    const char *says;
  } keys[] = {{"", "byte 24: a key has 0 bytes"},
              {"a\x07z", "byte 33: a key has a control character"},
              {"a\x7F", "byte 33: a key has a control character"},
              {"ab\xFFz", "byte 34: a key is not UTF-8"},
              {"a\xC0\x80", "byte 33: a key is not UTF-8"}};
  char longest[GGUF_KEY_MAX + 2] = {0};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(keys); i++) {
    image_head(&image, 0, 1);
    image_u32(&image, keys[i].key, 1);
    image_number(&image, 0, 8);
    refused(keys[i].says);
  }
  for (size_t n = GGUF_KEY_MAX; n <= GGUF_KEY_MAX + 1; n++) {
    memset(longest, 'k', n);
    image_head(&image, 0, 1);
    image_u32(&image, longest, 1);
    if (n == GGUF_KEY_MAX)
      accepted();
    else
      refused("a key has 257 bytes; 1 to 256 are read");
  }
  image_head(&image, 0, 2);
  image_u32(&image, "twice", 1);
  image_text(&image, "twice", "x");
  refused("key twice: is there twice");
  static const uint32_t types[] = {13, 255, UINT32_MAX};
  for (size_t i = 0; i < COUNT_OF(types); i++) {
    image_head(&image, 0, 1);
    image_string(&image, "k");
    image_number(&image, types[i], 4);
    image_number(&image, 0, 8);
    refused("which GGUF does not have");
    image_head(&image, 0, 1);
    image_array(&image, "k", types[i], 1);
    image_number(&image, 0, 8);
    refused("which GGUF does not have");
  }
  image_head(&image, 0, 1);
  image_array(&image, "k", GGUF_ARRAY, 1);
  image_number(&image, 0, 8);
  refused("key k: arrays of arrays are not read");
  image_head(&image, 0, 1);
  image_key(&image, "k", GGUF_BOOL);
  image_number(&image, 2, 1);
  refused("key k: a boolean of 2; 0 or 1 is needed");
  image_head(&image, 0, 1);
  image_array(&image, "k", GGUF_BOOL, 3);
  image_number(&image, 0x020100, 3);
  refused("key k: an array of booleans has an item that is neither 0 nor 1");
  image_head(&image, 0, 1);
  image_text(&image, "k", "a\xED\xA0\x80");
  refused("key k: byte 46: a string is not UTF-8");
}

static void refuses_bad_tensors(void **state) {
  static const struct {
    const char *name;
    const char *says;
  } names[] = {{"", "a tensor's name has 0 bytes"},
               {"a\n", "a tensor's name has a control character"},
               {"\xFF", "a tensor's name is not UTF-8"}};
  char longest[GGUF_NAME_MAX + 2] = {0};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    image_head(&image, 1, 0);
    image_tensor(&image, names[i].name, 0, 8, GGML_F32, 0);
    image_data(&image, 32, 32);
    refused(names[i].says);
  }
  for (size_t n = GGUF_NAME_MAX; n <= GGUF_NAME_MAX + 1; n++) {
    memset(longest, 'n', n);
    image_head(&image, 1, 0);
    image_tensor(&image, longest, 0, 8, GGML_F32, 0);
    image_data(&image, 32, 32);
    if (n == GGUF_NAME_MAX)
      accepted();
    else
      refused("a tensor's name has 128 bytes; 1 to 127 are read");
  }
  one_tensor(0, 8, 16, 0, 64);
  refused("tensor t: its type is IQ2_XXS (16); F32, F16, ");
  one_tensor(0, 8, 4, 0, 64);
  refused("tensor t: its type is unknown (4)");
  one_tensor(0, 8, UINT32_MAX, 0, 64);
  refused("tensor t: its type is unknown (4294967295)");
  one_tensor(4, 48, GGML_Q8_0, 0, 256);
  refused("tensor t: rows of 48 elements are no whole blocks of Q8_0 (32)");
  one_tensor(8, 32, GGML_Q4_K, 0, 256);
  refused("tensor t: rows of 32 elements are no whole blocks of Q4_K (256)");
  one_tensor(0, 4, GGML_F32, 16, 64);
  refused("tensor t: begins at byte 16 of the data, which is no multiple of 32");
}

static void refuses_tensors_in_one_place(void **state) {
  (void)state;
  image_head(&image, 2, 0);
  image_tensor(&image, "x", 0, 16, GGML_F32, 0);
  image_tensor(&image, "y", 0, 8, GGML_F32, 32);
  image_data(&image, 32, 96);
  refused("tensor y: begins inside tensor x");
  image_head(&image, 2, 0);
  image_tensor(&image, "x", 0, 8, GGML_F32, 32);
  image_tensor(&image, "y", 0, 8, GGML_F32, 32);
  image_data(&image, 32, 96);
  refused("begins inside tensor ");
  image_head(&image, 2, 0);
  image_tensor(&image, "x", 0, 8, GGML_F32, 32);
  image_tensor(&image, "x", 0, 8, GGML_F32, 0);
  image_data(&image, 32, 96);
  refused("tensor x: is there twice");
}

static void refuses_bad_alignments(void **state) {
  static const uint32_t bad[] = {0, 3, 48, 65535, 131072, UINT32_MAX}, good[] = {1, 8, 64, 4096};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    image_head(&image, 0, 1);
    image_u32(&image, "general.alignment", bad[i]);
    refused("key general.alignment: ");
  }
  image_head(&image, 0, 1);
  image_text(&image, "general.alignment", "32");
  refused("key general.alignment: must be an unsigned 32-bit integer");
  for (size_t i = 0; i < COUNT_OF(good); i++) {
    image_head(&image, 1, 1);
    image_u32(&image, "general.alignment", good[i]);
    image_tensor(&image, "t", 0, 8, GGML_F32, good[i]);
    image_data(&image, good[i], good[i] + 32);
    accepted();
    image.length--;
    refused("the file is cut short");
  }
}

/* A file with every type of value and two tensors. */
static void build_good(void) {
  image_head(&image, 2, 16);
  image_key(&image, "u8", GGUF_U8), image_number(&image, 200, 1);
  image_key(&image, "i8", GGUF_I8), image_number(&image, 100, 1);
  image_key(&image, "u16", GGUF_U16), image_number(&image, 60000, 2);
  image_key(&image, "i16", GGUF_I16), image_number(&image, 30000, 2);
  image_u32(&image, "u32", 4000000000u);
  image_key(&image, "i32", GGUF_I32), image_number(&image, 2000000000, 4);
  image_key(&image, "u64", GGUF_U64), image_number(&image, UINT64_MAX, 8);
  image_key(&image, "i64", GGUF_I64), image_number(&image, INT64_MAX, 8);
  image_f32(&image, "f32", 1.5f);
  image_key(&image, "f64", GGUF_F64), image_number(&image, 0x3FF8000000000000, 8);
  image_key(&image, "bool", GGUF_BOOL), image_number(&image, 1, 1);
  image_text(&image, "string", "gr\xC3\xBC\xC3\x9F");
  image_array(&image, "strings", GGUF_STRING, 3);
  image_string(&image, "one"), image_string(&image, ""), image_string(&image, "three");
  image_array(&image, "i32s", GGUF_I32, 2), image_number(&image, (uint32_t)-7, 4), image_number(&image, 8, 4);
  image_array(&image, "none", GGUF_F32, 0);
  image_array(&image, "f32s", GGUF_F32, 1), image_number(&image, 0x40200000, 4);
  image_tensor(&image, "z", 2, 32, GGML_Q8_0, 32);
  image_tensor(&image, "a", 0, 3, GGML_F32, 0);
  while (image.length % 32)
    image_number(&image, 0, 1);
  static const uint32_t a[8] = {0x3F800000, 0x40000000, 0x40400000};
  for (size_t i = 0; i < 8; i++)
    image_number(&image, a[i], 4);
  for (size_t row = 0; row < 2; row++) {
    image_number(&image, row ? 0x3800 : 0x4000, 2); /* 0.5 and 2 */
    for (size_t i = 0; i < 32; i++)
      image_number(&image, (uint64_t)(int64_t)((int)i - 16), 1);
  }
}

static void every_truncation_is_refused(void **state) {
  char text[ERROR_TEXT];
  (void)state;
  build_good();
  accepted();
  size_t whole = image.length;
  while (image.length-- > 0) {
    char want[80] = "";
    assert_int_equal(image_parse(&image, text), STATUS_MODEL_INVALID);
    if (image.length >= whole - 68 - 32)
      snprintf(want, sizeof want, "needs %zu bytes (tensor z ends there) but has %zu", whole, image.length);
    else if (image.length >= 8)
      snprintf(want, sizeof want, "bytes");
    if (!strstr(text, want))
      fail_msg("%zu of %zu bytes: \"%s\" should say \"%s\"", image.length, whole, text, want);
  }
}

static void reads_values(void **state) {
  static const struct {
    const char *key;
    uint64_t value;
  } integers[] = {{"u8", 200},         {"i8", 100},          {"u16", 60000},      {"i16", 30000},
                  {"u32", 4000000000}, {"i32", 2000000000},  {"u64", UINT64_MAX}, {"i64", INT64_MAX},
                  {"absent", 77}};
  struct gguf gguf;
  struct error err;
  (void)state;
  build_good();
  assert_int_equal(gguf_parse(&gguf, image.bytes, image.length, &err), STATUS_OK);
  assert_int_equal(gguf.value_count, 16);
  for (size_t i = 0; i < COUNT_OF(integers); i++) {
    uint64_t value;
    assert_int_equal(gguf_get_u64(&value, &gguf, integers[i].key, 77, &err), STATUS_OK);
    assert_true(value == integers[i].value);
  }
  double number;
  assert_int_equal(gguf_get_f64(&number, &gguf, "f32", 0, &err), STATUS_OK);
  assert_true(number == 1.5);
  assert_int_equal(gguf_get_f64(&number, &gguf, "f64", 0, &err), STATUS_OK);
  assert_true(number == 1.5);
  bool truth;
  assert_int_equal(gguf_get_bool(&truth, &gguf, "bool", false, &err), STATUS_OK);
  assert_true(truth);
  struct gguf_string text;
  assert_int_equal(gguf_get_string(&text, &gguf, "string", NULL, &err), STATUS_OK);
  assert_int_equal(text.length, 6);
  assert_memory_equal(text.text, "gr\xC3\xBC\xC3\x9F", 6);
  assert_int_equal(gguf_get_string(&text, &gguf, "absent", "else", &err), STATUS_OK);
  assert_int_equal(text.length, 4);

  uint64_t integer;
  assert_int_equal(gguf_get_u64(&integer, &gguf, "f32", 0, &err), STATUS_MODEL_INVALID);
  assert_string_equal(err.text, "key f32: must be an integer, not a 32-bit float");
  assert_int_equal(gguf_get_f64(&number, &gguf, "u32", 0, &err), STATUS_MODEL_INVALID);
  assert_int_equal(gguf_get_bool(&truth, &gguf, "u8", false, &err), STATUS_MODEL_INVALID);
  assert_int_equal(gguf_get_string(&text, &gguf, "strings", NULL, &err), STATUS_MODEL_INVALID);
  assert_string_equal(err.text, "key strings: must be a string, not an array of strings");
  gguf_close(&gguf);
}

static void reads_arrays_and_tensors(void **state) {
  static const char *const words[] = {"one", "", "three"};
  const struct gguf_value *array;
  struct gguf gguf;
  struct error err;
  float row[64];
  size_t at = 0;
  (void)state;
  build_good();
  assert_int_equal(gguf_parse(&gguf, image.bytes, image.length, &err), STATUS_OK);
  assert_int_equal(gguf_get_array(&array, &gguf, "strings", GGUF_STRING, &err), STATUS_OK);
  assert_int_equal(array->count, 3);
  for (size_t i = 0; i < 3; i++) {
    struct gguf_string word = gguf_next_string(array, &at);
    assert_int_equal(word.length, strlen(words[i]));
    assert_memory_equal(word.text, words[i], word.length);
  }
  assert_int_equal(at, array->length);
  assert_int_equal(gguf_get_array(&array, &gguf, "i32s", GGUF_I32, &err), STATUS_OK);
  assert_true(gguf_item_number(array, 0) == -7 && gguf_item_number(array, 1) == 8);
  assert_int_equal(gguf_get_array(&array, &gguf, "f32s", GGUF_F32, &err), STATUS_OK);
  assert_true(gguf_item_number(array, 0) == 2.5);
  assert_int_equal(gguf_get_array(&array, &gguf, "none", GGUF_F32, &err), STATUS_OK);
  assert_int_equal(array->count, 0);
  assert_int_equal(gguf_get_array(&array, &gguf, "absent", GGUF_F32, &err), STATUS_OK);
  assert_null(array);

  assert_int_equal(gguf.tensor_count, 2);
  assert_string_equal(gguf.tensors[0].name, "a");
  const struct gguf_tensor *z = gguf_find_tensor(&gguf, "z");
  assert_ptr_equal(z, &gguf.tensors[1]);
  assert_int_equal(z->rank, 2);
  assert_int_equal(z->shape[0], 2);
  assert_int_equal(z->shape[1], 32);
  assert_int_equal(gguf_to_f32(row, z, 1, 1, &err), STATUS_OK);
  assert_true(row[0] == -8 && row[31] == 7.5f);
  assert_int_equal(gguf_to_f32(row, z, 0, 2, &err), STATUS_OK);
  assert_true(row[0] == -32 && row[31] == 30 && row[32] == -8);
  assert_int_equal(gguf_to_f32(row, gguf_find_tensor(&gguf, "a"), 0, 1, &err), STATUS_OK);
  assert_true(row[0] == 1 && row[1] == 2 && row[2] == 3);
  assert_null(gguf_find_tensor(&gguf, "b"));
  gguf_close(&gguf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_other_files),
      cmocka_unit_test(refuses_bad_keys_and_values),
      cmocka_unit_test(refuses_bad_tensors),
      cmocka_unit_test(refuses_tensors_in_one_place),
      cmocka_unit_test(refuses_bad_alignments),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(reads_values),
      cmocka_unit_test(reads_arrays_and_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
