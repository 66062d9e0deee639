/* Files of torch.save give the tensors that were saved, where they lie; whatever is not one is refused with the entry
   and byte. The files in torch/ are real ones (make_torch_cases.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/worker/file/torch_image.h"
#include "worker/file/torch_file.h"

#define REAL "tests/worker/file/torch/"

/* From a block of exactly that size, so that the address sanitizer sees any byte too many. */
static enum status parse(const unsigned char *bytes, size_t length, char text[ERROR_TEXT]) {
  struct safetensors file;
  struct error err = {0};
  unsigned char *exact = malloc(length ? length : 1);
  assert_non_null(exact);
  memcpy(exact, bytes, length);
  enum status status = torch_file_parse(&file, exact, length, &err);
  if (status)
    assert_null(file.tensors);
  safetensors_close(&file);
  free(exact);
  snprintf(text, ERROR_TEXT, "%s", err.text);
  return status;
}

static void assert_refused(const struct torch_image *image, const char *says) {
  char text[ERROR_TEXT];
  enum status status = parse(image->bytes, image->length, text);
  if (status != STATUS_MODEL_INVALID || !strstr(text, says))
    fail_msg("status %d, \"%s\" should say \"%s\"", (int)status, text, says);
}

/* --- real files ----------------------------------------------------------------------------------- */

static void reads_what_torch_saved(void **state) {
  (void)state;
  static const char *const files[] = {"protocol_2.bin", "protocol_4.bin", "protocol_5.bin", "dict.bin"};
  static const struct {
    const char *name;
    enum st_dtype dtype;
    int rank;
    int64_t shape[2];
    float first; /* the others count up */
  } want[] = {{"brain", ST_BF16, 1, {3}, 0},   {"empty", ST_F32, 2, {0, 3}, 0}, {"half", ST_F16, 1, {4}, 0},
              {"ids", ST_I64, 2, {1, 4}, 0},   {"mask", ST_BOOL, 1, {2}, 0},    {"one", ST_F32, 2, {1, 3}, 0},
              {"rows", ST_F32, 2, {2, 3}, 6},  {"scalar", ST_F32, 0, {0}, 0},   {"tied", ST_F32, 2, {2, 3}, 0},
              {"weight", ST_F32, 2, {2, 3}, 0}};
  for (size_t f = 0; f < COUNT_OF(files); f++) {
    struct safetensors file;
    struct error err = {0};
    char path[200];
    float numbers[8];
    snprintf(path, sizeof path, REAL "%s", files[f]);
    if (torch_file_open(&file, path, &err))
      fail_msg("%s", err.text);
    assert_int_equal(file.count, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
      const struct st_tensor *t = &file.tensors[i];
      assert_string_equal(t->name, want[i].name);
      assert_int_equal(t->dtype, want[i].dtype);
      assert_int_equal(t->rank, want[i].rank);
      assert_memory_equal(t->shape, want[i].shape, (size_t)t->rank * sizeof t->shape[0]);
      if (t->dtype == ST_I64 || t->dtype == ST_BOOL)
        continue;
      assert_int_equal(st_to_f32(numbers, t, &err), STATUS_OK);
      for (size_t k = 0; k < (size_t)st_elements(t); k++)
        assert_true(numbers[k] == want[i].first + (float)k);
    }
    assert_ptr_equal(safetensors_find(&file, "tied")->bytes, safetensors_find(&file, "weight")->bytes);
    assert_int_equal((uintptr_t)safetensors_find(&file, "weight")->bytes % 16, 0); /* used where it lies */
    safetensors_close(&file);
  }
}

static void refuses_real_files_that_are_something_else(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"transposed.bin", "transposed.bin: tensor transposed: its numbers do not lie one after the other"},
      {"training.bin", "item epoch is a number, not a tensor: only a model's own state dict is read"},
      {"legacy.bin", "has the format of PyTorch before 1.6"},
      {"code.bin", "code/data.pkl: byte 16: the global posix.system is not a tensor's; it is not run"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct safetensors file;
    struct error err = {0};
    char path[200];
    snprintf(path, sizeof path, REAL "%s", cases[i][0]);
    assert_int_equal(torch_file_open(&file, path, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, cases[i][1]))
      fail_msg("%s", err.text);
  }
}

