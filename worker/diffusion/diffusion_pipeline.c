#include "worker/diffusion/diffusion_pipeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/file/directory.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/load.h"
#include "worker/model/unet.h"

enum { TEXT_TOKENS_MAX = 1 << 12, SIDE_MAX = 1 << 14 };

static const char index_name[] = "model_index.json";

static enum status invalid(struct error *err, const char *file, const char *member, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "%s: %s %s", file, member, what);
}

/* A file of the pipeline that must be there: a JSON object, as Python writes one. */
static enum status read_file(json_t **out, const char *path, const char *name, struct error *err) {
  static const struct json_limits limits = {.bytes_max = 1 << 20};
  enum status status = directory_python_json(out, path, name, &limits, err);
  return status || *out ? status : error_set(err, STATUS_MODEL_INVALID, "model", "%s has no %s", path, name);
}

/* --- model_index.json ----------------------------------------------------------------------------- */

/* The components that are used, and their classes. A scheduler's are read with its file. */
static const struct {
  const char *name;
  const char *classes[3];
} components[] = {{"tokenizer", {"CLIPTokenizer", "CLIPTokenizerFast"}},
                  {"text_encoder", {"CLIPTextModel"}},
                  {"unet", {"UNet2DConditionModel"}},
                  {"vae", {"AutoencoderKL"}},
                  {"scheduler", {NULL}}};

/* A component is ["library", "Class"], or [null, null]. */
static const char *class_of(const json_t *index, const char *name) {
  return json_string_value(json_array_get(json_object_get(index, name), 1));
}

static bool is_one_of(const char *class, const char *const *classes) {
  bool found = !*classes;
  for (; !found && *classes; classes++)
    found = strcmp(class, *classes) == 0;
  return found;
}

/* What would change the pictures, and is not here. */
static enum status check_others(json_t *index, struct error *err) {
  static const char *const idle[] = {"safety_checker", "feature_extractor"};
  const char *key;
  json_t *value;
  json_object_foreach(index, key, value) {
    bool known = !class_of(index, key);
    for (size_t i = 0; i < COUNT_OF(components); i++)
      known |= strcmp(key, components[i].name) == 0;
    for (size_t i = 0; i < COUNT_OF(idle); i++)
      known |= strcmp(key, idle[i]) == 0;
    if (!known)
      return error_set(err, STATUS_MODEL_INVALID, "model", "%s: the component %.60s (%.60s) is not supported",
                       index_name, key, class_of(index, key));
  }
  return STATUS_OK;
}

static enum status check_index(json_t *index, struct error *err) {
  const char *class = json_string_value(json_object_get(index, "_class_name"));
  if (!class || strcmp(class, "StableDiffusionPipeline") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "%s: _class_name \"%.60s\" is not supported; StableDiffusionPipeline is", index_name,
                     class ? class : "(absent)");
  for (size_t i = 0; i < COUNT_OF(components); i++) {
    class = class_of(index, components[i].name);
    if (!class)
      return invalid(err, index_name, components[i].name, "must be the library and the class of a component");
    if (!is_one_of(class, components[i].classes))
      return error_set(err, STATUS_MODEL_INVALID, "model", "%s: the class %.60s of %s is not supported; %s is",
                       index_name, class, components[i].name, components[i].classes[0]);
  }
  return check_others(index, err);
}

/* --- the scheduler -------------------------------------------------------------------------------- */

static const char scheduler_name[] = "scheduler/scheduler_config.json";

/* A member that decides the numbers, and the value that is computed here; an absent one is diffusers' default. */
struct member {
  const char *key;
  const char *want;  /* as JSON */
  bool is_defaulted; /* absent is the same */
};
static const struct member dpm_solver_members[] = {{"algorithm_type", "\"dpmsolver++\"", true},
                                                   {"solver_order", "2", true},
                                                   {"solver_type", "\"midpoint\"", true},
                                                   {"lower_order_final", "true", true},
                                                   {"euler_at_final", "false", true},
                                                   {"final_sigmas_type", "\"zero\"", true},
                                                   {"variance_type", "null", true},
                                                   {NULL, NULL, false}};
static const struct member pndm_members[] = {{"skip_prk_steps", "true", false}, {NULL, NULL, false}};
static const struct member euler_members[] = {{"interpolation_type", "\"linear\"", true},
                                              {"timestep_type", "\"discrete\"", true},
                                              {"final_sigmas_type", "\"zero\"", true},
                                              {NULL, NULL, false}};
static const struct member no_members[] = {{NULL, NULL, false}};

/* Classes whose noise schedule is Ho et al.'s, so that any of our samplers may take its steps; DPM-Solver++ does for
   those that are not here. */
