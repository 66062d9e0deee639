#include "worker/generate/image_generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/image/image_decode.h"
#include "worker/image/image_png.h"
#include "worker/model/unet.h"
#include "worker/peft/conditioning_file.h"
#include "worker/peft/peft.h"

enum {
  UNETS_MAX = 8,
  REQUESTS_MAX = 1024,
  PART_BYTES = 30000, /* of a PNG, a line: a multiple of 3, so that the parts' base64 is that of the whole */
};

/* A UNet with an adapter. */
struct adapted {
  struct adapted *next;
  char name[129];
  struct arena arena;
  struct model unet;
  struct adapter_spec spec;
};

struct waiting {
  struct waiting *next;
  struct arena arena;
  json_t *document; /* the line's */
  struct generation_request request;
};

struct image_generator {
  const char *path, *folder; /* of the pipeline; of the adapters */
  struct backend *backend;
  size_t memory; /* bytes that a picture may take; 0: no limit */
  struct diffusion_pipeline pipeline;
  struct adapted *adapted; /* the one that was used last first */
  size_t adapted_count;
  struct waiting *first; /* what is made now, and what waits */
  size_t count;
  struct image_sampling sampling; /* of the first, where it has begun */
  bool begun;
  generator_tell *tell;
  void *told;
};

/* --- what is said --------------------------------------------------------------------------------- */

static void say(const struct image_generator *g, const struct waiting *w, struct generation_event event) {
  event.id = w->request.id;
  g->tell(g->told, &event);
}

static void fail(const struct image_generator *g, const struct waiting *w, const struct error *why) {
  say(g, w,
      (struct generation_event){.type = GENERATION_FAILED,
                                .code = why->status,
                                .param = why->param[0] ? why->param : NULL,
                                .message = why->text});
}

static void finish(const struct image_generator *g, const struct waiting *w, enum finish_reason reason) {
  say(g, w, (struct generation_event){.type = GENERATION_FINISHED, .finish_reason = reason});
}

/* --- adapters ------------------------------------------------------------------------------------- */

static void drop_adapted(struct image_generator *g, struct adapted **at) {
  struct adapted *gone = *at;
  *at = gone->next;
  g->adapted_count--;
  model_close(&gone->unet);
  arena_done(&gone->arena);
  free(gone);
}

static enum status open_unet(struct adapted *a, struct image_generator *g, struct error *err) {
  char folder[4400];
  snprintf(folder, sizeof folder, "%s/%s", g->folder, a->name);
  enum status s = peft_read_config(&a->spec, folder, &a->arena, err);
  s = s ? s : model_open_component(&a->unet, g->path, "unet", g->backend, err);
  s = s ? s : model_adapt_again(&a->unet, &a->spec, 0, err);
  s = s ? s : peft_load(&a->unet, folder, err);
  if (!s && conditioning_file_is(folder))
    s = unet_condition(&a->unet, g->pipeline.latent_scale, 0, err);
  s = s ? s : conditioning_file_load(&a->unet, folder, err);
  return s ? s : adapter_forward_factors(a->unet.adapters, a->unet.adapter_count, g->backend, err);
}

static enum status make_adapted(struct image_generator *g, const char *name, struct error *err) {
  struct adapted **last = &g->adapted;
  for (size_t i = 1; i < g->adapted_count; i++)
    last = &(*last)->next;
  if (g->adapted_count == UNETS_MAX)
    drop_adapted(g, last);
  struct adapted *a = calloc(1, sizeof *a);
  if (!a)
    return error_no_memory(err, "an adapter");
  arena_init(&a->arena, (size_t)64 << 20);
  snprintf(a->name, sizeof a->name, "%s", name);
  a->next = g->adapted;
  g->adapted = a;
  g->adapted_count++;
  enum status status = open_unet(a, g, err);
  if (status)
    drop_adapted(g, &g->adapted);
  return status;
}

static enum status find_unet(struct model **out, struct image_generator *g, const char *name, struct error *err) {
  *out = &g->pipeline.unet;
  if (!name)
    return STATUS_OK;
  for (struct adapted **at = &g->adapted; *at; at = &(*at)->next)
    if (strcmp((*at)->name, name) == 0) {
      struct adapted *found = *at;
      *at = found->next;
      found->next = g->adapted;
      g->adapted = found;
      *out = &found->unet;
      return STATUS_OK;
    }
  enum status status = make_adapted(g, name, err);
  if (!status)
    *out = &g->adapted->unet;
  return status;
}

