#include "tests/golden/images.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/diffusion/noise_schedule.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/clip_text.h"
#include "worker/model/vision_transformer.h"
#include "worker/peft/conditioning_file.h"
#include "worker/peft/peft.h"
#include "worker/train/denoiser.h"

bool images_is_case(const json_t *about) {
  const char *model = json_string_value(json_object_get(about, "model"));
  return model && (strncmp(model, "unet", 4) == 0 || strncmp(model, "clip", 4) == 0 || strcmp(model, "vae") == 0 ||
                   strcmp(model, "vit") == 0 || strcmp(model, "dinov2") == 0);
}

/* torch's (images, channels, height, width) as channels last, or the other way. */
static void turn(float *to, const float *from, const struct images *s, size_t channels, bool to_last) {
  size_t pixels = s->height * s->width;
  for (size_t b = 0; b < s->count; b++)
    for (size_t p = 0; p < pixels; p++)
      for (size_t c = 0; c < channels; c++) {
        size_t last = (b * pixels + p) * channels + c, first = (b * channels + c) * pixels + p;
        to[to_last ? last : first] = from[to_last ? first : last];
      }
}

/* A tensor of images, channels last. */
static enum status get_images(float **out, struct images *images, struct reference *ref, const char *name,
                              struct error *err) {
  float *numbers;
  size_t count;
  enum status status = reference_get(&numbers, &count, ref, name, err);
  if (status)
    return status;
  const int64_t *shape = safetensors_find(&ref->io, name)->shape;
  *images = (struct images){(size_t)shape[0], (size_t)shape[2], (size_t)shape[3]};
  *out = arena_array(&ref->arena, count, sizeof **out);
  CHECK(*out);
  turn(*out, numbers, images, (size_t)shape[1], true);
  return STATUS_OK;
}

/* --- UNet2DConditionModel ------------------------------------------------------------------------- */

struct unet_batch {
  struct unet_input input;
  struct images hints; /* their size; width 0: there are none */
  float *target, *want;
  size_t elements;     /* of the target */
  double prior_weight; /* of DreamBooth's second half, which is of the class; 0: there is none */
  size_t passes;       /* with prior preservation one for each picture, as a job has them */
};

/* Latents, noise and time steps as the scheduler mixes them: an image's noisy latents, and what is predicted of them.
 */
static enum status mix(struct unet_batch *b, float **sample, struct reference *ref, const json_t *scheduler,
                       struct error *err) {
  float *noise = NULL, *latents = NULL, *timesteps = NULL;
  size_t count = 0;
  struct images *images = &b->input.images, same;
  struct noise_schedule schedule;
  enum status s = noise_schedule_read(&schedule, scheduler, &ref->arena, err);
  s = s ? s : get_images(&latents, images, ref, "in.latents", err);
  s = s ? s : get_images(&noise, &same, ref, "in.noise", err);
  s = s ? s : reference_get(&timesteps, &count, ref, "in.timestep", err);
  if (s)
    return s;
  size_t elements = (size_t)st_elements(safetensors_find(&ref->io, "in.latents")), each = elements / images->count;
  *sample = arena_array(&ref->arena, elements, sizeof **sample);
  b->target = arena_array(&ref->arena, elements, sizeof *b->target);
  CHECK(*sample && b->target);
  for (size_t i = 0; i < images->count; i++)
    noise_schedule_mix(*sample + i * each, b->target + i * each, latents + i * each, noise + i * each, each, &schedule,
                       (size_t)timesteps[i]);
  return STATUS_OK;
}

static enum status read_batch(struct unet_batch *b, struct reference *ref, const json_t *about, struct error *err) {
  float *sample = NULL, *timesteps = NULL, *text = NULL, *hints = NULL;
  size_t count = 0;
  struct images same;
  const json_t *scheduler = json_object_get(about, "scheduler");
  b->prior_weight = json_number_value(json_object_get(about, "prior_loss_weight"));
  enum status s =
      scheduler ? mix(b, &sample, ref, scheduler, err) : get_images(&sample, &b->input.images, ref, "in.sample", err);
  s = s || scheduler ? s : get_images(&b->target, &same, ref, "in.target", err);
  s = s ? s : get_images(&b->want, &same, ref, "out.sample", err);
  s = s ? s : reference_get(&timesteps, &count, ref, "in.timestep", err);
  s = s ? s : reference_get(&text, &count, ref, "in.encoder_hidden_states", err);
  if (!s && safetensors_find(&ref->io, "in.hint"))
    s = get_images(&hints, &b->hints, ref, "in.hint", err);
  if (s)
    return s;
  b->input.sample = sample;
  b->input.timesteps = timesteps;
  b->input.encoder_states = text;
  b->input.hints = hints;
  b->input.text_tokens = (size_t)safetensors_find(&ref->io, "in.encoder_hidden_states")->shape[1];
  b->elements = (size_t)st_elements(safetensors_find(&ref->io, "in.target"));
  b->passes = b->prior_weight > 0 ? b->input.images.count : 1;
  return STATUS_OK;
}

