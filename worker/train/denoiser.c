#include "worker/train/denoiser.h"

#include "worker/op/kind.h"

static void dry_run(struct denoiser *d, bool training) {
  struct tape *tape = &d->learner.tape;
  double loss;
  tape_plan_begin(tape, training);
  struct tensor *x = unet_forward(tape, d->learner.model, &(struct unet_input){d->images, d->text_tokens, 0, 0, 0, 0});
  if (!training)
    return;
  op_squared_error(tape, x, (struct place){0}, 1, &loss);
  tape_backward(tape);
}

static void dry_run_training(void *payload) {
  dry_run(payload, true);
}

static enum status check_size(const struct denoiser *d, struct error *err) {
  size_t multiple = unet_sizes(d->learner.model).multiple, height = d->images.height, width = d->images.width;
  if (images_rows(&d->images) > 0 && height % multiple == 0 && width % multiple == 0)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "image",
                   "%zu latents of %zu x %zu: their height and width must be multiples of %zu for this model",
                   d->images.count, height, width, multiple);
}

enum status denoiser_init(struct denoiser *d, struct model *unet, const struct images *images, size_t text_tokens,
                          struct error *err) {
  struct learner *l = &d->learner;
  CHECK(unet->backend->ops->host_memory || !unet->backend->ops->bodies[OP_CONV2D]); /* batches are in host memory */
  l->model = unet;
  d->images = *images;
  d->text_tokens = text_tokens;
  enum status status = check_size(d, err);
  status = status ? status : tape_init(&l->tape, unet->backend, err);
  if (status)
    return status;
  parameter_upload(&unet->parameters);
  size_t beside = 0;
  status = learner_fit(l, &(struct learner_step){dry_run_training, d, "batch_size or resolution"}, &beside, err);
  if (status)
    return status;
  dry_run(d, true);
  status = tape_plan_end(&l->tape, &l->training, err);
  if (status)
    return status;
  dry_run(d, false);
  status = tape_plan_end(&l->tape, &l->evaluation, err);
  l->estimate = beside + l->tape.memory_bytes;
  return status ? status : adamw_init(&l->adamw, &unet->parameters, unet->backend, err);
}

void denoiser_done(struct denoiser *d) {
  learner_done(&d->learner);
}

static void check_batch(const struct denoiser *d, const struct unet_input *input) {
  CHECK(input->images.count == d->images.count && input->images.height == d->images.height);
  CHECK(input->images.width == d->images.width && input->text_tokens == d->text_tokens);
}

enum status denoiser_accumulate(struct denoiser *d, const struct unet_input *input, const float *target, float weight,
                                double *loss, struct error *err) {
  struct learner *l = &d->learner;
  check_batch(d, input);
  l->accumulated = true;
  tape_begin(&l->tape, l->training, true);
  op_squared_error(&l->tape, unet_forward(&l->tape, l->model, input), place_host(target), weight, loss);
  tape_backward(&l->tape);
  return l->model->backend->ops->synchronise(l->model->backend, err);
}

enum status denoiser_predict(struct denoiser *d, const struct unet_input *input, const float **out, struct error *err) {
  struct learner *l = &d->learner;
  check_batch(d, input);
  enum status status = learner_factors(l, err);
  if (status)
    return status;
  tape_begin(&l->tape, l->evaluation, false);
  *out = place_floats(unet_forward(&l->tape, l->model, input)->data);
  return STATUS_OK;
}
