/* "gguf": the merged model as one GGUF file. Of a base that is one, keys and tokenizer are the base's; of a Hugging
   Face folder they are made of its config.json, tokenizer and chat template, and the tokenizer is then read back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "worker/chat/chat_template.h"
#include "worker/export/export_formats.h"
#include "worker/export/gguf_form.h"
#include "worker/export/gguf_keys.h"
#include "worker/export/merged_tensors.h"
#include "worker/export/numbers.h"
#include "worker/text/tokenizer.h"

/* llama.cpp's general.file_type and its element type. */
static const struct {
  enum ggml_type type;
  uint32_t file_type;
  const char *name;
} types[] = {[EXPORT_TYPE_F16] = {GGML_F16, 1, "f16"},
             [EXPORT_TYPE_BF16] = {GGML_BF16, 32, "bf16"},
             [EXPORT_TYPE_Q8_0] = {GGML_Q8_0, 7, "q8_0"}};

/* Matrices in the asked type where their rows are whole blocks; everything else stays float. */
static enum ggml_type type_for(int rank, const int64_t *shape, enum export_type type) {
  enum ggml_type wanted = types[type].type;
  if (rank < 2)
    return GGML_F32;
  return (size_t)shape[rank - 1] % ggml_type_info(wanted)->block == 0 ? wanted : GGML_F16;
}

static void put_general(struct gguf_writer *w, const struct export *e, enum export_type type) {
  char name[300];
  int length =
      snprintf(name, sizeof name, "%.200s with a %s adapter", e->base, method_of(e->spec->peft_type)->peft_type);
  gguf_writer_string(w, "general.name", name, (size_t)length);
  gguf_writer_u32(w, "general.file_type", types[type].file_type);
}

/* --- of a GGUF file ------------------------------------------------------------------------------- */

static bool is_key(const struct gguf_value *v, const char *key) {
  return v->key.length == strlen(key) && memcmp(v->key.text, key, v->key.length) == 0;
}

/* What is not general.name, the file's type or, of a base in parts, about these: the export is whole. */
static void copy_values(struct gguf_writer *w, const struct gguf *base) {
  for (size_t i = 0; i < base->value_count; i++) {
    const struct gguf_value *v = &base->values[i];
    bool is_split = v->key.length > 6 && memcmp(v->key.text, "split.", 6) == 0;
    if (!is_split && !is_key(v, "general.name") && !is_key(v, "general.file_type"))
      gguf_writer_copy(w, v);
  }
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

static enum status write_file_tensors(struct gguf_writer *w, const struct export *e, struct error *err) {
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
    size_t n = elements_of(t), count = (size_t)t->shape[0];
    status = entry ? numbers_read(numbers, e->model, entry->name, err)
                   : gguf_to_f32(numbers, t, 0, n / (size_t)t->shape[t->rank - 1], err);
    if (!status)
      gguf_write_rows(w, e->model, entry ? entry->name : t->name, numbers, count, n / count, rows);
  }
  free(numbers);
  free(rows);
  return status;
}

static enum status write_of_file(struct gguf_writer *w, const struct export *e, enum export_type type,
                                 struct error *err) {
  const struct gguf *base = &e->model->checkpoint.gguf;
  copy_values(w, base);
  put_general(w, e, type);
  for (size_t i = 0; i < base->tensor_count; i++) {
    const struct gguf_tensor *t = &base->tensors[i];
    gguf_writer_tensor(w, t->name, type_for(t->rank, t->shape, type), t->rank, t->shape);
  }
  return write_file_tensors(w, e, err);
}

/* --- of a folder ---------------------------------------------------------------------------------- */

static enum status put_chat_templates(struct gguf_writer *w, const char *folder, struct error *err) {
  static const char *const keys[][2] = {{"default", "tokenizer.chat_template"},
                                        {"tool_use", "tokenizer.chat_template.tool_use"}};
  AUTO(json_release) json_t *sources = NULL;
  enum status status = chat_template_sources(&sources, folder, NULL, err);
  for (size_t i = 0; !status && i < COUNT_OF(keys); i++) {
    const json_t *source = json_object_get(sources, keys[i][0]);
    if (source)
      gguf_writer_string(w, keys[i][1], json_string_value(source), json_string_length(source));
  }
  return status;
}

/* Rotary frequencies, which older files have as a buffer, are no weights; a tied model's only matrix is the token
   embedding, whichever of the two its file calls it. */
static void settle_tensors(struct merged_tensors *tensors) {
  static const char head[] = "lm_head.weight", embedding[] = "model.embed_tokens.weight";
  struct merged_tensor *lm_head = NULL;
  size_t count = tensors->count;
  bool embedded = false;
  tensors->count = 0;
  for (size_t i = 0; i < count; i++) {
    const struct merged_tensor t = tensors->item[i];
    if (strstr(t.name, ".rotary_emb.inv_freq"))
      continue;
    tensors->item[tensors->count] = t;
    embedded = embedded || strcmp(t.name, embedding) == 0;
    lm_head = strcmp(t.name, head) == 0 ? &tensors->item[tensors->count] : lm_head;
    tensors->count++;
  }
  if (lm_head && !embedded)
    lm_head->name = embedding;
}

/* The tensors that the file gets, all of which GGUF has a name for; merged_tensors_done is due in any case. */
static enum status list_tensors(struct merged_tensors *out, const struct model *m, struct error *err) {
  char name[128];
  enum status status = merged_tensors_list(out, m, err);
  if (status)
    return status;
  settle_tensors(out);
  for (size_t i = 0; i < out->count; i++)
    if (!checkpoint_gguf_name(name, out->item[i].name))
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "GGUF has no name for %s", out->item[i].name);
  return STATUS_OK;
}