/* What a pass of the batch reads, and where its numbers of target and want begin. */
static struct unet_input pass_of(const struct unet_batch *b, const struct model *model, size_t pass, size_t *first) {
  struct unet_input input = b->input;
  size_t images = input.images.count / b->passes;
  input.images.count = images;
  *first = pass * (b->elements / b->passes);
  input.sample += *first;
  input.timesteps += pass * images;
  if (input.hints)
    input.hints += pass * images * b->hints.width * b->hints.height * 3;
  input.encoder_states += pass * images * input.text_tokens * unet_sizes(model).cross_attention_dim;
  return input;
}

/* Forward and backward of the batch. With prior preservation: the mean over the first half, plus the weighted mean over
   the second. */
static enum status accumulate(struct denoiser *d, const struct unet_batch *b, double *loss, struct error *err) {
  enum status s = STATUS_OK;
  *loss = 0;
  for (size_t i = 0; !s && i < b->passes; i++) {
    size_t first;
    struct unet_input input = pass_of(b, d->learner.model, i, &first);
    double weight = 1 / (double)b->elements, part = 0;
    if (b->prior_weight > 0)
      weight *= i < b->passes / 2 ? 2 : 2 * b->prior_weight;
    s = denoiser_accumulate(d, &input, b->target + first, (float)weight, &part, err);
    *loss += part;
  }
  return s;
}

static enum status compare_output(struct worst *worst, struct denoiser *d, const struct unet_batch *b,
                                  struct error *err) {
  enum status s = STATUS_OK;
  for (size_t i = 0; !s && i < b->passes; i++) {
    const float *out;
    size_t first;
    struct unet_input input = pass_of(b, d->learner.model, i, &first);
    s = denoiser_predict(d, &input, &out, err);
    if (!s)
      worst->output = fmax(worst->output, reference_max_error(out, b->want + first, b->elements / b->passes));
  }
  return s;
}

static enum status compare_steps(struct worst *worst, struct denoiser *d, const struct unet_batch *b,
                                 struct reference *ref, const json_t *about, struct error *err) {
  struct learner *l = &d->learner;
  double lr = json_number_value(json_object_get(json_object_get(about, "optimizer"), "lr"));
  json_int_t steps = json_integer_value(json_object_get(about, "steps"));
  float *want;
  size_t count;
  double penalty = 0, loss = 0, norm;
  enum status s = reference_get(&want, &count, ref, "step.loss", err);
  for (json_int_t step = 0; !s && step < steps; step++) {
    s = learner_begin(l, &penalty, err);
    s = s ? s : accumulate(d, b, &loss, err);
    if (s)
      return s;
    learner_finish(l);
    worst->loss = fmax(worst->loss, fabs(loss + penalty - (double)want[step]) / (double)want[0]);
    if (step == 0)
      s = reference_parameters(&worst->gradient, l->model, ref, "grad.", true, err);
    s = s ? s : learner_update(l, lr, &norm, err);
  }
  s = s ? s : reference_parameters(&worst->parameter, l->model, ref, "step.", false, err);
  return s ? s : reference_merged(&worst->merged, l, ref, err);
}

static enum status run_unet(struct worst *worst, const char *folder, const json_t *about, struct reference *ref,
                            struct model *model, struct error *err) {
  const json_t *optimizer = json_object_get(about, "optimizer");
  struct adapter_spec spec;
  struct unet_batch b = {.hints = {0}};
  struct denoiser d = {0};
  size_t first;
  char path[1024];
  snprintf(path, sizeof path, "%s/adapter", folder);
  enum status s = peft_read_config(&spec, path, &ref->arena, err);
  s = s ? s : model_adapt(model, &spec, 0, err);
  s = s ? s : peft_load(model, path, err);
  s = s ? s : read_batch(&b, ref, about, err);
  if (!s && b.hints.width)
    s = unet_condition(model, b.hints.width / b.input.images.width, 0, err);
  s = s ? s : conditioning_file_load(model, path, err);
  if (s)
    return s;
  for (size_t i = 0; i < model->parameters.count; i++)
    model->parameters.item[i]->decay = true; /* the reference decays everything */
  d.learner.orth_lambda = json_number_value(json_object_get(about, "lambda_"));
  d.learner.adamw = (struct adamw){.beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .epsilon = 1e-8,
                                   .weight_decay = json_number_value(json_object_get(optimizer, "weight_decay")),
                                   .max_grad_norm = json_number_value(json_object_get(optimizer, "max_grad_norm"))};
  struct unet_input input = pass_of(&b, model, 0, &first);
  s = denoiser_init(&d, model, &input.images, input.text_tokens, err);
  s = s ? s : compare_output(worst, &d, &b, err);
  s = s ? s : compare_steps(worst, &d, &b, ref, about, err);
  denoiser_done(&d);
  return s;
}

