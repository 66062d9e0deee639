/* "gguf": the merged model as one GGUF file; "gguf-lora": the equal LoRA as llama.cpp reads it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/export/export_formats.h"
#include "worker/export/lora.h"
#include "worker/export/numbers.h"
#include "worker/file/gguf.h"

/* llama.cpp's general.file_type and its element type. */
static const struct {
  enum ggml_type type;
  uint32_t file_type;
  const char *name;
} types[] = {[EXPORT_TYPE_F16] = {GGML_F16, 1, "f16"},
             [EXPORT_TYPE_BF16] = {GGML_BF16, 32, "bf16"},
             [EXPORT_TYPE_Q8_0] = {GGML_Q8_0, 7, "q8_0"}};

/* The architecture's name in GGUF, or NULL: it is not written. Mistral and Mixtral are llamas there. */
static const char *architecture(const struct model *m) {
  static const char *const names[][2] = {{"llama", "llama"}, {"mistral", "llama"}, {"mixtral", "llama"},
                                         {"qwen2", "qwen2"}, {"qwen3", "qwen3"},   {"qwen3_moe", "qwen3moe"}};
  for (size_t i = 0; m->language && i < COUNT_OF(names); i++)
    if (strcmp(names[i][0], m->ops->model_type) == 0)
      return names[i][1];
  return NULL;
}

/* How many heads' rows llama.cpp wants interleaved in this tensor; 0: none. */
static size_t heads_of(const struct model *m, const char *name) {
  const char *member = strstr(name, ".self_attn.q_proj.")   ? "num_attention_heads"
                       : strstr(name, ".self_attn.k_proj.") ? "num_key_value_heads"
                                                            : NULL;
  if (!member || strcmp(architecture(m), "llama") != 0)
    return 0;
  const json_t *config = m->checkpoint.config, *heads = json_object_get(config, member);
  return (size_t)json_integer_value(heads ? heads : json_object_get(config, "num_attention_heads"));
}

/* Row s * D/2 + j of a head goes to its row 2j + s (the reverse of what loading a GGUF does). */
static void interleave(float *out, const float *in, size_t rows, size_t cols, size_t heads) {
  size_t D = rows / heads;
  for (size_t row = 0; row < rows; row++) {
    size_t r = row % D, to = row - r + 2 * (r % (D / 2)) + r / (D / 2);
    memcpy(out + to * cols, in + row * cols, cols * sizeof *out);
  }
}

static enum status check_architecture(const struct model *m, struct error *err) {
  if (architecture(m))
    return STATUS_OK;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                   "only LLaMA, Mistral, Mixtral, Qwen2 and Qwen3 language models go into GGUF, not a %s%s",
                   m->ops->model_type,
                   m->component  ? ""
                   : m->language ? " model"
                                 : " classifier");
}

/* --- the merged model ----------------------------------------------------------------------------- */

/* Matrices in the asked type where their rows are whole blocks; everything else stays float. */
static enum ggml_type type_for(const struct gguf_tensor *t, enum export_type type) {
  enum ggml_type wanted = types[type].type;
  size_t block = ggml_type_info(wanted)->block;
  if (t->rank < 2)
    return GGML_F32;
  return (size_t)t->shape[t->rank - 1] % block == 0 ? wanted : GGML_F16;
}

static void copy_values(struct gguf_writer *w, const struct export *e, enum export_type type) {
  const struct gguf *base = &e->model->checkpoint.gguf;
  static const char file_type[] = "general.file_type", name_key[] = "general.name";
  char name[300];
  for (size_t i = 0; i < base->value_count; i++) {
    const struct gguf_value *v = &base->values[i];
    bool is_type = v->key.length == sizeof file_type - 1 && memcmp(v->key.text, file_type, v->key.length) == 0;
    bool is_name = v->key.length == sizeof name_key - 1 && memcmp(v->key.text, name_key, v->key.length) == 0;
    bool is_split = v->key.length > 6 && memcmp(v->key.text, "split.", 6) == 0; /* of a base in parts: this is whole */
    if (!is_type && !is_name && !is_split)
      gguf_writer_copy(w, v);
  }
  int length =
      snprintf(name, sizeof name, "%.200s with a %s adapter", e->base, method_of(e->spec->peft_type)->peft_type);
  gguf_writer_string(w, name_key, name, (size_t)length);
  gguf_writer_u32(w, file_type, types[type].file_type);
}

