/* A model of several GGUF files reads as the one that they were made from; each fault of a part is refused by its
   name. */
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
#include "tests/worker/file/split_gguf.h"

enum { TENSORS = 5, PARTS = 3, ELEMENTS = 40 };
static char folder[64];

/* A path in `folder`; valid for the next three calls. */
static const char *at(const char *name) {
  static char paths[4][256];
  static unsigned next;
  char *out = paths[next++ % 4];
  snprintf(out, 256, "%s/%s", folder, name);
  return out;
}

/* Tensors t0, t1, ... of which element i of tensor k is 100 k + i. */
static void write_whole(const char *path, int tensors) {
  struct gguf_writer *w;
  struct error err;
  char name[16];
  float numbers[ELEMENTS];
  assert_int_equal(gguf_writer_open(&w, path, &err), STATUS_OK);
  gguf_writer_string(w, "general.architecture", "llama", 5);
  gguf_writer_u32(w, "llama.block_count", 7);
  for (int k = 0; k < tensors; k++) {
    snprintf(name, sizeof name, "t%d", k);
    gguf_writer_tensor(w, name, GGML_F32, 1, (int64_t[]){ELEMENTS});
  }
  for (int k = 0; k < tensors; k++) {
    for (int i = 0; i < ELEMENTS; i++)
      numbers[i] = (float)(100 * k + i);
    gguf_writer_data(w, numbers, ELEMENTS);
  }
  assert_int_equal(gguf_writer_finish(w, NULL, NULL, &err), STATUS_OK);
}

static int make_parts(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/test_gguf_parts.XXXXXX");
  if (!mkdtemp(folder))
    return -1;
  write_whole(at("whole.gguf"), TENSORS);
  write_whole(at("small.gguf"), 2);
  return split_gguf(at("whole.gguf"), at("m"), PARTS) && split_gguf(at("small.gguf"), at("small"), PARTS) ? 0 : -1;
}

static int remove_parts(void **state) {
  (void)state;
  return file_remove_tree(folder, NULL) ? -1 : 0;
}

static void parts_are_one_model(void **state) {
  struct gguf gguf;
  struct error err = {0};
  uint64_t blocks;
  float numbers[ELEMENTS];
  char name[16];
  (void)state;
  if (gguf_open(&gguf, at("m-00001-of-00003.gguf"), &err))
    fail_msg("%s", err.text);
  assert_int_equal(gguf.part_count, PARTS - 1);
  assert_int_equal(gguf.tensor_count, TENSORS);
  assert_int_equal(gguf_get_u64(&blocks, &gguf, "llama.block_count", 0, &err), STATUS_OK);
  assert_int_equal(blocks, 7);
  for (int k = 0; k < TENSORS; k++) {
    snprintf(name, sizeof name, "t%d", k);
    const struct gguf_tensor *tensor = gguf_find_tensor(&gguf, name);
    assert_non_null(tensor);
    assert_int_equal(gguf_to_f32(numbers, tensor, 0, 1, &err), STATUS_OK);
    assert_true(numbers[0] == (float)(100 * k) && numbers[ELEMENTS - 1] == (float)(100 * k + ELEMENTS - 1));
  }
  gguf_close(&gguf);
  assert_true(gguf.part_count == 0 && !gguf.parts);
}

/* gguf-split --no-tensor-first-split; and what --merge leaves of the keys. */
static void parts_may_be_empty_and_wholes_have_been_split(void **state) {
  struct gguf gguf;
  struct error err = {0};
  (void)state;
  if (gguf_open(&gguf, at("small-00001-of-00003.gguf"), &err)) /* two tensors in three parts */
    fail_msg("%s", err.text);
  assert_int_equal(gguf.tensor_count, 2);
  assert_int_equal(gguf.map.length > 0, true);
  gguf_close(&gguf);
  assert_true(split_gguf(at("small.gguf"), at("only"), 1));
  assert_int_equal(gguf_open(&gguf, at("only-00001-of-00001.gguf"), &err), STATUS_OK);
  assert_int_equal(gguf.part_count, 0);
  gguf_close(&gguf);
  assert_int_equal(rename(at("only-00001-of-00001.gguf"), at("only.gguf")), 0);
  assert_int_equal(gguf_open(&gguf, at("only.gguf"), &err), STATUS_OK);
  gguf_close(&gguf);
}

/* Opening `name` fails; the text begins with the path of the part at fault and has `says`. */
static void refused(const char *name, const char *fault, const char *says) {
  struct gguf gguf;
  struct error err = {0};
  const char *path = at(fault);
  enum status status = gguf_open(&gguf, at(name), &err);
  if (status != STATUS_MODEL_INVALID || strncmp(err.text, path, strlen(path)) != 0 || !strstr(err.text, says))
    fail_msg("status %d, \"%s\" should say \"%s: %s\"", (int)status, err.text, path, says);
  assert_true(!gguf.values && !gguf.tensors && !gguf.parts && !gguf.map.bytes);
  assert_int_equal(gguf.tensor_count + gguf.value_count + gguf.part_count, 0);
  gguf_close(&gguf);
}

