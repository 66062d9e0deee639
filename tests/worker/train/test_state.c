/* A training state comes back as it was written; cut anywhere or with any bit of it flipped it is refused, and so is
   what another program or version wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "worker/train/state.h"

static char root[] = "/tmp/reflectd-test-XXXXXX";
static char path[64];

static int setup(void **state) {
  (void)state;
  assert_non_null(mkdtemp(root));
  snprintf(path, sizeof path, "%s/state", root);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  struct error err;
  return file_remove_tree(root, &err) != STATUS_OK;
}

static const float numbers[6] = {1.5f, -0.0f, 3e-38f, 4, 5, 6};

static void write_one(char sha256[HASH_HEX], uint64_t *bytes) {
  struct error err;
  const struct st_tensor tensors[] = {
      {.name = "text", .dtype = ST_U8, .rank = 1, .shape = {3}, .bytes = (const unsigned char *)"a,b", .length = 3},
      {.name = "exp_avg/w",
       .dtype = ST_F32,
       .rank = 2,
       .shape = {2, 3},
       .bytes = (const unsigned char *)numbers,
       .length = sizeof numbers}};
  json_t *json = json_pack("{s:I s:f s:[i]}", "step", (json_int_t)9007199254740991, "loss", 0.1 + 0.2, "list", 3);
  if (state_write(path, tensors, COUNT_OF(tensors), json, sha256, bytes, &err))
    fail_msg("%s", err.text);
  json_decref(json);
}

static void comes_back(void **unused) {
  (void)unused;
  struct state state;
  struct error err;
  char sha256[HASH_HEX], again[HASH_HEX];
  uint64_t bytes, size;
  write_one(sha256, &bytes);
  assert_int_equal(file_hash(again, &size, path, &err), STATUS_OK);
  assert_string_equal(sha256, again);
  assert_int_equal(bytes, size);
  if (state_open(&state, path, &err))
    fail_msg("%s", err.text);
  assert_true(json_real_value(json_object_get(state.numbers, "loss")) == 0.1 + 0.2);
  assert_true(json_integer_value(json_object_get(state.numbers, "step")) == 9007199254740991);
  const struct st_tensor *t = state_tensor(&state, "exp_avg/w", ST_F32);
  assert_non_null(t);
  assert_memory_equal(t->bytes, numbers, sizeof numbers);
  assert_null(state_tensor(&state, "exp_avg/w", ST_U8));
  assert_null(state_tensor(&state, "exp_avg", ST_F32));
  state_close(&state);
  assert_int_not_equal(state_open(&state, root, &err), STATUS_OK);
  state_close(&state);
}

/* From a block of exactly that size, so that the address sanitizer sees any byte too many. */
static void refused(const unsigned char *bytes, size_t length, size_t at) {
  struct state state;
  struct error err = {0};
  unsigned char *exact = malloc(length ? length : 1);
  assert_non_null(exact);
  memcpy(exact, bytes, length);
  enum status status = state_parse(&state, exact, length, &err);
  if (status != STATUS_DAMAGED || !err.text[0])
    fail_msg("byte %zu: status %d, %s", at, (int)status, err.text);
  assert_null(state.numbers);
  state_close(&state);
  free(exact);
}

static void damage_is_found(void **unused) {
  (void)unused;
  char sha256[HASH_HEX], *text;
  uint64_t bytes;
  size_t length;
  struct error err;
  write_one(sha256, &bytes);
  assert_int_equal(file_read(&text, &length, path, 1 << 20, &err), STATUS_OK);
  unsigned char *copy = (unsigned char *)text;
  struct state whole;
  assert_int_equal(state_parse(&whole, copy, length, &err), STATUS_OK);
  state_close(&whole);
  for (size_t i = 0; i < length; i++)
    refused(copy, i, i);
  for (size_t i = 0; i < length; i++)
    for (unsigned bit = 0; bit < 8; bit++) {
      copy[i] ^= (unsigned char)(1u << bit);
      refused(copy, length, i);
      copy[i] ^= (unsigned char)(1u << bit);
    }
  free(text);
}

static void others_are_refused(void **unused) {
  (void)unused;
  static const struct {
    const char *metadata, *says;
  } rows[] = {{"{\"format\":\"pt\"}", "no training state"},
              {"{\"format\":\"reflectd training state\",\"version\":\"2\"}", "version 2"},
              {"{\"format\":\"reflectd training state\",\"version\":\"1\",\"numbers\":\"{}\"}", "SHA-256"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    json_t *metadata = json_loads(rows[i].metadata, 0, NULL);
    struct state state;
    struct error err;
    assert_int_equal(safetensors_write(path, NULL, 0, metadata, NULL, NULL, &err), STATUS_OK);
    assert_int_equal(state_open(&state, path, &err), STATUS_DAMAGED);
    if (!strstr(err.text, rows[i].says))
      fail_msg("%s", err.text);
    json_decref(metadata);
  }
}

/* What could not be read again is not written. */
static void too_much_is_refused(void **unused) {
  (void)unused;
  struct error err;
  char *long_text = malloc(ST_METADATA_MAX), name[ST_NAME_MAX + 2];
  assert_non_null(long_text);
  memset(long_text, 'x', ST_METADATA_MAX - 1);
  long_text[ST_METADATA_MAX - 1] = '\0';
  json_t *many = json_pack("{s:s}", "a", long_text), *few = json_object();
  assert_int_equal(state_write(path, NULL, 0, many, NULL, NULL, &err), STATUS_TOO_LARGE);
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  const struct st_tensor tensor = {
      .name = name, .dtype = ST_U8, .rank = 1, .shape = {1}, .bytes = (const unsigned char *)"a", .length = 1};
  assert_int_equal(state_write(path, &tensor, 1, few, NULL, NULL, &err), STATUS_TOO_LARGE);
  json_decref(many);
  json_decref(few);
  free(long_text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back), cmocka_unit_test(damage_is_found),
                                     cmocka_unit_test(others_are_refused), cmocka_unit_test(too_much_is_refused)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
