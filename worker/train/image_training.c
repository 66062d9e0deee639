#include "worker/train/image_training.h"

#include <stdlib.h>

#include "worker/train/training.h"

enum { TIMESTEPS_JUDGED = 4 };
enum use { USE_INSTANCE, USE_CLASS, USE_VALIDATION };

enum status image_training_init(struct image_training *it, struct error *err) {
  size_t elements = image_encoder_elements(&it->encoder);
  it->sample = malloc(4 * elements * sizeof *it->sample);
  it->measured_step = -1;
  const bool hints = unet_hint_scale(&it->encoder.pipeline->unet) > 0;
  if (hints)
    it->hint = malloc(3 * it->encoder.side * it->encoder.side * sizeof *it->hint);
  if (!it->sample || (hints && !it->hint))
    return error_no_memory(err, "a step");
  it->noise = it->sample + elements;
  it->noisy = it->noise + elements;
  it->target = it->noisy + elements;
  return STATUS_OK;
}

void image_training_done(struct image_training *it) {
  image_set_done(&it->training);
  image_set_done(&it->classes);
  image_set_done(&it->validation);
  denoiser_done(&it->denoiser);
  image_metrics_close(&it->metrics);
  image_encoder_done(&it->encoder);
  free(it->sample);
  free(it->hint);
}

/* Random numbers of one kind for one example. */
static uint64_t stream(enum rng_stream kind, enum use use, uint64_t number) {
  return (uint64_t)kind | (uint64_t)use << 8 | number << 16;
}

static enum status read_hint(struct image_training *it, const struct image_set *set, size_t index, struct error *err) {
  struct image hint;
  enum status status = image_set_hint_of(&hint, set, index, err);
  if (status)
    return status;
  image_unit_floats(it->hint, &hint);
  image_done(&hint);
  return STATUS_OK;
}

/* Makes the noisy latents of a picture and what is to be predicted of them. */
static enum status make_input(struct unet_input *out, struct image_training *it, const struct image_set *set,
                              size_t index, enum use use, uint64_t seed, uint64_t number, const float *timestep,
                              struct error *err) {
  const struct image_encoder *e = &it->encoder;
  size_t elements = image_encoder_elements(e);
  image_set_draw(it->sample, set, e, index, seed, stream(RNG_POSTERIOR, use, number));
  noise_schedule_noise(it->noise, elements, seed, stream(RNG_NOISE, use, number));
  noise_schedule_mix(it->noisy, it->target, it->sample, it->noise, elements, &e->pipeline->schedule, (size_t)*timestep);
  *out = (struct unet_input){.images = e->latents,
                             .text_tokens = e->pipeline->text_tokens,
                             .sample = it->noisy,
                             .timesteps = timestep,
                             .encoder_states = image_encoder_rows(e, set->prompts[index]),
                             .hints = it->hint};
  return it->hint ? read_hint(it, set, index, err) : STATUS_OK;
}

/* What min-SNR (Hang et al., 2023) weighs a time step by: the signal-to-noise ratio, at most gamma, over itself; where
   velocities are predicted, over one more. 1 where gamma is 0. */
static double snr_weight(const struct noise_schedule *schedule, size_t t, double gamma) {
  double snr = schedule->alphas[t] / (1 - schedule->alphas[t]);
  double over = schedule->prediction == PREDICTION_V ? snr + 1 : snr;
  return gamma > 0 ? (snr < gamma ? snr : gamma) / over : 1;
}

/* Forward and backward of one picture; `share` of the step's loss. */
static enum status learn(struct image_training *it, const struct image_set *set, size_t index, enum use use,
                         const struct job_spec *spec, uint64_t number, double share, double *loss, struct error *err) {
  const struct noise_schedule *schedule = &it->encoder.pipeline->schedule;
  const uint64_t seed = (uint64_t)spec->seed;
  struct rng rng;
  double part = 0;
  rng_init(&rng, seed, stream(RNG_TIMESTEP, use, number));
  const size_t t = rng_below(&rng, schedule->count);
  const float timestep = (float)t;
  struct unet_input input;
  double weight = share * snr_weight(schedule, t, spec->image.snr_gamma) / (double)image_encoder_elements(&it->encoder);
  enum status status = make_input(&input, it, set, index, use, seed, number, &timestep, err);
  status = status ? status : denoiser_accumulate(&it->denoiser, &input, it->target, (float)weight, &part, err);
  *loss += part;
  return status;
}

