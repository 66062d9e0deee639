/* Proves which entries of the models folder are models and of which format, and what the search for one says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "server/models.h"

struct fixture {
  char folder[64];
  struct arena arena;
  struct error err;
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  if (!f)
    return -1;
  snprintf(f->folder, sizeof f->folder, "/tmp/test_models.XXXXXX");
  arena_init(&f->arena, 1 << 20);
  *state = f;
  return mkdtemp(f->folder) ? 0 : -1;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  enum status status = file_remove_tree(f->folder, &f->err);
  arena_done(&f->arena);
  free(f);
  return status == STATUS_OK ? 0 : -1;
}

/* An empty file; with a folder in its name, in that folder. */
static void put(const struct fixture *f, const char *name) {
  char path[256];
  const char *slash = strchr(name, '/');
  if (slash) {
    snprintf(path, sizeof path, "%s/%.*s", f->folder, (int)(slash - name), name);
    mkdir(path, 0700);
  }
  snprintf(path, sizeof path, "%s/%s", f->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
}

/* "id=format" of all models, separated by blanks. */
static void assert_models(struct fixture *f, const char *expected) {
  struct base_model *models;
  struct str text;
  size_t count;
  assert_int_equal(models_list(&models, &count, f->folder, &f->arena, &f->err), STATUS_OK);
  str_init(&text, 4096);
  for (size_t i = 0; i < count; i++)
    str_printf(&text, "%s%s=%s", i ? " " : "", models[i].id, model_format_name(models[i].format));
  assert_string_equal(text.text, expected);
  str_done(&text);
}

static void test_formats(void **state) {
  struct fixture *f = *state;
  static const char *const files[] = {
      "bare/config.json",        "both/config.json",    "both/model.safetensors", "both/extra.gguf",
      "converted/config.json",   "converted/m.gguf",    "file.gguf",              "folder/q4.gguf",
      "folder/.partial.gguf",    "sharded/config.json", "sharded/model.safetensors.index.json",
      "sharded/a.gguf",          "two/a.gguf",          "two/b.gguf",             "none/tokenizer.json",
      "README.md",               ".hidden.gguf",        "trap.gguf/notes.txt",    "named.gguf/inside.gguf"};
  for (size_t i = 0; i < COUNT_OF(files); i++)
    put(f, files[i]);
  assert_models(f, "bare=safetensors both=safetensors converted=gguf file.gguf=gguf folder=gguf named.gguf=gguf"
                   " sharded=safetensors");
}

static void test_unusual_entries(void **state) {
  struct fixture *f = *state;
  char from[128], to[128];
  put(f, "real/config.json");
  snprintf(from, sizeof from, "%s/link", f->folder);
  assert_int_equal(symlink("real", from), 0);
  snprintf(from, sizeof from, "%s/dangling.gguf", f->folder);
  assert_int_equal(symlink("nowhere.gguf", from), 0);
  snprintf(to, sizeof to, "%s/config.json", f->folder); /* beside the models: not one itself */
  put(f, "config.json");
  snprintf(to, sizeof to, "%s/odd", f->folder);
  assert_int_equal(mkdir(to, 0700), 0);
  snprintf(to, sizeof to, "%s/odd/config.json", f->folder);
  assert_int_equal(mkdir(to, 0700), 0);
  snprintf(to, sizeof to, "%s/pipe.gguf", f->folder);
  assert_int_equal(mkfifo(to, 0600), 0);
  put(f, "\xff.gguf");
  assert_models(f, "link=safetensors real=safetensors");
}

static void test_find(void **state) {
  struct fixture *f = *state;
  struct base_model model;
  assert_int_equal(models_find(&model, f->folder, "any", &f->arena, &f->err), STATUS_MODEL_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "models folder of this server is empty"));
  put(f, "smollm2.gguf");
  put(f, "minilm/config.json");
  assert_int_equal(models_find(&model, f->folder, "smollm2.gguf", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(model.format, MODEL_GGUF);
  assert_true(model.created > 0);
  assert_int_equal(strncmp(model.path, f->folder, strlen(f->folder)), 0);
  assert_int_equal(models_find(&model, f->folder, "smollm2", &f->arena, &f->err), STATUS_MODEL_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "did you mean \"smollm2.gguf\"?"));
  assert_int_equal(models_find(&model, f->folder, "../minilm", &f->arena, &f->err), STATUS_MODEL_NOT_FOUND);
  assert_string_equal(f->err.param, "model");
}

static void test_no_folder(void **state) {
  struct fixture *f = *state;
  struct base_model *models;
  size_t count = 7;
  assert_int_equal(models_list(&models, &count, "/nonexistent/models", &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
      cmocka_unit_test_setup_teardown(test_unusual_entries, setup, teardown),
      cmocka_unit_test_setup_teardown(test_find, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