/* The Hugging Face name of a tensor of the file; NULL: it has none (rope_freqs). */
static const struct checkpoint_entry *entry_of(const struct checkpoint *c, const struct gguf_tensor *t) {
  for (size_t i = 0; i < c->entry_count; i++)
    if (c->entries[i].tensor == t)
      return &c->entries[i];
  return NULL;
}

static size_t elements_of(const struct gguf_tensor *t) {
  size_t n = 1;
  for (int i = 0; i < t->rank; i++)
    n *= (size_t)t->shape[i];
  return n;
}

static enum status write_tensors(struct gguf_writer *w, const struct export *e, struct error *err) {
  const struct checkpoint *c = &e->model->checkpoint;
  size_t largest = 0;
  for (size_t i = 0; i < c->gguf.tensor_count; i++) {
    size_t n = elements_of(&c->gguf.tensors[i]);
    largest = n > largest ? n : largest;
  }
  float *numbers = malloc(largest * sizeof *numbers), *rows = malloc(largest * sizeof *rows);
  enum status status = numbers && rows ? STATUS_OK : error_no_memory(err, "a GGUF file");
  for (size_t i = 0; !status && i < c->gguf.tensor_count; i++) {
    const struct gguf_tensor *t = &c->gguf.tensors[i];
    const struct checkpoint_entry *entry = entry_of(c, t);
    size_t n = elements_of(t), heads = entry ? heads_of(e->model, entry->name) : 0;
    status = entry ? numbers_read(numbers, e->model, entry->name, err)
                   : gguf_to_f32(numbers, t, 0, n / (size_t)t->shape[t->rank - 1], err);
    if (status)
      break;
    if (heads)
      interleave(rows, numbers, (size_t)t->shape[0], n / (size_t)t->shape[0], heads);
    gguf_writer_data(w, heads ? rows : numbers, n);
  }
  free(numbers);
  free(rows);
  return status;
}

enum status export_gguf(const struct export *e, enum export_type type, struct error *err) {
  const struct checkpoint *c = &e->model->checkpoint;
  char name[60], path[1100];
  struct gguf_writer *w;
  enum status status = check_architecture(e->model, err);
  if (status)
    return status;
  if (!c->is_gguf)
    return error_set(
        err, STATUS_UNSUPPORTED_VALUE, "exports",
        "the base is no GGUF file, and a tokenizer.json cannot be written as one yet; \"merged\" is exact, and "
        "llama.cpp's convert_hf_to_gguf.py reads it");
  snprintf(name, sizeof name, "merged-%s.gguf", types[type].name);
  snprintf(path, sizeof path, "%s/%s", e->output_dir, name);
  status = gguf_writer_open(&w, path, err);
  if (status)
    return status;
  copy_values(w, e, type);
  for (size_t i = 0; i < c->gguf.tensor_count; i++) {
    const struct gguf_tensor *t = &c->gguf.tensors[i];
    gguf_writer_tensor(w, t->name, type_for(t, type), t->rank, t->shape);
  }
  status = write_tensors(w, e, err);
  if (status)
    gguf_writer_discard(w);
  else
    status = gguf_writer_finish(w, NULL, NULL, err);
  return status ? status : export_announce(e, name, name, false, err);
}

/* --- the LoRA ------------------------------------------------------------------------------------- */

