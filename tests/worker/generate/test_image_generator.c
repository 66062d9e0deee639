/* On a tiny pipeline (tests/worker/diffusion/make_pipeline.py): pictures come in the order in which they were asked
   for, as what image_sampling.h makes of them, with and without an adapter; one that is cancelled or cannot be made
   leaves the others as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/file.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/generate/image_generator.h"
#include "worker/image/image_png.h"

#define PIPELINE "tests/worker/diffusion/pipeline"
enum { REQUESTS = 8 };

static struct told {
  struct str png; /* in base64 */
  bool started, ended;
  size_t heartbeats, order;
  enum finish_reason reason;
  enum status code;
  char param[64];
} told[REQUESTS];
static size_t ended;

static void hear(void *context, const struct generation_event *event) {
  struct told *t = &told[event->id - 1];
  (void)context;
  assert_false(t->ended);
  switch (event->type) {
  case GENERATION_STARTED: t->started = true; return;
  case GENERATION_DELTA:
    assert_true(t->started && strlen(event->text) < 50000); /* a line has room for it */
    t->heartbeats += event->text[0] == '\0';
    assert_true(str_puts(&t->png, event->text));
    return;
  case GENERATION_FINISHED: t->reason = event->finish_reason; break;
  case GENERATION_FAILED:
    t->code = event->code;
    snprintf(t->param, sizeof t->param, "%s", event->param ? event->param : "");
    break;
  case GENERATION_VECTOR:
  case GENERATION_SCORES:
  case GENERATION_EVENT_COUNT: fail_msg("an event that no picture has");
  }
  t->ended = true;
  t->order = ++ended;
}

static struct backend backend;
static struct image_generator *generator;
static char folder[] = "/tmp/test_image_generator.XXXXXX";

/* PEFT's adapter of the pipeline's UNet as folder/ftjob-1. */
static void link_adapter(void) {
  char path[100], *whole = realpath("tests/worker/diffusion/adapter", NULL);
  snprintf(path, sizeof path, "%s/ftjob-1", folder);
  assert_non_null(whole);
  assert_int_equal(symlink(whole, path), 0);
  free(whole);
}

static int setup(void **state) {
  struct error err;
  (void)state;
  for (size_t i = 0; i < REQUESTS; i++)
    str_init(&told[i].png, 1 << 20);
  if (!mkdtemp(folder) || cpu_open(&backend, 1, NULL, &err))
    return 1;
  link_adapter();
  return 0;
}

static int teardown(void **state) {
  struct error err;
  (void)state;
  for (size_t i = 0; i < REQUESTS; i++)
    str_done(&told[i].png);
  backend_close(&backend);
  return file_remove_tree(folder, &err) != STATUS_OK;
}

static void open_generator(int64_t memory_bytes) {
  struct error err;
  const struct task task = {
      .kind = TASK_GENERATE, .model_dir = PIPELINE, .output_dir = folder, .memory_bytes = memory_bytes};
  for (size_t i = 0; i < REQUESTS; i++) {
    struct str png = told[i].png;
    str_clear(&png);
    told[i] = (struct told){.png = png};
  }
  ended = 0;
  if (image_generator_open(&generator, &task, &backend, hear, NULL, &err))
    fail_msg("%s", err.text);
}

static void send(const char *text) {
  struct generation_line line;
  struct arena arena;
  struct error err;
  json_t *document = NULL;
  arena_init(&arena, 1 << 20);
  if (generation_line_parse(&line, &document, text, strlen(text), &arena, &err))
    fail_msg("%s: %s", text, err.text);
  image_generator_hear(generator, &line, &arena, document);
}

static void ask(int id, const char *more) {
  char text[1000];
  snprintf(text, sizeof text,
           "{\"request\":{\"id\":%d,\"kind\":\"image\",\"prompt\":\"a dog\",\"num_inference_steps\":3,"
           "\"guidance_scale\":4,\"seed\":9%s}}",
           id + 1, more);
  send(text);
}

static void run(void) {
  struct error err;
  while (image_generator_busy(generator))
    assert_int_equal(image_generator_step(generator, &err), STATUS_OK);
}

