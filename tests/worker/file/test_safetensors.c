/* A safetensors file is either read whole and exactly, or refused with an error that names the tensor
   or byte: one case for each rule. What we write is byte for byte what the Python library writes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/file/safetensors.h"

struct image {
  unsigned char bytes[8192];
  size_t length;
};

/* The file with this header and `data` bytes of numbers 0, 1, 2, ... */
static void build(struct image *image, const char *header, size_t data) {
  size_t n = strlen(header);
  assert_true(n + data + 8 <= sizeof image->bytes);
  for (size_t i = 0; i < 8; i++)
    image->bytes[i] = (unsigned char)(n >> (8 * i));
  memcpy(image->bytes + 8, header, n);
  for (size_t i = 0; i < data; i++)
    image->bytes[8 + n + i] = (unsigned char)i;
  image->length = 8 + n + data;
}

/* Parses from a block of exactly that size, so that the address sanitizer sees any byte too many. */
static enum status parse(const struct image *image, char text[ERROR_TEXT]) {
  struct safetensors file;
  struct error err = {0};
  unsigned char *exact = malloc(image->length ? image->length : 1);
  assert_non_null(exact);
  memcpy(exact, image->bytes, image->length);
  enum status status = safetensors_parse(&file, exact, image->length, &err);
  if (status) {
    assert_int_equal(file.count, 0);
    assert_null(file.tensors);
  }
  safetensors_close(&file);
  free(exact);
  snprintf(text, ERROR_TEXT, "%s", err.text);
  return status;
}

#define T(name, dtype, shape, range) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"

