#include "worker/export/gguf_form.h"

#include <string.h>

/* Mistral and Mixtral are llamas there. */
const char *gguf_architecture(const struct model *m) {
  static const char *const names[][2] = {{"llama", "llama"}, {"mistral", "llama"}, {"mixtral", "llama"},
                                         {"qwen2", "qwen2"}, {"qwen3", "qwen3"},   {"qwen3_moe", "qwen3moe"}};
  for (size_t i = 0; m->language && i < COUNT_OF(names); i++)
    if (strcmp(names[i][0], m->ops->model_type) == 0)
      return names[i][1];
  return NULL;
}

size_t gguf_heads(const struct model *m, const char *name) {
  const char *member = strstr(name, ".self_attn.q_proj.")   ? "num_attention_heads"
                       : strstr(name, ".self_attn.k_proj.") ? "num_key_value_heads"
                                                            : NULL;
  if (!member || strcmp(gguf_architecture(m), "llama") != 0)
    return 0;
  const json_t *config = m->checkpoint.config, *heads = json_object_get(config, member);
  return (size_t)json_integer_value(heads ? heads : json_object_get(config, "num_attention_heads"));
}

/* Row s * D/2 + j of a head goes to its row 2j + s (the reverse of what loading a GGUF does). */
void gguf_interleave(float *out, const float *in, size_t rows, size_t cols, size_t heads) {
  size_t D = rows / heads;
  for (size_t row = 0; row < rows; row++) {
    size_t r = row % D, to = row - r + 2 * (r % (D / 2)) + r / (D / 2);
    memcpy(out + to * cols, in + row * cols, cols * sizeof *out);
  }
}

enum status gguf_check_architecture(const struct model *m, struct error *err) {
  if (gguf_architecture(m))
    return STATUS_OK;
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                   "only LLaMA, Mistral, Mixtral, Qwen2 and Qwen3 language models go into GGUF, not a %s%s",
                   m->ops->model_type,
                   m->component  ? ""
                   : m->language ? " model"
                                 : " classifier");
}
