/* What the writer publishes is a whole, well-formed file: every kind of value and tensor reads back as it was
   given, the bytes are those that the gguf Python package writes, and after any fault no file appears. */
#include <dirent.h>
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

#include "tests/worker/file/gguf_image.h"

static char dir[64];
static char path[128];

static int make_dir(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_gguf_write.XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/out.gguf", dir);
  return 0;
}

static int remove_dir(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

static size_t files_in_dir(void) {
  size_t count = 0;
  DIR *stream = opendir(dir);
  assert_non_null(stream);
  for (const struct dirent *entry; (entry = readdir(stream));)
    count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
  closedir(stream);
  return count;
}

static struct gguf_writer *open_writer(void) {
  struct gguf_writer *writer;
  struct error err = {0};
  if (gguf_writer_open(&writer, path, &err))
    fail_msg("%s", err.text);
  return writer;
}

/* Small integers are exact in every type, also in Q8_0 when the largest is 127. */
static float element(size_t i) {
  return (float)(int)(i * 7 % 255) - 127;
}

/* The hash is that of the file which Python's gguf 0.19.0 made from these:
     w = gguf.GGUFWriter(path, "llama"); w.add_uint32("u", 4000000000); w.add_float32("f", 1.5);
     w.add_bool("b", True); w.add_string("s", "h\u00e9"); w.add_array("ss", ["a", "", "bc"]);
     w.add_array("fs", [1.0, -2.5]); w.add_array("is", [-1, 7])
     e = (numpy.arange(96) * 7 % 255 - 127).astype("float32")
     w.add_tensor("q", gguf.quants.quantize(e.reshape(3, 32), Q8_0), raw_dtype=Q8_0) and so on for f32 e[:5],
     f16 e.reshape(2, 48), bf16 e[:33]
     w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close() */
static void writes_what_python_writes(void **state) {
  static const struct gguf_string strings[] = {{"a", 1}, {"", 0}, {"bc", 2}};
  static const float floats[] = {1.0f, -2.5f};
  static const int32_t integers[] = {-1, 7};
  static const struct {
    const char *name;
    enum ggml_type type;
    int rank;
    int64_t shape[2];
    size_t elements;
  } tensors[] = {{"q", GGML_Q8_0, 2, {3, 32}, 96},
                 {"f32", GGML_F32, 1, {5}, 5},
                 {"f16", GGML_F16, 2, {2, 48}, 96},
                 {"bf16", GGML_BF16, 1, {33}, 33}};
  float elements[96];
  char hash[HASH_HEX], again[HASH_HEX];
  uint64_t bytes = 0, size;
  struct error err = {0};
  (void)state;
  struct gguf_writer *w = open_writer();
  gguf_writer_string(w, "general.architecture", "llama", 5);
  gguf_writer_u32(w, "u", 4000000000u);
  gguf_writer_f32(w, "f", 1.5f);
  gguf_writer_bool(w, "b", true);
  gguf_writer_string(w, "s", "h\xC3\xA9", 3);
  gguf_writer_strings(w, "ss", strings, 3);
  gguf_writer_f32s(w, "fs", floats, 2);
  gguf_writer_i32s(w, "is", integers, 2);
  for (size_t i = 0; i < COUNT_OF(elements); i++)
    elements[i] = element(i);
  for (size_t i = 0; i < COUNT_OF(tensors); i++)
    gguf_writer_tensor(w, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].shape);
  for (size_t i = 0; i < COUNT_OF(tensors); i++) { /* in two pieces */
    size_t first = tensors[i].elements / 2 / 32 * 32;
    gguf_writer_data(w, elements, first);
    gguf_writer_data(w, elements + first, tensors[i].elements - first);
  }
  assert_int_equal(gguf_writer_finish(w, hash, &bytes, &err), STATUS_OK);
  assert_int_equal(file_hash(again, &size, path, &err), STATUS_OK);
  assert_string_equal(hash, again);
  assert_int_equal(bytes, size);
  assert_string_equal(hash, "3a1734ce7989d68b554896730c9bc298b0d07c7246784717c5afffa2db118f7b");

  struct gguf gguf;
  assert_int_equal(gguf_open(&gguf, path, &err), STATUS_OK);
  assert_int_equal(gguf.value_count, 8);
  for (size_t i = 0; i < COUNT_OF(tensors); i++) {
    float out[96];
    const struct gguf_tensor *tensor = gguf_find_tensor(&gguf, tensors[i].name);
    assert_non_null(tensor);
    assert_int_equal(tensor->type, tensors[i].type);
    assert_int_equal((tensor->bytes - gguf.map.bytes) % 32, 0);
    size_t rows = tensor->rank == 2 ? (size_t)tensor->shape[0] : 1;
    assert_int_equal(gguf_to_f32(out, tensor, 0, rows, &err), STATUS_OK);
    for (size_t k = 0; k < tensors[i].elements; k++)
      assert_true(fabsf(out[k] - elements[k]) < 0.55f);
    if (tensor->type != GGML_Q8_0)
      assert_memory_equal(out, elements, tensors[i].elements * sizeof *out);
  }
  gguf_close(&gguf);
}