static void refuses_what_is_wrong(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
    const char *says;
  } cases[] = {
      {"", 0, "must begin with '{'"},
      {"[]", 0, "must begin with '{'"},
      {" {}", 0, "must begin with '{'"},
      {"{}\n", 0, "must end with '}'"},
      {"{}x", 0, "must end with '}'"},
      {"{\"a\":}", 0, "the header: line 1"},
      {"{\"a\xFF\":1}", 0, "the header: line 1"},
      {"{\"a\\u0000\":1}", 0, "the header: line 1"},
      {"{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[0,1]") "}", 1, "duplicate object key"},
      {"{\"a\":1}", 0, "tensor a: must be an object, not an integer"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0]}}", 0, "tensor a: has no data_offsets"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "tensor a: has members beside"},
      {"{" T("a", "F33", "[1]", "[0,4]") "}", 4, "tensor a: the dtype F33 is not known"},
      {"{" T("a", "f32", "[1]", "[0,4]") "}", 4, "the dtype f32 is not known"},
      {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "the dtype (not a string)"},
      {"{" T("a", "U8", "{}", "[0,1]") "}", 1, "tensor a: shape must be an array"},
      {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "tensor a: 9 dimensions"},
      {"{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "tensor a: dimension 0 must be an integer"},
      {"{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, "tensor a: dimension 0 must be an integer"},
      {"{" T("a", "U8", "[1,1099511627776]", "[0,1]") "}", 1, "tensor a: dimension 1 must be an integer"},
      {"{" T("a", "F32", "[1099511627775,1099511627775]", "[0,4]") "}", 4, "more bytes than there can be"},
      {"{" T("a", "F64", "[4294967296,536870912]", "[0,0]") "}", 0, "more bytes than there can be"},
      {"{" T("a", "U8", "[1]", "[0]") "}", 1, "tensor a: data_offsets must be two integers"},
      {"{" T("a", "U8", "[1]", "[0,1,2]") "}", 1, "tensor a: data_offsets must be two integers"},
      {"{" T("a", "U8", "[1]", "[-1,0]") "}", 1, "tensor a: data_offsets must be two integers from 0"},
      {"{" T("a", "U8", "[1]", "[0.0,1]") "}", 1, "tensor a: data_offsets must be two integers from 0"},
      {"{" T("a", "U8", "[1]", "[1,0]") "}", 1, "tensor a: data_offsets [1, 0] do not lie"},
      {"{" T("a", "U8", "[2]", "[0,2]") "}", 1, "tensor a: data_offsets [0, 2] do not lie in the file's 1 bytes"},
      {"{" T("a", "U8", "[1]", "[9223372036854775807,9223372036854775807]") "}", 1, "do not lie"},
      {"{" T("a", "F32", "[2]", "[0,4]") "}", 4, "tensor a: 4 bytes of data, but its dtype and shape need 8"},
      {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
       "tensor b: begins at byte 1 of the data, inside tensor a"},
      {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[0,2]") "}", 2, "inside tensor"},
      {"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[2,3]") "}", 3,
       "tensor b: begins at byte 2 of the data; bytes from 1 belong to no tensor"},
      {"{" T("a", "U8", "[1]", "[1,2]") "}", 2, "bytes from 0 belong to no tensor"},
      {"{" T("a", "U8", "[1]", "[0,1]") "}", 2, "the tensors end at byte 1 of 2"},
      {"{}", 1, "the tensors end at byte 0 of 1"},
      {"{" T("a", "U8", "[0]", "[0,0]") "," T("b", "U8", "[1]", "[0,1]") "}", 1,
       "tensor a: is empty and begins where tensor b begins"},
      {"{" T("a", "U8", "[0]", "[1,1]") "," T("b", "U8", "[0]", "[1,1]") "," T("c", "U8", "[1]", "[0,1]") "}", 1,
       "is empty and begins where"},
      {"{" T("", "U8", "[1]", "[0,1]") "}", 1, "a name must have 1 to 256 bytes"},
      {"{" T("a\\u0007", "U8", "[1]", "[0,1]") "}", 1, "a name must have 1 to 256 bytes"},
      {"{" T("a\\u007f", "U8", "[1]", "[0,1]") "}", 1, "a name must have 1 to 256 bytes"},
      {"{\"__metadata__\":[]}", 0, "__metadata__ must be an object, not an array"},
      {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k must be a string, not an integer"},
      {"{\"a\":[[[[[]]]]]}", 0, "nested levels"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct image image;
    char text[ERROR_TEXT];
    build(&image, cases[i].header, cases[i].data);
    enum status status = parse(&image, text);
    if (status != STATUS_MODEL_INVALID || !strstr(text, cases[i].says))
      fail_msg("%s: status %d, \"%s\" should say \"%s\"", cases[i].header, (int)status, text, cases[i].says);
  }
}

static void refuses_lying_lengths(void **state) {
  (void)state;
  struct image image;
  char text[ERROR_TEXT];
  for (size_t n = 0; n < 8; n++) {
    image.length = n;
    memset(image.bytes, 0, 8);
    assert_int_equal(parse(&image, text), STATUS_MODEL_INVALID);
    assert_non_null(strstr(text, "too few"));
  }
  build(&image, "{}", 0);
  image.bytes[0] = 3;
  assert_int_equal(parse(&image, text), STATUS_MODEL_INVALID);
  assert_non_null(strstr(text, "claims 3 bytes but only 2 follow"));
  memset(image.bytes, 0xFF, 8);
  assert_int_equal(parse(&image, text), STATUS_MODEL_INVALID);
  assert_non_null(strstr(text, "claims 18446744073709551615 bytes"));
  build(&image, "{" T("a", "U8", "[9]", "[0,9]") "}", 9);
  assert_int_equal(parse(&image, text), STATUS_OK);
  while (image.length-- > 0)  /* every truncation of a good file */
    assert_int_equal(parse(&image, text), STATUS_MODEL_INVALID);
}

static void refuses_long_names_and_metadata(void **state) {
  (void)state;
  struct image image;
  char text[ERROR_TEXT], name[300], header[400];
  memset(name, 'n', sizeof name);
  for (size_t n = 256; n <= 257; n++) {
    snprintf(header, sizeof header, "{\"%.*s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", (int)n, name);
    build(&image, header, 1);
    assert_int_equal(parse(&image, text), n == 256 ? STATUS_OK : STATUS_MODEL_INVALID);
  }
  size_t length = (64 << 10) + 64;
  unsigned char *bytes = calloc(1, length + 8);
  assert_non_null(bytes);
  memset(bytes + 8, 'm', length);
  memcpy(bytes + 8, "{\"__metadata__\":{\"k\":\"", 22);
  memcpy(bytes + 8 + length - 3, "\"}}", 3);
  bytes[0] = (unsigned char)length, bytes[1] = (unsigned char)(length >> 8), bytes[2] = (unsigned char)(length >> 16);
  struct safetensors file;
  struct error err;
  assert_int_equal(safetensors_parse(&file, bytes, length + 8, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "__metadata__ has more than 65536 bytes"));
  free(bytes);
}

static void reads_what_is_right(void **state) {
  (void)state;
  struct image image;
  struct safetensors file;
  struct error err;
  build(&image,
        "{" T("z", "F32", "[2,1]", "[0,8]") "," T("a", "BF16", "[]", "[8,10]") "," T("empty", "F16", "[0,3]", "[10,10]")
        ",\"__metadata__\":{\"format\":\"pt\"}}   ", 10);
  assert_int_equal(safetensors_parse(&file, image.bytes, image.length, &err), STATUS_OK);
  assert_int_equal(file.count, 3);
  assert_string_equal(file.tensors[0].name, "a");
  assert_string_equal(file.tensors[1].name, "empty");
  assert_string_equal(file.tensors[2].name, "z");
  assert_string_equal(json_string_value(json_object_get(file.metadata, "format")), "pt");
  const struct st_tensor *z = safetensors_find(&file, "z");
  assert_ptr_equal(z, &file.tensors[2]);
  assert_int_equal(z->rank, 2);
  assert_int_equal(z->shape[0], 2);
  assert_int_equal(st_elements(z), 2);
  assert_int_equal(z->bytes[5], 5);
  assert_int_equal(st_elements(safetensors_find(&file, "a")), 1);
  assert_int_equal(st_elements(safetensors_find(&file, "empty")), 0);
  assert_null(safetensors_find(&file, "__metadata__"));
  safetensors_close(&file);
  build(&image, "{}", 0);
  assert_int_equal(safetensors_parse(&file, image.bytes, image.length, &err), STATUS_OK);
  assert_null(safetensors_find(&file, "z"));
  safetensors_close(&file);
}

static void converts_to_float32(void **state) {
  (void)state;
  static const uint16_t half[] = {0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF, 0x0001, 0x83FF, 0x0400, 0x7C00, 0xFC00,
      0x3555};
  static const float want[] = {0.0f, -0.0f, 1.0f, -2.0f, 65504.0f, 0x1p-24f, -0x3FFp-24f, 0x1p-14f, (float)INFINITY,
      (float)-INFINITY, 0x1.554p-2f};
  static const uint16_t brain[] = {0x3F80, 0xC040, 0x0001, 0x7F80};
  static const float brain_want[] = {1.0f, -3.0f, 0x1p-133f, (float)INFINITY};
  float out[16];
  struct error err;
  struct st_tensor t = {"t", ST_F16, 1, {11}, (const unsigned char *)half, sizeof half};
  assert_int_equal(st_to_f32(out, &t, &err), STATUS_OK);
  assert_memory_equal(out, want, sizeof want);
  t.bytes = (const unsigned char *)"\0\x7E";
  t.length = 2;
  assert_int_equal(st_to_f32(out, &t, &err), STATUS_OK);
  assert_true(out[0] != out[0]);
  t = (struct st_tensor){"t", ST_BF16, 1, {4}, (const unsigned char *)brain, sizeof brain};
  assert_int_equal(st_to_f32(out, &t, &err), STATUS_OK);
  assert_memory_equal(out, brain_want, sizeof brain_want);
  unsigned char shifted[9] = {0};
  memcpy(shifted + 1, want + 2, 8);
  t = (struct st_tensor){"t", ST_F32, 1, {2}, shifted + 1, 8};
  assert_int_equal(st_to_f32(out, &t, &err), STATUS_OK);
  assert_memory_equal(out, want + 2, 8);
  t.dtype = ST_I64;
  assert_int_equal(st_to_f32(out, &t, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "tensor t: has the dtype I64"));
}

static char dir[64];

static char *in_dir(const char *name) {
  static char path[4][256];
  static unsigned next;
  char *out = path[next++ % 4];
  snprintf(out, 256, "%s/%s", dir, name);
  return out;
}

static int make_dir(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_safetensors.XXXXXX");
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

/* The hash is that of the file which Python's safetensors 0.8.0 made from these tensors. */
static void writes_what_python_writes(void **state) {
  (void)state;
  static const float b[] = {1, 2, 3, -4}, c[] = {2};
  static const uint16_t a[] = {0x3E00}, e[] = {0x3F00, 0x4000};
  static const int64_t z[] = {7};
  const struct st_tensor tensors[] = {
      {"b.weight", ST_F32, 2, {2, 2}, (const unsigned char *)b, sizeof b},
      {"a", ST_F16, 1, {1}, (const unsigned char *)a, sizeof a},
      {"z\"q", ST_I64, 1, {1}, (const unsigned char *)z, sizeof z},
      {"\xC3\xA9", ST_BF16, 1, {2}, (const unsigned char *)e, sizeof e},
      {"c", ST_F32, 0, {0}, (const unsigned char *)c, sizeof c},
  };
  char hash[HASH_HEX];
  uint64_t bytes = 0;
  struct error err;
  assert_int_equal(safetensors_write(in_dir("model.safetensors"), tensors, 5, NULL, hash, &bytes, &err), STATUS_OK);
  assert_int_equal(bytes, 362);
  assert_string_equal(hash, "b7efdf5942cd64b3f2ba3fed4b8e62e2a39d77ef331329d1731ff2d99b557b8e");
  struct safetensors file;
  assert_int_equal(safetensors_open_model(&file, dir, &err), STATUS_OK);
  assert_int_equal(file.count, 5);
  const struct st_tensor *found = safetensors_find(&file, "b.weight");
  assert_non_null(found);
  assert_int_equal(found->length, sizeof b);
  assert_memory_equal(found->bytes, b, sizeof b);
  safetensors_close(&file);
  assert_int_equal(unlink(in_dir("model.safetensors")), 0);
}

static void put_text(const char *name, const char *text) {
  assert_int_equal(file_put(in_dir(name), text, strlen(text), NULL), STATUS_OK);
}

static void open_fails(const char *index, const char *says) {
  struct safetensors file;
  struct error err = {0};
  put_text("model.safetensors.index.json", index);
  assert_int_equal(safetensors_open_model(&file, dir, &err), STATUS_MODEL_INVALID);
  assert_int_equal(file.map_count, 0);
  if (!strstr(err.text, says))
    fail_msg("%s: \"%s\" should say \"%s\"", index, err.text, says);
}

static void reads_shards(void **state) {
  (void)state;
  static const float values[] = {1, 2, 3};
  const struct st_tensor x = {"x", ST_F32, 1, {1}, (const unsigned char *)values, 4};
  const struct st_tensor y = {"y", ST_F32, 1, {2}, (const unsigned char *)(values + 1), 8};
  struct error err = {0};
  assert_int_equal(safetensors_write(in_dir("m-1.safetensors"), &y, 1, NULL, NULL, NULL, &err), STATUS_OK);
  assert_int_equal(safetensors_write(in_dir("m-2.safetensors"), &x, 1, NULL, NULL, NULL, &err), STATUS_OK);
  put_text("model.safetensors.index.json",
           "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"x\":\"m-2.safetensors\",\"y\":\"m-1.safetensors\"}}");
  struct safetensors file;
  assert_int_equal(safetensors_open_model(&file, dir, &err), STATUS_OK);
  assert_int_equal(file.count, 2);
  assert_int_equal(file.map_count, 2);
  assert_string_equal(file.tensors[0].name, "x");
  assert_memory_equal(safetensors_find(&file, "y")->bytes, values + 1, 8);
  safetensors_close(&file);

  open_fails("{}", "weight_map must be an object");
  open_fails("{\"weight_map\":{\"x\":\"../m-2.safetensors\"}}", "not ../m-2.safetensors");
  open_fails("{\"weight_map\":{\"x\":\"sub/m.safetensors\"}}", "not sub/m.safetensors");
  open_fails("{\"weight_map\":{\"x\":\"..\"}}", "not ..");
  open_fails("{\"weight_map\":{\"x\":3}}", "not another value");
  open_fails("{\"weight_map\":{\"x\":\"m-2.safetensors\",\"w\":\"m-2.safetensors\"}}",
      "tensor w: the index puts it in m-2");
  open_fails("{\"weight_map\":{\"x\":\"m-1.safetensors\"}}",
      "tensor y: is in m-1.safetensors, but the index puts it nowhere");
  open_fails("{\"weight_map\":{\"x\":\"m-2.safetensors\",\"y\":\"m-2.safetensors\"}}", "tensor y");
  open_fails("{\"weight_map\":{\"x\":\"m-7.safetensors\"}}",
      "names the shard m-7.safetensors, which is not in the folder");
  open_fails("{\"weight_map\":", "line 1");
}

static void says_which_file_is_missing(void **state) {
  (void)state;
  struct safetensors file;
  struct error err;
  assert_int_equal(safetensors_open(&file, in_dir("nothing.safetensors"), &err), STATUS_IO);
  assert_non_null(strstr(err.text, "nothing.safetensors"));
  unlink(in_dir("model.safetensors.index.json"));
  assert_int_equal(safetensors_open_model(&file, dir, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "neither model.safetensors nor"));
  static const char *const instead[][2] = {
      {"", "model.safetensors: is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", "is a Git LFS pointer"},
      {"PK\x03\x04 and more of it", "is a file of PyTorch"},
      {"<!DOCTYPE html><html></html>", "is a web page"},
      {"\x89HDF\r\n\x1a\n and more", "is an HDF5 file"},
      {"short", "too few"},
  };
  for (size_t i = 0; i < COUNT_OF(instead); i++) {
    put_text("model.safetensors", instead[i][0]);
    assert_int_equal(safetensors_open_model(&file, dir, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, instead[i][1]))
      fail_msg("\"%s\" should say \"%s\"", err.text, instead[i][1]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_what_is_wrong),
      cmocka_unit_test(refuses_lying_lengths),
      cmocka_unit_test(refuses_long_names_and_metadata),
      cmocka_unit_test(reads_what_is_right),
      cmocka_unit_test(converts_to_float32),
      cmocka_unit_test(writes_what_python_writes),
      cmocka_unit_test(reads_shards),
      cmocka_unit_test(says_which_file_is_missing),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
