/* A worker that trains nothing, fast: it reads its task as reflect-worker does, says what that would say, and publishes
   files by the same calls. The job's suffix says how the run goes: "wait" goes on until it is told to stop, "quiet"
   does so and says no more than the memory it takes, "timed-N" says N times a second's tenth apart when it said so,
   "fail" ends with an error, anything else succeeds after a few steps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/event.h"
#include "api/task.h"
#include "base/file.h"
#include "base/json.h"

enum {
  ARENA_BYTES = 4 << 20,
  TASK_FD = 3,
  STEPS = 3,
  WAIT_MS = 20,
  TIMED_MS = 100,
  WEIGHT_BYTES = 3000,
  PEAK_BYTES = 1 << 20
};

static void say(enum event_kind kind, json_t *data) {
  AUTO(str_done) struct str line;
  struct event event = {.kind = kind, .message = "", .data = data};
  str_init(&line, EVENT_LINE_MAX);
  if (!event_write(&line, &event) || write(STDOUT_FILENO, line.text, line.length) != (ssize_t)line.length)
    exit(STATUS_IO);
  json_decref(data);
}

static _Noreturn void fail(const struct error *err) {
  AUTO(str_done) struct str line;
  struct event event = {.kind = EVENT_ERROR, .message = err->text, .code = err->status};
  str_init(&line, EVENT_LINE_MAX);
  if (event_write(&line, &event))
    (void)!write(STDOUT_FILENO, line.text, line.length);
  exit(err->status);
}

static void publish(const struct task *task, const char *path, struct error *err, char sha256[HASH_HEX]) {
  char full[1024], bytes[WEIGHT_BYTES];
  struct file_new file;
  snprintf(full, sizeof full, "%s/%s", task->output_dir, path);
  memset(bytes, path[0], sizeof bytes);
  if (file_create(&file, full, err) || file_write(&file, bytes, sizeof bytes, err) || file_publish(&file, sha256, err))
    fail(err);
}

/* True: told to stop. */
static bool told(int ms) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  char line[64];
  return poll(&in, 1, ms) > 0 && read(STDIN_FILENO, line, sizeof line) >= 0;
}

static void step(const struct task *task, json_int_t n, struct error *err) {
  char path[64], folder[1024];
  say(EVENT_PROGRESS,
      json_pack("{ss sI sI sf}", "phase", "train", "step", n, "trained_tokens", n * 100, "percent", 1.0));
  say(EVENT_METRICS, json_pack("{sI sf}", "step", n, "train_loss", 1.0 / (double)n));
  snprintf(path, sizeof path, "checkpoint-%d", (int)n);
  snprintf(folder, sizeof folder, "%s/%s", task->output_dir, path);
  if (file_mkdirs(folder, err))
    fail(err);
  snprintf(path, sizeof path, "checkpoint-%d/adapter_model.safetensors", (int)n);
  publish(task, path, err, NULL);
  snprintf(path, sizeof path, "checkpoint-%d", (int)n);
  say(EVENT_CHECKPOINT, json_pack("{sI ss s{sf}}", "step", n, "path", path, "metrics", "train_loss", 1.0 / (double)n));
}

/* By the clock that all processes of the machine share. */
static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void train(const struct task *task, struct error *err) {
  static const char *const artifacts[] = {"adapter_model.safetensors", "metrics.csv"};
  const char *suffix = task->spec.suffix ? task->spec.suffix : "";
  char sha256[HASH_HEX];
  say(EVENT_REPORT, json_pack("{si}", "peak_memory_bytes", PEAK_BYTES));
  while (strcmp(suffix, "quiet") == 0)
    if (told(-1))
      exit(STATUS_CANCELLED);
  say(EVENT_MESSAGE, NULL);
  for (int n = 1; strcmp(suffix, "wait") == 0; n++) {
    if (told(WAIT_MS)) {
      error_set(err, STATUS_CANCELLED, NULL, "told to stop");
      fail(err);
    }
    say(EVENT_PROGRESS, json_pack("{ss si si sf}", "phase", "train", "step", n, "trained_tokens", n, "percent", 1.0));
  }
  int times = 0;
  sscanf(suffix, "timed-%d", &times);
  for (int n = 1; n <= times && !told(TIMED_MS); n++)
    say(EVENT_METRICS, json_pack("{si sf}", "step", n, "train_loss", seconds_now()));
  for (int n = 1; times == 0 && n <= STEPS; n++)
    step(task, n, err);
  if (strcmp(suffix, "fail") == 0) {
    error_set(err, STATUS_NAN_LOSS, NULL, "the loss is not finite at step 3");
    fail(err);
  }
  for (size_t i = 0; i < COUNT_OF(artifacts); i++) {
    publish(task, artifacts[i], err, sha256);
    say(EVENT_ARTIFACT, json_pack("{ss ss si ss sb}", "name", artifacts[i], "path", artifacts[i], "bytes", WEIGHT_BYTES,
                                  "sha256", sha256, "result_file", i == 0));
  }
}

int main(int argc, char **argv) {
  struct arena arena;
  struct task task;
  struct error err;
  char text[1 << 16];
  if (argc > 1 && strcmp(argv[1], "--list-devices") == 0)
    return puts("{\"name\":\"cpu\",\"processor\":\"none\"}") < 0;
  ssize_t length = pread(TASK_FD, text, sizeof text - 1, 0);
  json_t *document = length > 0 ? json_loadb(text, (size_t)length, 0, NULL) : NULL;
  arena_init(&arena, ARENA_BYTES);
  if (!document || task_parse(&task, document, &arena, &err))
    return STATUS_INVALID_JSON;
  switch (task.kind) {
  case TASK_TRAIN: train(&task, &err); break;
  case TASK_CHECK:
    say(EVENT_REPORT, json_pack("{ss si si s[ss] s[s]}", "format", "jsonl", "lines", 2, "examples", 2, "columns",
                                "text", "label", "labels", "a"));
    break;
  case TASK_INSPECT:
    say(EVENT_REPORT, json_pack("{ss s[ss] si s[s]}", "architecture", "tiny", "tasks", "CAUSAL_LM", "SEQ_CLS",
                                "max_seq_length", 64, "target_modules", "query"));
    break;
  case TASK_ESTIMATE: say(EVENT_REPORT, json_pack("{sb si}", "fits", 1, "steps", STEPS)); break;
  case TASK_PLAN: say(EVENT_REPORT, json_pack("{si}", "peak_memory_bytes", PEAK_BYTES)); break;
  case TASK_SURVEY: say(EVENT_REPORT, json_pack("{si}", "examples", 2)); break;
  case TASK_EXPORT: publish(&task, "export.bin", &err, NULL); break;
  case TASK_GENERATE: break; /* it is not asked */
  case TASK_COMPARE: break;  /* nor is it the daemon's */
  }
  json_decref(document);
  arena_done(&arena);
  return 0;
}
