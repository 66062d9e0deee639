/* Proves, on the tiny golden components of diffusion pipelines with a member or a tensor changed: that what this engine
   does not compute is refused by its name, and what of an adapter cannot be put on a convolution. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/worker/model_directory.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/train/denoiser.h"

static struct backend backend;

static int setup(void **state) {
  struct error err;
  return make_directory(state) || cpu_open(&backend, 1, NULL, &err);
}

static int teardown(void **state) {
  backend_close(&backend);
  return remove_directory(state);
}

static char *golden(const char *name, const char *file) {
  static char path[300];
  snprintf(path, sizeof path, "tests/golden/cases/%s/model/%s", name, file);
  return path;
}

/* Opens a golden component with members of its config.json set (JSON null drops one); the error's text, or "". */
static const char *open_changed(struct model *out, const char *name, const char *changes) {
  static struct error err;
  char *weights = realpath(golden(name, "diffusion_pytorch_model.safetensors"), NULL), link[200];
  json_t *config, *more = json_loads(changes, 0, NULL);
  err = (struct error){0};
  assert_true(weights && more);
  snprintf(link, sizeof link, "%s/diffusion_pytorch_model.safetensors", directory);
  unlink(link);
  assert_int_equal(symlink(weights, link), 0);
  free(weights);
  assert_int_equal(json_parse_file(&config, golden(name, "config.json"), NULL, &err), STATUS_OK);
  json_object_update(config, more);
  char *text = json_dumps(config, 0);
  put("config.json", text);
  free(text);
  json_decref(config);
  json_decref(more);
  enum status status = model_open_component(out, directory, NULL, &backend, &err);
  assert_true(status == STATUS_OK || status == STATUS_MODEL_INVALID);
  return status ? err.text : "";
}

static void configs_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *component, *changes, *says;
  } cases[] = {
      {"unet-hra", "{\"down_block_types\": [\"CrossAttnDownBlock2D\", \"AttnDownBlock2D\"]}",
       "down_block_types[1] \"AttnDownBlock2D\" is not supported; DownBlock2D, CrossAttnDownBlock2D are"},
      {"unet-hra", "{\"up_block_types\": [\"UpBlock2D\"]}", "up_block_types must be a list of 2 names"},
      {"unet-hra", "{\"mid_block_type\": \"UNetMidBlock2D\"}",
       "mid_block_type \"UNetMidBlock2D\" is not supported; UNetMidBlock2DCrossAttn is"},
      {"unet-hra", "{\"class_embed_type\": \"timestep\"}", "class_embed_type \"timestep\" is not supported; null is"},
      {"unet-hra", "{\"addition_embed_type\": \"text_time\"}", "addition_embed_type \"text_time\""},
      {"unet-hra", "{\"time_embedding_type\": \"fourier\"}", "time_embedding_type \"fourier\""},
      {"unet-hra", "{\"act_fn\": \"mish\"}", "act_fn \"mish\" is not supported; silu is"},
      {"unet-hra", "{\"dual_cross_attention\": true}", "dual_cross_attention has a value that is not supported"},
      {"unet-hra", "{\"block_out_channels\": []}", "block_out_channels must be a list of 1 to 16 sizes"},
      {"unet-hra", "{\"block_out_channels\": [8, 0]}", "block_out_channels[1] must be a number from 1 to"},
      {"unet-hra", "{\"norm_num_groups\": 3}",
       "norm_num_groups 3 does not divide the channels of down_blocks.0.resnets"},
      {"unet-hra", "{\"attention_head_dim\": 3}", "attentions.0 has 8 channels: no multiple of 3 heads"},
      {"unet-hra", "{\"attention_head_dim\": [2, 2, 2]}", "attention_head_dim has 3 numbers for 2 blocks"},
      {"unet-hra", "{\"in_channels\": 9}",
       "conv_in.weight has rank 4, shape [8, 4, 3, 3]; config.json asks for [8, 9, 3, 3]"},
      {"unet-hra", "{\"layers_per_block\": 2}", "no tensor down_blocks.0.resnets.1.norm1.weight"},
      {"unet-hra", "{\"use_linear_projection\": true}", ""},
      {"unet-hra", "{\"_class_name\": \"UNet3DConditionModel\"}",
       "\"UNet3DConditionModel\" is no component of a diffusion pipeline that is supported: clip_text_model"},
      {"vae", "{\"down_block_types\": [\"DownEncoderBlock2D\", \"AttnDownEncoderBlock2D\"]}",
       "down_block_types[1] \"AttnDownEncoderBlock2D\""},
      {"vae", "{\"norm_type\": \"spatial\"}", "norm_type \"spatial\""},
      {"vae", "{\"out_channels\": 4}", "out_channels 4 is not in_channels 3"},
      {"vae", "{\"latent_channels\": 3}", "encoder.conv_out.weight has rank 4, shape [4, 8, 3, 3]"},
      {"vae", "{}", ""},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct model model = {0};
    const char *text = open_changed(&model, cases[i].component, cases[i].changes);
    model_close(&model);
    if (cases[i].says[0] ? !strstr(text, cases[i].says) : text[0] != '\0')
      fail_msg("%s: \"%s\", not \"%s\"", cases[i].changes, text, cases[i].says);
  }
}