static const struct {
  const char *class;
  enum image_scheduler scheduler;
  const struct member *members;
  const char *defaults; /* of what the noise schedule has, where they are not DDIMScheduler's */
} schedulers[] = {
    {"DDIMScheduler", IMAGE_SCHEDULER_DDIM, no_members, "{}"},
    {"DPMSolverMultistepScheduler", IMAGE_SCHEDULER_DPM, dpm_solver_members, "{\"timestep_spacing\": \"linspace\"}"},
    {"PNDMScheduler", IMAGE_SCHEDULER_PNDM, pndm_members, "{\"set_alpha_to_one\": false}"},
    {"EulerDiscreteScheduler", IMAGE_SCHEDULER_EULER, euler_members, "{\"timestep_spacing\": \"linspace\"}"},
    {"DDPMScheduler", IMAGE_SCHEDULER_DPM, no_members, "{}"},
    {"LMSDiscreteScheduler", IMAGE_SCHEDULER_DPM, no_members, "{\"timestep_spacing\": \"linspace\"}"},
    {"EulerAncestralDiscreteScheduler", IMAGE_SCHEDULER_DPM, no_members, "{\"timestep_spacing\": \"linspace\"}"},
    {"HeunDiscreteScheduler", IMAGE_SCHEDULER_DPM, no_members, "{\"timestep_spacing\": \"linspace\"}"},
    {"UniPCMultistepScheduler", IMAGE_SCHEDULER_DPM, no_members, "{\"timestep_spacing\": \"linspace\"}"}};

static enum status check_members(const json_t *config, const struct member *members, struct error *err) {
  for (const struct member *m = members; m->key; m++) {
    const json_t *value = json_object_get(config, m->key);
    AUTO(json_release) json_t *want = json_loads(m->want, JSON_DECODE_ANY, NULL);
    bool is_absent = !value || json_is_null(value);
    if (is_absent ? !m->is_defaulted : !json_equal(value, want))
      return error_set(err, STATUS_MODEL_INVALID, "model", "%s: %s must be %s", scheduler_name, m->key, m->want);
  }
  return STATUS_OK;
}

/* DPMSolverMultistepScheduler leaves out time steps whose log of the signal over the noise is less than
   lambda_min_clipped. Its default, minus infinity, and what is beneath the last time step leave out none. */
static enum status check_clipping(const struct noise_schedule *schedule, const json_t *config, struct error *err) {
  const double last = schedule->alphas[schedule->count - 1], lambda = 0.5 * log(last / (1 - last));
  double least;
  enum status status = json_get_number(&least, config, "lambda_min_clipped", lambda, err);
  if (status)
    return invalid(err, scheduler_name, "lambda_min_clipped", "must be a number");
  return least <= lambda ? STATUS_OK
                         : error_set(err, STATUS_MODEL_INVALID, "model",
                                     "%s: lambda_min_clipped is %g; at most %g, beneath which no time step is left "
                                     "out, is supported",
                                     scheduler_name, least, lambda);
}

/* `from`: the file that names the class. */
static enum status take_scheduler(struct diffusion_pipeline *p, json_t *config, const char *class, const char *from,
                                  struct error *err) {
  size_t i = 0;
  while (class && i < COUNT_OF(schedulers) && strcmp(class, schedulers[i].class) != 0)
    i++;
  if (!class || i == COUNT_OF(schedulers))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "%s: the class %.60s of scheduler is not supported; DDIMScheduler, DPMSolverMultistepScheduler, "
                     "PNDMScheduler, EulerDiscreteScheduler and those that share their noise schedule are",
                     from, class ? class : "(absent)");
  p->scheduler = schedulers[i].scheduler;
  enum status status = check_members(config, schedulers[i].members, err);
  AUTO(json_release) json_t *defaults = json_loads(schedulers[i].defaults, 0, NULL);
  if (!status && json_object_update_missing(config, defaults))
    status = error_no_memory(err, "the scheduler");
  status = status ? status : noise_schedule_read(&p->schedule, config, &p->arena, err);
  return status || p->scheduler != IMAGE_SCHEDULER_DPM ? status : check_clipping(&p->schedule, config, err);
}

/* How a folder of diffusers says what it is made of: model_index.json has the classes. */
static enum status open_index(struct diffusion_pipeline *p, const char *path, struct error *err) {
  AUTO(json_release) json_t *index = NULL;
  AUTO(json_release) json_t *config = NULL;
  enum status s = read_file(&index, path, index_name, err);
  s = s ? s : check_index(index, err);
  s = s ? s : read_file(&config, path, scheduler_name, err);
  return s ? s : take_scheduler(p, config, class_of(index, "scheduler"), index_name, err);
}

