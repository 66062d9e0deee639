/* Proves, on a folder that stands for the kernel's: which group may be divided, what is written where, that a failed
   try is undone, and how a worker's group begins and ends. */
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
#include "server/cgroup.h"

enum { SELF = 4711 };
static char folder[64], membership[PATH_BYTES];

static void put(const char *name, const char *text) {
  struct error err;
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

static void make(const char *name) {
  struct error err;
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_mkdirs(path, &err), STATUS_OK);
}

static bool has(const char *name, const char *text) {
  struct error err;
  char path[PATH_BYTES], *content;
  size_t length;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (file_read(&content, &length, path, 4096, &err))
    return false;
  bool same = strcmp(content, text) == 0;
  free(content);
  return same;
}

static bool there(const char *name) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return access(path, F_OK) == 0;
}

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/test_cgroup.XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(membership, sizeof membership, "%s/membership", folder);
  put("membership", "3:memory:/old\n0::/a/service\n");
  make("a/service/daemon"); /* the kernel fills new groups with files: a folder cannot */
  put("a/service/cgroup.type", "domain\n");
  put("a/service/cgroup.controllers", "cpu memory pids\n");
  put("a/service/cgroup.procs", "");
  put("a/service/cgroup.subtree_control", "");
  put("a/service/daemon/cgroup.procs", "");
  return 0;
}

static int tear_down(void **state) {
  struct error err;
  (void)state;
  return file_remove_tree(folder, &err) != STATUS_OK;
}

static struct cgroups opened(void) {
  struct cgroups groups;
  cgroups_open(&groups, membership, folder, SELF);
  return groups;
}

static void a_delegated_group_is_divided(void **state) {
  (void)state;
  char root[PATH_BYTES];
  snprintf(root, sizeof root, "%s/a/service", folder);
  make("a/service/worker-1-2");
  struct cgroups groups = opened();
  assert_string_equal(groups.root, root);
  assert_true(has("a/service/daemon/cgroup.procs", "4711") && has("a/service/cgroup.subtree_control", "+memory"));
  assert_false(there("a/service/worker-1-2")); /* of a former daemon */
  put("membership", "0::/a/service/daemon\n"); /* started again from there */
  groups = opened();
  assert_string_equal(groups.root, root);
}

static void others_are_left_alone(void **state) {
  (void)state;
  put("a/service/cgroup.controllers", "cpu memoryless pids\n");
  assert_string_equal(opened().root, "");
  put("a/service/cgroup.controllers", "memory\n");
  assert_string_not_equal(opened().root, "");
  put("membership", "3:memory:/old\n"); /* version 1 alone */
  assert_string_equal(opened().root, "");
  put("membership", "0::/\n"); /* the machine's own has no type */
  assert_string_equal(opened().root, "");
  put("membership", "0::/gone\n");
  assert_string_equal(opened().root, "");
  unlink(membership);
  assert_string_equal(opened().root, "");
}

static void what_cannot_be_divided_is_as_it_was(void **state) {
  (void)state;
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/a/service/cgroup.subtree_control", folder);
  assert_true(unlink(path) == 0 && mkdir(path, 0700) == 0); /* cannot be written */
  assert_string_equal(opened().root, "");
  assert_true(has("a/service/cgroup.procs", "4711")); /* moved back */
}

static void a_group_begins_and_ends(void **state) {
  (void)state;
  struct error err;
  char path[PATH_BYTES], gone[64];
  struct cgroups none = {.made = 0}, groups = opened();
  assert_int_equal(cgroup_make(path, &none, 1 << 20, &err), STATUS_OK);
  assert_string_equal(path, "");
  assert_false(cgroup_end(path));
  assert_int_equal(cgroup_make(path, &groups, 0, &err), STATUS_OK); /* no limit */
  assert_string_equal(path, "");
  /* No kernel makes memory.max here: the group is not left behind, and the worker does not start without it. */
  assert_int_equal(cgroup_make(path, &groups, 1 << 20, &err), STATUS_UNAVAILABLE);
  assert_string_equal(path, "");
  snprintf(gone, sizeof gone, "a/service/worker-%d-0", (int)getpid());
  assert_false(there(gone));
  make("a/service/w");
  put("a/service/w/memory.events", "low 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 1\n");
  snprintf(path, sizeof path, "%s/a/service/w", folder);
  assert_true(cgroup_end(path));
  put("a/service/w/memory.events", "low 0\nmax 9\noom 1\noom_kill 0\n");
  assert_false(cgroup_end(path));
  assert_false(cgroup_end(membership));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(a_delegated_group_is_divided), TEST(others_are_left_alone),
                                     TEST(what_cannot_be_divided_is_as_it_was), TEST(a_group_begins_and_ends)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
