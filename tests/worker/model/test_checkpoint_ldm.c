/* Proves, on single-file checkpoints that are made of the tiny pipeline by the names of single_file.json (which
   diffusers' own conversion made the pipeline of again): that the components have the pipeline's tensors, bit by bit;
   what the configs are where none lie beside the file; and what is refused, by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/worker/model_directory.h"
#include "worker/model/checkpoint.h"

#define FIXTURES "tests/worker/diffusion/"

enum { TENSORS_MAX = 512 };
static const char *const components[] = {"unet", "vae", "text_encoder"};

static json_t *names; /* version -> component -> [[name, [names of the pipeline]]] */
static struct checkpoint pipeline[COUNT_OF(components)];
/* The file in the making. */
static struct arena arena;
static struct st_tensor tensors[TENSORS_MAX];
static size_t count;

static int setup(void **state) {
  struct error err;
  bool failed = json_parse_file(&names, FIXTURES "single_file.json", NULL, &err) != STATUS_OK;
  arena_init(&arena, (size_t)8 << 20);
  for (size_t i = 0; i < COUNT_OF(components); i++)
    failed = failed || checkpoint_open_component(&pipeline[i], FIXTURES "pipeline", components[i], &err);
  return failed ? -1 : make_directory(state);
}

static int teardown(void **state) {
  json_decref(names);
  for (size_t i = 0; i < COUNT_OF(components); i++)
    checkpoint_close(&pipeline[i]);
  arena_done(&arena);
  return remove_directory(state);
}

/* The rows of the pipeline's tensors, one after the other. */
static struct st_tensor join(const char *name, const json_t *parts, const struct safetensors *from) {
  struct st_tensor out = {.name = name};
  size_t index;
  json_t *part;
  json_array_foreach(parts, index, part) {
    const struct st_tensor *t = safetensors_find(from, json_string_value(part));
    assert_non_null(t);
    unsigned char *bytes = arena_alloc(&arena, out.length + t->length);
    if (out.length)
      memcpy(bytes, out.bytes, out.length);
    memcpy(bytes + out.length, t->bytes, t->length);
    int64_t rows = out.shape[0];
    size_t length = out.length + t->length;
    out = *t;
    out.name = name;
    out.bytes = bytes;
    out.length = length;
    out.shape[0] += rows;
  }
  return out;
}

static void make_tensors(const char *version) {
  count = 0;
  for (size_t i = 0; i < COUNT_OF(components); i++) {
    size_t index;
    json_t *row, *list = json_object_get(json_object_get(names, version), components[i]);
    json_array_foreach(list, index, row) {
      assert_true(count < TENSORS_MAX);
      tensors[count++] = join(json_string_value(json_array_get(row, 0)), json_array_get(row, 1), &pipeline[i].tensors);
    }
  }
}

static void write_file(const char *name) {
  char path[200];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (safetensors_write(path, tensors, count, NULL, NULL, NULL, &err))
    fail_msg("%s", err.text);
}

static void put_config(const char *component) {
  char from[200], to[200], name[60], *text;
  size_t length;
  struct error err;
  snprintf(from, sizeof from, FIXTURES "pipeline/%s/config.json", component);
  snprintf(to, sizeof to, "%s/%s", directory, component);
  assert_int_equal(file_mkdirs(to, &err), STATUS_OK);
  assert_int_equal(file_read(&text, &length, from, 1 << 16, &err), STATUS_OK);
  snprintf(name, sizeof name, "%s/config.json", component);
  put(name, text);
  free(text);
}