static void announce_tensors(struct gguf_writer *w, const struct merged_tensors *tensors, enum export_type type) {
  for (size_t i = 0; i < tensors->count; i++) {
    const struct merged_tensor *t = &tensors->item[i];
    char name[128];
    CHECK(checkpoint_gguf_name(name, t->name));
    gguf_writer_tensor(w, name, type_for(t->rank, t->shape, type), t->rank, t->shape);
  }
}

/* rows: room for any tensor. */
static enum status write_numbers(struct gguf_writer *w, struct merged_tensors *tensors, float *rows,
                                 struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < tensors->count; i++) {
    const struct merged_tensor *t = &tensors->item[i];
    size_t count = (size_t)t->shape[0];
    const float *numbers;
    status = merged_tensors_read(&numbers, tensors, i, err);
    if (!status)
      gguf_write_rows(w, tensors->model, t->name, numbers, count, merged_tensor_elements(t) / count, rows);
  }
  return status;
}

static enum status write_folder_tensors(struct gguf_writer *w, const struct export *e, enum export_type type,
                                        struct error *err) {
  struct merged_tensors tensors;
  const struct rotary_config *frequencies;
  float *rows = NULL;
  enum status status = list_tensors(&tensors, e->model, err);
  if (!status) {
    announce_tensors(w, &tensors, type);
    status = gguf_frequencies_announce(&frequencies, w, e->model, err);
  }
  if (!status && !(rows = malloc(tensors.largest * sizeof *rows)))
    status = error_no_memory(err, "a GGUF file");
  status = status ? status : write_numbers(w, &tensors, rows, err);
  if (!status)
    gguf_frequencies_write(w, frequencies);
  free(rows);
  merged_tensors_done(&tensors);
  return status;
}

static enum status put_folder_keys(struct gguf_writer *w, const struct export *e, const struct tokenizer *tokenizer,
                                   struct error *err) {
  const struct model *m = e->model;
  enum status status = gguf_keys_write(w, m, err);
  status = status ? status : tokenizer_to_gguf(w, tokenizer, e->base_path, m->checkpoint.config, m->vocabulary, err);
  return status ? status : put_chat_templates(w, e->base_path, err);
}

static enum status write_of_folder(struct gguf_writer *w, const struct export *e, const struct tokenizer *tokenizer,
                                   enum export_type type, struct error *err) {
  put_general(w, e, type);
  enum status status = put_folder_keys(w, e, tokenizer, err);
  return status ? status : write_folder_tensors(w, e, type, err);
}

/* A file whose tokenizer is another is removed. */
static enum status check_tokenizer(const char *path, const struct tokenizer *tokenizer, struct error *err) {
  struct gguf gguf;
  enum status status = gguf_open(&gguf, path, err);
  if (!status) {
    status = tokenizer_check_gguf(tokenizer, &gguf, err);
    gguf_close(&gguf);
  }
  if (status)
    unlink(path);
  return status;
}

/* A file of the keys alone is written and read back, and then removed. */
static enum status check_keys(const struct export *e, const struct tokenizer *tokenizer, struct error *err) {
  struct gguf_writer *w;
  char path[1100];
  snprintf(path, sizeof path, "%s/keys.gguf", e->output_dir);
  enum status status = gguf_writer_open(&w, path, err);
  if (status)
    return status;
  status = put_folder_keys(w, e, tokenizer, err);
  if (status)
    gguf_writer_discard(w);
  else
    status = gguf_writer_finish(w, NULL, NULL, err);
  status = status ? status : check_tokenizer(path, tokenizer, err);
  if (!status)
    unlink(path);
  return status;
}

static enum status check_tensors(const struct export *e, struct error *err) {
  struct merged_tensors tensors;
  enum status status = list_tensors(&tensors, e->model, err);
  merged_tensors_done(&tensors);
  return status;
}

/* --- either --------------------------------------------------------------------------------------- */

enum status export_gguf_check(const struct export *e, struct error *err) {
  struct tokenizer *tokenizer = NULL;
  enum status status = gguf_check_architecture(e->model, err);
  if (status || e->model->checkpoint.is_gguf)
    return status;
  status = tokenizer_open(&tokenizer, e->base_path, err);
  status = status ? status : check_keys(e, tokenizer, err);
  status = status ? status : check_tensors(e, err);
  tokenizer_free(tokenizer);
  return status;
}

enum status export_gguf(const struct export *e, enum export_type type, struct error *err) {
  const bool of_file = e->model->checkpoint.is_gguf;
  struct tokenizer *tokenizer = NULL;
  char name[60], path[1100];
  struct gguf_writer *w;
  snprintf(name, sizeof name, "merged-%s.gguf", types[type].name);
  snprintf(path, sizeof path, "%s/%s", e->output_dir, name);
  enum status status = gguf_check_architecture(e->model, err);
  if (!status && !of_file)
    status = tokenizer_open(&tokenizer, e->base_path, err);
  status = status ? status : gguf_writer_open(&w, path, err);
  if (!status) {
    status = of_file ? write_of_file(w, e, type, err) : write_of_folder(w, e, tokenizer, type, err);
    if (status)
      gguf_writer_discard(w);
    else
      status = gguf_writer_finish(w, NULL, NULL, err);
  }
  if (!status && !of_file)
    status = check_tokenizer(path, tokenizer, err);
  tokenizer_free(tokenizer);
  return status ? status : export_announce(e, name, name, false, err);
}
