/* Proves, on a tiny LLaMA in a GGUF file and a tiny BERT: that every export format holds the trained model. The LoRA
   of an HRA adapter changes each weight as the adapter does; merged files have the merged numbers; a model loaded from
   an exported GGUF gives the logits of the model with its adapter; what has no exact form is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/worker/export/fixture.h"
#include "worker/peft/peft.h"
#include "worker/peft/peft_source.h"

static const char tiny_gguf[] = "tests/worker/export/tiny.gguf", bert[] = "tests/golden/cases/bert-hra/model";
static const char deberta[] = "tests/golden/cases/deberta-conv-hra/model";
static const char gpt2[] = "tests/golden/cases/gpt2-lora/model";

static float *merged_of(struct fixture *f, const struct adapter *a) {
  float *merged = calloc(a->linear->in * a->linear->out, sizeof *merged);
  assert_non_null(merged);
  a->ops->merge(a, &f->backend, merged);
  return merged;
}

/* lora.tar read as an adapter made elsewhere: W + B A is the merged weight, module by module. */
static void check_lora(struct fixture *f) {
  char path[100], key[300];
  struct peft_source source;
  if (write_format(f, "lora"))
    fail_msg("%s", f->err.text);
  snprintf(path, sizeof path, "%s/lora.tar", f->out);
  if (peft_source_open(&source, path, &f->err))
    fail_msg("%s", f->err.text);
  assert_string_equal(json_string_value(json_object_get(source.config, "peft_type")), "LORA");
  for (size_t i = 0; i < f->model.adapter_count; i++) {
    const struct adapter *a = f->model.adapters[i];
    size_t in = a->linear->in, out = a->linear->out, r = a->rank;
    float *A = calloc(r * in, 4), *B = calloc(out * r, 4), *sum = calloc(in * out, 4), *want = merged_of(f, a);
    float *base = calloc(in * out, 4);
    weight_read(base, &a->linear->weight);
    snprintf(key, sizeof key, "base_model.model.%s.lora_A.weight", a->linear->name);
    assert_int_equal(st_to_f32(A, safetensors_find(&source.tensors, key), &f->err), STATUS_OK);
    snprintf(key, sizeof key, "base_model.model.%s.lora_B.weight", a->linear->name);
    assert_int_equal(st_to_f32(B, safetensors_find(&source.tensors, key), &f->err), STATUS_OK);
    for (size_t o = 0; o < out; o++)
      for (size_t c = 0; c < in; c++) {
        double change = 0;
        for (size_t k = 0; k < r; k++)
          change += (double)B[o * r + k] * (double)A[k * in + c];
        sum[o * in + c] = (float)((double)base[o * in + c] + change);
      }
    if (worst(sum, want, in * out) > 1e-6)
      fail_msg("%s: %g", a->linear->name, worst(sum, want, in * out));
    free(A), free(B), free(sum), free(want), free(base);
  }
  peft_source_close(&source);
}

static const struct adapter_spec chain = {.peft_type = PEFT_HRA, .hra = {.r = 4}};
static const struct adapter_spec gram_schmidt = {.peft_type = PEFT_HRA, .hra = {.r = 5, .apply_GS = true}};
static const struct adapter_spec lora = {.peft_type = PEFT_LORA, .lora = {.r = 3, .lora_alpha = 7, .use_rslora = true}};
static const struct adapter_spec pissa = {
    .peft_type = PEFT_LORA,
    .lora = {.r = 3, .lora_alpha = 7, .use_rslora = true, .init_lora_weights = LORA_INIT_PISSA}};
static const struct adapter_spec dora = {.peft_type = PEFT_LORA, .lora = {.r = 3, .lora_alpha = 7, .use_dora = true}};
static const struct adapter_spec oft = {.peft_type = PEFT_OFT, .oft = {.oft_block_size = 8, .eps = 1}};

static void lora_is_the_adapter(void **state) {
  (void)state;
  static const struct adapter_spec *const specs[] = {&chain, &gram_schmidt, &lora, &pissa};
  for (size_t i = 0; i < COUNT_OF(specs); i++) {
    struct fixture f;
    open_model(&f, tiny_gguf, 0, specs[i]);
    check_lora(&f);
    close_model(&f);
    open_model(&f, bert, 3, specs[i]);
    check_lora(&f);
    close_model(&f);
  }
}