static enum status lora_names(char a[160], char b[160], const struct adapter *adapter, struct error *err) {
  char tensor[300], name[128];
  snprintf(tensor, sizeof tensor, "%s.weight", adapter->linear->name);
  if (!checkpoint_gguf_name(name, tensor))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "GGUF has no name for %s", adapter->linear->name);
  snprintf(a, 160, "%s.lora_a", name);
  snprintf(b, 160, "%s.lora_b", name);
  return STATUS_OK;
}

/* llama.cpp scales each module by alpha / its rank, so B is divided by what is left of that. */
static enum status write_factors(struct gguf_writer *w, const struct export *e, const struct adapter *a, size_t rank,
                                 struct error *err) {
  struct lora_factors f = {0};
  char name[600];
  size_t out = a->linear->out, r = a->rank;
  float scale = (float)a->rank / (float)rank, *rows = malloc(out * r * sizeof *rows);
  snprintf(name, sizeof name, "%s.weight", a->linear->name);
  enum status status = rows ? lora_factors(&f, e, a, err) : error_no_memory(err, "a GGUF file");
  if (!status) {
    size_t heads = heads_of(e->model, name);
    for (size_t i = 0; i < out * r; i++)
      f.B[i] *= scale;
    if (heads)
      interleave(rows, f.B, out, r, heads);
    gguf_writer_data(w, f.A, r * a->linear->in);
    gguf_writer_data(w, heads ? rows : f.B, out * r);
  }
  lora_done(&f);
  free(rows);
  return status;
}

/* Only changes of weights have a place in a GGUF LoRA. */
static enum status check_trained(const struct model *m, struct error *err) {
  for (size_t i = 0; i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    if (!adapter_owns(m->adapters, m->adapter_count, p))
      return error_set(
          err, STATUS_UNSUPPORTED_VALUE, "exports",
          "a GGUF LoRA has no place for %s (modules_to_save, bias, trainable_token_indices), which the job "
          "trained in full; \"gguf\" and \"merged\" have it",
          p->key + strlen("base_model.model."));
  }
  return STATUS_OK;
}

static enum status write_lora(struct gguf_writer *w, const struct export *e, size_t rank, struct error *err) {
  const struct model *m = e->model;
  char a[160], b[160];
  enum status status = STATUS_OK;
  const char *arch = architecture(m);
  gguf_writer_string(w, "general.type", "adapter", 7);
  gguf_writer_string(w, "general.architecture", arch, strlen(arch));
  gguf_writer_string(w, "general.name", e->base, strlen(e->base));
  gguf_writer_string(w, "adapter.type", "lora", 4);
  gguf_writer_f32(w, "adapter.lora.alpha", (float)rank);
  for (size_t i = 0; !status && i < m->adapter_count; i++) {
    const struct adapter *adapter = m->adapters[i];
    const int64_t shape_a[2] = {(int64_t)adapter->rank, (int64_t)adapter->linear->in};
    const int64_t shape_b[2] = {(int64_t)adapter->linear->out, (int64_t)adapter->rank};
    status = lora_names(a, b, adapter, err);
    if (status)
      break;
    gguf_writer_tensor(w, a, GGML_F32, 2, shape_a);
    gguf_writer_tensor(w, b, GGML_F32, 2, shape_b);
  }
  for (size_t i = 0; !status && i < m->adapter_count; i++)
    status = write_factors(w, e, m->adapters[i], rank, err);
  return status;
}

enum status export_gguf_lora(const struct export *e, struct error *err) {
  char path[1100];
  struct gguf_writer *w;
  size_t rank;
  enum status status = check_architecture(e->model, err);
  status = status ? status : lora_rank(&rank, e, err);
  status = status ? status : check_trained(e->model, err);
  snprintf(path, sizeof path, "%s/lora.gguf", e->output_dir);
  status = status ? status : gguf_writer_open(&w, path, err);
  if (status)
    return status;
  status = write_lora(w, e, rank, err);
  if (status)
    gguf_writer_discard(w);
  else
    status = gguf_writer_finish(w, NULL, NULL, err);
  return status ? status : export_announce(e, "lora.gguf", "lora.gguf", false, err);
}
