/* Sizes are those of CompVis' v1-inference.yaml and Stability AI's v2-inference.yaml, as diffusers has them.
   A file of other sizes is refused by the tensor whose shape differs, or read with a config beside it. */
#include <string.h>

#include "worker/model/checkpoint_ldm.h"

#define NOISE_SCHEDULE                                                                                                 \
  "\"num_train_timesteps\": 1000, \"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": "                   \
  "\"scaled_linear\", "                                                                                                \
  "\"clip_sample\": false, \"set_alpha_to_one\": false, \"steps_offset\": 1, \"prediction_type\": \"epsilon\""

#define UNET                                                                                                           \
  "\"_class_name\": \"UNet2DConditionModel\", \"in_channels\": 4, \"out_channels\": 4, \"layers_per_block\": 2, "      \
  "\"block_out_channels\": [320, 640, 1280, 1280], \"norm_num_groups\": 32, "                                          \
  "\"down_block_types\": [\"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\", "              \
  "\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\", \"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\", "             \
  "\"CrossAttnUpBlock2D\"], \"sample_size\": 64, "

#define VAE                                                                                                            \
  "{\"_class_name\": \"AutoencoderKL\", \"in_channels\": 3, \"out_channels\": 3, \"latent_channels\": 4, "             \
  "\"block_out_channels\": [128, 256, 512, 512], \"layers_per_block\": 2, \"norm_num_groups\": 32, "                   \
  "\"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", "                    \
  "\"DownEncoderBlock2D\"], \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", "                         \
  "\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"], \"scaling_factor\": 0.18215}"

#define TEXT_ENCODER "{\"model_type\": \"clip_text_model\", \"vocab_size\": 49408, \"max_position_embeddings\": 77, "

/* Of 2.x the text encoder's last layer but one is what the UNet was trained with: the last is left out. */
static const struct version {
  int64_t cross_attention_dim;
  const char *unet, *vae, *text_encoder, *scheduler;
} versions[] = {
    {768, "{" UNET "\"cross_attention_dim\": 768, \"attention_head_dim\": 8, \"use_linear_projection\": false}", VAE,
     TEXT_ENCODER "\"hidden_size\": 768, \"intermediate_size\": 3072, \"num_hidden_layers\": 12, "
                  "\"num_attention_heads\": 12, \"hidden_act\": \"quick_gelu\"}",
     "{\"_class_name\": \"PNDMScheduler\", \"skip_prk_steps\": true, " NOISE_SCHEDULE "}"},
    {1024,
     "{" UNET
     "\"cross_attention_dim\": 1024, \"attention_head_dim\": [5, 10, 20, 20], \"use_linear_projection\": true}",
     VAE,
     TEXT_ENCODER "\"hidden_size\": 1024, \"intermediate_size\": 4096, \"num_hidden_layers\": 23, "
                  "\"num_attention_heads\": 16, \"hidden_act\": \"gelu\"}",
     NULL}};

static const char tells[] = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";

/* NULL: the width is of neither, and *width says it. */
static const struct version *find_version(int64_t *width, const struct safetensors *file) {
  const struct st_tensor *t = safetensors_find(file, tells);
  *width = t && t->rank == 2 ? t->shape[1] : 0;
  for (size_t i = 0; i < COUNT_OF(versions); i++)
    if (versions[i].cross_attention_dim == *width)
      return &versions[i];
  return NULL;
}

enum status checkpoint_ldm_config(json_t **out, const struct safetensors *file, const char *name, struct error *err) {
  int64_t width;
  const struct version *version = find_version(&width, file);
  if (!version)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "%s reads %lld channels: Stable Diffusion 1.x has 768, 2.x 1024; a model of another size needs "
                     "%s/%s beside the file",
                     tells, (long long)width, name,
                     strcmp(name, "scheduler") ? "config.json" : "scheduler_config.json");
  const char *text = strcmp(name, "unet") == 0           ? version->unet
                     : strcmp(name, "vae") == 0          ? version->vae
                     : strcmp(name, "text_encoder") == 0 ? version->text_encoder
                                                         : version->scheduler;
  if (!text)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "Stable Diffusion 2.x predicts epsilon or v, and the file does not tell which: put the pipeline's "
                     "scheduler/scheduler_config.json beside it");
  *out = json_loads(text, 0, NULL);
  return *out ? STATUS_OK : error_no_memory(err, "the model's configuration");
}