/* Of a single file the scheduler's config alone has its class; what else it is made of its tensors tell. */
static enum status open_single_file(struct diffusion_pipeline *p, const struct single_file *file, struct error *err) {
  AUTO(json_release) json_t *config = NULL;
  char tokenizer[DIRECTORY_PATH_BYTES];
  if (!directory_find(tokenizer, file->folder, single_file_parts[0]))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "%s has no folder tokenizer beside it: the tokenizer is not in such a file; the folder of the "
                     "pipeline that the file is of is needed (vocab.json, merges.txt, tokenizer_config.json)",
                     file->path);
  enum status status = checkpoint_single_file_scheduler(&config, file, err);
  const char *class = json_string_value(json_object_get(config, "_class_name"));
  return status ? status : take_scheduler(p, config, class, scheduler_name, err);
}

/* --- the components ------------------------------------------------------------------------------- */

static enum status open_component(struct model *out, const char *path, const char *name, const struct model_ops *ops,
                                  struct backend *backend, struct error *err) {
  enum status status = model_open_component(out, path, name, backend, err);
  if (!status && out->ops != ops)
    return error_set(err, STATUS_MODEL_INVALID, "model", "%s/config.json is of a %s, not of a %s", name,
                     out->ops->model_type, ops->model_type);
  if (status == STATUS_MODEL_INVALID) {
    (void)error_prefix(err, "%s", name);
    snprintf(err->param, sizeof err->param, "model");
  }
  return status;
}

/* Prompts have as many rows as the tokenizer pads to (model_max_length), which the text encoder must have positions
   for. */
static enum status open_tokenizer(struct diffusion_pipeline *p, const char *path, struct error *err) {
  static const char name[] = "tokenizer/tokenizer_config.json";
  char folder[PATH_MAX + 16];
  int64_t length = 0;
  AUTO(json_release) json_t *config = NULL;
  snprintf(folder, sizeof folder, "%s/tokenizer", path);
  enum status status = tokenizer_open(&p->tokenizer, folder, err);
  status = status ? status : read_file(&config, path, name, err);
  if (status)
    return status;
  if (!json_is_integer(json_object_get(config, "model_max_length")))
    return invalid(err, name, "model_max_length", "must be a whole number: prompts are padded to it");
  if (json_get_int(&length, config, "model_max_length", 0, 2, TEXT_TOKENS_MAX, err))
    return error_prefix(err, "%s", name);
  p->text_tokens = (size_t)length;
  if (p->text_tokens > p->text_encoder.positions)
    return error_set(err, STATUS_MODEL_INVALID, "model", "%s: model_max_length %zu is more than the text encoder's %zu",
                     name, p->text_tokens, p->text_encoder.positions);
  if ((size_t)tokenizer_vocab_size(p->tokenizer) > p->text_encoder.vocabulary)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "the tokenizer has %d tokens, the text encoder's vocab_size is %zu",
                     (int)tokenizer_vocab_size(p->tokenizer), p->text_encoder.vocabulary);
  return STATUS_OK;
}

static enum status check_text_encoder(struct diffusion_pipeline *p, struct error *err) {
  if (json_is_true(json_object_get(p->text_encoder.checkpoint.config, "use_attention_mask")))
    return invalid(err, "text_encoder/config.json", "use_attention_mask", "is not supported; false is");
  enum status status = load_size(&p->text_cols, &p->text_encoder, "hidden_size", 512, SIZE_MAX / 2, err);
  size_t want = unet_sizes(&p->unet).cross_attention_dim;
  if (!status && p->text_cols != want)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "the text encoder's hidden_size %zu is not the UNet's cross_attention_dim %zu", p->text_cols,
                     want);
  return status;
}

/* How latents of the UNet and of the VAE belong together. */
static enum status check_latents(struct diffusion_pipeline *p, struct error *err) {
  struct unet_sizes unet = unet_sizes(&p->unet);
  struct autoencoder_kl_sizes vae = autoencoder_kl_sizes(&p->vae);
  const json_t *config = p->vae.checkpoint.config;
  static const char *const fixed[] = {"shift_factor", "latents_mean", "latents_std"};
  size_t sample = 0;
  if (unet.in_channels != vae.latent_channels || unet.out_channels != vae.latent_channels)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "the UNet takes %zu channels and gives %zu, the VAE's latents have %zu", unet.in_channels,
                     unet.out_channels, vae.latent_channels);
  if (vae.image_channels != 3)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the VAE's pictures have %zu channels, not 3",
                     vae.image_channels);
  for (size_t i = 0; i < COUNT_OF(fixed); i++)
    if (json_object_get(config, fixed[i]) && !json_is_null(json_object_get(config, fixed[i])))
      return invalid(err, "vae/config.json", fixed[i], "is not supported; null is");
  p->latent_scale = vae.scale;
  p->side_multiple = vae.scale * unet.multiple;
  enum status status = load_size(&sample, &p->unet, "sample_size", 64, SIDE_MAX, err);
  status = status ? status : load_number(&p->scaling_factor, &p->vae, "scaling_factor", 0.18215, err);
  p->side = sample * vae.scale;
  if (!status && !(p->scaling_factor > 0))
    return invalid(err, "vae/config.json", "scaling_factor", "must be more than 0");
  return status;
}