/* --- components that are not trained ---------------------------------------------------------------- */

/* A forward pass, planned and run. The output lives until tape_done. */
typedef struct tensor *forward_function(struct tape *tape, const struct model *model, void *given);

static enum status run_forward(struct tape *tape, const struct model *model, forward_function *forward, void *given,
                               const float **out, struct error *err) {
  struct plan *plan = NULL;
  enum status s = tape_init(tape, model->backend, err);
  if (s)
    return s;
  tape_plan_begin(tape, false);
  forward(tape, model, given);
  s = tape_plan_end(tape, &plan, err);
  if (s)
    return s;
  tape_begin(tape, plan, false);
  *out = place_floats(forward(tape, model, given)->data);
  tape_plan_free(plan);
  return STATUS_OK;
}

static struct tensor *clip_forward(struct tape *tape, const struct model *model, void *given) {
  return model->ops->forward(tape, model, given);
}

static struct tensor *text_embed(struct tape *tape, const struct model *model, void *given) {
  return clip_text_embed(tape, model, given);
}

/* `name`: what is wanted of it. */
static enum status run_text(struct worst *worst, struct reference *ref, const struct model *model, const char *name,
                            forward_function *forward, struct error *err) {
  float *ids = NULL, *want = NULL;
  size_t tokens = 0, count = 0;
  const float *out;
  struct tape tape = {0};
  enum status s = reference_get(&ids, &tokens, ref, "in.input_ids", err);
  s = s ? s : reference_get(&want, &count, ref, name, err);
  if (s)
    return s;
  size_t texts = (size_t)safetensors_find(&ref->io, "in.input_ids")->shape[0], each = tokens / texts;
  int32_t *token_ids = arena_array(&ref->arena, tokens, sizeof *token_ids);
  uint32_t *offsets = arena_array(&ref->arena, texts + 1, sizeof *offsets);
  CHECK(token_ids && offsets);
  for (size_t i = 0; i < tokens; i++)
    token_ids[i] = (int32_t)ids[i];
  for (size_t i = 0; i <= texts; i++)
    offsets[i] = (uint32_t)(i * each);
  struct sequences sequences = sequences_host(texts, tokens, each, offsets, token_ids, NULL);
  s = run_forward(&tape, model, forward, &sequences, &out, err);
  if (!s)
    worst->output = reference_max_error(out, want, count);
  tape_done(&tape);
  return s;
}

static struct tensor *image_embed(struct tape *tape, const struct model *model, void *given) {
  return vision_transformer_embed(tape, model, given);
}

/* Embeddings of pictures one by one, each of length 1, as the reference's are. */
static enum status run_vision(struct worst *worst, struct reference *ref, struct model *model, struct error *err) {
  float *pixels = NULL, *want = NULL;
  size_t count = 0;
  struct images images;
  enum status s = get_images(&pixels, &images, ref, "in.pixel_values", err);
  s = s ? s : reference_get(&want, &count, ref, "out.image_embeds", err);
  s = s ? s : vision_transformer_resize(model, images.width, err);
  if (s)
    return s;
  struct vision_sizes sizes = vision_transformer_sizes(model);
  float *patches = arena_array(&ref->arena, sizes.patches, sizeof *patches);
  CHECK(patches && images.height == sizes.side && images.width == sizes.side && count == images.count * sizes.cols);
  for (size_t i = 0; !s && i < images.count; i++) {
    struct tape tape = {0};
    const float *out;
    vision_transformer_patches(patches, model, pixels + i * 3 * sizes.side * sizes.side);
    s = run_forward(&tape, model, image_embed, patches, &out, err);
    if (!s)
      worst->output = fmax(worst->output, reference_max_error(out, want + i * sizes.cols, sizes.cols));
    tape_done(&tape);
  }
  return s;
}