static void forget(struct image_generator *g, const char *name) {
  for (struct adapted **at = &g->adapted; *at;) {
    bool in_use = g->begun && g->sampling.unet == &(*at)->unet;
    if (strcmp((*at)->name, name) == 0 && !in_use)
      drop_adapted(g, at);
    else
      at = &(*at)->next;
  }
}

/* --- requests come and go ------------------------------------------------------------------------- */

static void waiting_free(struct waiting *w) {
  json_decref(w->document);
  arena_done(&w->arena);
  free(w);
}

static void remove_waiting(struct image_generator *g, struct waiting **at) {
  struct waiting *gone = *at;
  if (gone == g->first && g->begun) {
    image_sampling_done(&g->sampling);
    g->begun = false;
  }
  *at = gone->next;
  g->count--;
  waiting_free(gone);
}

static void add(struct image_generator *g, const struct generation_request *request, struct arena *arena,
                json_t *document) {
  struct waiting *w = calloc(1, sizeof *w);
  struct error err = {0};
  if (!w) {
    arena_done(arena);
    json_decref(document);
    log_error("no memory for a request");
    return;
  }
  *w = (struct waiting){.arena = *arena, .document = document, .request = *request};
  if (request->kind != GENERATION_IMAGE)
    error_set(&err, STATUS_UNSUPPORTED_VALUE, "model", "the model makes images: it cannot answer this request");
  else if (g->count == REQUESTS_MAX)
    error_set(&err, STATUS_OVERLOADED, NULL, "%d requests wait already", REQUESTS_MAX);
  if (err.status) {
    fail(g, w, &err);
    waiting_free(w);
    return;
  }
  struct waiting **last = &g->first;
  while (*last)
    last = &(*last)->next;
  *last = w;
  g->count++;
}

static void cancel(struct image_generator *g, int64_t id) {
  for (struct waiting **at = &g->first; *at; at = &(*at)->next)
    if ((*at)->request.id == id) {
      finish(g, *at, FINISH_CANCELLED);
      remove_waiting(g, at);
      return;
    }
}

void image_generator_hear(struct image_generator *g, const struct generation_line *line, struct arena *arena,
                          json_t *document) {
  if (line->kind == GENERATION_LINE_REQUEST) {
    add(g, &line->request, arena, document);
    return;
  }
  if (line->kind == GENERATION_LINE_CANCEL)
    cancel(g, line->id);
  else
    forget(g, line->adapter);
  json_decref(document);
  arena_done(arena);
}

bool image_generator_busy(const struct image_generator *g) {
  return g->first != NULL;
}

/* --- a picture ------------------------------------------------------------------------------------ */

/* What the daemon counts with beside the weights. */
static enum status check_memory(const struct image_generator *g, const struct image_request *request,
                                struct error *err) {
  size_t takes = g->sampling.bytes;
  if (!g->memory || takes <= g->memory)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "size",
                   "an image of %zux%zu takes %zu MiB of memory; this server has %zu MiB for it (serving_memory_mib)",
                   request->width, request->height, (takes >> 20) + 1, g->memory >> 20);
}

/* The request's hint; of no pixels where it has none. */
static enum status read_hint(struct image *out, const struct image_options *o, struct error *err) {
  unsigned char *bytes;
  size_t length;
  struct error why;
  *out = (struct image){0};
  if (!o->conditioning_image)
    return STATUS_OK;
  enum status status = base64_read(&bytes, &length, o->conditioning_image, &why);
  if (!status) {
    status = image_decode(out, bytes, length, &why);
    free(bytes);
  }
  if (status == STATUS_OUT_OF_MEMORY || !status) {
    *err = why;
    return status;
  }
  return error_set(err, STATUS_INVALID_VALUE, "conditioning_image", "conditioning_image: %s", why.text);
}