/* Any beginning of a file, and any one byte that is another, is read or refused, never more. */
static void bears_damage(void **state) {
  (void)state;
  static unsigned char bytes[8192];
  char text[ERROR_TEXT];
  FILE *file = fopen(REAL "protocol_4.bin", "rb");
  assert_non_null(file);
  size_t length = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  assert_true(length > 1000 && length < sizeof bytes);
  for (size_t cut = 0; cut < length; cut++)
    assert_int_equal(parse(bytes, cut, text), STATUS_MODEL_INVALID);
  for (size_t i = 0; i < length; i++) {
    unsigned char right = bytes[i];
    for (unsigned bit = 1; bit < 256; bit *= 2) {
      bytes[i] = (unsigned char)(right ^ bit);
      enum status status = parse(bytes, length, text);
      assert_true(status == STATUS_OK || (status == STATUS_MODEL_INVALID && text[0]));
    }
    bytes[i] = right;
  }
}

/* --- pickles -------------------------------------------------------------------------------------- */

/* A file whose pickle is that and whose storage 0 has 16 bytes. */
static void with_pickle(struct torch_image *image, const char *pickle, size_t length) {
  memset(image, 0, sizeof *image);
  torch_image_add(image, "m/data.pkl", 0, pickle, length);
  torch_image_add(image, "m/data/0", 0, "0123456789abcdef", 16);
  torch_image_finish(image);
}

#define STORAGE(type, elements) "(X\7\0\0\0storagectorch\n" type "\nX\1\0\0\0000X\3\0\0\0cpuK" elements "tQ"
#define TENSOR(storage, rest)                                                                                          \
  "\x80\2}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" storage rest "\x89Nt"                                        \
  "Rs."
#define P(text)                                                                                                        \
  { text, sizeof(text) - 1 }

static const struct {
  struct {
    const char *bytes;
    size_t length;
  } pickle;
  const char *says;
} foreign[] = {
    {P(""), "m/data.pkl: byte 0: no pickle"},
    {P("(dp0\n."), "no pickle of protocol 2 to 5"},
    {P("\x80\1}."), "protocol 1; 2 to 5"},
    {P("\x80\2"), "byte 2: the pickle is cut short"},
    {P("\x80\2cos\nsystem\n(X\2\0\0\0lstR."), "m/data.pkl: byte 2: the global os.system is not a tensor's"},
    {P("\x80\4\x8c\2os\x8c\6system\x93."), "byte 14: the global os.system is not"},
    {P("\x80\2cbuiltins\neval\n."), "the global builtins.eval"},
    {P("\x80\2ctorch\nload\n."), "the global torch.load"},
    {P("\x80\2}\x81."), "byte 3: the opcode 0x81"},
    {P("\x80\2ios\nsystem\n."), "byte 2: the opcode 0x69"},
    {P("\x80\2}0."), "the opcode 0x30"},
    {P("\x80\2ctorch\nFloatStorage\n)R."), "the global torch.FloatStorage is not called"},
    {P("\x80\2ccollections\nOrderedDict\n(K\1tR."), "an OrderedDict with arguments"},
    {P("\x80\2}}R."), "REDUCE needs"},
    {P("\x80\2K\1."), "the file has a number, not a dictionary"},
    {P("\x80\2}}."), "the file has several values"},
    {P("\x80\2(}."), "the file has several values"},
    {P("\x80\2R."), "the stack has too few values"},
    {P("\x80\2}(t."), "the file has several values"},
    {P("\x80\2t."), "no mark is on the stack"},
    {P("\x80\2}(\x86."), "the stack has too few values"},
    {P("\x80\2(q\0."), "the stack has too few values"},
    {P("\x80\2}h\0."), "the memo has no value 0"},
    {P("\x80\2}q\1."), "the memo has no place 1"},
    {P("\x80\2}r\xff\xff\xff\xff."), "the memo has no place 4294967295"},
    {P("\x80\2X\xff\xff\xff\xff."), "the pickle is cut short"},
    {P("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "the pickle is cut short"},
    {P("\x80\2X\1\0\0\0\0."), "a text has a NUL"},
    {P("\x80\2\x8a\11\0\0\0\0\0\0\0\0\0."), "a number of 9 bytes"},
    {P("\x80\2K\1K\2K\3s."), "items are set of what is no dictionary"},
    {P("\x80\2}(K\1u."), "items are set of what is no dictionary"},
    {P("\x80\2}K\1a."), "no list"},
    {P("\x80\2K\1}b."), "BUILD of what is no dictionary"},
    {P("\x80\2}K\1Ns."), "item 0 is named by a number"},
    {P("\x80\2}X\1\0\0\0wNs."), "item w is None, not a tensor"},
    {P("\x80\2}X\5\0\0\0model}s."), "item model is a dictionary, not a tensor"},
    {P("\x80\2K\1Q."), "a persistent id that is not a storage's"},
    {P("\x80\2(X\7\0\0\0storageK\1K\1K\1K\1tQ."), "a persistent id that is not"},
    {P(TENSOR("K\1", "K\0K\2\x85K\1\x85")), "a tensor must have storage"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0K\2\x85K\1K\1\x86")), "a tensor must have storage"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "J\xff\xff\xff\xffK\2\x85K\1\x85")), "a tensor must have storage"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0J\xff\xff\xff\xff\x85K\1\x85")), "must be numbers from 0"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
     "a tensor of 9 dimensions"},
    {P(TENSOR(STORAGE("FloatStorage", "\5"), "K\0K\2\x85K\1\x85")), "m/data/0 has 16 bytes, not 5 numbers of 4"},
    {P(TENSOR(STORAGE("HalfStorage", "\4"), "K\0K\2\x85K\1\x85")), "m/data/0 has 16 bytes, not 4 numbers of 2"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\3K\2\x85K\1\x85")),
     "tensor w: 2 numbers from number 3 on do not lie in the 4 of m/data/0"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\5K\0\x85K\1\x85")), "0 numbers from number 5"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0K\2\x85K\2\x85")), "do not lie one after the other"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0K\4\x85K\0\x85")), "do not lie one after the other"},
    {P(TENSOR(STORAGE("FloatStorage", "\4"), "K\0\x8a\6\0\0\0\0\0\1\x85K\1\x85")), "dimension 0 must lie in 0..2^40-1"},
    {P("\x80\2}(X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("FloatStorage",
                                                                        "\4") "K\0K\2\x85K\1\x85tRq\0X\1\0\0\0wh\0u."),
     "tensor w: is there twice"},
    {P("\x80\2}X\1\0\0\0\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("FloatStorage", "\4") "K\0K\2\x85K\1\x85tRs."),
     "a name must have 1 to 256 bytes"},
};

