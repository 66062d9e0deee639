/* Proves, on the tiny golden UNets with HRA and LoRA on linear layers and convolutions: that every export holds the
   trained change of each weight, under the names and in the shapes of PEFT, diffusers and kohya; that the merged folder
   opens as a component and predicts what the adapted UNet does; that a finished adapter of a pipeline is exported as
   any; and that what a format cannot hold is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>

#include "api/job_task.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/export/export.h"
#include "worker/export/finished.h"
#include "worker/peft/peft.h"
#include "worker/train/denoiser.h"

static const char base[] = "tests/golden/cases/unetconv-hra/model";
enum { TEXT_TOKENS = 3, PIXELS = 8 * 8, CHANNELS = 4 };

struct fixture {
  char out[64];
  struct backend backend;
  struct model model;
  struct adapter_spec spec;
  struct report report;
  struct export export;
  struct error err;
};

static void open_unet(struct fixture *f, const struct adapter_spec *spec) {
  static const char *targets[] = {"to_q",    "to_out.0", "ff.net.0.proj", "conv1",         "conv_shortcut",
                                  "proj_in", "conv_in",  "linear_1",      "time_emb_proj", "downsamplers.0.conv"};
  struct rng rng;
  snprintf(f->out, sizeof f->out, "/tmp/test_unet_lora.XXXXXX");
  assert_non_null(mkdtemp(f->out));
  f->spec = *spec;
  f->spec.target_modules.names = (struct string_list){spec->peft_type == PEFT_OFT ? 3 : COUNT_OF(targets), targets};
  assert_int_equal(cpu_open(&f->backend, 2, NULL, &f->err), STATUS_OK);
  if (model_open_component(&f->model, base, NULL, &f->backend, &f->err) || model_adapt(&f->model, &f->spec, 1, &f->err))
    fail_msg("%s", f->err.text);
  rng_init(&rng, 3, 99);
  for (size_t i = 0; i < f->model.parameters.count; i++)
    for (size_t j = 0; j < f->model.parameters.item[i]->count; j++)
      f->model.parameters.item[i]->data[j] += 0.3f * (2 * rng_uniform(&rng) - 1);
  report_init(&f->report, open("/dev/null", O_WRONLY), -1);
  f->export = (struct export){.model = &f->model,
                              .spec = &f->spec,
                              .base = "tiny",
                              .base_path = base,
                              .output_dir = f->out,
                              .report = &f->report};
}

static void close_unet(struct fixture *f) {
  close(f->report.out);
  model_close(&f->model);
  backend_close(&f->backend);
  assert_int_equal(file_remove_tree(f->out, NULL), STATUS_OK);
}

static enum status write_format(struct fixture *f, const char *format) {
  const char *items[] = {format};
  return export_formats(&f->export, &(struct string_list){1, items}, &f->err);
}

/* --- the equal LoRA ------------------------------------------------------------------------------- */

static const struct adapter_spec chain = {.peft_type = PEFT_HRA, .hra = {.r = 4}};
static const struct adapter_spec gram_schmidt = {.peft_type = PEFT_HRA, .hra = {.r = 3, .apply_GS = true}};
static struct number_entry other_ranks[] = {{"conv1", 5}, {"to_q", 2}};
static const struct adapter_spec lora = {
    .peft_type = PEFT_LORA, .lora = {.r = 3, .lora_alpha = 7, .use_rslora = true, .rank_pattern = {2, other_ranks}}};
static const struct adapter_spec oft = {.peft_type = PEFT_OFT, .oft = {.oft_block_size = 4, .eps = 1}};

/* How a file names its tensors. */
struct naming {
  const char *prefix, *down, *up, *alpha;
  bool underscores, one_rank;
};
static const struct naming pefts = {"base_model.model.", "lora_A.weight", "lora_B.weight", NULL, false, false};
static const struct naming diffusers = {"unet.", "lora_A.weight", "lora_B.weight", NULL, false, true};
static const struct naming kohya = {"lora_unet_", "lora_down.weight", "lora_up.weight", "alpha", true, true};

static const struct st_tensor *tensor_of(const struct safetensors *file, const struct naming *n, const char *module,
                                         const char *kind) {
  char name[200], key[300];
  snprintf(name, sizeof name, "%s", module);
  for (char *c = name; n->underscores && *c; c++)
    *c = *c == '.' ? '_' : *c;
  snprintf(key, sizeof key, "%s%s.%s", n->prefix, name, kind);
  const struct st_tensor *t = safetensors_find(file, key);
  if (!t)
    fail_msg("no tensor %s", key);
  return t;
}

