#include "worker/generate/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "worker/device.h"
#include "worker/diffusion/diffusion_pipeline.h"
#include "worker/generate/image_generator.h"

enum { REQUEST_ARENA_BYTES = 256 << 20 };

struct service {
  struct generator *generator;    /* one of these */
  struct image_generator *images; /* of a diffusion pipeline */
  struct report *report;
  struct str heard; /* lines that were read, the last one perhaps in part */
  bool over;        /* there will be no more */
};

static void tell(void *context, const struct generation_event *event) {
  struct service *s = context;
  json_t *data = generation_event_json(event);
  if (data)
    report_data(s->report, EVENT_GENERATION, "", data);
  else
    log_error("no memory for an answer to request %lld", (long long)event->id);
}

/* A request that cannot be read is answered by its id; a line that has none is the daemon's fault, and logged. */
static void hear_line(struct service *s, const char *text, size_t length) {
  struct generation_line line;
  struct arena arena;
  struct error err;
  json_t *document = NULL;
  arena_init(&arena, REQUEST_ARENA_BYTES);
  if (generation_line_parse(&line, &document, text, length, &arena, &err)) {
    if (line.request.id)
      tell(s, &(struct generation_event){.type = GENERATION_FAILED,
                                         .id = line.request.id,
                                         .code = err.status,
                                         .param = err.param[0] ? err.param : NULL,
                                         .message = err.text});
    else
      log_error("a line that cannot be read: %s", err.text);
    json_decref(document);
    arena_done(&arena);
    return;
  }
  if (s->images)
    image_generator_hear(s->images, &line, &arena, document);
  else
    generator_hear(s->generator, &line, &arena, document);
}

static bool busy(const struct service *s) {
  return s->images ? image_generator_busy(s->images) : generator_busy(s->generator);
}

static void hear_lines(struct service *s) {
  size_t from = 0;
  char *end;
  while ((end = memchr(s->heard.text + from, '\n', s->heard.length - from))) {
    hear_line(s, s->heard.text + from, (size_t)(end - s->heard.text) - from);
    from = (size_t)(end - s->heard.text) + 1;
  }
  memmove(s->heard.text, s->heard.text + from, s->heard.length - from);
  s->heard.length -= from;
}

/* Reads what there is; waits for it where there is nothing to compute. */
static enum status listen(struct service *s, struct error *err) {
  struct pollfd fd = {.fd = s->report->in, .events = POLLIN};
  char part[1 << 16];
  while (!s->over && poll(&fd, 1, busy(s) ? 0 : -1) > 0) {
    ssize_t n = read(fd.fd, part, sizeof part);
    if (n < 0 && errno == EINTR)
      continue;
    s->over = n <= 0;
    if (n > 0 && !str_add(&s->heard, part, (size_t)n))
      return error_set(err, STATUS_TOO_LARGE, NULL, "a line has more than %d bytes", GENERATION_LINE_MAX);
    if (n > 0)
      hear_lines(s);
  }
  return STATUS_OK;
}

static enum status answer(struct service *s, struct error *err) {
  report_data(s->report, EVENT_REPORT, "",
              s->images ? json_pack("{s[s]}", "kinds", "image")
                        : json_pack("{sI so}", "context", (json_int_t)generator_context(s->generator), "kinds",
                                    generator_kinds(s->generator)));
  enum status status = STATUS_OK;
  while (!status && !s->report->gone) {
    status = listen(s, err);
    if (s->over)
      break;
    if (!status)
      status = s->images ? image_generator_step(s->images, err) : generator_step(s->generator, err);
  }
  return status;
}

static enum status open_model(struct service *s, const struct task *task, struct backend *backend, struct error *err) {
  return diffusion_pipeline_is(task->model_dir) ? image_generator_open(&s->images, task, backend, tell, s, err)
                                                : generator_open(&s->generator, task, backend, tell, s, err);
}

enum status serve(const struct task *task, struct report *report, struct error *err) {
  struct backend backend = {0};
  struct service s = {.report = report};
  str_init(&s.heard, GENERATION_LINE_MAX + (1 << 16));
  enum status status = device_open(&backend, NULL, (int)task->threads, err);
  status = status ? status : open_model(&s, task, &backend, err);
  status = status ? status : answer(&s, err);
  generator_close(s.generator);
  image_generator_close(s.images);
  backend_close(&backend);
  str_done(&s.heard);
  return status;
}