static void refuses_foreign_pickles(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(foreign); i++) {
    struct torch_image image;
    with_pickle(&image, foreign[i].pickle.bytes, foreign[i].pickle.length);
    assert_refused(&image, foreign[i].says);
  }
}

static void reads_a_pickle_by_hand(void **state) {
  (void)state;
  static const char right[] = TENSOR(STORAGE("FloatStorage", "\4"), "K\1K\3\x85K\1\x85");
  struct torch_image image;
  struct safetensors file;
  struct error err = {0};
  with_pickle(&image, right, sizeof right - 1);
  if (torch_file_parse(&file, image.bytes, image.length, &err))
    fail_msg("%s", err.text);
  assert_int_equal(file.count, 1);
  assert_memory_equal(file.tensors[0].bytes, "456789abcdef", 12);
  safetensors_close(&file);
}

/* Deep, long and cyclic programs end at a bound; none is followed. */
static void bounds_programs(void **state) {
  (void)state;
  enum { MANY = 12000 };
  static char pickle[MANY + 16];
  struct torch_image image;
  memcpy(pickle, "\x80\2", 2);
  memset(pickle + 2, '(', 100);
  with_pickle(&image, pickle, 102);
  assert_refused(&image, "byte 66: more than 64 marks");
  memset(pickle + 2, ')', 2);
  for (size_t i = 3; i < MANY; i++)
    pickle[i] = '\x85'; /* a tuple of a tuple of a tuple ... */
  pickle[MANY] = '.';
  with_pickle(&image, pickle, MANY + 1);
  assert_refused(&image, "the file has a tuple");
  static const char cycle[] = "\x80\2}q\0X\1\0\0\0wh\0s.";
  with_pickle(&image, cycle, sizeof cycle - 1);
  assert_refused(&image, "item w is a dictionary");
}

/* --- zips ----------------------------------------------------------------------------------------- */