struct pictures {
  const float *numbers;
  struct images images;
};

static struct tensor *encode(struct tape *tape, const struct model *model, void *given) {
  const struct pictures *p = given;
  struct images images = p->images;
  size_t channels = autoencoder_kl_sizes(model).image_channels;
  return autoencoder_kl_encode(tape, model, op_input(tape, p->numbers, images_rows(&images), channels), &images);
}

static struct tensor *decode(struct tape *tape, const struct model *model, void *given) {
  const struct pictures *p = given;
  struct images images = p->images;
  size_t channels = autoencoder_kl_sizes(model).latent_channels;
  return autoencoder_kl_decode(tape, model, op_input(tape, p->numbers, images_rows(&images), channels), &images);
}

/* Columns [first, first + count) of rows of `cols` against what is wanted. */
static double columns_error(struct reference *ref, const float *got, size_t rows, size_t cols, size_t first,
                            size_t count, const float *want) {
  float *part = arena_array(&ref->arena, rows * count, sizeof *part);
  CHECK(part);
  for (size_t i = 0; i < rows; i++)
    memcpy(part + i * count, got + i * cols + first, count * sizeof *part);
  return reference_max_error(part, want, rows * count);
}

static enum status run_vae(struct worst *worst, struct reference *ref, const struct model *model, struct error *err) {
  float *image = NULL, *mean = NULL, *logvar = NULL, *decoded = NULL;
  struct images latents, images;
  const float *out;
  struct tape tape = {0};
  size_t L = autoencoder_kl_sizes(model).latent_channels;
  enum status s = get_images(&mean, &latents, ref, "out.mean", err);
  s = s ? s : get_images(&logvar, &latents, ref, "out.logvar", err);
  s = s ? s : get_images(&decoded, &images, ref, "out.decoded", err);
  s = s ? s : get_images(&image, &images, ref, "in.image", err);
  if (s)
    return s;
  s = run_forward(&tape, model, encode, &(struct pictures){image, images}, &out, err);
  size_t rows = images_rows(&latents);
  if (!s)
    worst->output =
        fmax(columns_error(ref, out, rows, 2 * L, 0, L, mean), columns_error(ref, out, rows, 2 * L, L, L, logvar));
  tape_done(&tape);
  s = s ? s : run_forward(&tape, model, decode, &(struct pictures){mean, latents}, &out, err);
  if (!s)
    worst->output =
        fmax(worst->output,
             reference_max_error(out, decoded, images_rows(&images) * autoencoder_kl_sizes(model).image_channels));
  tape_done(&tape);
  return s;
}

/* Both parts of a CLIPModel. */
static enum status run_clip_model(struct worst *worst, const char *path, struct reference *ref, struct backend *backend,
                                  struct error *err) {
  struct model model;
  enum status s = model_open_encoder(&model, path, &model_clip_text, backend, err);
  s = s ? s : run_text(worst, ref, &model, "out.text_embeds", text_embed, err);
  model_close(&model);
  double text = worst->output;
  s = s ? s : model_open_encoder(&model, path, &model_clip_vision, backend, err);
  s = s ? s : run_vision(worst, ref, &model, err);
  model_close(&model);
  worst->output = fmax(worst->output, text);
  return s;
}

enum status images_run(struct worst *worst, const char *folder, const json_t *about, struct reference *ref,
                       struct backend *backend, struct error *err) {
  const char *kind = json_string_value(json_object_get(about, "model"));
  struct model model = {0};
  char path[1024];
  snprintf(path, sizeof path, "%s/model", folder);
  worst->output_only = strncmp(kind, "unet", 4) != 0;
  if (strcmp(kind, "clip-model") == 0)
    return run_clip_model(worst, path, ref, backend, err);
  const struct model_ops *vision = strcmp(kind, "vit") == 0      ? &model_vit
                                   : strcmp(kind, "dinov2") == 0 ? &model_dinov2
                                                                 : NULL;
  enum status s = vision ? model_open_encoder(&model, path, vision, backend, err)
                         : model_open_component(&model, path, NULL, backend, err);
  if (!s)
    s = vision                      ? run_vision(worst, ref, &model, err)
        : strcmp(kind, "clip") == 0 ? run_text(worst, ref, &model, "out.last_hidden_state", clip_forward, err)
        : strcmp(kind, "vae") == 0  ? run_vae(worst, ref, &model, err)
                                    : run_unet(worst, folder, about, ref, &model, err);
  model_close(&model);
  return s;
}
