/* Proves which of flags, environment, profile and default counts, that a key goes to its own server alone, and that a
   file of profiles is written as it was read, or refused by the member that is wrong. */
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
#include "cli/profile.h"

static char folder[] = "/tmp/reflect-profile-XXXXXX", file[64];

static int set_up(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(file, sizeof file, "%s/reflect/config.json", folder);
  return setenv("XDG_CONFIG_HOME", folder, 1);
}

static int tear_down(void **state) {
  (void)state;
  struct error err;
  return file_remove_tree(folder, &err) != STATUS_OK;
}

static void what_is_said_nearest_counts(void **state) {
  static const struct {
    struct connection flags;
    const char *named;
    struct connection environment;
    const char *chosen, *current;
    struct connection result; /* url NULL: it is refused, with the text in key */
  } cases[] = {
      {.result = {.url = ""}},
      {.environment = {.url = "http://e", .key = "ek"}, .result = {.url = "http://e", .key = "ek"}},
      {.flags = {.url = "http://f"},
       .environment = {.url = "http://e", .key = "ek"},
       .result = {.url = "http://f", .key = "ek"}},
      {.current = "a", .result = {.url = "http://a", .key = "ak", .tenant = "at"}},
      {.current = "a", .chosen = "b", .result = {.url = "http://b/v1/", .key_file = "/b"}},
      {.current = "a", .chosen = "b", .named = "a", .result = {.url = "http://a", .key = "ak", .tenant = "at"}},
      {.current = "b", .environment = {.key = "ek"}, .result = {.url = "http://b/v1/", .key = "ek"}},
      {.current = "a", .flags = {.key_file = "/f"}, .result = {.url = "http://a", .key_file = "/f", .tenant = "at"}},
      {.named = "a",
       .environment = {.url = "http://e", .key = "ek", .cacert = "/ec"},
       .result = {.url = "http://a", .key = "ak", .tenant = "at", .cacert = "/ec"}},
      /* Another server gets nothing of the profile. */
      {.current = "a", .environment = {.url = "http://e"}, .result = {.url = "http://e"}},
      {.current = "a", .flags = {.url = "http://f"}, .result = {.url = "http://f"}},
      {.chosen = "b", .flags = {.url = "http://b"}, .result = {.url = "http://b", .key_file = "/b"}},
      {.named = "a", .flags = {.url = "http://f"}, .result = {.key = "--profile a is the server http://a"}},
      {.named = "c", .result = {.key = "there is no profile \"c\" in /x; there are: a, b"}},
      {.chosen = "c", .result = {.key = "there is no profile"}},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct profiles profiles = {.path = "/x",
                                .current = cases[i].current,
                                .count = 2,
                                .item = {{"a", {.url = "http://a", .key = "ak", .tenant = "at"}},
                                         {"b", {.url = "http://b/v1/", .key_file = "/b"}}}};
    struct connection out = {0};
    const struct connection *want = &cases[i].result;
    const struct profile *used;
    struct error err;
    enum status status = connection_resolve(&out, &used, &cases[i].flags, cases[i].named, &cases[i].environment,
                                            cases[i].chosen, &profiles, &err);
    if (!want->url) {
      assert_int_equal(status, STATUS_INVALID_VALUE);
      assert_non_null(strstr(err.text, want->key));
      continue;
    }
#define SAME(member) assert_string_equal(out.member ? out.member : "", want->member ? want->member : "")
    assert_int_equal(status, STATUS_OK);
    SAME(url);
    SAME(key);
    SAME(key_file);
    SAME(tenant);
    SAME(cacert);
  }
}

static enum status read_text(struct profiles *profiles, struct arena *arena, const char *text, mode_t mode,
                             struct error *err) {
  char parent[64];
  snprintf(parent, sizeof parent, "%s/reflect", folder);
  assert_int_equal(file_mkdirs(parent, err), STATUS_OK);
  assert_int_equal(file_put(file, text, strlen(text), err), STATUS_OK);
  assert_int_equal(chmod(file, mode), 0);
  return profiles_read(profiles, arena, err);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  AUTO(arena_done) struct arena arena;
  static struct profiles profiles, again;
  struct error err;
  struct stat info;
  arena_init(&arena, 1 << 20);
  assert_int_equal(profiles_read(&profiles, &arena, &err), STATUS_OK); /* there is none */
  assert_int_equal(profiles.count, 0);
  assert_string_equal(profiles.path, file);
  profiles.item[profiles.count++] = (struct profile){"one", {.url = "http://1", .key = "k", .cacert = "/c"}};
  profiles.item[profiles.count++] = (struct profile){"two", {.url = "http://2", .tenant = "t"}};
  profiles.current = "two";
  assert_int_equal(profiles_write(&profiles, &err), STATUS_OK);
  assert_int_equal(stat(file, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  assert_int_equal(profiles_read(&again, &arena, &err), STATUS_OK);
  assert_int_equal(again.count, 2);
  assert_string_equal(again.current, "two");
  const struct profile *one = profiles_find(&again, "one");
  assert_string_equal(one->connection.key, "k");
  assert_string_equal(one->connection.cacert, "/c");
  assert_null(one->connection.tenant);
}

static void a_file_that_is_wrong_is_refused(void **state) {
  static const struct {
    const char *text, *why;
    mode_t mode;
  } cases[] = {
      {"{\"profiles\": {\"a\": {\"base_url\": \"http://a\", \"api_key\": \"k\"}}}", "chmod 600", 0640},
      {"{\"profiles\": {\"a\": {\"base_url\": \"http://a\", \"api_keys\": \"k\"}}}", "profiles.a.api_keys", 0600},
      {"{\"profiles\": {\"a\": {\"tenant\": \"t\"}}}", "base_url", 0600},
      {"{\"profiles\": {\"a\": 3}}", "profiles.a must be an object", 0600},
      {"{\"profiles\": {\"a b\": {\"base_url\": \"http://a\"}}}", "no name of a profile", 0600},
      {"{\"profiles\": {\"a\": {\"base_url\": \"u\", \"api_key\": \"k\", \"api_key_file\": \"f\"}}}", "both", 0600},
      {"{\"profile\": \"b\", \"profiles\": {}}", "names \"b\"", 0600},
      {"{\"profil\": \"b\"}", "\"profil\" is not expected", 0600},
      {"[]", "expected an object", 0600},
      {"{\n x", "line 2", 0600},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    AUTO(arena_done) struct arena arena;
    static struct profiles profiles;
    struct error err;
    arena_init(&arena, 1 << 20);
    assert_int_not_equal(read_text(&profiles, &arena, cases[i].text, cases[i].mode, &err), STATUS_OK);
    assert_non_null(strstr(err.text, cases[i].why));
    assert_non_null(strstr(err.text, "config.json"));
  }
  AUTO(arena_done) struct arena arena;
  static struct profiles profiles;
  struct error err;
  arena_init(&arena, 1 << 20);
  assert_int_equal(read_text(&profiles, &arena, "{\"profiles\": {\"a\": {\"base_url\": \"http://a\"}}}", 0644, &err),
                   STATUS_OK); /* nothing in it is secret */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_said_nearest_counts),
                                     cmocka_unit_test(what_is_written_is_read),
                                     cmocka_unit_test(a_file_that_is_wrong_is_refused)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