static void merged_has_the_merged_numbers(void **state) {
  (void)state;
  struct fixture f;
  struct archive_member file = {.name = "model.safetensors", .bytes_max = 1 << 26};
  struct safetensors tensors;
  char path[100], key[300];
  open_model(&f, bert, 3, &chain);
  if (write_format(&f, "merged:f32"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/merged-f32.tar", f.out);
  assert_int_equal(archive_read(&file, 1, path, &f.err), STATUS_OK);
  assert_int_equal(safetensors_parse(&tensors, (unsigned char *)file.bytes, file.length, &f.err), STATUS_OK);
  for (size_t i = 0; i < f.model.adapter_count; i++) {
    const struct adapter *a = f.model.adapters[i];
    size_t count = a->linear->in * a->linear->out;
    float *got = calloc(count, 4), *want = merged_of(&f, a);
    snprintf(key, sizeof key, "%s.weight", a->linear->name);
    assert_int_equal(st_to_f32(got, safetensors_find(&tensors, key), &f.err), STATUS_OK);
    assert_memory_equal(got, want, count * sizeof *got);
    free(got), free(want);
  }
  const struct st_tensor *head = safetensors_find(&tensors, "classifier.weight");
  assert_non_null(head);
  assert_memory_equal(head->bytes, f.model.head->weight.bytes, head->length);
  assert_non_null(safetensors_find(&tensors, "bert.embeddings.word_embeddings.weight"));
  safetensors_close(&tensors);
  archive_free_members(&file, 1);
  close_model(&f);
}

/* GPT-2's files have Conv1D weights in x out. */
static void merged_conv1d_is_as_in_its_file(void **state) {
  (void)state;
  struct fixture f;
  struct archive_member file = {.name = "model.safetensors", .bytes_max = 1 << 26};
  struct safetensors tensors;
  char path[100], key[300];
  open_model(&f, gpt2, 0, &lora);
  if (write_format(&f, "merged:f32"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/merged-f32.tar", f.out);
  assert_int_equal(archive_read(&file, 1, path, &f.err), STATUS_OK);
  assert_int_equal(safetensors_parse(&tensors, (unsigned char *)file.bytes, file.length, &f.err), STATUS_OK);
  assert_int_equal(f.model.adapter_count, 8);
  for (size_t i = 0; i < f.model.adapter_count; i++) {
    const struct adapter *a = f.model.adapters[i];
    size_t in = a->linear->in, out = a->linear->out;
    float *got = calloc(in * out, 4), *want = merged_of(&f, a);
    snprintf(key, sizeof key, "%s.weight", a->linear->name);
    const struct st_tensor *t = safetensors_find(&tensors, key);
    assert_true(t && t->shape[0] == (int64_t)in && t->shape[1] == (int64_t)out);
    assert_int_equal(st_to_f32(got, t, &f.err), STATUS_OK);
    for (size_t k = 0; k < in * out; k++)
      assert_true(got[k % in * out + k / in] == want[k]);
    free(got), free(want);
  }
  safetensors_close(&tensors);
  archive_free_members(&file, 1);
  assert_int_equal(peft_save_about(&f.model, &f.spec, f.out, "gpt2", NULL, &f.err), STATUS_OK);
  snprintf(path, sizeof path, "%s/adapter_config.json", f.out);
  json_t *config;
  assert_int_equal(json_parse_file(&config, path, NULL, &f.err), STATUS_OK);
  assert_true(json_is_true(json_object_get(config, "fan_in_fan_out")));
  json_decref(config);
  close_model(&f);
}

static void conv1d_takes_lora_alone(void **state) {
  struct backend backend;
  struct model model;
  struct error err;
  struct adapter_spec spec = chain;
  (void)state;
  assert_int_equal(cpu_open(&backend, 2, NULL, &err), STATUS_OK);
  assert_int_equal(model_open(&model, gpt2, OUTPUT_TEXT, 0, 1, &backend, &err), STATUS_OK);
  assert_int_equal(model_adapt(&model, &spec, 1, &err), STATUS_UNSUPPORTED_TARGET);
  assert_non_null(strstr(err.text, "transformer.h.0.attn.c_attn is a Conv1D module: PEFT puts LoRA alone on those"));
  model_close(&model);
  backend_close(&backend);
}

/* DeBERTa's: the weight as the file has it, with the bias that was trained. */
static void a_convolution_s_bias_is_merged(void **state) {
  (void)state;
  struct fixture f;
  struct archive_member file = {.name = "model.safetensors", .bytes_max = 1 << 26};
  struct safetensors tensors;
  struct adapter_spec spec = chain;
  char path[100];
  spec.bias = BIAS_ALL;
  open_model(&f, deberta, 3, &spec);
  if (write_format(&f, "merged:f32"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/merged-f32.tar", f.out);
  assert_int_equal(archive_read(&file, 1, path, &f.err), STATUS_OK);
  assert_int_equal(safetensors_parse(&tensors, (unsigned char *)file.bytes, file.length, &f.err), STATUS_OK);
  const struct linear *conv = f.model.convolution;
  const struct st_tensor *weight = safetensors_find(&tensors, "deberta.encoder.conv.conv.weight"),
                         *bias = safetensors_find(&tensors, "deberta.encoder.conv.conv.bias");
  assert_true(weight && weight->rank == 3 && weight->shape[2] == 3);
  assert_memory_equal(weight->bytes, conv->weight.bytes, weight->length);
  assert_true(bias && bias->length == conv->out * sizeof(float));
  assert_memory_equal(bias->bytes, conv->trained_bias->data, bias->length);
  safetensors_close(&tensors);
  archive_free_members(&file, 1);
  close_model(&f);
}

static json_t *member_of(struct fixture *f, const char *archive, const char *name) {
  struct archive_member file = {.name = name, .bytes_max = 1 << 20};
  char path[100];
  json_t *json;
  snprintf(path, sizeof path, "%s/%s", f->out, archive);
  assert_int_equal(archive_read(&file, 1, path, &f->err), STATUS_OK);
  assert_non_null(file.bytes);
  assert_int_equal(json_parse(&json, file.bytes, file.length, NULL, &f->err), STATUS_OK);
  archive_free_members(&file, 1);
  return json;
}

static void is_json(const json_t *got, const char *want) {
  AUTO(json_release) json_t *json = json_loads(want, JSON_DECODE_ANY, NULL);
  if (!json_equal(got, json))
    fail_msg("wanted %s: %s", want, json_dumps(got, JSON_ENCODE_ANY));
}

/* Names of classes and the kind of problem are those of what was trained, whatever the base's config says. */
static void classes_are_exported(void **state) {
  (void)state;
  static const char *const names[] = {"spam", "\"quoted\"", "ham"};
  static const char classes[] = "{\"0\": \"spam\", \"1\": \"\\\"quoted\\\"\", \"2\": \"ham\"}";
  struct fixture f;
  for (int regression = 0; regression < 2; regression++) {
    open_model(&f, bert, regression ? 1 : 3, &chain);
    f.model.label_names = regression ? NULL : names;
    json_object_set_new(f.model.checkpoint.config, "problem_type", json_string("multi_label_classification"));
    if (write_format(&f, "merged:f32") || write_format(&f, "lora"))
      fail_msg("%s", f.err.text);
    AUTO(json_release) json_t *config = member_of(&f, "merged-f32.tar", "config.json");
    AUTO(json_release) json_t *labels = member_of(&f, "lora.tar", "labels.json");
    for (int i = 0; i < 2; i++) {
      const json_t *from = i ? labels : config;
      is_json(json_object_get(from, "id2label"), regression ? "{\"0\": \"LABEL_0\"}" : classes);
      is_json(json_object_get(from, "problem_type"), regression ? "\"regression\"" : "\"single_label_classification\"");
      is_json(json_object_get(from, "num_labels"), regression ? "1" : "3");
      is_json(json_object_get(json_object_get(from, "label2id"), regression ? "LABEL_0" : "ham"),
              regression ? "0" : "2");
    }
    close_model(&f);
  }
}

static void an_exported_gguf_says_the_same(void **state) {
  (void)state;
  static const struct {
    const char *format, *file;
    double tolerance;
  } rows[] = {{"gguf:f16", "merged-f16.gguf", 3e-3},
              {"gguf:bf16", "merged-bf16.gguf", 3e-2},
              {"gguf:q8_0", "merged-q8_0.gguf", 3e-2}};
  struct fixture f;
  char path[120];
  open_model(&f, tiny_gguf, 0, &oft);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    if (write_format(&f, rows[i].format))
      fail_msg("%s", f.err.text);
    snprintf(path, sizeof path, "%s/%s", f.out, rows[i].file);
    double differ = logits_differ(&f, path);
    if (!(differ < rows[i].tolerance))
      fail_msg("%s: %g", rows[i].format, differ);
  }
  assert_true(logits_differ(&f, tiny_gguf) > 0.1); /* the adapter does something */
  close_model(&f);
}

/* B's rows of q are interleaved as the base's are: back in order, B A is the change of the weight. */
static void gguf_lora_is_the_adapter(void **state) {
  (void)state;
  struct fixture f;
  struct gguf gguf;
  char path[100];
  double alpha;
  open_model(&f, tiny_gguf, 0, &gram_schmidt);
  if (write_format(&f, "gguf-lora"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/lora.gguf", f.out);
  assert_int_equal(gguf_open(&gguf, path, &f.err), STATUS_OK);
  assert_int_equal(gguf.tensor_count, 2 * f.model.adapter_count);
  assert_int_equal(gguf_get_f64(&alpha, &gguf, "adapter.lora.alpha", 0, &f.err), STATUS_OK);
  assert_true(alpha == 5);
  const struct adapter *a = f.model.adapters[0];
  assert_string_equal(a->linear->name, "model.layers.0.self_attn.q_proj");
  size_t in = a->linear->in, out = a->linear->out, r = a->rank, D = out / 6;
  float A[5 * 48], B[48 * 5], base[48 * 48], *want = merged_of(&f, a);
  weight_read(base, &a->linear->weight);
  assert_true(in == 48 && out == 48 && r == 5);
  assert_int_equal(gguf_to_f32(A, gguf_find_tensor(&gguf, "blk.0.attn_q.weight.lora_a"), 0, r, &f.err), STATUS_OK);
  assert_int_equal(gguf_to_f32(B, gguf_find_tensor(&gguf, "blk.0.attn_q.weight.lora_b"), 0, out, &f.err), STATUS_OK);
  for (size_t row = 0; row < out; row++) {
    size_t j = row % D, from = row - j + 2 * (j % (D / 2)) + j / (D / 2);
    for (size_t c = 0; c < in; c++) {
      double sum = (double)base[row * in + c];
      for (size_t k = 0; k < r; k++)
        sum += (double)B[from * r + k] * (double)A[k * in + c];
      assert_true(fabs(sum - (double)want[row * in + c]) < 2e-6);
    }
  }
  free(want);
  gguf_close(&gguf);
  close_model(&f);
}

static void refused(struct fixture *f, const char *format, const char *says) {
  if (write_format(f, format) != STATUS_UNSUPPORTED_VALUE || !strstr(f->err.text, says))
    fail_msg("%s: %s", format, f->err.text);
}

static void refuses_what_has_no_form(void **state) {
  (void)state;
  struct fixture f;
  open_model(&f, tiny_gguf, 0, &oft);
  refused(&f, "lora", "no low-rank form");
  refused(&f, "gguf-lora", "no low-rank form");
  close_model(&f);
  open_model(&f, tiny_gguf, 0, &dora);
  refused(&f, "lora", "use_dora has no low-rank form");
  close_model(&f);
  open_model(&f, bert, 3, &chain);
  refused(&f, "gguf", "bert classifier");
  refused(&f, "gguf-lora", "bert classifier");
  close_model(&f);
}

/* What is trained in full goes along wherever the format has a place for it, and is named where there is none. */
static void modules_in_full_are_not_lost(void **state) {
  (void)state;
  static const char *down[] = {"down_proj"};
  struct adapter_spec spec = chain;
  struct fixture f;
  struct peft_source source;
  char path[100];
  spec.modules_to_save = (struct string_list){1, down};
  open_model(&f, tiny_gguf, 0, &spec);
  refused(&f, "gguf-lora", "no place for model.layers.0.mlp.down_proj.weight");
  if (write_format(&f, "lora") || write_format(&f, "gguf:f16"))
    fail_msg("%s", f.err.text);
  snprintf(path, sizeof path, "%s/lora.tar", f.out);
  assert_int_equal(peft_source_open(&source, path, &f.err), STATUS_OK);
  is_json(json_object_get(source.config, "modules_to_save"), "[\"down_proj\"]");
  const struct st_tensor *saved = peft_source_tensor(&source, "base_model.model.model.layers.0.mlp.down_proj.weight");
  assert_non_null(saved);
  for (size_t i = 0; i < f.model.linear_count; i++)
    if (strcmp(f.model.linears[i]->name, "model.layers.0.mlp.down_proj") == 0)
      assert_memory_equal(saved->bytes, f.model.linears[i]->trained_weight->data, saved->length);
  peft_source_close(&source);
  snprintf(path, sizeof path, "%s/merged-f16.gguf", f.out);
  double differ = logits_differ(&f, path);
  if (!(differ < 3e-3))
    fail_msg("%g", differ);
  close_model(&f);
}

/* What PEFT, serving and another job read: a plain LoRA that is the adapter. */
static void a_start_from_the_weights_is_saved_as_lora(void **state) {
  (void)state;
  struct fixture f;
  struct model other;
  struct adapter_spec saved;
  struct arena arena;
  arena_init(&arena, 1 << 20);
  open_model(&f, bert, 3, &pissa);
  if (peft_save(&f.model, &f.spec, f.out, "tiny", NULL, &f.err) || peft_read_config(&saved, f.out, &arena, &f.err) ||
      model_open(&other, bert, OUTPUT_CLASS, 3, 1, &f.backend, &f.err) ||
      model_adapt_again(&other, &saved, 1, &f.err) || peft_load(&other, f.out, &f.err) ||
      adapter_forward_factors(f.model.adapters, f.model.adapter_count, &f.backend, &f.err) ||
      adapter_forward_factors(other.adapters, other.adapter_count, &f.backend, &f.err))
    fail_msg("%s", f.err.text);
  assert_true(saved.lora.r == 6 && saved.lora.init_lora_weights == LORA_INIT_TRUE && saved.lora.use_rslora);
  assert_int_equal(other.adapter_count, f.model.adapter_count);
  for (size_t i = 0; i < other.adapter_count; i++) {
    const struct linear *l = other.adapters[i]->linear;
    float *own = merged_of(&f, f.model.adapters[i]), *read = merged_of(&f, other.adapters[i]);
    if (worst(read, own, l->in * l->out) > 1e-6)
      fail_msg("%s: %g", l->name, worst(read, own, l->in * l->out));
    weight_read(read, &l->weight);
    assert_true(worst(read, own, l->in * l->out) > 1e-2);
    free(own), free(read);
  }
  model_close(&other);
  close_model(&f);
  arena_done(&arena);
}

/* adapter_config.json lists what is adapted: the defaults by name, and nothing else. */
static void targets_are_listed_as_trained(void **state) {
  (void)state;
  static const char *given[] = {"value", "no_such", "query"};
  struct fixture f;
  open_model(&f, bert, 3, &chain);
  for (int i = 0; i < 2; i++) {
    struct model other;
    struct peft_source source;
    struct adapter_spec spec = chain;
    spec.target_modules = (struct module_match){.names = {i ? 3 : 0, given}};
    if (model_open(&other, bert, OUTPUT_CLASS, 3, 1, &f.backend, &f.err) ||
        model_adapt_again(&other, &spec, 1, &f.err) || peft_save(&other, &spec, f.out, "tiny", NULL, &f.err) ||
        peft_source_open(&source, f.out, &f.err))
      fail_msg("%s", f.err.text);
    is_json(json_object_get(source.config, "target_modules"), i ? "[\"value\", \"query\"]" : "[\"query\", \"value\"]");
    peft_source_close(&source);
    model_close(&other);
    assert_int_equal(model_open(&other, bert, OUTPUT_CLASS, 3, 1, &f.backend, &f.err), STATUS_OK);
    assert_int_equal(model_adapt(&other, &spec, 1, &f.err), i ? STATUS_UNSUPPORTED_TARGET : STATUS_OK);
    model_close(&other);
  }
  close_model(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(merged_conv1d_is_as_in_its_file),
      cmocka_unit_test(conv1d_takes_lora_alone),
      cmocka_unit_test(lora_is_the_adapter),
      cmocka_unit_test(merged_has_the_merged_numbers),
      cmocka_unit_test(classes_are_exported),
      cmocka_unit_test(an_exported_gguf_says_the_same),
      cmocka_unit_test(gguf_lora_is_the_adapter),
      cmocka_unit_test(refuses_what_has_no_form),
      cmocka_unit_test(modules_in_full_are_not_lost),
      cmocka_unit_test(targets_are_listed_as_trained),
      cmocka_unit_test(a_convolution_s_bias_is_merged),
      cmocka_unit_test(a_start_from_the_weights_is_saved_as_lora),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
