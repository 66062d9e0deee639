/* Names and row order of GGUF tensors in Hugging Face's terms. */
#include "worker/model/checkpoint_gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum side { HUGGING_FACE, GGUF }; /* the columns of the tables below */

static const char *const layer_prefix[2] = {"model.layers.", "blk."};

static const char *const layer_names[][2] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.experts.gate_proj", "ffn_gate_exps"},
    {"mlp.experts.up_proj", "ffn_up_exps"},
    {"mlp.experts.down_proj", "ffn_down_exps"},
};

static const char *const outer_names[][2] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};

/* --- names ---------------------------------------------------------------------------------------- */

/* "model.layers.3.mlp.up_proj.weight" to "blk.3.ffn_up.weight", or back. */
static bool translate(char out[128], const char *name, enum side from) {
  const char *const(*names)[2] = outer_names, *stem = name, *digits = "", *kind = strrchr(name, '.');
  size_t count = COUNT_OF(outer_names), prefix = strlen(layer_prefix[from]);
  enum side to = from == GGUF ? HUGGING_FACE : GGUF;
  int digit_count = 0;
  if (!kind || (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0))
    return false;
  if (strncmp(name, layer_prefix[from], prefix) == 0) {
    digits = name + prefix;
    digit_count = (int)strspn(digits, "0123456789");
    if (digit_count < 1 || digit_count > 4 || digits[digit_count] != '.' || (digits[0] == '0' && digit_count > 1))
      return false;
    stem = digits + digit_count + 1;
    names = layer_names;
    count = COUNT_OF(layer_names);
  }
  if (stem >= kind)
    return false;
  size_t length = (size_t)(kind - stem);
  for (size_t i = 0; i < count; i++)
    if (strlen(names[i][from]) == length && memcmp(names[i][from], stem, length) == 0) {
      snprintf(out, 128, "%s%.*s%s%s%s", digit_count ? layer_prefix[to] : "", digit_count, digits,
               digit_count ? "." : "", names[i][to], kind);
      return true;
    }
  return false;
}

bool checkpoint_gguf_name(char out[128], const char *name) {
  return translate(out, name, HUGGING_FACE);
}

/* --- the table ------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct checkpoint_entry *)a)->name, ((const struct checkpoint_entry *)b)->name);
}

/* Whose rows are interleaved: member of the config that counts the heads, or NULL. */
static const char *heads_member(const char *name) {
  return strstr(name, ".self_attn.q_proj.")   ? "num_attention_heads"
         : strstr(name, ".self_attn.k_proj.") ? "num_key_value_heads"
                                              : NULL;
}

static enum status interleave(struct checkpoint_entry *entry, const json_t *config, struct error *err) {
  const char *member = heads_member(entry->name);
  const struct gguf_tensor *tensor = entry->tensor;
  if (!member)
    return STATUS_OK;
  int64_t heads = json_integer_value(json_object_get(config, member));
  int64_t rows = heads * json_integer_value(json_object_get(config, "head_dim"));
  if (tensor->rank > 2 || tensor->shape[0] != rows)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "tensor %s: has %" PRId64 " rows; %" PRId64 " heads need %" PRId64, tensor->name, tensor->shape[0],
                     heads, rows);
  if (tensor->rank == 1 && ggml_type_info(tensor->type)->block != 1)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor %s: a bias of type %s cannot be read", tensor->name,
                     ggml_type_info(tensor->type)->name);
  entry->heads = (size_t)heads;
  return STATUS_OK;
}

enum status checkpoint_gguf_translate(struct checkpoint *c, struct error *err) {
  bool interleaved;
  enum status status = checkpoint_gguf_config(&c->config, &interleaved, &c->gguf, err);
  if (status)
    return status;
  c->entries = arena_array(&c->arena, c->gguf.tensor_count, sizeof *c->entries);
  if (!c->entries)
    return error_no_memory(err, "a table of tensors");
  for (size_t i = 0; i < c->gguf.tensor_count; i++) {
    const struct gguf_tensor *tensor = &c->gguf.tensors[i];
    struct checkpoint_entry *entry = &c->entries[c->entry_count];
    char name[128];
    if (strcmp(tensor->name, "rope_freqs.weight") == 0)
      continue;
    if (!translate(name, tensor->name, GGUF))
      return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor %s: no model of this architecture has one",
                       tensor->name);
    *entry = (struct checkpoint_entry){.name = arena_string(&c->arena, name), .tensor = tensor};
    if (!entry->name)
      return error_no_memory(err, "a table of tensors");
    status = interleaved ? interleave(entry, c->config, err) : STATUS_OK;
    if (status)
      return status;
    c->entry_count++;
  }
  qsort(c->entries, c->entry_count, sizeof *c->entries, by_name);
  return STATUS_OK;
}

/* --- numbers -------------------------------------------------------------------------------------- */

/* Row 2j + s of a head in the file is row s * D/2 + j of that head (D rows) for Hugging Face. */
static void read_interleaved(float *out, const struct checkpoint_entry *entry) {
  const struct gguf_tensor *tensor = entry->tensor;
  const struct ggml_type_info *info = ggml_type_info(tensor->type);
  size_t rows = (size_t)tensor->shape[0], columns = tensor->rank == 2 ? (size_t)tensor->shape[1] : 1;
  size_t head = rows / entry->heads, row_bytes = columns / info->block * info->bytes;
  for (size_t row = 0; row < rows; row++) {
    size_t in_head = row % head;
    size_t to = row - in_head + in_head % 2 * (head / 2) + in_head / 2;
    ggml_to_f32(out + to * columns, tensor->bytes + row * row_bytes, tensor->type, columns);
  }
}

enum status checkpoint_gguf_read(float *out, const struct checkpoint_entry *entry, struct error *err) {
  const struct gguf_tensor *tensor = entry->tensor;
  size_t rows = 1;
  if (entry->heads) {
    read_interleaved(out, entry);
    return STATUS_OK;
  }
  for (int i = 0; i + 1 < tensor->rank; i++)
    rows *= (size_t)tensor->shape[i];
  return gguf_to_f32(out, tensor, 0, rows, err);
}
