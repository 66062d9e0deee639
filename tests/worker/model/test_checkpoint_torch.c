/* A folder with a file of torch.save is a checkpoint as one with safetensors is, which are preferred. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/model/checkpoint.h"

static char folder[] = "/tmp/test_checkpoint_torch.XXXXXX";

static const char *at(const char *name) {
  static char paths[4][300];
  static size_t next;
  char *path = paths[next++ % COUNT_OF(paths)];
  snprintf(path, 300, "%s/%s", folder, name);
  return path;
}

static void put_text(const char *name, const char *text) {
  assert_int_equal(file_put(at(name), text, strlen(text), NULL), STATUS_OK);
}

static void copy(const char *to, const char *from) {
  char path[200], *bytes;
  size_t length;
  snprintf(path, sizeof path, "tests/worker/file/torch/%s", from);
  assert_int_equal(file_read(&bytes, &length, path, 1 << 20, NULL), STATUS_OK);
  assert_int_equal(file_put(at(to), bytes, length, NULL), STATUS_OK);
  free(bytes);
}

static void open_ok(struct checkpoint *out) {
  struct error err = {0};
  if (checkpoint_open(out, folder, &err))
    fail_msg("%s", err.text);
}

static void open_fails(const char *says) {
  struct checkpoint c;
  struct error err = {0};
  enum status status = checkpoint_open(&c, folder, &err);
  if (status != STATUS_MODEL_INVALID || !strstr(err.text, says))
    fail_msg("status %d, \"%s\" should say \"%s\"", (int)status, err.text, says);
}

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder))
    return 1;
  put_text("config.json", "{\"model_type\": \"bert\"}");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return file_remove_tree(folder, NULL) ? 1 : 0;
}

static void reads_tensors_where_they_lie(void **state) {
  struct checkpoint c;
  struct checkpoint_tensor t;
  struct weight w;
  struct error err = {0};
  float out[6];
  (void)state;
  put_text("beside.gguf", "not looked at");
  copy("pytorch_model.bin", "protocol_2.bin");
  open_ok(&c);
  assert_string_equal(c.weights_path, at("pytorch_model.bin"));
  assert_true(checkpoint_find(&t, &c, "weight"));
  assert_int_equal(t.rank, 2);
  assert_true(checkpoint_mapped(&w, &c, "weight") && w.rows == 2 && w.cols == 3);
  assert_true(checkpoint_is_float(&c, "half") && !checkpoint_is_float(&c, "ids"));
  assert_int_equal(checkpoint_read(out, &c, "rows", &err), STATUS_OK);
  assert_true(out[0] == 6 && out[5] == 11);
  checkpoint_close(&c);
}

static void names_what_it_refuses(void **state) {
  (void)state;
  copy("pytorch_model.bin", "code.bin");
  open_fails("pytorch_model.bin: code/data.pkl: byte 16: the global posix.system is not a tensor's");
  copy("pytorch_model.bin", "legacy.bin");
  open_fails("pytorch_model.bin: has the format of PyTorch before 1.6");
  put_text("pytorch_model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\n");
  open_fails("pytorch_model.bin: is a Git LFS pointer");
  assert_int_equal(unlink(at("pytorch_model.bin")), 0);
  put_text("pytorch_model.bin.index.json", "{\"weight_map\": {\"transposed\": \"a.bin\"}}");
  copy("a.bin", "transposed.bin");
  open_fails("a.bin: tensor transposed: its numbers do not lie");
}

static void prefers_safetensors(void **state) {
  static const float numbers[] = {1, 2};
  const struct st_tensor tensor = {"a", ST_F32, 1, {2}, (const unsigned char *)numbers, sizeof numbers};
  struct checkpoint c;
  struct error err = {0};
  (void)state;
  copy("pytorch_model.bin", "protocol_2.bin");
  assert_int_equal(safetensors_write(at("model.safetensors"), &tensor, 1, NULL, NULL, NULL, &err), STATUS_OK);
  open_ok(&c);
  assert_string_equal(c.weights_path, at("model.safetensors"));
  checkpoint_close(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_tensors_where_they_lie),
      cmocka_unit_test(names_what_it_refuses),
      cmocka_unit_test(prefers_safetensors),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