static void copy(const char *from, const char *to) {
  char *bytes;
  size_t length;
  struct error err;
  assert_int_equal(file_read(&bytes, &length, at(from), 1 << 20, &err), STATUS_OK);
  assert_int_equal(file_put(at(to), bytes, length, &err), STATUS_OK);
  free(bytes);
}

static void faults_name_the_part(void **state) {
  static const char first[] = "m-00001-of-00003.gguf", second[] = "m-00002-of-00003.gguf",
                    third[] = "m-00003-of-00003.gguf";
  (void)state;
  refused(second, second, "is part 2 of 3; the first one, m-00001-of-00003.gguf, names the model");
  copy(third, second);
  refused(first, second, "key split.no: 2, but this must be part 1");
  copy("small-00002-of-00003.gguf", second);
  refused(first, second, "key split.tensors.count: 2, but the first part says 5: it is of another model");
  copy("whole.gguf", second);
  refused(first, second, "key split.count: 0, but the first part says 3");
  assert_true(split_gguf(at("whole.gguf"), at("two"), 2));
  copy("two-00002-of-00002.gguf", second);
  refused(first, second, "key split.count: 2, but the first part says 3");
  assert_int_equal(file_put(at(second), "GGUF", 4, NULL), STATUS_OK);
  refused(first, second, "byte 4");
  assert_int_equal(unlink(at(second)), 0);
  refused(first, second, "is missing; the model has 3 parts");
  assert_int_equal(rename(at(first), at("renamed.gguf")), 0);
  refused("renamed.gguf", "renamed.gguf", "key split.count: this is one of 3 parts, which are found by names like "
                                          "NAME-00001-of-00003.gguf");
  refused(third, third, "is part 3 of 3; the first one, m-00001-of-00003.gguf, is missing");
  copy("renamed.gguf", "m-00001-of-00004.gguf");
  refused("m-00001-of-00004.gguf", "m-00001-of-00004.gguf", "key split.count: 3, but by its name it is one of 4 parts");
  copy("whole.gguf", "n-00001-of-00002.gguf");
  refused("n-00001-of-00002.gguf", "n-00001-of-00002.gguf", "key split.count: 0, but by its name it is one of 2 parts");
}

/* A part by hand, with one tensor of four numbers; `number` from 0. */
static void put_part(const char *name, const char *tensor, uint64_t number, uint64_t tensors, bool placed) {
  FILE *file = fopen(at(name), "wb");
  assert_non_null(file);
  fwrite("GGUF", 1, 4, file);
  split_number(file, 3, 4);
  split_number(file, 1, 8);
  split_number(file, placed ? 3 : 2, 8);
  if (placed)
    split_key(file, "split.no", GGUF_U16, number, 2);
  split_key(file, "split.count", GGUF_U16, 2, 2);
  split_key(file, "split.tensors.count", GGUF_I32, tensors, 4);
  split_text(file, tensor, strlen(tensor));
  split_number(file, 1, 4);
  split_number(file, 4, 8);
  split_number(file, GGML_F32, 4);
  split_number(file, 0, 8);
  while (ftell(file) % 32)
    fputc(0, file);
  for (int i = 0; i < 16; i++)
    fputc(0, file);
  assert_int_equal(fclose(file), 0);
}

static void faults_of_all_together(void **state) {
  static const char first[] = "p-00001-of-00002.gguf", second[] = "p-00002-of-00002.gguf";
  (void)state;
  put_part(first, "a", 0, 2, true);
  put_part(second, "a", 1, 2, true);
  refused(first, second, "tensor a: an earlier part has it too");
  put_part(first, "a", 0, 3, true);
  put_part(second, "b", 1, 3, true);
  refused(first, first, "key split.tensors.count: 3, but its parts have 2 together");
  put_part(first, "a", 1, 2, true);
  put_part(second, "b", 1, 2, true);
  refused(first, first, "key split.no: 1, but this must be part 0");
  put_part(first, "a", 0, 2, true);
  put_part(second, "b", 1, 2, false);
  refused(first, second, "has no key split.no, which a part must have");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(parts_are_one_model, make_parts, remove_parts),
      cmocka_unit_test_setup_teardown(parts_may_be_empty_and_wholes_have_been_split, make_parts, remove_parts),
      cmocka_unit_test_setup_teardown(faults_name_the_part, make_parts, remove_parts),
      cmocka_unit_test_setup_teardown(faults_of_all_together, make_parts, remove_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