static void components_are_the_pipelines(void **state) {
  (void)state;
  static const char *const versions[] = {"1", "2"};
  char path[200];
  snprintf(path, sizeof path, "%s/model.ckpt.safetensors", directory);
  for (size_t i = 0; i < COUNT_OF(components); i++)
    put_config(components[i]);
  for (size_t v = 0; v < COUNT_OF(versions); v++) {
    make_tensors(versions[v]);
    static const float idle[] = {1};
    tensors[count++] = (struct st_tensor){
        .name = "model_ema.decay", .dtype = ST_F32, .bytes = (const unsigned char *)idle, .length = sizeof idle};
    write_file("model.ckpt.safetensors");
    for (size_t i = 0; i < COUNT_OF(components); i++) {
      struct checkpoint c;
      struct error err;
      if (checkpoint_open_component(&c, path, components[i], &err))
        fail_msg("%s: %s", components[i], err.text);
      assert_true(json_equal(c.config, pipeline[i].config));
      assert_int_equal(checkpoint_count(&c), checkpoint_count(&pipeline[i]));
      for (size_t t = 0; t < checkpoint_count(&c); t++) {
        const struct st_tensor *got = &c.tensors.tensors[t];
        const char *name = got->name; /* Transformers' newer text encoders have no prefix */
        const struct st_tensor *want = safetensors_find(&pipeline[i].tensors, name);
        if (!want && strncmp(name, "text_model.", 11) == 0)
          want = safetensors_find(&pipeline[i].tensors, name + 11);
        if (!want || got->length != want->length || memcmp(got->bytes, want->bytes, want->length) != 0)
          fail_msg("%s: %s", components[i], got->name);
      }
      checkpoint_close(&c);
    }
  }
}

/* The file with one tensor more. */
static const char *refused(const char *component, const char *more, const int64_t shape[4]) {
  static struct error err;
  struct checkpoint c;
  char path[200];
  static unsigned char bytes[1 << 17];
  make_tensors("1");
  if (more) {
    tensors[count] = (struct st_tensor){.name = more, .dtype = ST_F32, .rank = shape[3] ? 4 : 2, .bytes = bytes};
    tensors[count].length = sizeof(float);
    for (int i = 0; i < tensors[count].rank; i++)
      tensors[count].length *= (size_t)(tensors[count].shape[i] = shape[i]);
    assert_true(tensors[count].length <= sizeof bytes);
    bool replaced = false;
    for (size_t i = 0; i < count && !replaced; i++)
      if ((replaced = strcmp(tensors[i].name, more) == 0))
        tensors[i] = tensors[count];
    count += !replaced;
  }
  write_file("other.safetensors");
  snprintf(path, sizeof path, "%s/other.safetensors", directory);
  err = (struct error){0};
  enum status status = checkpoint_open_component(&c, path, component, &err);
  if (!status)
    checkpoint_close(&c);
  assert_true(status == STATUS_OK || status == STATUS_MODEL_INVALID);
  return status ? err.text : "";
}

static void others_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *component, *more;
    int64_t shape[4];
    const char *says;
  } cases[] = {
      {"unet", "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", {1, 1}, "Stable Diffusion XL"},
      {"unet", "model.diffusion_model.joint_blocks.0.x", {1, 1}, "Stable Diffusion 3"},
      {"vae", "control_model.zero_convs.0.0.weight", {1, 1}, "a ControlNet"},
      {"unet", "model.diffusion_model.input_blocks.0.0.weight", {4, 9, 3, 3}, "inpainting"},
      {"unet", "model.diffusion_model.input_blocks.0.0.weight", {4, 8, 3, 3}, "editing by instructions"},
      {"unet", "model.diffusion_model.input_blocks.0.0.weight", {4, 4}, "no checkpoint of Stable Diffusion"},
      {"unet",
       "model.diffusion_model.label_emb.0.0.weight",
       {4, 4},
       "label_emb.0.0.weight, which has no place in the unet"},
      {"unet",
       "model.diffusion_model.middle_block.3.norm.weight",
       {4, 4},
       "middle_block.3.norm.weight, which has no place"},
      {"unet", "model.diffusion_model.input_blocks.99999.0.norm.weight", {4, 4}, "input_blocks.99999.0"},
      {"vae",
       "first_stage_model.decoder.up.7.block.0.conv1.weight",
       {4, 4},
       "up.7.block.0.conv1.weight, which has no place"},
      {"vae",
       "first_stage_model.quantize.embedding",
       {4, 4},
       "first_stage_model.quantize.embedding, which has no place"},
      {"text_encoder", "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight", {4, 4}, "q, k and v"},
      {"text_encoder", "cond_stage_model.model.visual.proj", {4, 4}, "visual.proj, which has no place"},
      {"vae", "first_stage_model.loss.logvar", {1, 1}, ""},
  };
  for (size_t i = 0; i < COUNT_OF(components); i++)
    put_config(components[i]);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *said = refused(cases[i].component, cases[i].more, cases[i].shape);
    if (!strstr(said, cases[i].says) || (!cases[i].says[0] && said[0]))
      fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].more, said, cases[i].says);
  }
}