enum status image_training_accumulate(struct image_training *it, struct training *t, size_t first, size_t end,
                                      double *loss, struct error *err) {
  const struct job_spec *spec = &t->task->spec;
  const double share = 1 / (double)(end - first);
  enum status status = STATUS_OK;
  for (size_t e = first; !status && e < end; e++) {
    uint64_t number = (uint64_t)t->progress.examples + (e - first);
    status = learn(it, &it->training, t->order[e], USE_INSTANCE, spec, number, share, loss, err);
    if (!status && it->classes.count)
      status = learn(it, &it->classes, number % it->classes.count, USE_CLASS, spec, number,
                     share * spec->image.prior_loss_weight, loss, err);
    t->progress.tokens += (int64_t)it->encoder.pipeline->text_tokens * (it->classes.count ? 2 : 1);
    if (!status && e + 1 < end) {
      training_progress(t, "train", false);
      status = report_poll(t->report, err);
    }
  }
  return status;
}

static enum status judge(struct image_training *it, size_t index, size_t part, uint64_t seed, double *loss,
                         struct error *err) {
  const size_t steps = it->encoder.pipeline->schedule.count, elements = image_encoder_elements(&it->encoder);
  const float timestep = (float)((2 * part + 1) * steps / (2 * TIMESTEPS_JUDGED));
  const uint64_t number = index * TIMESTEPS_JUDGED + part;
  const float *predicted;
  double sum = 0;
  struct unet_input input;
  enum status status = make_input(&input, it, &it->validation, index, USE_VALIDATION, seed, number, &timestep, err);
  status = status ? status : denoiser_predict(&it->denoiser, &input, &predicted, err);
  for (size_t i = 0; !status && i < elements; i++) {
    double difference = (double)predicted[i] - (double)it->target[i];
    sum += difference * difference;
  }
  *loss += sum / (double)elements;
  return status;
}

enum status image_training_evaluate(struct evaluation *out, struct image_training *it, struct training *t,
                                    size_t examples, struct error *err) {
  size_t count = examples && examples < it->validation.count ? examples : it->validation.count;
  double loss = 0;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count * TIMESTEPS_JUDGED; i++) {
    status = judge(it, i / TIMESTEPS_JUDGED, i % TIMESTEPS_JUDGED, (uint64_t)t->task->spec.seed, &loss, err);
    status = status ? status : training_beat(t, err);
  }
  if (status)
    return status;
  *out = (struct evaluation){
      .loss = loss / (double)(count * TIMESTEPS_JUDGED), .scores = json_object(), .rows = count, .count = count};
  return out->scores ? STATUS_OK : error_no_memory(err, "an evaluation");
}

static void identify_set(struct hash *hash, const struct image_training *it, const struct image_set *set) {
  uint64_t count = set->count;
  hash_add(hash, &count, sizeof count);
  if (count) {
    hash_add(hash, set->moments, count * 2 * image_encoder_elements(&it->encoder) * sizeof *set->moments);
    hash_add(hash, set->prompts, count * sizeof *set->prompts);
    for (size_t i = 0; set->hints && i < count; i++)
      hash_add(hash, set->hints[i].png, set->hints[i].length);
  }
}

void image_training_identify(struct hash *hash, const struct image_training *it) {
  const struct diffusion_pipeline *p = it->encoder.pipeline;
  hash_add(hash, it->encoder.rows, it->encoder.prompt_count * p->text_tokens * p->text_cols * sizeof(float));
  identify_set(hash, it, &it->training);
  identify_set(hash, it, &it->classes);
  identify_set(hash, it, &it->validation);
}
