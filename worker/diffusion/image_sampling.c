#include "worker/diffusion/image_sampling.h"

#include <string.h>

#include "base/rng.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/unet.h"

/* --- the UNet ------------------------------------------------------------------------------------- */

static struct unet_input input_of(const struct image_sampling *s, const float *timesteps) {
  return (struct unet_input){.images = {s->passes, s->height, s->width},
                             .text_tokens = s->pipeline->text_tokens,
                             .sample = s->latents,
                             .timesteps = timesteps,
                             .encoder_states = s->texts,
                             .hints = s->hints};
}

static enum status plan(struct image_sampling *s, struct error *err) {
  struct unet_input input = input_of(s, NULL);
  enum status status = tape_init(&s->tape, s->unet->backend, err);
  if (status)
    return status;
  tape_plan_begin(&s->tape, false);
  unet_forward(&s->tape, s->unet, &input);
  status = tape_plan_end(&s->tape, &s->plan, err);
  if (!status && s->bytes < s->tape.memory_bytes)
    s->bytes = s->tape.memory_bytes;
  return status;
}

static enum status predict(const float **out, struct image_sampling *s, struct error *err) {
  const float t = s->denoising.calls[s->denoising.at].timestep, timesteps[] = {t, t};
  struct unet_input input = input_of(s, timesteps);
  tape_begin(&s->tape, s->plan, false);
  *out = place_floats(unet_forward(&s->tape, s->unet, &input)->data);
  return s->unet->backend->ops->synchronise(s->unet->backend, err);
}

/* --- the VAE -------------------------------------------------------------------------------------- */

static struct tensor *decode(struct tape *tape, const struct image_sampling *s, struct images *images) {
  *images = (struct images){1, s->height, s->width};
  size_t channels = autoencoder_kl_sizes(&s->pipeline->vae).latent_channels;
  struct tensor *z = op_input(tape, s->latents, images_rows(images), channels);
  return autoencoder_kl_decode(tape, &s->pipeline->vae, z, images);
}

static enum status measure_decoding(struct image_sampling *s, struct error *err) {
  struct images images;
  struct tape tape;
  enum status status = tape_init(&tape, s->pipeline->vae.backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  decode(&tape, s, &images);
  status = tape_plan_measure(&tape, &s->bytes, err);
  tape_done(&tape);
  return status;
}

/* --- beginning ------------------------------------------------------------------------------------ */

static enum status check_size(const struct diffusion_pipeline *p, const struct image_request *request,
                              struct error *err) {
  size_t multiple = p->side_multiple;
  if (request->width && request->height && request->width % multiple == 0 && request->height % multiple == 0)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "size",
                   "size is %zux%zu; this model makes pictures whose width and height are multiples of %zu",
                   request->width, request->height, multiple);
}

static enum status check_hint(const struct image_sampling *s, const struct image_request *request, struct error *err) {
  const bool wanted = unet_hint_scale(s->unet) > 0;
  const struct image *hint = request->hint;
  if (wanted != (hint != NULL))
    return error_set(err, STATUS_INVALID_VALUE, "conditioning_image",
                     wanted ? "conditioning_image is required: the model makes pictures of a prompt and a hint"
                            : "conditioning_image is for models of the task controllable; this one reads no hints");
  if (!hint || (hint->width == request->width && hint->height == request->height))
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "conditioning_image",
                   "conditioning_image is %zux%zu; the picture is to be %zux%zu", hint->width, hint->height,
                   request->width, request->height);
}

/* The same for each pass. */
static enum status take_hint(struct image_sampling *s, const struct image *hint, struct error *err) {
  const size_t count = hint ? 3 * hint->width * hint->height : 0;
  if (!hint)
    return STATUS_OK;
  s->hints = arena_array(&s->arena, s->passes * count, sizeof *s->hints);
  if (!s->hints)
    return error_no_memory(err, "a picture");
  image_unit_floats(s->hints, hint);
  for (size_t i = 1; i < s->passes; i++)
    memcpy(s->hints + i * count, s->hints, count * sizeof *s->hints);
  return STATUS_OK;
}

