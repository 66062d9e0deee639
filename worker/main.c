/* reflect-worker: one task and out. The order comes on file descriptor 3 (api/task.h), or from a file
   named on the command line; event lines go to standard output, control lines come on standard input,
   the log goes to standard error. The exit status is the enum status. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "worker/confine.h"
#include "worker/device.h"
#include "worker/escape/escape.h"
#include "worker/pipeline.h"
#include "worker/thread/pool.h"

enum { TASK_FD = 3, TASK_BYTES_MAX = 4 << 20 };

static enum status read_task(struct str *out, int fd, struct error *err) {
  char chunk[4096];
  for (;;) {
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return error_set_errno(err, STATUS_IO, NULL, "reading the task from file descriptor %d", fd);
    if (n == 0)
      return STATUS_OK;
    if (!str_add(out, chunk, (size_t)n))
      return error_set(err, STATUS_TOO_LARGE, NULL, "the task has more than %d bytes", TASK_BYTES_MAX);
  }
}

static enum status run(const char *path, struct report *report, struct error *err) {
  AUTO(str_done) struct str text;
  AUTO(arena_done) struct arena arena;
  AUTO(json_release) json_t *document = NULL;
  struct task task;
  struct json_limits limits = {.bytes_max = TASK_BYTES_MAX};
  str_init(&text, TASK_BYTES_MAX);
  arena_init(&arena, (size_t)64 << 20);
  enum status status = path ? json_parse_file(&document, path, &limits, err) : read_task(&text, TASK_FD, err);
  if (!status && !path)
    status = json_parse(&document, text.text, text.length, &limits, err);
  status = status ? status : task_parse(&task, document, &arena, err);
  if (status)
    return status;
  log_scope("job", task.job_id);
  log_scope("request_id", task.request_id);
  if (task.attempt)
    log_scope_number("attempt", task.attempt);
  /* OpenCL's drivers for a CPU compile by starting programs. Where the kernel has no filter the daemon has said so. */
  if (!path && !(task.device && strncmp(task.device, "opencl", 6) == 0))
    confine_forbid_exec();
  status = pipeline_run(&task, report, err);
  if (status == STATUS_OUT_OF_MEMORY && confine_memory())
    error_prefix(err, "this worker may take %zu MiB", confine_memory() >> 20);
  return status;
}

/* For the daemon, which opens no driver itself: a line a device (api/device.h). */
static int list_devices(void) {
  enum { DEVICES_MAX = 32, LIST_BYTES = 1 << 16 };
  struct device_info devices[DEVICES_MAX];
  AUTO(str_done) struct str text;
  str_init(&text, LIST_BYTES);
  size_t count = device_list(devices, DEVICES_MAX);
  for (size_t i = 0; i < count; i++)
    if (!device_info_write(&text, &devices[i]))
      return EXIT_FAILURE;
  return fputs(text.text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  struct report report;
  struct error err = {0};
  if (argc == 2 && strcmp(argv[1], "--list-devices") == 0)
    return list_devices();
  if (argc >= 2 && strcmp(argv[1], "--sandbox-test") == 0)
    return escape_main(argc - 2, argv + 2);
  if (argc >= 2 && strcmp(argv[1], "--sandbox-test-inside") == 0)
    return escape_inside(argc - 2, argv + 2);
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    printf("usage: reflect-worker [TASK.json | --list-devices | --sandbox-test [--without LAYER]...]\n\n"
           "Runs the one task that TASK.json, or file descriptor 3, holds. The daemon starts it; by hand it shows\n"
           "the event lines of a job: reflect-worker task.json </dev/null\n");
    return argc > 2 || strcmp(argv[1], "--help") != 0;
  }
  log_setup("reflect-worker", LOG_INFO);
  signal(SIGPIPE, SIG_IGN);
  report_init(&report, STDOUT_FILENO, argc == 1 ? STDIN_FILENO : -1);
  pool_watch(report_beat, &report);
  enum status status = run(argc == 2 ? argv[1] : NULL, &report, &err);
  if (status == STATUS_PAUSED) {
    log_info("paused");
  } else if (status) {
    log_error("%s: %s", status_code(status), err.text);
    report_error(&report, &err);
  }
  return (int)status;
}
