/* Proves: an adapter is read the same from a folder, a tar, a compressed tar and a zip; hostile or useless archives are
   refused by what is wrong with them and write nothing anywhere; an adapter that means something else than the job's is
   refused by the member that differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/file.h"
#include "worker/peft/peft_source.h"

static const char folder[] = "tests/golden/cases/bert-hra/adapter";
static char dir[64], path[100];
static char *config, *weights;
static size_t config_length, weights_length;
static struct error err;

static int set_up(void **state) {
  (void)state;
  char name[120];
  snprintf(dir, sizeof dir, "/tmp/test_source.XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/a.archive", dir);
  snprintf(name, sizeof name, "%s/adapter_config.json", folder);
  if (file_read(&config, &config_length, name, 1 << 20, &err))
    return -1;
  snprintf(name, sizeof name, "%s/adapter_model.safetensors", folder);
  return file_read(&weights, &weights_length, name, 1 << 24, &err) != STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  free(config);
  free(weights);
  return file_remove_tree(dir, NULL) != STATUS_OK;
}

struct entry {
  const char *name, *bytes;
  size_t length;
};

static void pack(bool zip, bool gzip, const struct entry *entries, size_t count) {
  struct archive *a = archive_write_new();
  if (gzip)
    archive_write_add_filter_gzip(a);
  assert_int_equal(zip ? archive_write_set_format_zip(a) : archive_write_set_format_ustar(a), ARCHIVE_OK);
  assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
  for (size_t i = 0; i < count; i++) {
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, entries[i].name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)entries[i].length);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, entries[i].bytes, entries[i].length), (la_ssize_t)entries[i].length);
    archive_entry_free(e);
  }
  archive_write_free(a);
}

static void refused(const char *says) {
  struct peft_source source;
  if (peft_source_open(&source, path, &err) != STATUS_DATASET_INVALID || !strstr(err.text, says))
    fail_msg("wanted \"%s\": %s", says, err.text);
  assert_null(source.config);
}

static void archives_equal_the_folder(void **state) {
  (void)state;
  struct peft_source plain, packed;
  assert_int_equal(peft_source_open(&plain, folder, &err), STATUS_OK);
  for (int kind = 0; kind < 3; kind++) {
    struct entry entries[] = {{"x/notes.txt", "hello", 5}, {"x/adapter_config.json", config, config_length},
                              {"x/adapter_model.safetensors", weights, weights_length}};
    pack(kind == 2, kind == 1, entries, COUNT_OF(entries));
    if (peft_source_open(&packed, path, &err))
      fail_msg("%s", err.text);
    assert_true(json_equal(plain.config, packed.config));
    assert_int_equal(plain.tensors.count, packed.tensors.count);
    for (size_t i = 0; i < plain.tensors.count; i++) {
      assert_string_equal(plain.tensors.tensors[i].name, packed.tensors.tensors[i].name);
      assert_memory_equal(plain.tensors.tensors[i].bytes, packed.tensors.tensors[i].bytes,
                          plain.tensors.tensors[i].length);
    }
    peft_source_close(&packed);
  }
  peft_source_close(&plain);
}

static void hostile_archives(void **state) {
  (void)state;
  struct entry c = {"adapter_config.json", config, config_length};
  struct entry w = {"adapter_model.safetensors", weights, weights_length};
  pack(false, false, (struct entry[]){c}, 1);
  refused("no adapter_model.safetensors");
  pack(false, false, (struct entry[]){w}, 1);
  refused("no adapter_config.json");
  pack(false, false, (struct entry[]){c, {"adapter_model.bin", "x", 1}}, 2);
  refused("a pickle");
  pack(true, false, (struct entry[]){c, w, {"b/adapter_config.json", config, config_length}}, 3);
  refused("adapter_config.json twice");
  pack(false, false, (struct entry[]){{"adapter_config.json", "{\"a\":", 5}, w}, 2);
  refused("adapter_config.json");
  pack(false, false, (struct entry[]){c, {"adapter_model.safetensors", weights, weights_length / 2}}, 2);
  refused("adapter_model.safetensors");
  char *large = calloc(1, (1 << 20) + 9);
  assert_non_null(large);
  pack(false, true, (struct entry[]){{"adapter_config.json", large, (1 << 20) + 9}, w}, 2);
  refused("more than 1048576 bytes");
  free(large);
  assert_int_equal(file_put(path, "not an archive at all", 21, &err), STATUS_OK);
  refused("cannot be read");
  pack(false, false, (struct entry[]){{"../../adapter_config.json", config, config_length}, w}, 2);
  struct peft_source source; /* a name that climbs is only a name: nothing is written */
  assert_int_equal(peft_source_open(&source, path, &err), STATUS_OK);
  peft_source_close(&source);
  assert_int_equal(truncate(path, 700), 0);
  refused("cannot be read");
}

