#include "cli/worker_task.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/layers.h"
#include "cli/program.h"
#include "cli/text.h"

enum { SAID_BYTES = 16 << 20 };

/* Memory that is missing here says nothing of the files; of a fault that is not known here the files are at fault. */
static enum status status_of(const json_t *event) {
  enum status status = status_from_code(text_member(event, "code", ""));
  if (status == STATUS_COUNT || status == STATUS_OK)
    return STATUS_INVALID_VALUE;
  return status_http(status) >= 500 ? STATUS_UNAVAILABLE : status;
}

/* What the worker has found, of its many lines. */
static enum status read_verdict(json_t **report, char *said, int code, struct error *err) {
  enum status status = STATUS_OK;
  char *rest = said;
  for (char *line; !*report && !status && (line = program_line(&rest));) {
    AUTO(json_release) json_t *event = NULL;
    const struct json_limits limits = {.bytes_max = SAID_BYTES, .values_max = 1 << 20};
    struct error other;
    if (line[0] != '{' || json_parse(&event, line, strlen(line), &limits, &other) != STATUS_OK)
      continue;
    const char *kind = text_member(event, "event", "");
    if (strcmp(kind, "report") == 0)
      *report = json_incref(json_object_get(event, "data"));
    else if (strcmp(kind, "error") == 0)
      status = error_set(err, status_of(event), text_member(event, "param", NULL), "%s",
                         text_member(event, "message", "the worker does not say what is wrong"));
  }
  if (!*report && !status)
    status = error_set(err, STATUS_UNAVAILABLE, NULL, "the worker says nothing of its task (exit status %d)", code);
  return status;
}

/* JSON has no other text. */
static enum status check_path(const char *path, struct error *err) {
  return !path || utf8_valid(path, strlen(path), NULL)
             ? STATUS_OK
             : error_set(err, STATUS_IO, NULL, "%s: a path that a worker is told must be UTF-8", path);
}

/* The order lies in the file `order`. */
static enum status run(struct str *said, int *code, const char *order, const struct task *task,
                       const char *const *reads, size_t read_count, int seconds, struct error *err) {
  char sandbox[PATH_MAX], worker[PATH_MAX];
  struct layers layers;
  const char *arguments[2 * LAYERS_MAX + 2 * WORKER_TASK_READS_MAX + 16];
  size_t count = 0;
  CHECK(read_count <= WORKER_TASK_READS_MAX);
  if (!program_find(worker, "reflect-worker"))
    return error_set(err, STATUS_UNAVAILABLE, NULL,
                     "reflect-worker is not beside this program: this is done where the daemon is installed");
  enum status status = layers_probe(&layers, err);
  if (status)
    return status;
  if (!program_find(sandbox, "reflect-sandbox"))
    return error_set(err, STATUS_UNAVAILABLE, NULL, "reflect-sandbox is not beside this program");
  arguments[count++] = sandbox;
  layers_without(&layers, arguments, &count);
  for (size_t i = 0; i < read_count; i++) {
    arguments[count++] = "--read";
    arguments[count++] = reads[i];
  }
  if (task->model_dir) {
    arguments[count++] = "--model";
    arguments[count++] = task->model_dir;
  }
  const char *const rest[] = {"--read", order, "--", worker, order, NULL};
  for (size_t i = 0; i < COUNT_OF(rest); i++)
    arguments[count++] = rest[i];
  return program_run(said, code, arguments, seconds, err);
}

enum status worker_task_run(json_t **report, const struct task *task, const char *const *reads, size_t count,
                            int seconds, struct error *err) {
  AUTO(str_done) struct str said, text;
  char order[] = "/tmp/reflect-task-XXXXXX";
  int code = 0;
  str_init(&said, SAID_BYTES);
  str_init(&text, 1 << 20);
  *report = NULL;
  enum status status = check_path(task->model_dir, err);
  for (size_t i = 0; !status && i < count; i++)
    status = check_path(reads[i], err);
  if (status)
    return status;
  AUTO(json_release) json_t *document = task_json(task);
  if (!document || !json_append(&text, document))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  int fd = mkstemp(order);
  if (fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", order);
  close(fd);
  status = file_put(order, text.text, text.length, err);
  status = status ? status : run(&said, &code, order, task, reads, count, seconds, err);
  unlink(order);
  return status ? status : read_verdict(report, said.text, code, err);
}