static enum status encode(struct image_sampling *s, const struct image_request *request, struct error *err) {
  struct diffusion_pipeline *p = s->pipeline;
  const char *negative = request->negative_prompt ? request->negative_prompt : "";
  size_t text = p->text_tokens * p->text_cols;
  enum status status = STATUS_OK;
  if (s->passes > 1)
    status = diffusion_pipeline_encode(s->texts, p, negative, "negative_prompt", err);
  return status ? status
                : diffusion_pipeline_encode(s->texts + (s->passes - 1) * text, p, request->prompt, "prompt", err);
}

static enum status begin(struct image_sampling *s, const struct image_request *request, struct error *err) {
  struct diffusion_pipeline *p = s->pipeline;
  size_t elements = s->width * s->height * autoencoder_kl_sizes(&p->vae).latent_channels;
  enum status status =
      denoising_init(&s->denoising, request->scheduler, &p->schedule, request->steps, elements, &s->arena, err);
  if (status)
    return status;
  s->texts = arena_array(&s->arena, s->passes * p->text_tokens * p->text_cols, sizeof *s->texts);
  s->latents = arena_array(&s->arena, s->passes * elements, sizeof *s->latents);
  if (!s->texts || !s->latents)
    return error_no_memory(err, "a picture");
  noise_schedule_noise(s->latents, elements, request->seed, RNG_LATENTS);
  for (size_t i = 0; i < elements; i++)
    s->latents[i] *= s->denoising.noise_scale;
  status = take_hint(s, request->hint, err);
  status = status ? status : measure_decoding(s, err);
  status = status ? status : encode(s, request, err);
  return status ? status : plan(s, err);
}

enum status image_sampling_begin(struct image_sampling *out, struct diffusion_pipeline *pipeline, struct model *unet,
                                 const struct image_request *request, struct error *err) {
  *out = (struct image_sampling){.pipeline = pipeline,
                                 .unet = unet,
                                 .width = request->width / pipeline->latent_scale,
                                 .height = request->height / pipeline->latent_scale,
                                 .passes = request->guidance_scale > 1 ? 2 : 1,
                                 .guidance_scale = request->guidance_scale};
  arena_init(&out->arena, SIZE_MAX / 2);
  enum status status = check_size(pipeline, request, err);
  status = status ? status : check_hint(out, request, err);
  status = status ? status : begin(out, request, err);
  if (status)
    image_sampling_done(out);
  return status;
}

/* --- steps ---------------------------------------------------------------------------------------- */

enum status image_sampling_step(struct image_sampling *s, struct error *err) {
  size_t elements = s->denoising.elements;
  const float *predicted;
  if (s->passes > 1)
    memcpy(s->latents + elements, s->latents, elements * sizeof *s->latents);
  enum status status = predict(&predicted, s, err);
  if (status)
    return status;
  if (s->passes > 1) {
    float *guided = (float *)(uintptr_t)predicted; /* the tape's memory, which nobody reads again */
    denoising_guide(guided, predicted, predicted + elements, (float)s->guidance_scale, elements);
  }
  denoising_step(&s->denoising, s->latents, predicted);
  return STATUS_OK;
}

bool image_sampling_over(const struct image_sampling *s) {
  return s->denoising.at == s->denoising.count;
}

/* --- the picture ---------------------------------------------------------------------------------- */

enum status image_sampling_decode(struct image *out, struct image_sampling *s, struct error *err) {
  struct backend *backend = s->pipeline->vae.backend;
  struct images images;
  struct plan *decoding = NULL;
  struct tape tape;
  CHECK(image_sampling_over(s));
  *out = (struct image){0};
  tape_done(&s->tape);
  for (size_t i = 0; i < s->denoising.elements; i++)
    s->latents[i] = s->latents[i] / (float)s->pipeline->scaling_factor;
  enum status status = tape_init(&tape, backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  decode(&tape, s, &images);
  status = tape_plan_end(&tape, &decoding, err);
  if (!status)
    status = image_alloc(out, images.width, images.height, err);
  if (!status) {
    tape_begin(&tape, decoding, false);
    image_from_floats(out, place_floats(decode(&tape, s, &images)->data));
    status = backend->ops->synchronise(backend, err);
  }
  tape_plan_free(decoding);
  tape_done(&tape);
  return status;
}

void image_sampling_done(struct image_sampling *s) {
  tape_plan_free(s->plan);
  if (s->tape.backend)
    tape_done(&s->tape);
  arena_done(&s->arena);
  *s = (struct image_sampling){0};
}