static void the_check_of_an_upload(void **state) {
  (void)state;
  json_t *report;
  pack(false, false, (struct entry[]){{"adapter_config.json", config, config_length},
                                      {"adapter_model.safetensors", weights, weights_length}}, 2);
  assert_int_equal(peft_source_check(&report, path, &err), STATUS_OK);
  assert_string_equal(json_string_value(json_object_get(report, "kind")), "adapter");
  assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "adapter"), "r")), 8);
  json_decref(report);
  static const char other[] = "{\"peft_type\":\"VERA\"}";
  pack(false, false, (struct entry[]){{"adapter_config.json", other, sizeof other - 1},
                                      {"adapter_model.safetensors", weights, weights_length}}, 2);
  assert_int_equal(peft_source_check(&report, path, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "VERA"));
}

/* As PEFT saves it where it is not told to convert it: its base model is another one. */
static void a_start_from_the_weights_is_refused(void **state) {
  (void)state;
  static const char *const starts[] = {"pissa", "pissa_niter_4", "olora"};
  for (size_t i = 0; i < COUNT_OF(starts); i++) {
    json_t *report;
    char text[100];
    int length = snprintf(text, sizeof text, "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"%s\"}", starts[i]);
    pack(false, false,
         (struct entry[]){{"adapter_config.json", text, (size_t)length},
                          {"adapter_model.safetensors", weights, weights_length}},
         2);
    assert_int_equal(peft_source_check(&report, path, &err), STATUS_DATASET_INVALID);
    assert_non_null(strstr(err.text, starts[i]));
    assert_non_null(strstr(err.text, "path_initial_model_for_weight_conversion"));
  }
}

static void another_meaning_is_refused(void **state) {
  (void)state;
  struct peft_source source;
  struct arena arena;
  struct adapter_spec spec;
  arena_init(&arena, 1 << 20);
  assert_int_equal(peft_source_open(&source, folder, &err), STATUS_OK);
  assert_int_equal(peft_source_spec(&spec, &source, &arena, &err), STATUS_OK);
  spec.hra.orth_lambda = 0.5; /* how it is trained on is the job's business */
  spec.hra.init_weights = !spec.hra.init_weights;
  assert_int_equal(peft_source_compare(&source, &spec, &err), STATUS_OK);
  spec.hra.r = 4;
  assert_int_equal(peft_source_compare(&source, &spec, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "adapter.r");
  assert_non_null(strstr(err.text, "4 in the job, but 8"));
  spec = (struct adapter_spec){.peft_type = PEFT_LORA, .lora = {.r = 8, .lora_alpha = 8}};
  assert_int_equal(peft_source_compare(&source, &spec, &err), STATUS_INVALID_VALUE);
  peft_source_close(&source);
  arena_done(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(archives_equal_the_folder),
      cmocka_unit_test(hostile_archives),
      cmocka_unit_test(the_check_of_an_upload),
      cmocka_unit_test(another_meaning_is_refused),
      cmocka_unit_test(a_start_from_the_weights_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
