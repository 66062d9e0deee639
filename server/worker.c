#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "api/event.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "server/process.h"

enum { TICK_MS = 100, DRAIN_OUTPUT_MS = 2000, TASK_BYTES_MAX = 4 << 20, NEVER = 0 };

struct worker {
  uv_process_t process;
  uv_pipe_t control, output;
  uv_timer_t timer;
  struct worker_options options;
  struct death death;
  int64_t heard_ms;   /* boot clock: the last time it said something */
  int64_t term_at_ms; /* NEVER, or when the signals are due */
  int64_t kill_at_ms;
  const char *stop_order; /* the last that it was told; set with kill_at_ms */
  int64_t exited_ms;      /* NEVER, or when it was reaped */
  bool output_ended;
  bool paused; /* its output is not read for now */
  bool rests;
  int open_handles;
  int64_t memory_kills; /* of the machine, when it started */
  size_t length;        /* of the unfinished line */
  char line[EVENT_LINE_MAX];
};

static void on_closed(uv_handle_t *handle) {
  struct worker *worker = handle->data;
  if (--worker->open_handles > 0)
    return;
  worker->options.calls.end(worker->options.context, &worker->death);
  free(worker);
}

static void close_handle(uv_handle_t *handle) {
  if (!uv_is_closing(handle))
    uv_close(handle, on_closed);
}

/* The process is gone and so is its output: everything may be closed. */
static void close_when_over(struct worker *worker) {
  if (worker->exited_ms == NEVER || !worker->output_ended)
    return;
  close_handle((uv_handle_t *)&worker->process);
  close_handle((uv_handle_t *)&worker->control);
  close_handle((uv_handle_t *)&worker->output);
  close_handle((uv_handle_t *)&worker->timer);
}

static void signal_group(struct worker *worker, int signal) {
  if (worker->exited_ms == NEVER && kill(-worker->process.pid, signal) != 0)
    uv_process_kill(&worker->process, signal);
}

static void kill_for(struct worker *worker, enum worker_fault fault, const char *text) {
  if (worker->death.fault == WORKER_FAULT_NONE) {
    worker->death.fault = fault;
    snprintf(worker->death.fault_text, sizeof worker->death.fault_text, "%s", text);
  }
  signal_group(worker, SIGKILL);
}

void worker_reject(struct worker *worker, const struct error *err) {
  char text[sizeof worker->death.fault_text];
  bool unheard = err->status == STATUS_OUT_OF_MEMORY;
  snprintf(text, sizeof text, "%s: %.140s",
           unheard ? "the daemon could not take in what the worker said" : "the worker said something that is no event",
           err->text);
  kill_for(worker, unheard ? WORKER_FAULT_UNHEARD : WORKER_FAULT_PROTOCOL, text);
}

/* It is being killed: the rest is read to be thrown away. */
static bool is_rejected(const struct worker *worker) {
  return worker->death.fault == WORKER_FAULT_PROTOCOL || worker->death.fault == WORKER_FAULT_UNHEARD;
}

/* Hands over the whole lines of the buffer. */
static void hand_over(struct worker *worker) {
  struct error err;
  size_t start = 0;
  char *end;
  while (!is_rejected(worker) && (end = memchr(worker->line + start, '\n', worker->length - start))) {
    size_t length = (size_t)(end - worker->line) - start;
    if (!worker->options.calls.line(worker->options.context, worker->line + start, length, &err))
      worker_reject(worker, &err);
    start += length + 1;
  }
  worker->length -= start;
  memmove(worker->line, worker->line + start, worker->length);
  if (worker->length == sizeof worker->line) {
    error_set(&err, STATUS_WORKER_CRASHED, NULL, "a line of more than %d bytes", EVENT_LINE_MAX);
    worker_reject(worker, &err);
  }
  worker->options.calls.batch(worker->options.context);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
  struct worker *worker = handle->data;
  (void)suggested;
  if (is_rejected(worker))
    worker->length = 0;
  *out = uv_buf_init(worker->line + worker->length, (unsigned)(sizeof worker->line - worker->length));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  struct worker *worker = stream->data;
  (void)buffer;
  if (n == 0)
    return;
  if (n > 0) {
    worker->heard_ms = clock_boot_ms();
    worker->death.heard = true;
    worker->length += (size_t)n;
    hand_over(worker);
    return;
  }
  uv_read_stop(stream);
  worker->output_ended = true;
  if (worker->length > 0 && worker->death.fault == WORKER_FAULT_NONE)
    log_warn("worker %d ended in the middle of a line", worker->process.pid);
  close_when_over(worker);
}