/* The change as the two layers make it: from what the kernel sees to the rank, and from there to the output. */
static void check_change(const struct fixture *f, const struct adapter *a, const float *A, const float *B, size_t r) {
  size_t in = a->linear->in, out = a->linear->out;
  float *merged = calloc(in * out, 4), *weight = calloc(in * out, 4);
  assert_true(merged && weight);
  weight_read(weight, &a->linear->weight);
  a->ops->merge(a, (struct backend *)(uintptr_t)&f->backend, merged);
  double changed = 0;
  for (size_t o = 0; o < out; o++)
    for (size_t c = 0; c < in; c++) {
      double change = 0, want = (double)merged[o * in + c] - (double)weight[o * in + c];
      for (size_t k = 0; k < r; k++)
        change += (double)B[o * r + k] * (double)A[k * in + c];
      if (!(fabs(change - want) < 2e-6))
        fail_msg("%s: %g is not %g", a->linear->name, change, want);
      changed = fmax(changed, fabs(want));
    }
  assert_true(changed > 1e-3);
  free(merged), free(weight);
}

static void check_module(struct fixture *f, const struct safetensors *file, const struct naming *n,
                         const struct adapter *a) {
  const struct linear *l = a->linear;
  const struct convolution *c = l->convolution;
  const struct st_tensor *down = tensor_of(file, n, l->name, n->down), *up = tensor_of(file, n, l->name, n->up);
  size_t r = (size_t)down->shape[0];
  assert_int_equal(down->rank, c ? 4 : 2);
  assert_int_equal(up->rank, c ? 4 : 2);
  assert_int_equal(down->shape[1], c ? c->channels : l->in);
  assert_true(!c || (down->shape[2] == (int64_t)c->kernel[0] && down->shape[3] == (int64_t)c->kernel[1]));
  assert_true(!c || (up->shape[2] == 1 && up->shape[3] == 1));
  assert_int_equal(up->shape[0], l->out);
  assert_int_equal(up->shape[1], r);
  if (!n->one_rank)
    assert_int_equal(r, a->rank);
  if (n->alpha) {
    float alpha;
    const struct st_tensor *t = tensor_of(file, n, l->name, n->alpha);
    assert_int_equal(t->rank, 0);
    assert_int_equal(st_to_f32(&alpha, t, &f->err), STATUS_OK);
    assert_true(alpha == (float)r);
  }
  float *A = calloc(r * l->in, 4), *B = calloc(l->out * r, 4);
  assert_int_equal(st_to_f32(A, down, &f->err), STATUS_OK);
  assert_int_equal(st_to_f32(B, up, &f->err), STATUS_OK);
  check_change(f, a, A, B, r);
  free(A), free(B);
}

static void check_file(struct fixture *f, const struct safetensors *file, const struct naming *n) {
  size_t convolutions = 0;
  assert_int_equal(file->count, (n->alpha ? 3 : 2) * f->model.adapter_count);
  for (size_t i = 0; i < f->model.adapter_count; i++) {
    check_module(f, file, n, f->model.adapters[i]);
    convolutions += f->model.adapters[i]->linear->convolution != NULL;
  }
  assert_true(convolutions > 5 && f->model.adapter_count - convolutions > 5);
}

static void check_single(struct fixture *f, const char *format, const char *name, const struct naming *n) {
  struct safetensors file;
  char path[200];
  if (write_format(f, format))
    fail_msg("%s", f->err.text);
  snprintf(path, sizeof path, "%s/%s", f->out, name);
  assert_int_equal(safetensors_open(&file, path, &f->err), STATUS_OK);
  check_file(f, &file, n);
  safetensors_close(&file);
}

static void loras_are_the_adapter(void **state) {
  (void)state;
  static const struct adapter_spec *const specs[] = {&chain, &gram_schmidt, &lora};
  for (size_t i = 0; i < COUNT_OF(specs); i++) {
    struct fixture f;
    struct peft_source source;
    char path[200];
    open_unet(&f, specs[i]);
    if (write_format(&f, "lora"))
      fail_msg("%s", f.err.text);
    snprintf(path, sizeof path, "%s/lora.tar", f.out);
    assert_int_equal(peft_source_open(&source, path, &f.err), STATUS_OK);
    assert_true(json_is_null(json_object_get(source.config, "task_type")));
    check_file(&f, &source.tensors, &pefts);
    peft_source_close(&source);
    check_single(&f, "diffusers-lora", "pytorch_lora_weights.safetensors", &diffusers);
    check_single(&f, "kohya-lora", "kohya_lora.safetensors", &kohya);
    close_unet(&f);
  }
}