static enum status open_all(struct diffusion_pipeline *p, const char *path, struct backend *backend,
                            struct error *err) {
  struct single_file file;
  bool single = single_file_find(&file, path);
  enum status s = single ? open_single_file(p, &file, err) : open_index(p, path, err);
  s = s ? s : open_component(&p->text_encoder, path, "text_encoder", &model_clip_text, backend, err);
  s = s ? s : open_component(&p->unet, path, "unet", &model_unet_2d_condition, backend, err);
  s = s ? s : open_component(&p->vae, path, "vae", &model_autoencoder_kl, backend, err);
  s = s ? s : open_tokenizer(p, single ? file.folder : path, err);
  s = s ? s : check_text_encoder(p, err);
  return s ? s : check_latents(p, err);
}

bool diffusion_pipeline_is(const char *path) {
  char index[DIRECTORY_PATH_BYTES];
  struct single_file file;
  return directory_find(index, path, index_name) || single_file_find(&file, path);
}

enum status diffusion_pipeline_open(struct diffusion_pipeline *out, const char *path, struct backend *backend,
                                    struct error *err) {
  *out = (struct diffusion_pipeline){0};
  arena_init(&out->arena, (size_t)64 << 20);
  enum status status = open_all(out, path, backend, err);
  if (status)
    diffusion_pipeline_close(out);
  return status;
}

void diffusion_pipeline_close(struct diffusion_pipeline *p) {
  tokenizer_free(p->tokenizer);
  model_close(&p->vae);
  model_close(&p->unet);
  model_close(&p->text_encoder);
  arena_done(&p->arena);
  *p = (struct diffusion_pipeline){0};
}

/* --- prompts -------------------------------------------------------------------------------------- */

/* All of its tokens, framed and padded, in ids[text_tokens]. */
static enum status tokenize(int32_t *ids, const struct diffusion_pipeline *p, const char *text, const char *param,
                            struct error *err) {
  struct encoding encoding;
  encoding_init(&encoding);
  enum status status = tokenizer_encode(p->tokenizer, &encoding, text, strlen(text), NULL, 0, 0, err);
  if (status == STATUS_DATASET_INVALID)
    status = error_set(err, STATUS_INVALID_VALUE, param, "%s is no text that the model's tokenizer can read", param);
  if (!status && encoding.count > p->text_tokens)
    status = error_set(err, STATUS_INVALID_VALUE, param,
                       "%s has %zu tokens with those that frame it; the text encoder reads %zu", param, encoding.count,
                       p->text_tokens);
  for (size_t i = 0; !status && i < p->text_tokens; i++)
    ids[i] = i < encoding.count ? encoding.ids[i] : tokenizer_pad_id(p->tokenizer);
  encoding_done(&encoding);
  return status;
}

static enum status run(float *out, struct diffusion_pipeline *p, const struct sequences *sequences, struct error *err) {
  struct model *m = &p->text_encoder;
  struct tape tape;
  struct plan *plan = NULL;
  enum status status = tape_init(&tape, m->backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  m->ops->forward(&tape, m, sequences);
  status = tape_plan_end(&tape, &plan, err);
  if (!status) {
    tape_begin(&tape, plan, false);
    const struct tensor *x = m->ops->forward(&tape, m, sequences);
    CHECK(x->rows == p->text_tokens && x->cols == p->text_cols);
    m->backend->ops->read(m->backend, out, x->data, x->rows * x->cols * sizeof *out);
    status = m->backend->ops->synchronise(m->backend, err);
  }
  tape_plan_free(plan);
  tape_done(&tape);
  return status;
}

enum status diffusion_pipeline_check_prompt(const struct diffusion_pipeline *p, const char *text, const char *param,
                                            struct error *err) {
  int32_t ids[TEXT_TOKENS_MAX];
  return tokenize(ids, p, text, param, err);
}

enum status diffusion_pipeline_encode(float *out, struct diffusion_pipeline *p, const char *text, const char *param,
                                      struct error *err) {
  const uint32_t offsets[] = {0, (uint32_t)p->text_tokens};
  struct arena arena;
  arena_init(&arena, TEXT_TOKENS_MAX * sizeof(int32_t) + 64);
  int32_t *ids = arena_array(&arena, p->text_tokens, sizeof *ids);
  enum status status = ids ? tokenize(ids, p, text, param, err) : error_no_memory(err, "a prompt");
  if (!status) {
    struct sequences sequences = sequences_host(1, p->text_tokens, p->text_tokens, offsets, ids, NULL);
    status = run(out, p, &sequences, err);
  }
  arena_done(&arena);
  return status;
}