static void on_reaped(uv_process_t *process, int64_t exit_status, int signal) {
  struct worker *worker = process->data;
  worker->death.exit_status = exit_status;
  worker->death.signal = signal;
  worker->death.short_of_memory = worker->memory_kills >= 0 && process_memory_kills() > worker->memory_kills;
  worker->exited_ms = clock_boot_ms();
  /* Whatever it started belongs to its process group and goes with it. */
  if (kill(-process->pid, SIGKILL) == 0)
    log_warn("worker %d left processes behind; they were killed", process->pid);
  if (worker->options.calls.exited)
    worker->options.calls.exited(worker->options.context);
  close_when_over(worker);
}

static void on_tick(uv_timer_t *timer) {
  struct worker *worker = timer->data;
  int64_t now = clock_boot_ms();
  if (worker->exited_ms != NEVER) {
    int64_t since = worker->heard_ms > worker->exited_ms ? worker->heard_ms : worker->exited_ms;
    if (!worker->output_ended && !worker->paused && now - since > DRAIN_OUTPUT_MS) {
      worker->output_ended = true;
      close_when_over(worker);
    }
    return;
  }
  if (worker->kill_at_ms != NEVER && now >= worker->kill_at_ms) {
    signal_group(worker, SIGKILL);
  } else if (worker->term_at_ms != NEVER && now >= worker->term_at_ms) {
    worker->term_at_ms = NEVER;
    signal_group(worker, SIGTERM);
  }
  if (worker->kill_at_ms == NEVER && !worker->paused && !worker->rests &&
      now - worker->heard_ms > worker->options.silence_ms) {
    char text[sizeof worker->death.fault_text];
    snprintf(text, sizeof text, "the worker said nothing for %" PRId64 " seconds and was killed",
             worker->options.silence_ms / 1000);
    kill_for(worker, WORKER_FAULT_SILENT, text);
  }
}

