/* Proves which entries of the models folder are models and of which format, and what the search for one says. */
#include <fcntl.h>
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
  arena_init(&f->arena, 8 << 20);
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

/* A file with a text; with folders in its name, in those folders. */
static void put_text(const struct fixture *f, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", f->folder, name);
  char *slash = strrchr(path, '/');
  *slash = '\0';
  assert_int_equal(file_mkdirs(path, NULL), STATUS_OK);
  *slash = '/';
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void put(const struct fixture *f, const char *name) {
  put_text(f, name, "");
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
  static const char *const files[] = {"bare/config.json",
                                      "both/config.json",
                                      "both/model.safetensors",
                                      "both/extra.gguf",
                                      "converted/config.json",
                                      "converted/m.gguf",
                                      "file.gguf",
                                      "folder/q4.gguf",
                                      "folder/.partial.gguf",
                                      "sharded/config.json",
                                      "sharded/model.safetensors.index.json",
                                      "sharded/a.gguf",
                                      "two/a.gguf",
                                      "two/b.gguf",
                                      "none/tokenizer.json",
                                      "old/config.json",
                                      "old/pytorch_model.bin",
                                      "old/extra.gguf",
                                      "both/pytorch_model.bin",
                                      "README.md",
                                      ".hidden.gguf",
                                      "trap.gguf/notes.txt",
                                      "named.gguf/inside.gguf",
                                      "pipeline/model_index.json",
                                      "pipeline/unet/config.json",
                                      "org/pipeline/model_index.json",
                                      "single/sd.safetensors",
                                      "single/tokenizer/vocab.json",
                                      "single/unet/config.json",
                                      "loose/sd.safetensors",
                                      "pair/a.safetensors",
                                      "pair/b.safetensors",
                                      "pair/tokenizer/vocab.json"};
  for (size_t i = 0; i < COUNT_OF(files); i++)
    put(f, files[i]);
  assert_models(f, "bare=safetensors both=safetensors converted=gguf file.gguf=gguf folder=gguf named.gguf=gguf"
                   " old=pytorch org/pipeline=diffusers pipeline=diffusers sharded=safetensors"
                   " single=single_file");
}

/* The model `id` lies in that folder of the models folder. */
static void assert_found(struct fixture *f, const char *id, const char *at) {
  struct base_model model;
  assert_int_equal(models_find(&model, f->folder, id, &f->arena, &f->err), STATUS_OK);
  assert_string_equal(model.id, id);
  assert_string_equal(model.path + strlen(f->folder) + 1, at);
}

static void assert_lacks(struct fixture *f, const char *id) {
  struct base_model model;
  assert_int_equal(models_find(&model, f->folder, id, &f->arena, &f->err), STATUS_MODEL_NOT_FOUND);
}

/* The parts of one are one model, which the first that is there names; the worker says what is missing. */
static void test_split_files(void **state) {
  struct fixture *f = *state;
  static const char *const files[] = {"a-00001-of-00003.gguf",     "a-00002-of-00003.gguf",
                                      "a-00003-of-00003.gguf",     "b-00002-of-00003.gguf",
                                      "b-00003-of-00003.gguf",     "folder/c-00001-of-00002.gguf",
                                      "folder/c-00002-of-00002.gguf", "two/d-00001-of-00002.gguf",
                                      "two/d-00002-of-00002.gguf", "two/e.gguf",
                                      "torn/f-00002-of-00002.gguf"};
  for (size_t i = 0; i < COUNT_OF(files); i++)
    put(f, files[i]);
  assert_models(f, "a-00001-of-00003.gguf=gguf b-00002-of-00003.gguf=gguf folder=gguf torn=gguf");
  assert_found(f, "a-00001-of-00003.gguf", "a-00001-of-00003.gguf");
  assert_lacks(f, "a-00002-of-00003.gguf");
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

static void test_folders_of_models(void **state) {
  struct fixture *f = *state;
  static const char *const files[] = {"org/a/config.json", "org/b/b.gguf",           "org/loose.gguf",
                                      "org/other.gguf",    "org/.c/config.json",     "org/d/e/config.json",
                                      "m/config.json",     "m/1_Pooling/config.json"};
  for (size_t i = 0; i < COUNT_OF(files); i++)
    put(f, files[i]);
  assert_models(f, "m=safetensors org/a=safetensors org/b=gguf");
  assert_found(f, "org/a", "org/a");
  assert_found(f, "m", "m");
  static const char *const none[] = {"org",         "org/",   "org/.c", "org/d/e", "org/../m",
                                     "m/1_Pooling", "org/a/", "/m",     "./m"};
  for (size_t i = 0; i < COUNT_OF(none); i++)
    assert_lacks(f, none[i]);
}

static void test_cache(void **state) {
  struct fixture *f = *state;
  char path[128];
  put(f, "models--o--n/blobs/beef");
  put(f, "models--o--n/snapshots/aaaa/README.md");
  snprintf(path, sizeof path, "%s/models--o--n/snapshots/aaaa/config.json", f->folder);
  assert_int_equal(symlink("../../blobs/beef", path), 0);
  put(f, "models--o--n/snapshots/bbbb/config.json");
  put_text(f, "models--o--n/refs/main", "aaaa");
  put(f, "models--bert/snapshots/cc/config.json");
  put(f, "hub/models--x--y/snapshots/dd/m.gguf");
  put_text(f, "hub/models--x--y/refs/main", "dd\n");
  put(f, "hub/plain/config.json");
  static const char *const not_one[] = {"models--",        "models--a--",   "models----a",
                                        "models--a--b--c", "models--empty", "datasets--o--d"};
  for (size_t i = 0; i < COUNT_OF(not_one) - 2; i++) {
    snprintf(path, sizeof path, "%s/snapshots/ee/config.json", not_one[i]);
    put(f, path);
  }
  put(f, "models--empty/refs/main");
  put(f, "datasets--o--d/snapshots/ff/data.csv");
  assert_models(f, "bert=safetensors hub/plain=safetensors o/n=safetensors x/y=gguf");
  assert_found(f, "o/n", "models--o--n/snapshots/aaaa");
  assert_found(f, "bert", "models--bert/snapshots/cc");
  assert_found(f, "x/y", "hub/models--x--y/snapshots/dd");
  assert_found(f, "hub/plain", "hub/plain");
  assert_lacks(f, "models--o--n");
  assert_lacks(f, "o--n");
}

static void test_snapshot_that_counts(void **state) {
  struct fixture *f = *state;
  char path[128];
  static const char *const refs[] = {"gone", "", "../../n2", ".", "/"};
  put(f, "models--o--n/snapshots/old/config.json");
  put(f, "models--o--n/snapshots/new/config.json");
  put(f, "n2/config.json");
  snprintf(path, sizeof path, "%s/models--o--n/snapshots/old", f->folder);
  const struct timespec past[2] = {{1000, 0}, {1000, 0}};
  assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
  assert_found(f, "o/n", "models--o--n/snapshots/new");
  for (size_t i = 0; i < COUNT_OF(refs); i++) {
    put_text(f, "models--o--n/refs/main", refs[i]);
    assert_found(f, "o/n", "models--o--n/snapshots/new");
  }
  put_text(f, "models--o--n/refs/main", "old");
  assert_found(f, "o/n", "models--o--n/snapshots/old");
}

static void test_plain_before_cached(void **state) {
  struct fixture *f = *state;
  put(f, "hub/models--o--n/snapshots/a/config.json");
  assert_found(f, "o/n", "hub/models--o--n/snapshots/a");
  put(f, "models--o--n/snapshots/a/config.json");
  assert_found(f, "o/n", "models--o--n/snapshots/a");
  put(f, "o/n/n.gguf");
  assert_found(f, "o/n", "o/n");
  assert_models(f, "o/n=gguf");
}

static void test_more_than_are_listed(void **state) {
  struct fixture *f = *state;
  struct base_model *models;
  char name[32];
  size_t count;
  for (int i = 0; i < 4200; i++) {
    snprintf(name, sizeof name, "%04d.gguf", i);
    put(f, name);
  }
  assert_int_equal(models_list(&models, &count, f->folder, &f->arena, &f->err), STATUS_OK);
  assert_int_equal(count, 4096);
  for (int i = 0; i < 4200; i++) {
    snprintf(name, sizeof name, "%04d.gguf", i);
    assert_found(f, name, name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
      cmocka_unit_test_setup_teardown(test_split_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_unusual_entries, setup, teardown),
      cmocka_unit_test_setup_teardown(test_find, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_folders_of_models, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cache, setup, teardown),
      cmocka_unit_test_setup_teardown(test_snapshot_that_counts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_plain_before_cached, setup, teardown),
      cmocka_unit_test_setup_teardown(test_more_than_are_listed, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