/* What the sampler gives for the same. */
static void assert_is_sampled(const struct told *t, struct diffusion_pipeline *pipeline) {
  const struct image_request request = {.prompt = "a dog",
                                        .width = 16,
                                        .height = 16,
                                        .steps = 3,
                                        .guidance_scale = 4,
                                        .seed = 9,
                                        .method = DENOISING_DPM_SOLVER_2M};
  struct image_sampling sampling;
  struct image want, got;
  struct error err;
  unsigned char *png;
  size_t length;
  int orientation;
  assert_int_equal(image_sampling_begin(&sampling, pipeline, &pipeline->unet, &request, &err), STATUS_OK);
  while (!image_sampling_over(&sampling))
    assert_int_equal(image_sampling_step(&sampling, &err), STATUS_OK);
  assert_int_equal(image_sampling_decode(&want, &sampling, &err), STATUS_OK);
  assert_int_equal(base64_read(&png, &length, t->png.text, &err), STATUS_OK);
  assert_int_equal(image_png_decode(&got, &orientation, png, length, &err), STATUS_OK);
  assert_int_equal(got.width, 16);
  assert_int_equal(got.height, 16);
  assert_memory_equal(got.pixels, want.pixels, 3 * 16 * 16);
  image_sampling_done(&sampling);
  image_done(&want);
  image_done(&got);
  free(png);
}

static void pictures_come_in_order(void **state) {
  (void)state;
  struct diffusion_pipeline pipeline;
  struct error err;
  open_generator(0);
  ask(0, "");
  ask(1, ",\"adapter\":\"ftjob-1\"");
  ask(2, "");
  ask(3, ",\"width\":18,\"height\":16");
  ask(4, ",\"adapter\":\"ftjob-1\"");
  ask(5, ",\"adapter\":\"ftjob-2\"");
  send("{\"request\":{\"id\":7,\"kind\":\"embedding\",\"prompt\":\"a\"}}");
  run();
  assert_int_equal(diffusion_pipeline_open(&pipeline, PIPELINE, &backend, &err), STATUS_OK);
  assert_is_sampled(&told[0], &pipeline);
  diffusion_pipeline_close(&pipeline);
  assert_int_equal(told[0].heartbeats, 3);
  assert_string_equal(told[2].png.text, told[0].png.text);
  assert_string_equal(told[4].png.text, told[1].png.text);
  assert_string_not_equal(told[1].png.text, told[0].png.text);
  assert_true(told[3].code == STATUS_INVALID_VALUE && strcmp(told[3].param, "size") == 0);
  assert_true(told[5].code != STATUS_OK && !told[5].started);
  assert_true(told[6].code == STATUS_UNSUPPORTED_VALUE && strcmp(told[6].param, "model") == 0);
  for (size_t i = 0; i + 1 < 6; i++)
    assert_true(told[i].order < told[i + 1].order);
  image_generator_close(generator);
}

static void who_is_cancelled_leaves_the_others(void **state) {
  (void)state;
  struct error err;
  open_generator(0);
  ask(0, ",\"adapter\":\"ftjob-1\"");
  ask(1, "");
  ask(2, "");
  for (int i = 0; i < 2; i++)
    assert_int_equal(image_generator_step(generator, &err), STATUS_OK);
  assert_true(told[0].started && told[0].heartbeats == 1);
  send("{\"forget\":\"ftjob-1\"}"); /* while it is in use */
  send("{\"cancel\":3}");
  send("{\"cancel\":1}");
  send("{\"cancel\":77}");
  assert_true(told[0].ended && told[0].reason == FINISH_CANCELLED && told[2].reason == FINISH_CANCELLED);
  ask(3, ",\"adapter\":\"ftjob-1\"");
  run();
  assert_true(told[1].ended && told[1].reason == FINISH_STOP && told[1].png.length > 0);
  assert_true(told[3].ended && told[3].reason == FINISH_STOP);
  assert_string_not_equal(told[3].png.text, told[1].png.text);
  image_generator_close(generator);
}

static void memory_has_a_limit(void **state) {
  (void)state;
  open_generator(1 << 20);
  ask(0, "");
  ask(1, ",\"width\":256,\"height\":256");
  ask(2, "");
  run();
  assert_true(told[0].png.length > 0);
  assert_true(told[1].code == STATUS_INVALID_VALUE && strcmp(told[1].param, "size") == 0);
  assert_string_equal(told[2].png.text, told[0].png.text);
  image_generator_close(generator);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pictures_come_in_order),
      cmocka_unit_test(who_is_cancelled_leaves_the_others),
      cmocka_unit_test(memory_has_a_limit),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
