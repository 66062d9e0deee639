/* A checkpoint reads alike from every container: the tensors and config.json's members are Hugging Face's. What is not
   a model is refused by name. */
#include <unistd.h>

#include "tests/worker/model/checkpoint_files.h"

static void write_folder(const char *folder) {
  static const float a[] = {1, 2, 3, 4};
  static const uint16_t half[] = {0x3C00, 0xC000}, brain[] = {0x3F80, 0xC040};
  static const int64_t ids[] = {0, 1};
  const struct st_tensor tensors[] = {{"a", ST_F32, 2, {2, 2}, (const unsigned char *)a, sizeof a},
                                      {"half", ST_F16, 1, {2}, (const unsigned char *)half, sizeof half},
                                      {"brain", ST_BF16, 1, {2}, (const unsigned char *)brain, sizeof brain},
                                      {"ids", ST_I64, 1, {2}, (const unsigned char *)ids, sizeof ids}};
  char path[300];
  struct error err = {0};
  assert_int_equal(file_mkdirs(folder, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_int_equal(safetensors_write(path, tensors, 4, NULL, NULL, NULL, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/config.json", folder);
  put_text(path, "{\"model_type\": \"llama\", \"hidden_size\": 8}");
}

static void reads_a_folder(void **state) {
  struct checkpoint c;
  struct checkpoint_tensor tensor;
  struct error err;
  struct weight weight;
  float out[4];
  (void)state;
  write_folder(at("hf"));
  write_gguf(at("hf/beside.gguf"), "llama", NULL); /* the safetensors win */
  open_ok(&c, at("hf"));
  assert_false(c.is_gguf);
  assert_string_equal(c.weights_path, at("hf/model.safetensors"));
  assert_int_equal(member(&c, "hidden_size"), 8);
  assert_int_equal(checkpoint_count(&c), 4);
  assert_string_equal(checkpoint_at(&c, 1).name, "brain");
  assert_true(checkpoint_find(&tensor, &c, "a"));
  assert_true(tensor.rank == 2 && tensor.shape[0] == 2 && tensor.shape[1] == 2);
  assert_false(checkpoint_find(&tensor, &c, "b"));
  assert_true(checkpoint_mapped(&weight, &c, "a"));
  assert_true(weight.rows == 2 && weight.cols == 2 && weight_part(&weight, 1, 1, 1, NULL)[0] == 4);
  assert_true(checkpoint_mapped(&weight, &c, "half"));
  assert_true(weight.type == GGML_F16 && weight_rows(&weight, 0, weight.rows, out)[1] == -2);
  assert_false(checkpoint_mapped(&weight, &c, "none"));
  assert_int_equal(checkpoint_read(out, &c, "half", &err), STATUS_OK);
  assert_true(out[0] == 1 && out[1] == -2);
  assert_int_equal(checkpoint_read(out, &c, "brain", &err), STATUS_OK);
  assert_true(out[0] == 1 && out[1] == -3);
  assert_int_equal(checkpoint_read(out, &c, "ids", &err), STATUS_MODEL_INVALID);
  assert_int_equal(checkpoint_read(out, &c, "none", &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "hf/model.safetensors has no tensor none"));
  checkpoint_close(&c);
}

static void refuses_what_is_no_model(void **state) {
  (void)state;
  open_fails(at("absent"), STATUS_IO, "cannot open");
  assert_int_equal(file_mkdirs(at("empty"), NULL), STATUS_OK);
  open_fails(at("empty"), STATUS_MODEL_INVALID,
             "has no model.safetensors, pytorch_model.bin, index of either's shards or .gguf file");
  put_text(at("text"), "not a model");
  open_fails(at("text"), STATUS_MODEL_INVALID, "text: is no GGUF file");
  write_folder(at("broken"));
  put_text(at("broken/config.json"), "{\"model_type\": }");
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json: line 1");
  put_text(at("broken/config.json"), "[]");
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json: must be an object, not an array");
  assert_int_equal(unlink(at("broken/config.json")), 0);
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json");
}

static void says_what_there_is_instead(void **state) {
  static const char *const names[][2] = {
      {"model.onnx", "; model.onnx cannot be trained"},
      {"model.bin", "; model.bin is not read; AutoModel's save_pretrained"},
      {"weights.safetensors", "; weights.safetensors is not named model.safetensors"},
      {"consolidated.00.safetensors", "; consolidated.00.safetensors has Mistral's own names"},
      {"pytorch_model-00001-of-00002.bin", "is a shard: pytorch_model.bin.index.json is missing"},
      {"model-00002-of-00002.safetensors", "is a shard: model.safetensors.index.json is missing"},
      {"adapter_model.safetensors", "; adapter_model.safetensors is an adapter"},
  };
  char path[100];
  (void)state;
  assert_int_equal(file_mkdirs(at("instead"), NULL), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    snprintf(path, sizeof path, "instead/%s", names[i][0]);
    put_text(at(path), "x");
    open_fails(at("instead"), STATUS_MODEL_INVALID, names[i][1]); /* each is likelier than those before it */
  }
  write_folder(at("made"));
  put_text(at("made/config.json"), "");
  open_fails(at("made"), STATUS_MODEL_INVALID, "made/config.json: is empty");
  put_text(at("made/config.json"), "version https://git-lfs.github.com/spec/v1\noid sha256:abc\n");
  open_fails(at("made"), STATUS_MODEL_INVALID, "made/config.json: is a Git LFS pointer");
  put_text(at("made/config.json"), "{\"quantization_config\": {\"quant_method\": \"gptq\"}}");
  open_fails(at("made"), STATUS_MODEL_INVALID, "weights quantized by gptq are not read");
  put_text(at("made/config.json"), "{\"quantization_config\": {\"load_in_4bit\": true}}");
  open_fails(at("made"), STATUS_MODEL_INVALID, "weights quantized by bitsandbytes are not read");
}

/* What diffusers fetches with variant="fp16"; a full one beside it wins. */
static void reads_a_variant(void **state) {
  static const char *const names[] = {"variant/model.fp16.safetensors",
                                      "variant/diffusion_pytorch_model.fp16.safetensors"};
  struct checkpoint c;
  (void)state;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    write_folder(at("variant"));
    assert_int_equal(link(at("variant/model.safetensors"), at(names[i])), 0);
    open_ok(&c, at("variant"));
    assert_string_equal(c.weights_path, at("variant/model.safetensors"));
    checkpoint_close(&c);
    assert_int_equal(unlink(at("variant/model.safetensors")), 0);
    open_ok(&c, at("variant"));
    assert_string_equal(c.weights_path, at(names[i]));
    assert_int_equal(checkpoint_count(&c), 4);
    checkpoint_close(&c);
    assert_int_equal(unlink(at(names[i])), 0);
  }
}

static void a_folder_has_one_gguf(void **state) {
  struct checkpoint c;
  (void)state;
  assert_int_equal(file_mkdirs(at("two"), NULL), STATUS_OK);
  write_gguf(at("two/b.gguf"), "llama", NULL);
  put_text(at("two/.hidden.gguf"), "");
  put_text(at("two/config.json"), "{\"model_type\": \"other\"}"); /* without safetensors it says nothing */
  open_ok(&c, at("two"));
  assert_true(c.is_gguf);
  assert_string_equal(text_member(&c, "model_type"), "llama");
  assert_string_equal(c.weights_path, at("two/b.gguf"));
  checkpoint_close(&c);
  write_gguf(at("two/a.gguf"), "llama", NULL);
  open_fails(at("two"), STATUS_MODEL_INVALID, "has 2 .gguf files (a.gguf, b.gguf); exactly one is a model");
}

/* The same files give the same; a flipped bit of the numbers, or of the config's last digit, gives another. */
static void tells_models_apart(void **state) {
  (void)state;
  static const char *const changed[] = {NULL, NULL, "apart/model.safetensors", "apart/config.json"};
  char prints[COUNT_OF(changed)][HASH_HEX], *bytes;
  size_t length;
  write_folder(at("apart"));
  for (size_t i = 0; i < COUNT_OF(changed); i++) {
    struct checkpoint c;
    if (changed[i]) {
      assert_int_equal(file_read(&bytes, &length, at(changed[i]), 1 << 20, NULL), STATUS_OK);
      bytes[length - 2] ^= 1;
      assert_int_equal(file_put(at(changed[i]), bytes, length, NULL), STATUS_OK);
      free(bytes);
    }
    open_ok(&c, at("apart"));
    checkpoint_fingerprint(prints[i], &c);
    checkpoint_close(&c);
  }
  assert_string_equal(prints[0], prints[1]);
  assert_string_not_equal(prints[1], prints[2]);
  assert_string_not_equal(prints[2], prints[3]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_folder),
      cmocka_unit_test(refuses_what_is_no_model),
      cmocka_unit_test(says_what_there_is_instead),
      cmocka_unit_test(reads_a_variant),
      cmocka_unit_test(a_folder_has_one_gguf),
      cmocka_unit_test(tells_models_apart),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
