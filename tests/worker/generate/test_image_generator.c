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
#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/generate/image_generator.h"
#include "worker/image/image_png.h"
#include "worker/model/unet.h"
#include "worker/peft/peft.h"

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
  char text[20000];
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

static void sampled(struct image *out, struct diffusion_pipeline *pipeline, struct model *unet,
                    const struct image_request *request) {
  struct image_sampling sampling;
  struct error err;
  assert_int_equal(image_sampling_begin(&sampling, pipeline, unet, request, &err), STATUS_OK);
  while (!image_sampling_over(&sampling))
    assert_int_equal(image_sampling_step(&sampling, &err), STATUS_OK);
  assert_int_equal(image_sampling_decode(out, &sampling, &err), STATUS_OK);
  image_sampling_done(&sampling);
}

/* What was told is what the sampler gives for the same. */
static void assert_shows(const struct told *t, struct diffusion_pipeline *pipeline, struct model *unet,
                         const struct image_request *request) {
  struct image want, got;
  struct error err;
  unsigned char *png;
  size_t length;
  int orientation;
  sampled(&want, pipeline, unet, request);
  assert_int_equal(base64_read(&png, &length, t->png.text, &err), STATUS_OK);
  assert_int_equal(image_png_decode(&got, &orientation, png, length, &err), STATUS_OK);
  assert_int_equal(got.width, request->width);
  assert_int_equal(got.height, request->height);
  assert_memory_equal(got.pixels, want.pixels, 3 * got.width * got.height);
  image_done(&want);
  image_done(&got);
  free(png);
}

static void assert_is_sampled(const struct told *t, struct diffusion_pipeline *pipeline) {
  const struct image_request request = {.prompt = "a dog",
                                        .width = 16,
                                        .height = 16,
                                        .steps = 3,
                                        .guidance_scale = 4,
                                        .seed = 9,
                                        .scheduler = IMAGE_SCHEDULER_PNDM};
  assert_shows(t, pipeline, &pipeline->unet, &request);
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
  assert_int_equal(told[0].heartbeats, 4); /* PNDM asks once more */
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

/* An adapter of controllable generation as folder/hinted: PEFT's, and an embedding that is not without effect. */
static void make_hinted(struct model *unet) {
  char path[200];
  struct error err;
  struct arena arena;
  struct adapter_spec spec;
  struct rng rng;
  arena_init(&arena, 1 << 20);
  rng_init(&rng, 1, 2);
  assert_int_equal(model_open_component(unet, PIPELINE "/unet", NULL, &backend, &err), STATUS_OK);
  assert_int_equal(peft_read_config(&spec, "tests/worker/diffusion/adapter", &arena, &err), STATUS_OK);
  assert_int_equal(model_adapt_again(unet, &spec, 0, &err), STATUS_OK);
  assert_int_equal(peft_load(unet, "tests/worker/diffusion/adapter", &err), STATUS_OK);
  assert_int_equal(unet_condition(unet, 2, 1, &err), STATUS_OK);
  for (size_t i = 0; i < unet->parameters.count; i++)
    for (size_t k = 0; unet->parameters.item[i]->file && k < unet->parameters.item[i]->count; k++)
      unet->parameters.item[i]->data[k] += 0.5f * (2 * rng_uniform(&rng) - 1);
  snprintf(path, sizeof path, "%s/hinted", folder);
  assert_int_equal(file_mkdirs(path, &err), STATUS_OK);
  assert_int_equal(peft_save(unet, &spec, path, "painter", NULL, &err), STATUS_OK);
  assert_int_equal(adapter_forward_factors(unet->adapters, unet->adapter_count, &backend, &err), STATUS_OK);
  arena_done(&arena);
}

static void draw_hint(struct image *hint, size_t width, size_t height, unsigned char from) {
  assert_int_equal(image_alloc(hint, width, height, NULL), STATUS_OK);
  for (size_t i = 0; i < 3 * width * height; i++)
    hint->pixels[i] = (unsigned char)(from + 37 * i % 101);
}

static void ask_hinted(int id, const char *adapter, const struct image *hint, const char *more) {
  struct str text;
  unsigned char *png;
  size_t length;
  str_init(&text, 1 << 20);
  str_printf(&text, "%s%s%s%s,\"conditioning_image\":\"", more, adapter ? ",\"adapter\":\"" : "",
             adapter ? adapter : "", adapter ? "\"" : "");
  assert_int_equal(image_png_encode(&png, &length, hint, NULL), STATUS_OK);
  assert_true(base64_add(&text, png, length) && str_puts(&text, "\""));
  ask(id, text.text);
  free(png);
  str_done(&text);
}

static void refused(size_t id, const char *param) {
  if (told[id].code != STATUS_INVALID_VALUE || strcmp(told[id].param, param) != 0)
    fail_msg("request %zu: %d, %s", id, told[id].code, told[id].param);
}

static void hints_say_what_is_made(void **state) {
  (void)state;
  struct image hint, other, small;
  struct model unet;
  make_hinted(&unet);
  draw_hint(&hint, 16, 16, 0);
  draw_hint(&other, 16, 16, 100);
  draw_hint(&small, 8, 16, 0);
  open_generator(0);
  ask_hinted(0, "hinted", &hint, "");
  ask_hinted(1, "hinted", &other, "");
  ask(2, ",\"adapter\":\"hinted\"");
  ask_hinted(3, NULL, &hint, "");
  ask_hinted(4, "hinted", &small, ",\"width\":16,\"height\":16");
  ask(5, ",\"adapter\":\"hinted\",\"conditioning_image\":\"???\"");
  ask(6, ",\"adapter\":\"hinted\",\"conditioning_image\":\"aGVsbG8=\"");
  ask_hinted(7, "hinted", &small, "");
  run();
  for (size_t i = 2; i < 7; i++)
    refused(i, "conditioning_image");
  struct image_request request = {.width = 16, .height = 16, .guidance_scale = 4, .seed = 9, .steps = 3};
  request.prompt = "a dog";
  request.hint = &hint;
  request.scheduler = IMAGE_SCHEDULER_PNDM;
  assert_string_not_equal(told[0].png.text, told[1].png.text);
  struct diffusion_pipeline pipeline;
  assert_int_equal(diffusion_pipeline_open(&pipeline, PIPELINE, &backend, NULL), STATUS_OK);
  assert_shows(&told[0], &pipeline, &unet, &request);
  /* Its size is the hint's where none is asked for. */
  request.width = 8;
  request.hint = &small;
  assert_shows(&told[7], &pipeline, &unet, &request);
  /* The hint stays where the prompt is left out: two passes that are alike are guided nowhere. */
  struct image guided, plain;
  request.prompt = "";
  sampled(&guided, &pipeline, &unet, &request);
  request.guidance_scale = 1;
  sampled(&plain, &pipeline, &unet, &request);
  assert_memory_equal(guided.pixels, plain.pixels, 3 * 8 * 16);
  image_done(&guided);
  image_done(&plain);
  image_done(&hint);
  image_done(&other);
  image_done(&small);
  image_generator_close(generator);
  diffusion_pipeline_close(&pipeline);
  model_close(&unet);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pictures_come_in_order),
      cmocka_unit_test(who_is_cancelled_leaves_the_others),
      cmocka_unit_test(memory_has_a_limit),
      cmocka_unit_test(hints_say_what_is_made),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
