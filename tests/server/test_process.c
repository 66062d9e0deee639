/* Proves: children that nobody waits for are let go, and the loop still hears how its own ended; of a program that is
   asked something it is said whether it could not be started or was too slow. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "server/process.h"

static uv_loop_t loop;

static int start(void **state) {
  (void)state;
  return uv_loop_init(&loop);
}

static int stop(void **state) {
  (void)state;
  return uv_loop_close(&loop);
}

/* Waits until it has ended, without taking its status away. */
static void await_end(pid_t pid) {
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static pid_t stranger(void) {
  pid_t pid = fork();
  if (pid == 0)
    _exit(5);
  assert_true(pid > 0);
  await_end(pid);
  return pid;
}

static void assert_gone(pid_t pid) {
  assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static void on_exit_of_own(uv_process_t *process, int64_t status, int signal) {
  *(int64_t *)process->data = signal ? -1 : status;
  uv_close((uv_handle_t *)process, NULL);
}

static void strangers_are_let_go(void **state) {
  (void)state;
  process_reap(&loop); /* without a child */
  pid_t first = stranger(), second = stranger();
  process_reap(&loop);
  assert_gone(first);
  assert_gone(second);
}

static void children_of_the_loop_are_its_own(void **state) {
  char *arguments[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"exit 7"}, NULL};
  uv_process_options_t options = {.file = arguments[0], .args = arguments, .exit_cb = on_exit_of_own};
  uv_process_t process;
  int64_t status = -2;
  (void)state;
  assert_int_equal(uv_spawn(&loop, &process, &options), 0);
  process.data = &status;
  await_end(process.pid);
  pid_t other = stranger();
  process_reap(&loop);
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
  assert_int_equal(status, 7);
  process_reap(&loop);
  assert_gone(other);
}

static void what_a_program_writes(void **state) {
  (void)state;
  struct error err;
  struct str text;
  char shell[] = "/bin/sh", command[] = "-c", yes[] = "echo yes", slow[] = "echo no; exec sleep 60";
  char none[] = "/nowhere/program";
  char *says[] = {shell, command, yes, NULL}, *sleeps[] = {shell, command, slow, NULL}, *is_none[] = {none, NULL};
  str_init(&text, 100);
  assert_int_equal(process_output(&text, says, 30000, &err), STATUS_OK);
  assert_string_equal(text.text, "yes\n");
  assert_int_equal(process_output(&text, is_none, 30000, &err), STATUS_UNAVAILABLE);
  assert_string_equal(err.text, "cannot run /nowhere/program: No such file or directory");
  assert_int_equal(process_output(&text, sleeps, 50, &err), STATUS_UNAVAILABLE);
  assert_string_equal(err.text, "/bin/sh did not end within 50 ms");
  str_done(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(strangers_are_let_go, start, stop),
                                     cmocka_unit_test_setup_teardown(children_of_the_loop_are_its_own, start, stop),
                                     cmocka_unit_test(what_a_program_writes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
