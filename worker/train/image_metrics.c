#include "worker/train/image_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/preview_encoder.h"
#include "base/json.h"
#include "worker/file/directory.h"
#include "worker/model/clip_text.h"
#include "worker/model/vision_transformer.h"
#include "worker/tensor/dot.h"

enum { CLIP_T, CLIP_I, DINO };
const char *const image_metric_names[IMAGE_METRIC_COUNT] = {
    [CLIP_T] = "valid_clip_t", [CLIP_I] = "valid_clip_i", [DINO] = "valid_dino"};

/* --- passes --------------------------------------------------------------------------------------- */

typedef struct tensor *forward_function(struct tape *tape, const struct model *model, const void *given);

static struct tensor *embed_text(struct tape *tape, const struct model *model, const void *given) {
  return clip_text_embed(tape, model, given);
}

static struct tensor *embed_image(struct tape *tape, const struct model *model, const void *given) {
  return vision_transformer_embed(tape, model, given);
}

/* One embedding, of `cols` numbers. */
static enum status embed(float *out, size_t cols, const struct model *m, forward_function *forward, const void *given,
                         struct error *err) {
  struct tape tape;
  struct plan *plan = NULL;
  enum status status = tape_init(&tape, m->backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  forward(&tape, m, given);
  status = tape_plan_end(&tape, &plan, err);
  if (!status) {
    tape_begin(&tape, plan, false);
    const struct tensor *x = forward(&tape, m, given);
    CHECK(x->rows == 1 && x->cols == cols);
    m->backend->ops->read(m->backend, out, x->data, cols * sizeof *out);
    status = m->backend->ops->synchronise(m->backend, err);
  }
  tape_plan_free(plan);
  tape_done(&tape);
  return status;
}

/* --- encoders of pictures ------------------------------------------------------------------------- */

static enum status read_processor(struct vision_encoder *e, const char *path, struct error *err) {
  static const struct json_limits limits = {.bytes_max = 1 << 20};
  AUTO(json_release) json_t *config = NULL;
  enum status status = directory_json(&config, path, "preprocessor_config.json", &limits, err);
  if (!status && !config)
    return error_set(err, STATUS_MODEL_INVALID, "model", "it has no preprocessor_config.json");
  status = status ? status : image_processor_read(&e->processor, config, err);
  return status ? status : vision_transformer_resize(&e->model, e->processor.side, err);
}

static enum status open_vision(struct vision_encoder *e, const char *path, const struct model_ops *ops,
                               struct backend *backend, struct error *err) {
  enum status status = model_open_encoder(&e->model, path, ops, backend, err);
  status = status ? status : read_processor(e, path, err);
  if (status)
    return status;
  const struct vision_sizes sizes = vision_transformer_sizes(&e->model);
  e->cols = sizes.cols;
  e->pixels = malloc(3 * sizes.side * sizes.side * sizeof *e->pixels);
  e->patches = malloc(sizes.patches * sizeof *e->patches);
  e->embedding = malloc(sizes.cols * sizeof *e->embedding);
  e->instances = calloc(sizes.cols, sizeof *e->instances);
  return e->pixels && e->patches && e->embedding && e->instances ? STATUS_OK : error_no_memory(err, "an encoder");
}

static void close_vision(struct vision_encoder *e) {
  if (e->model.backend)
    model_close(&e->model);
  free(e->pixels);
  free(e->patches);
  free(e->embedding);
  free(e->instances);
}

static enum status look(struct vision_encoder *e, const struct image *image, struct error *err) {
  enum status status = image_processor_apply(e->pixels, &e->processor, image, err);
  if (status)
    return status;
  vision_transformer_patches(e->patches, &e->model, e->pixels);
  return embed(e->embedding, e->cols, &e->model, embed_image, e->patches, err);
}

static enum status add_instance(struct vision_encoder *e, const struct image *image, struct error *err) {
  enum status status = e->cols ? look(e, image, err) : STATUS_OK;
  for (size_t i = 0; !status && i < e->cols; i++)
    e->instances[i] += (double)e->embedding[i];
  e->instance_count += !status && e->cols;
  return status;
}

/* The mean of the cosines with all training pictures is the cosine's product with their mean. */
static enum status compare(struct vision_encoder *e, const struct image *image, struct error *err) {
  double sum = 0;
  enum status status = e->cols ? look(e, image, err) : STATUS_OK;
  for (size_t i = 0; !status && i < e->cols; i++)
    sum += e->instances[i] * (double)e->embedding[i];
  if (e->instance_count)
    e->similarity += sum / (double)e->instance_count;
  return status;
}

/* --- CLIP's texts --------------------------------------------------------------------------------- */

static enum status embed_prompt(float *out, const struct image_metrics *m, const char *prompt, const char *param,
                                struct error *err) {
  struct encoding encoding;
  encoding_init(&encoding);
  enum status status = tokenizer_encode(m->tokenizer, &encoding, prompt, strlen(prompt), NULL, 0, 0, err);
  if (!status && encoding.count > m->text.positions)
    status = error_set(err, STATUS_INVALID_VALUE, param,
                       "%s: a prompt has %zu tokens with those that frame it; image.clip_model reads %zu", param,
                       encoding.count, m->text.positions);
  if (!status) {
    const uint32_t ends[] = {0, (uint32_t)encoding.count};
    const struct sequences sequences = sequences_host(1, encoding.count, encoding.count, ends, encoding.ids, NULL);
    status = embed(out, m->clip.cols, &m->text, embed_text, &sequences, err);
  }
  encoding_done(&encoding);
  return status;
}

enum status image_metrics_prompts(struct image_metrics *m, const char *const *prompts, size_t count, const char *param,
                                  struct error *err) {
  enum status status = STATUS_OK;
  if (!m->clip.cols)
    return STATUS_OK;
  free(m->prompts);
  m->prompt_count = 0;
  m->prompts = malloc((count * m->clip.cols + 1) * sizeof *m->prompts);
  if (!m->prompts)
    return error_no_memory(err, "the prompts");
  for (; !status && m->prompt_count < count; m->prompt_count++)
    status = embed_prompt(m->prompts + m->prompt_count * m->clip.cols, m, prompts[m->prompt_count], param, err);
  return status;
}

static enum status open_tokenizer(struct image_metrics *m, const char *path, struct error *err) {
  enum status status = tokenizer_open(&m->tokenizer, path, err);
  if (!status && (size_t)tokenizer_vocab_size(m->tokenizer) > m->text.vocabulary)
    status =
        error_set(err, STATUS_MODEL_INVALID, "model", "the tokenizer has %d tokens, text_config's vocab_size is %zu",
                  (int)tokenizer_vocab_size(m->tokenizer), m->text.vocabulary);
  return status;
}

static enum status open_clip(struct image_metrics *m, const struct task *task, struct backend *backend,
                             struct error *err) {
  enum status status = open_vision(&m->clip, task->clip_dir, &model_clip_vision, backend, err);
  status = status ? status : model_open_encoder(&m->text, task->clip_dir, &model_clip_text, backend, err);
  if (!status && (!clip_text_cols(&m->text) || clip_text_cols(&m->text) != m->clip.cols))
    status = error_set(err, STATUS_MODEL_INVALID, "model",
                       "text_projection and visual_projection must be there and give as many numbers: %zu, %zu",
                       clip_text_cols(&m->text), m->clip.cols);
  status = status ? status : open_tokenizer(m, task->clip_dir, err);
  const struct string_list *prompts = &task->spec.image.validation_prompts;
  return status ? status : image_metrics_prompts(m, prompts->item, prompts->count, "image.validation_prompts", err);
}

/* --- what a folder is ----------------------------------------------------------------------------- */

/* config.json's model_type if such an encoder has it, else NULL. */
static const char *model_type_at(const char *path) {
  static const struct json_limits limits = {.bytes_max = 1 << 20};
  AUTO(json_release) json_t *config = NULL;
  if (directory_json(&config, path, "config.json", &limits, NULL))
    return NULL;
  const char *type = json_string_value(json_object_get(config, "model_type"));
  const enum preview_encoder encoder = preview_encoder_find(type);
  for (size_t i = 0; encoder != PREVIEW_ENCODER_COUNT; i++)
    if (strcmp(type, preview_encoders[encoder].model_types[i]) == 0)
      return preview_encoders[encoder].model_types[i];
  return NULL;
}

bool image_encoder_is(const char *path) {
  return model_type_at(path) != NULL;
}

static enum status open_dino(struct image_metrics *m, const char *path, struct backend *backend, struct error *err) {
  const char *type = model_type_at(path);
  bool second = type && strcmp(type, DINOV2_MODEL_TYPE) == 0;
  return open_vision(&m->dino, path, second ? &model_dinov2 : &model_vit, backend, err);
}

enum status image_encoder_inspect(json_t **report, const char *path, struct backend *backend, struct error *err) {
  const struct task task = {.clip_dir = path}; /* without prompts */
  const char *type = model_type_at(path);
  const bool clip = preview_encoder_find(type) == PREVIEW_ENCODER_CLIP;
  struct image_metrics m = {0};
  char size[64];
  enum status status = clip ? open_clip(&m, &task, backend, err) : open_dino(&m, path, backend, err);
  if (!status) {
    const struct vision_encoder *e = clip ? &m.clip : &m.dino;
    const size_t bytes = e->model.weight_bytes + m.text.weight_bytes;
    snprintf(size, sizeof size, "%zux%zu", e->processor.side, e->processor.side);
    *report = json_pack("{s:s, s:[s], s:I, s:{s:s}}", "architecture", type, "tasks", "IMAGE_FEATURE_EXTRACTION",
                        "parameters", (json_int_t)(bytes / sizeof(float)), "image", "size", size);
    status = *report ? STATUS_OK : error_no_memory(err, "the report of a model");
  }
  image_metrics_close(&m);
  return status;
}

/* --- all of them ---------------------------------------------------------------------------------- */

/* A model's fault names the member that chose it. */
static enum status name_fault(enum status status, enum preview_encoder encoder, struct error *err) {
  const char *member = preview_encoders[encoder].param;
  if (status != STATUS_MODEL_INVALID)
    return status;
  (void)error_prefix(err, "%s", member);
  snprintf(err->param, sizeof err->param, "%s", member);
  return status;
}

enum status image_metrics_open(struct image_metrics *out, const struct task *task, struct backend *backend,
                               struct error *err) {
  enum status status = STATUS_OK;
  *out = (struct image_metrics){0};
  if (task->clip_dir)
    status = name_fault(open_clip(out, task, backend, err), PREVIEW_ENCODER_CLIP, err);
  if (!status && task->dino_dir)
    status = name_fault(open_dino(out, task->dino_dir, backend, err), PREVIEW_ENCODER_DINO, err);
  if (status)
    image_metrics_close(out);
  return status;
}

void image_metrics_close(struct image_metrics *m) {
  close_vision(&m->clip);
  close_vision(&m->dino);
  if (m->text.backend)
    model_close(&m->text);
  tokenizer_free(m->tokenizer);
  free(m->prompts);
  *m = (struct image_metrics){0};
}

static enum status pass_memory(size_t *bytes, const struct vision_encoder *e, struct error *err) {
  struct tape tape;
  *bytes = 0;
  if (!e->cols)
    return STATUS_OK;
  enum status status = tape_init(&tape, e->model.backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  vision_transformer_embed(&tape, &e->model, NULL);
  status = tape_plan_measure(&tape, bytes, err);
  tape_done(&tape);
  return status;
}

enum status image_metrics_memory(size_t *bytes, const struct image_metrics *m, struct error *err) {
  size_t clip, dino;
  enum status status = pass_memory(&clip, &m->clip, err);
  status = status ? status : pass_memory(&dino, &m->dino, err);
  if (!status)
    *bytes =
        m->text.mapped_bytes + m->clip.model.mapped_bytes + m->dino.model.mapped_bytes + (clip > dino ? clip : dino);
  return status;
}

enum status image_metrics_instance(struct image_metrics *m, const struct image *image, struct error *err) {
  enum status status = add_instance(&m->clip, image, err);
  return status ? status : add_instance(&m->dino, image, err);
}

void image_metrics_begin(struct image_metrics *m) {
  m->text_similarity = m->clip.similarity = m->dino.similarity = 0;
  m->previews = 0;
}

enum status image_metrics_preview(struct image_metrics *m, const struct image *image, size_t prompt,
                                  struct error *err) {
  enum status status = compare(&m->clip, image, err);
  if (!status && m->prompt_count)
    m->text_similarity += dot(m->clip.embedding, m->prompts + prompt * m->clip.cols, m->clip.cols);
  status = status ? status : compare(&m->dino, image, err);
  m->previews += !status;
  return status;
}

bool image_metrics_has(const struct image_metrics *m, int metric) {
  switch (metric) {
  case CLIP_T: return m->prompt_count != 0;
  case CLIP_I: return m->clip.instance_count != 0;
  default: return m->dino.instance_count != 0;
  }
}

double image_metrics_value(const struct image_metrics *m, int metric) {
  const double sums[] = {[CLIP_T] = m->text_similarity, [CLIP_I] = m->clip.similarity, [DINO] = m->dino.similarity};
  return sums[metric] / (double)m->previews;
}