static enum status adapt(struct model *model, enum peft_type type, const char *const *targets, size_t count,
                         const char *pattern, const char *const *saved, struct error *err) {
  struct adapter_spec spec = {.peft_type = type};
  spec.hra.r = 4;
  spec.oft.oft_block_size = 4;
  spec.lora = (struct lora_spec){.r = 4, .lora_alpha = 4, .init_lora_weights = LORA_INIT_TRUE, .loraplus_lr_ratio = 1};
  spec.target_modules.pattern = pattern;
  spec.target_modules.names = (struct string_list){count, (const char **)(uintptr_t)targets};
  spec.modules_to_save = (struct string_list){saved ? 1 : 0, (const char **)(uintptr_t)saved};
  return model_adapt(model, &spec, 0, err);
}

static void adapters_of_convolutions(void **state) {
  (void)state;
  static const char *const conv1[] = {"conv1"}, *const to_q[] = {"to_q"}, *const conv_in[] = {"conv_in"};
  struct model model;
  struct error err;
  assert_string_equal(open_changed(&model, "unet-hra", "{}"), "");
  assert_int_equal(adapt(&model, PEFT_OFT, conv1, 1, NULL, NULL, &err), STATUS_UNSUPPORTED_TARGET);
  assert_non_null(strstr(err.text, "down_blocks.0.resnets.0.conv1 is a convolution: oft adapts linear modules only"));
  model_close(&model);
  assert_string_equal(open_changed(&model, "unet-hra", "{}"), "");
  assert_int_equal(adapt(&model, PEFT_HRA, to_q, 1, NULL, conv_in, &err), STATUS_UNSUPPORTED_TARGET);
  assert_non_null(strstr(err.text, "conv_in is a convolution, which cannot be trained in full here"));
  model_close(&model);
  assert_string_equal(open_changed(&model, "unet-hra", "{}"), "");
  assert_int_equal(adapt(&model, PEFT_LORA, conv1, 1, NULL, NULL, &err), STATUS_OK);
  const struct parameter *a = model.adapters[0]->parameters[0], *b = model.adapters[0]->parameters[1];
  assert_true(a->rank == 4 && a->shape[0] == 4 && a->shape[1] == 8 && a->shape[2] == 3 && a->shape[3] == 3);
  assert_true(b->rank == 4 && b->shape[0] == 8 && b->shape[1] == 4 && b->shape[2] == 1 && b->shape[3] == 1);
  model_close(&model);
  assert_string_equal(open_changed(&model, "unet-hra", "{}"), ""); /* PEFT's all-linear means nn.Linear */
  assert_int_equal(adapt(&model, PEFT_HRA, NULL, 0, "all-linear", NULL, &err), STATUS_OK);
  for (size_t i = 0; i < model.adapter_count; i++)
    assert_null(model.adapters[i]->linear->convolution);
  assert_true(model.adapter_count > 10);
  model_close(&model);
}

static void latents_that_cannot_be_halved(void **state) {
  (void)state;
  struct model model;
  struct error err;
  struct denoiser d = {0};
  assert_string_equal(open_changed(&model, "unet-hra", "{}"), "");
  assert_int_equal(denoiser_init(&d, &model, &(struct images){1, 6, 7}, 5, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "1 latents of 6 x 7: their height and width must be multiples of 2"));
  denoiser_done(&d);
  model_close(&model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(configs_are_refused_by_name),
      cmocka_unit_test(adapters_of_convolutions),
      cmocka_unit_test(latents_that_cannot_be_halved),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