/* --- merged --------------------------------------------------------------------------------------- */

static void predict(float *out, struct model *model) {
  static float sample[PIXELS * CHANNELS], text[TEXT_TOKENS * 32];
  static const float timestep[] = {301};
  const struct images images = {1, 8, 8};
  struct denoiser d = {0};
  struct error err;
  const float *numbers;
  for (size_t i = 0; i < COUNT_OF(sample); i++)
    sample[i] = sinf((float)i);
  for (size_t i = 0; i < COUNT_OF(text); i++)
    text[i] = cosf((float)i);
  const struct unet_input input = {images, TEXT_TOKENS, sample, timestep, text, NULL};
  assert_int_equal(denoiser_init(&d, model, &images, TEXT_TOKENS, &err), STATUS_OK);
  assert_int_equal(denoiser_predict(&d, &input, &numbers, &err), STATUS_OK);
  memcpy(out, numbers, PIXELS * CHANNELS * sizeof *out);
  denoiser_done(&d);
}

static double differ(const float *a, const float *b) {
  double worst = 0;
  for (size_t i = 0; i < PIXELS * CHANNELS; i++)
    worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
  return worst;
}

/* Takes the archive apart into a folder. */
static void unpack(const char *archive, const char *folder, struct error *err) {
  struct archive_member files[] = {{.name = "config.json", .bytes_max = 1 << 20},
                                   {.name = "diffusion_pytorch_model.safetensors", .bytes_max = 1 << 26},
                                   {.name = "README.md", .bytes_max = 1 << 20}};
  char path[300];
  assert_int_equal(archive_read(files, COUNT_OF(files), archive, err), STATUS_OK);
  assert_int_equal(file_mkdirs(folder, err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
    assert_true(files[i].length > 0);
    assert_int_equal(file_put(path, files[i].bytes, files[i].length, err), STATUS_OK);
  }
  archive_free_members(files, COUNT_OF(files));
}

static void merged_predicts_the_same(void **state) {
  (void)state;
  static float base_out[PIXELS * CHANNELS], want[PIXELS * CHANNELS], got[PIXELS * CHANNELS];
  const struct adapter_spec *const specs[] = {&chain, &oft};
  for (size_t i = 0; i < COUNT_OF(specs); i++) {
    struct fixture f;
    struct model merged, plain;
    char path[200], folder[200];
    open_unet(&f, specs[i]);
    if (write_format(&f, "merged:f32"))
      fail_msg("%s", f.err.text);
    snprintf(path, sizeof path, "%s/merged-f32.tar", f.out);
    snprintf(folder, sizeof folder, "%s/opened", f.out);
    unpack(path, folder, &f.err);
    if (model_open_component(&merged, folder, NULL, &f.backend, &f.err))
      fail_msg("%s", f.err.text);
    assert_int_equal(checkpoint_count(&merged.checkpoint), checkpoint_count(&f.model.checkpoint));
    assert_true(json_equal(merged.checkpoint.config, f.model.checkpoint.config));
    assert_int_equal(model_open_component(&plain, base, NULL, &f.backend, &f.err), STATUS_OK);
    predict(want, &f.model);
    predict(got, &merged);
    predict(base_out, &plain);
    if (!(differ(got, want) < 2e-5) || !(differ(base_out, want) > 1e-2))
      fail_msg("merged %g, base %g", differ(got, want), differ(base_out, want));
    model_close(&plain);
    model_close(&merged);
    close_unet(&f);
  }
}

/* --- a finished adapter --------------------------------------------------------------------------- */

static void finished_adapters_of_pipelines(void **state) {
  (void)state;
  static const char *formats[] = {"diffusers-lora"};
  struct fixture f;
  struct safetensors file;
  struct task task = {.kind = TASK_EXPORT, .exports = {1, formats}, .threads = 1};
  char pipeline[200], unet[300], adapter[200], path[200], *real = realpath(base, NULL);
  open_unet(&f, &gram_schmidt);
  snprintf(pipeline, sizeof pipeline, "%s/pipeline", f.out);
  snprintf(unet, sizeof unet, "%s/unet", pipeline);
  snprintf(adapter, sizeof adapter, "%s/adapter", f.out);
  assert_int_equal(file_mkdirs(pipeline, &f.err), STATUS_OK);
  assert_int_equal(file_mkdirs(adapter, &f.err), STATUS_OK);
  assert_int_equal(symlink(real, unet), 0);
  free(real);
  if (peft_save(&f.model, &f.spec, adapter, "tiny", NULL, &f.err))
    fail_msg("%s", f.err.text);
  task.model_dir = pipeline;
  task.output_dir = f.out;
  task.start = adapter;
  task.spec.model = "tiny";
  task.spec.task = JOB_TASK_SUBJECT_DRIVEN;
  task.spec.adapter = f.spec;
  if (finished_export(&task, &f.report, &f.err))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/pytorch_lora_weights.safetensors", f.out);
  assert_int_equal(safetensors_open(&file, path, &f.err), STATUS_OK);
  assert_int_equal(adapter_forward_factors(f.model.adapters, f.model.adapter_count, &f.backend, &f.err), STATUS_OK);
  check_file(&f, &file, &diffusers);
  safetensors_close(&file);
  close_unet(&f);
}

/* --- refusals ------------------------------------------------------------------------------------- */

static void refused(struct fixture *f, const char *format, const char *says) {
  if (write_format(f, format) != STATUS_UNSUPPORTED_VALUE || !strstr(f->err.text, says))
    fail_msg("%s: %s", format, f->err.text);
}

static void refuses_what_has_no_form(void **state) {
  (void)state;
  struct fixture f;
  struct adapter_spec with_bias = chain;
  static const char *const of_low_rank[] = {"lora", "diffusers-lora", "kohya-lora"};
  open_unet(&f, &oft);
  for (size_t i = 0; i < COUNT_OF(of_low_rank); i++)
    refused(&f, of_low_rank[i], "oft has no low-rank form");
  close_unet(&f);
  open_unet(&f, &chain);
  refused(&f, "gguf", "UNet2DConditionModel");
  refused(&f, "gguf-lora", "UNet2DConditionModel");
  f.model.component = false; /* as a model of texts has it */
  refused(&f, "diffusers-lora", "this is no image model");
  close_unet(&f);
  with_bias.bias = BIAS_METHOD_ONLY;
  open_unet(&f, &with_bias);
  refused(&f, "kohya-lora", "no place for what is trained in full (base_model.model.");
  close_unet(&f);
}

/* PEFT's HRA reads square kernels alone; the equal LoRA has the kernel's own shape. */
static void kernels_that_are_not_square(void **state) {
  (void)state;
  static float weight[6 * 4 * 3 * 2];
  struct fixture f;
  struct convolution c = {4, {3, 2}, {1, 1}, {1, 0}, {1, 1}};
  struct linear l = {.name = "tall", .in = 24, .out = 6, .convolution = &c};
  struct adapter *adapter;
  struct peft_source source;
  char path[200];
  open_unet(&f, &chain);
  for (size_t i = 0; i < COUNT_OF(weight); i++)
    weight[i] = sinf((float)i);
  l.weight = weight_of(weight, 6, 24);
  struct model one = {.backend = &f.backend, .component = true, .ops = f.model.ops, .adapters = &adapter};
  arena_init(&one.arena, 1 << 20);
  one.parameters.arena = &one.arena;
  one.adapter_count = 1;
  static const char *targets[] = {"tall"};
  f.spec.target_modules.names = (struct string_list){1, targets};
  assert_int_equal(adapter_new(&adapter, &f.spec, &l, &one.parameters, 1, &f.err), STATUS_OK);
  for (size_t i = 0; i < one.parameters.item[0]->count; i++)
    one.parameters.item[0]->data[i] = cosf((float)(i * i));
  parameter_upload(&one.parameters);
  f.export.model = &one;
  assert_int_equal(peft_save(&one, &f.spec, f.out, "tiny", NULL, &f.err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(f.err.text, "PEFT cannot hold the HRA adapter of tall: its kernel has 3 x 2 pixels"));
  if (write_format(&f, "lora"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/lora.tar", f.out);
  assert_int_equal(peft_source_open(&source, path, &f.err), STATUS_OK);
  check_module(&f, &source.tensors, &pefts, adapter);
  peft_source_close(&source);
  arena_done(&one.arena);
  close_unet(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loras_are_the_adapter),          cmocka_unit_test(merged_predicts_the_same),
      cmocka_unit_test(finished_adapters_of_pipelines), cmocka_unit_test(refuses_what_has_no_form),
      cmocka_unit_test(kernels_that_are_not_square),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
