#include "server/delivery.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "base/json.h"
#include "base/str.h"

enum { LIFE_MS = 15000, ORDER_BYTES = 64 << 10, HANDLES = 3 };

struct delivery {
  uv_process_t process;
  uv_pipe_t output;
  uv_timer_t timer;
  delivery_ended *ended;
  void *context;
  int open;          /* handles */
  bool exited, read; /* both: it is over */
  bool late;
  size_t length;
  char text[256]; /* what it said */
};

static void tell(struct delivery *delivery) {
  struct delivery_result result = {0};
  const char *text = delivery->text;
  delivery->text[delivery->length] = '\0';
  delivery->text[strcspn(text, "\n")] = '\0';
  long code = strtol(text, NULL, 10);
  if (code >= 100 && code <= 999)
    result.http_status = (int)code;
  else if (strncmp(text, "- ", 2) == 0 && utf8_valid(text, strlen(text), NULL))
    snprintf(result.error, sizeof result.error, "%s", text + 2);
  else
    snprintf(result.error, sizeof result.error, "%s",
             delivery->late ? "it took too long" : "the process that sends it has failed");
  delivery->ended(delivery->context, &result);
}

static void on_closed(uv_handle_t *handle) {
  struct delivery *delivery = handle->data;
  if (--delivery->open > 0)
    return;
  tell(delivery);
  free(delivery);
}

static void close_when_over(struct delivery *delivery) {
  if (!delivery->exited || !delivery->read)
    return;
  uv_close((uv_handle_t *)&delivery->process, on_closed);
  uv_close((uv_handle_t *)&delivery->output, on_closed);
  uv_close((uv_handle_t *)&delivery->timer, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal) {
  struct delivery *delivery = process->data;
  (void)status;
  (void)signal;
  delivery->exited = true;
  close_when_over(delivery);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
  struct delivery *delivery = handle->data;
  (void)suggested;
  *out = uv_buf_init(delivery->text + delivery->length, (unsigned)(sizeof delivery->text - 1 - delivery->length));
}

/* A full buffer reads as an error: it says no more than a line. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  struct delivery *delivery = stream->data;
  (void)buffer;
  if (n > 0)
    delivery->length += (size_t)n;
  if (n >= 0 || delivery->read)
    return;
  uv_read_stop(stream);
  delivery->read = true;
  close_when_over(delivery);
}

void delivery_kill(struct delivery *delivery) {
  if (!delivery->exited)
    uv_process_kill(&delivery->process, SIGKILL);
}

static void on_late(uv_timer_t *timer) {
  struct delivery *delivery = timer->data;
  delivery->late = true;
  delivery_kill(delivery);
}

/* A file in memory with the order, at its beginning; -1: there is none. */
static int order_file(const json_t *order) {
  AUTO(str_done) struct str text;
  str_init(&text, ORDER_BYTES);
  int fd = json_append(&text, order) ? memfd_create("webhook", MFD_CLOEXEC) : -1;
  if (fd < 0)
    return -1;
  if (write(fd, text.text, text.length) == (ssize_t)text.length && lseek(fd, 0, SEEK_SET) == 0)
    return fd;
  close(fd);
  return -1;
}

static int spawn(struct delivery *delivery, const char *program, int order) {
  char *arguments[] = {(char *)(uintptr_t)program, NULL}, *environment[] = {NULL};
  uv_stdio_container_t stdio[] = {
      {.flags = UV_INHERIT_FD, .data.fd = order},
      {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&delivery->output},
      {.flags = UV_IGNORE},
  };
  uv_process_options_t options = {.exit_cb = on_exit_of,
                                  .file = program,
                                  .args = arguments,
                                  .env = environment,
                                  .cwd = "/",
                                  .stdio_count = COUNT_OF(stdio),
                                  .stdio = stdio};
  return uv_spawn(delivery->process.loop, &delivery->process, &options);
}

static void on_closed_unstarted(uv_handle_t *handle) {
  struct delivery *delivery = handle->data;
  if (--delivery->open == 0)
    free(delivery);
}

enum status delivery_start(struct delivery **out, struct uv_loop_s *loop, const char *program, const json_t *order,
                           delivery_ended *ended, void *context, struct error *err) {
  *out = NULL;
  int fd = order_file(order);
  struct delivery *delivery = fd < 0 ? NULL : calloc(1, sizeof *delivery);
  if (!delivery) {
    if (fd >= 0)
      close(fd);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "sending a webhook");
  }
  delivery->ended = ended;
  delivery->context = context;
  delivery->open = HANDLES;
  delivery->process.loop = loop;
  delivery->process.data = delivery->output.data = delivery->timer.data = delivery;
  CHECK(uv_pipe_init(loop, &delivery->output, 0) == 0);
  CHECK(uv_timer_init(loop, &delivery->timer) == 0);
  int code = spawn(delivery, program, fd);
  close(fd);
  delivery->process.data = delivery;
  if (code) { /* uv_spawn makes a handle of `process` even so */
    uv_close((uv_handle_t *)&delivery->process, on_closed_unstarted);
    uv_close((uv_handle_t *)&delivery->output, on_closed_unstarted);
    uv_close((uv_handle_t *)&delivery->timer, on_closed_unstarted);
    return error_set(err, STATUS_UNAVAILABLE, NULL, "cannot start %s: %s", program, uv_strerror(code));
  }
  CHECK(uv_read_start((uv_stream_t *)&delivery->output, on_alloc, on_read) == 0);
  CHECK(uv_timer_start(&delivery->timer, on_late, LIFE_MS, 0) == 0);
  *out = delivery;
  return STATUS_OK;
}