/* Larger than the writer's buffer, and not a multiple of it. */
static void writes_tensors_in_chunks(void **state) {
  enum { ROWS = 613, COLUMNS = 96 };
  static const int64_t shape[] = {ROWS, COLUMNS};
  static float in[ROWS * COLUMNS], out[ROWS * COLUMNS];
  struct error err = {0};
  struct gguf gguf;
  (void)state;
  for (size_t i = 0; i < COUNT_OF(in); i++)
    in[i] = element(i) / 8;
  struct gguf_writer *w = open_writer();
  gguf_writer_tensor(w, "t", GGML_BF16, 2, shape);
  gguf_writer_data(w, in, COUNT_OF(in));
  assert_int_equal(gguf_writer_finish(w, NULL, NULL, &err), STATUS_OK);
  assert_int_equal(gguf_open(&gguf, path, &err), STATUS_OK);
  assert_int_equal(gguf_to_f32(out, gguf_find_tensor(&gguf, "t"), 0, ROWS, &err), STATUS_OK);
  assert_memory_equal(in, out, sizeof in);
  gguf_close(&gguf);
}

static void copies_values_of_another_file(void **state) {
  static struct image image;
  struct error err = {0};
  struct gguf from, to;
  (void)state;
  image_head(&image, 0, 5);
  image_u32(&image, "general.alignment", 64);
  image_text(&image, "text", "one\ntwo");
  image_array(&image, "strings", GGUF_STRING, 2);
  image_string(&image, "x"), image_string(&image, "yz");
  image_array(&image, "bytes", GGUF_I8, 3), image_number(&image, 0x0201FF, 3);
  image_key(&image, "f64", GGUF_F64), image_number(&image, 0x3FF8000000000000, 8);
  assert_int_equal(gguf_parse(&from, image.bytes, image.length, &err), STATUS_OK);
  struct gguf_writer *w = open_writer();
  for (size_t i = 0; i < from.value_count; i++)
    gguf_writer_copy(w, &from.values[i]);
  assert_int_equal(gguf_writer_finish(w, NULL, NULL, &err), STATUS_OK);
  assert_int_equal(gguf_open(&to, path, &err), STATUS_OK);
  assert_int_equal(to.value_count, 4);
  for (size_t i = 0; i < 4; i++) {
    const struct gguf_value *a = &from.values[i + 1], *b = &to.values[i];
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->item_type, b->item_type);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->bytes, b->bytes, a->length);
  }
  gguf_close(&from);
  gguf_close(&to);
}

/* Ends a writer that met a fault: the status, and no file. */
static void fails(struct gguf_writer *w, enum status want, const char *says) {
  struct error err = {0};
  gguf_writer_u32(w, "after", 1); /* does nothing */
  assert_int_equal(gguf_writer_finish(w, NULL, NULL, &err), want);
  if (!strstr(err.text, says))
    fail_msg("\"%s\" should say \"%s\"", err.text, says);
  assert_int_equal(files_in_dir(), 0);
}

static void publishes_nothing_after_a_fault(void **state) {
  static const int64_t odd[] = {4, 48}, empty[] = {0, 32}, vast[] = {INT64_MAX, 32};
  char longest[GGUF_KEY_MAX + 2];
  struct error err = {0};
  (void)state;
  unlink(path);
  struct gguf_writer *w = open_writer();
  gguf_writer_u32(w, "twice", 1);
  gguf_writer_bool(w, "twice", true);
  fails(w, STATUS_INTERNAL, "twice is written twice");
  w = open_writer();
  gguf_writer_tensor(w, "t", GGML_F32, 2, odd);
  gguf_writer_tensor(w, "t", GGML_F32, 2, odd);
  fails(w, STATUS_INTERNAL, "t is written twice");
  w = open_writer();
  gguf_writer_tensor(w, "t", GGML_Q8_0, 2, odd);
  fails(w, STATUS_UNSUPPORTED_VALUE, "tensor t: cannot be written as Q8_0");
  w = open_writer();
  gguf_writer_tensor(w, "t", GGML_F16, 2, empty);
  fails(w, STATUS_UNSUPPORTED_VALUE, "tensor t: cannot be written as F16");
  w = open_writer();
  gguf_writer_tensor(w, "t", GGML_F16, 2, vast);
  fails(w, STATUS_UNSUPPORTED_VALUE, "tensor t: cannot be written as F16");
  w = open_writer();
  gguf_writer_string(w, "s", "\xFF", 1);
  fails(w, STATUS_INTERNAL, "key s: a string is not UTF-8");
  memset(longest, 'k', sizeof longest);
  longest[GGUF_KEY_MAX + 1] = '\0';
  w = open_writer();
  gguf_writer_u32(w, longest, 1);
  fails(w, STATUS_INTERNAL, "has 257 bytes");
  w = open_writer();
  gguf_writer_u32(w, "k", 1);
  gguf_writer_discard(w);
  assert_int_equal(files_in_dir(), 0);
  gguf_writer_discard(NULL);
  char nowhere[200];
  snprintf(nowhere, sizeof nowhere, "%s/none/out.gguf", dir);
  assert_int_equal(gguf_writer_open(&w, nowhere, &err), STATUS_IO);
  assert_null(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_what_python_writes),
      cmocka_unit_test(writes_tensors_in_chunks),
      cmocka_unit_test(copies_values_of_another_file),
      cmocka_unit_test(publishes_nothing_after_a_fault),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