static void refuses_damaged_zips(void **state) {
  (void)state;
  static const char right[] = TENSOR(STORAGE("FloatStorage", "\4"), "K\0K\4\x85K\1\x85");
  struct torch_image image;
  memset(&image, 0, sizeof image);
  torch_image_finish(&image);
  assert_refused(&image, "is a zip without a data.pkl");
  memset(&image, 0, sizeof image);
  torch_image_add(&image, "m/data.pkl", 8, right, sizeof right - 1);
  torch_image_finish(&image);
  assert_refused(&image, "m/data.pkl: is compressed");
  memset(&image, 0, sizeof image);
  torch_image_add(&image, "m/data.pkl", 0, right, sizeof right - 1);
  torch_image_finish(&image);
  assert_refused(&image, "tensor w: the file has no m/data/0");
  memset(&image, 0, sizeof image);
  torch_image_add(&image, "m/data.pkl", 0, right, sizeof right - 1);
  torch_image_add(&image, "m/data.pkl", 0, right, sizeof right - 1);
  torch_image_finish(&image);
  assert_refused(&image, "m/data.pkl: is there twice");
  memset(&image, 0, sizeof image);
  torch_image_add(&image, "m/data.pkl", 0, right, sizeof right - 1);
  torch_image_add(&image, "m/byteorder", 0, "big", 3);
  torch_image_add(&image, "m/data/0", 0, "0123456789abcdef", 16);
  torch_image_finish(&image);
  assert_refused(&image, "m/byteorder: the numbers are not little-endian");
  with_pickle(&image, right, sizeof right - 1);
  image.bytes[image.length - 6] = 0xff; /* of the directory's place */
  image.bytes[image.length - 3] = 0xff;
  assert_refused(&image, "outside of the file");
  with_pickle(&image, right, sizeof right - 1);
  image.length -= 22;
  assert_refused(&image, "has no end of a zip: the file is cut short");
}

/* --- shards --------------------------------------------------------------------------------------- */

static void copy(const char *to, const char *from) {
  char *bytes;
  size_t length;
  assert_int_equal(file_read(&bytes, &length, from, 1 << 20, NULL), STATUS_OK);
  assert_int_equal(file_put(to, bytes, length, NULL), STATUS_OK);
  free(bytes);
}

static void reads_shards(void **state) {
  (void)state;
  char folder[] = "/tmp/test_torch_file.XXXXXX", path[100];
  static const char index[] = "{\"weight_map\": {\"weight\": \"a.bin\", \"tied\": \"a.bin\", \"half\": \"a.bin\", "
                              "\"brain\": \"a.bin\", \"ids\": "
                              "\"a.bin\", \"mask\": \"a.bin\", \"rows\": \"a.bin\", \"one\": \"a.bin\", \"scalar\": "
                              "\"a.bin\", \"empty\": \"a.bin\"%s}}";
  struct safetensors file;
  struct error err = {0};
  char text[600];
  assert_non_null(mkdtemp(folder));
  assert_int_equal(torch_file_open_model(&file, folder, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "has neither pytorch_model.bin nor pytorch_model.bin.index.json"));
  snprintf(path, sizeof path, "%s/a.bin", folder);
  copy(path, REAL "protocol_2.bin");
  snprintf(path, sizeof path, "%s/pytorch_model.bin.index.json", folder);
  snprintf(text, sizeof text, index, "");
  assert_int_equal(file_put(path, text, strlen(text), NULL), STATUS_OK);
  if (torch_file_open_model(&file, folder, &err))
    fail_msg("%s", err.text);
  assert_int_equal(file.count, 10);
  safetensors_close(&file);
  snprintf(text, sizeof text, index, ", \"other\": \"b.bin\"");
  assert_int_equal(file_put(path, text, strlen(text), NULL), STATUS_OK);
  assert_int_equal(torch_file_open_model(&file, folder, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "the index names the shard b.bin, which is not in the folder"));
  assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_torch_saved),
      cmocka_unit_test(refuses_real_files_that_are_something_else),
      cmocka_unit_test(bears_damage),
      cmocka_unit_test(reads_a_pickle_by_hand),
      cmocka_unit_test(refuses_foreign_pickles),
      cmocka_unit_test(bounds_programs),
      cmocka_unit_test(refuses_damaged_zips),
      cmocka_unit_test(reads_shards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