/* The task as a sealed memory file, read position at its start. */
static enum status make_task(int *fd, const json_t *task, struct error *err) {
  AUTO(str_done) struct str text;
  str_init(&text, TASK_BYTES_MAX);
  if (!json_append(&text, task))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "writing the worker's task");
  *fd = memfd_create("task", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (*fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot make the worker's task");
  for (size_t done = 0; done < text.length;) {
    ssize_t n = write(*fd, text.text + done, text.length - done);
    if (n < 0 && errno != EINTR)
      return error_set_errno(err, STATUS_IO, NULL, "cannot write the worker's task");
    done += n > 0 ? (size_t)n : 0;
  }
  if (lseek(*fd, 0, SEEK_SET) != 0 ||
      fcntl(*fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot seal the worker's task");
  return STATUS_OK;
}

struct environment {
  char *entry[24];
};

/* What a worker may see of our environment. OpenBLAS would start threads of its own when it is loaded. */
static void make_environment(struct environment *out) {
  static const char *const passed[] = {
      "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "REFLECT_ISA",
      /* GPUs: where their libraries are, which of them there are, and where compiled kernels are kept */
      "LD_LIBRARY_PATH", "OCL_ICD_VENDORS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_CACHE_PATH", "HOME",
      "XDG_CACHE_HOME", "REFLECT_CACHE"};
  static char one_thread[] = "OPENBLAS_NUM_THREADS=1";
  size_t count = 0;
  out->entry[count++] = one_thread;
  for (size_t i = 0; i < COUNT_OF(passed); i++)
    for (char **entry = environ; *entry && count + 1 < COUNT_OF(out->entry); entry++)
      if (strncmp(*entry, passed[i], strlen(passed[i])) == 0 && (*entry)[strlen(passed[i])] == '=')
        out->entry[count++] = *entry;
  out->entry[count] = NULL;
}

static enum status spawn(struct worker *worker, int task_fd, int log_fd, struct error *err) {
  struct environment environment;
  make_environment(&environment);
  const char *program = worker->options.command[0];
  uv_stdio_container_t stdio[] = {
      {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&worker->control},
      {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&worker->output},
      {.flags = UV_INHERIT_FD, .data.fd = log_fd},
      {.flags = UV_INHERIT_FD, .data.fd = task_fd},
  };
  uv_process_options_t options = {
      .exit_cb = on_reaped,
      .file = program,
      .args = (char **)(uintptr_t)worker->options.command, /* libuv writes nothing into it */
      .env = environment.entry,
      .flags = UV_PROCESS_DETACHED, /* a process group of its own */
      .stdio_count = COUNT_OF(stdio),
      .stdio = stdio,
  };
  int code = uv_spawn(worker->process.loop, &worker->process, &options);
  if (code) /* a program that is not there, processes or memory that are used up: never the task's own fault */
    return error_set(err, STATUS_UNAVAILABLE, "sandbox", "cannot start %s: %s", program, uv_strerror(code));
  return STATUS_OK;
}

static void on_closed_unstarted(uv_handle_t *handle) {
  struct worker *worker = handle->data;
  if (--worker->open_handles == 0)
    free(worker);
}

static struct worker *worker_new(uv_loop_t *loop, const struct worker_options *options) {
  struct worker *worker = calloc(1, sizeof *worker);
  if (!worker)
    return NULL;
  worker->options = *options;
  worker->options.task = NULL; /* only needed to start, as the command is */
  worker->heard_ms = clock_boot_ms();
  worker->memory_kills = process_memory_kills();
  worker->process.loop = loop;
  /* Making handles allocates nothing: it does not fail. */
  CHECK(uv_pipe_init(loop, &worker->control, 0) == 0);
  CHECK(uv_pipe_init(loop, &worker->output, 0) == 0);
  CHECK(uv_timer_init(loop, &worker->timer) == 0);
  worker->process.data = worker->control.data = worker->output.data = worker->timer.data = worker;
  worker->open_handles = 3;
  return worker;
}

enum status worker_start(struct worker **out, struct uv_loop_s *loop, const struct worker_options *options,
                         struct error *err) {
  int task_fd = -1;
  *out = NULL;
  int log_fd = options->log_path ? open(options->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)
                                 : open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (log_fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open the worker's log");
  struct worker *worker = worker_new(loop, options);
  enum status status = worker ? make_task(&task_fd, options->task, err)
                              : error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting a worker");
  if (!status) {
    status = spawn(worker, task_fd, log_fd, err);
    worker->open_handles++; /* uv_spawn makes a handle of `process` even when it fails */
    if (status)
      uv_close((uv_handle_t *)&worker->process, on_closed_unstarted);
  }
  if (task_fd >= 0)
    close(task_fd);
  close(log_fd);
  if (status) {
    if (worker) {
      uv_close((uv_handle_t *)&worker->control, on_closed_unstarted);
      uv_close((uv_handle_t *)&worker->output, on_closed_unstarted);
      uv_close((uv_handle_t *)&worker->timer, on_closed_unstarted);
    }
    return status;
  }
  CHECK(uv_read_start((uv_stream_t *)&worker->output, on_alloc, on_read) == 0);
  CHECK(uv_timer_start(&worker->timer, on_tick, TICK_MS, TICK_MS) == 0);
  *out = worker;
  return STATUS_OK;
}

void worker_pause(struct worker *worker, bool pause) {
  if (worker->output_ended || worker->paused == pause)
    return;
  worker->paused = pause;
  if (pause) {
    uv_read_stop((uv_stream_t *)&worker->output);
    return;
  }
  worker->heard_ms = clock_boot_ms();
  CHECK(uv_read_start((uv_stream_t *)&worker->output, on_alloc, on_read) == 0);
}

int worker_pid(const struct worker *worker) {
  return worker->process.pid;
}

static void sooner(int64_t *at, int64_t other) {
  if (*at == NEVER || other < *at)
    *at = other;
}

/* The stream to it is open, and it reads. */
static bool listens(const struct worker *worker) {
  return worker->exited_ms == NEVER && !uv_is_closing((const uv_handle_t *)&worker->control);
}

bool worker_order(struct worker *worker, const char *order) {
  char line[32];
  uv_buf_t buffer = uv_buf_init(line, (unsigned)snprintf(line, sizeof line, "%s\n", order));
  return listens(worker) && uv_try_write((uv_stream_t *)&worker->control, &buffer, 1) >= 0;
}

static void on_sent(uv_write_t *write, int status) {
  (void)status; /* a worker that does not read has ended, or will be ended */
  free(write);
}

bool worker_send(struct worker *worker, const char *line, size_t length) {
  uv_write_t *write = listens(worker) ? malloc(sizeof *write + length) : NULL;
  if (!write)
    return false;
  char *copy = (char *)(write + 1);
  memcpy(copy, line, length);
  uv_buf_t buffer = uv_buf_init(copy, (unsigned)length);
  if (uv_write(write, (uv_stream_t *)&worker->control, &buffer, 1, on_sent) == 0)
    return true;
  free(write);
  return false;
}

void worker_rest(struct worker *worker, bool rests) {
  if (worker->rests && !rests)
    worker->heard_ms = clock_boot_ms();
  worker->rests = rests;
}

void worker_stop(struct worker *worker, const char *order, int64_t term_ms, int64_t kill_ms) {
  int64_t now = clock_boot_ms();
  bool first = worker->kill_at_ms == NEVER;
  if (worker->exited_ms != NEVER)
    return;
  if (first || worker->term_at_ms != NEVER)
    sooner(&worker->term_at_ms, now + term_ms);
  sooner(&worker->kill_at_ms, now + kill_ms);
  if (!order) {
    close_handle((uv_handle_t *)&worker->control);
    return;
  }
  if (!first && worker->stop_order && strcmp(order, worker->stop_order) == 0)
    return;
  worker->stop_order = order;
  /* A worker that reads nothing fills its pipe: the signals follow anyway. */
  if (!worker_order(worker, order))
    log_warn("worker %d does not listen", worker->process.pid);
}