/* A file of one tensor of each component; that whose width tells the version is of `width`. */
static const char *open_one_each(struct checkpoint *out, const char *component, int64_t width) {
  static const unsigned char bytes[1 << 14];
  static struct error err;
  const struct st_tensor four[] = {
      {.name = "model.diffusion_model.input_blocks.0.0.weight", .rank = 4, .shape = {1, 4, 3, 3}, .length = 36 * 4},
      {.name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
       .rank = 2,
       .shape = {1, width},
       .length = (size_t)width * 4},
      {.name = "first_stage_model.quant_conv.weight", .rank = 2, .shape = {1, 1}, .length = 4},
      {.name = "cond_stage_model.model.ln_final.weight", .rank = 1, .shape = {1}, .length = 4}};
  char path[200];
  for (count = 0; count < COUNT_OF(four); count++) {
    tensors[count] = four[count];
    tensors[count].dtype = ST_F32;
    tensors[count].bytes = bytes;
  }
  write_file("other.safetensors");
  snprintf(path, sizeof path, "%s/other.safetensors", directory);
  enum status status = checkpoint_open_component(out, path, component, &err);
  assert_true(status == STATUS_OK || status == STATUS_MODEL_INVALID);
  return status ? err.text : "";
}

/* Without a config beside the file the width of the cross attention tells the version. */
static void configs_follow_from_the_width(void **state) {
  (void)state;
  static const struct {
    int64_t width;
    json_int_t hidden, heads, layers;
  } versions[] = {{768, 768, 8, 12}, {1024, 1024, 5, 23}};
  struct checkpoint c;
  struct error err;
  struct single_file file;
  for (size_t i = 0; i < COUNT_OF(components); i++) {
    char config[60];
    snprintf(config, sizeof config, "%s/config.json", components[i]);
    put(config, NULL);
  }
  for (size_t v = 0; v < COUNT_OF(versions); v++) {
    json_t *scheduler;
    assert_string_equal(open_one_each(&c, "unet", versions[v].width), "");
    assert_int_equal(json_integer_value(json_object_get(c.config, "cross_attention_dim")), versions[v].width);
    const json_t *heads = json_object_get(c.config, "attention_head_dim");
    assert_int_equal(json_integer_value(json_is_array(heads) ? json_array_get(heads, 0) : heads), versions[v].heads);
    assert_true(single_file_find(&file, c.weights_path));
    checkpoint_close(&c);
    assert_string_equal(open_one_each(&c, "text_encoder", versions[v].width), "");
    assert_int_equal(json_integer_value(json_object_get(c.config, "hidden_size")), versions[v].hidden);
    assert_int_equal(json_integer_value(json_object_get(c.config, "num_hidden_layers")), versions[v].layers);
    checkpoint_close(&c);
    enum status status = checkpoint_single_file_scheduler(&scheduler, &file, &err);
    assert_int_equal(status, v ? STATUS_MODEL_INVALID : STATUS_OK);
    if (v)
      assert_non_null(strstr(err.text, "put the pipeline's scheduler/scheduler_config.json beside it"));
    else
      assert_string_equal(json_string_value(json_object_get(scheduler, "prediction_type")), "epsilon");
    json_decref(scheduler);
  }
  const char *said = open_one_each(&c, "vae", 16);
  assert_non_null(strstr(said, "reads 16 channels: Stable Diffusion 1.x has 768, 2.x 1024"));
  assert_non_null(strstr(said, "vae/config.json beside the file"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(components_are_the_pipelines),
      cmocka_unit_test(others_are_refused_by_name),
      cmocka_unit_test(configs_follow_from_the_width),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