static enum status begin_sampling(struct image_generator *g, const struct waiting *w, const struct image *hint,
                                  struct error *err) {
  const struct image_options *o = &w->request.image;
  const size_t side = g->pipeline.side, width = hint->pixels ? hint->width : side,
               height = hint->pixels ? hint->height : side;
  const struct image_request request = {
      .prompt = w->request.prompt,
      .negative_prompt = o->negative_prompt,
      .width = o->width ? (size_t)o->width : width,
      .height = o->height ? (size_t)o->height : height,
      .steps = (size_t)o->num_inference_steps,
      .guidance_scale = o->guidance_scale,
      .seed = (uint64_t)w->request.sampling.seed,
      .hint = hint->pixels ? hint : NULL,
      .scheduler = o->scheduler == IMAGE_SCHEDULER_AUTO ? g->pipeline.scheduler : (enum image_scheduler)o->scheduler};
  struct model *unet;
  if (hint->pixels && request.width * request.height > GENERATION_IMAGE_PIXELS_MAX)
    return error_set(err, STATUS_INVALID_VALUE, "conditioning_image",
                     "conditioning_image is %zux%zu; an image has at most %d pixels", hint->width, hint->height,
                     GENERATION_IMAGE_PIXELS_MAX);
  enum status status = find_unet(&unet, g, w->request.adapter, err);
  status = status ? status : image_sampling_begin(&g->sampling, &g->pipeline, unet, &request, err);
  if (status)
    return status;
  g->begun = true;
  return check_memory(g, &request, err);
}

static enum status begin(struct image_generator *g, const struct waiting *w, struct error *err) {
  struct image hint;
  enum status status = read_hint(&hint, &w->request.image, err);
  if (status)
    return status;
  status = begin_sampling(g, w, &hint, err);
  image_done(&hint);
  if (!status)
    say(g, w, (struct generation_event){.type = GENERATION_STARTED});
  return status;
}

/* The PNG in base64, in parts. */
static enum status tell_png(const struct image_generator *g, const struct waiting *w, const struct image *image,
                            struct error *err) {
  AUTO(str_done) struct str text;
  unsigned char *png;
  size_t length;
  str_init(&text, 2 * PART_BYTES);
  enum status status = image_png_encode(&png, &length, image, err);
  for (size_t at = 0; !status && at < length; at += PART_BYTES) {
    str_clear(&text);
    if (!base64_add(&text, png + at, length - at < PART_BYTES ? length - at : PART_BYTES))
      status = error_no_memory(err, "a picture");
    else
      say(g, w, (struct generation_event){.type = GENERATION_DELTA, .text = text.text});
  }
  free(png);
  return status;
}

static enum status end(struct image_generator *g, const struct waiting *w, struct error *err) {
  struct image image;
  enum status status = image_sampling_decode(&image, &g->sampling, err);
  status = status ? status : tell_png(g, w, &image, err);
  image_done(&image);
  if (!status)
    finish(g, w, FINISH_STOP);
  return status;
}

enum status image_generator_step(struct image_generator *g, struct error *err) {
  struct waiting *w = g->first;
  struct error why = {0};
  if (!w)
    return STATUS_OK;
  if (!g->begun) {
    if (begin(g, w, &why)) {
      fail(g, w, &why);
      remove_waiting(g, &g->first);
    }
    return STATUS_OK;
  }
  if (!image_sampling_over(&g->sampling)) {
    enum status status = image_sampling_step(&g->sampling, err);
    if (!status)
      say(g, w, (struct generation_event){.type = GENERATION_DELTA, .text = ""}); /* it goes on */
    return status;
  }
  if (end(g, w, &why))
    fail(g, w, &why);
  remove_waiting(g, &g->first);
  return STATUS_OK;
}

/* --- life ----------------------------------------------------------------------------------------- */

enum status image_generator_open(struct image_generator **out, const struct task *task, struct backend *backend,
                                 generator_tell *tell, void *context, struct error *err) {
  struct image_generator *g = *out = calloc(1, sizeof *g);
  if (!g)
    return error_no_memory(err, "the models");
  *g = (struct image_generator){.path = task->model_dir,
                                .folder = task->output_dir,
                                .backend = backend,
                                .memory = (size_t)task->memory_bytes,
                                .tell = tell,
                                .told = context};
  enum status status = diffusion_pipeline_open(&g->pipeline, g->path, backend, err);
  if (status) {
    free(g);
    *out = NULL;
  }
  return status;
}

void image_generator_close(struct image_generator *g) {
  if (!g)
    return;
  while (g->first)
    remove_waiting(g, &g->first);
  while (g->adapted)
    drop_adapted(g, &g->adapted);
  diffusion_pipeline_close(&g->pipeline);
  free(g);
}
