#include "worker/export/gguf_form.h"

#include <string.h>

#include "worker/model/decoder.h"

/* Mistral and Mixtral are llamas there. */
const char *gguf_architecture(const struct model *m) {
  static const char *const names[][2] = {{"llama", "llama"}, {"mistral", "llama"}, {"mixtral", "llama"},
                                         {"qwen2", "qwen2"}, {"qwen3", "qwen3"},   {"qwen3_moe", "qwen3moe"}};
  for (size_t i = 0; m->language && i < COUNT_OF(names); i++)
    if (strcmp(names[i][0], m->ops->model_type) == 0)
      return names[i][1];
  return NULL;
}

/* How many heads' rows are interleaved in the tensor; 0: none. */
static size_t heads_of(const struct model *m, const char *name) {
  const bool q = strstr(name, ".self_attn.q_proj."), k = strstr(name, ".self_attn.k_proj.");
  struct decoder_shape shape;
  if ((!q && !k) || strcmp(gguf_architecture(m), "llama") != 0)
    return 0;
  decoder_shape(&shape, m);
  return q ? shape.heads : shape.kv_heads;
}

/* Row s * D/2 + j of a head goes to its row 2j + s (the reverse of what loading a GGUF does). */
static void interleave(float *out, const float *in, size_t rows, size_t cols, size_t heads) {
  size_t D = rows / heads;
  for (size_t row = 0; row < rows; row++) {
    size_t r = row % D, to = row - r + 2 * (r % (D / 2)) + r / (D / 2);
    memcpy(out + to * cols, in + row * cols, cols * sizeof *out);
  }
}

void gguf_write_rows(struct gguf_writer *w, const struct model *m, const char *name, const float *numbers, size_t rows,
                     size_t cols, float *scratch) {
  size_t heads = heads_of(m, name);
  if (heads)
    interleave(scratch, numbers, rows, cols, heads);
  gguf_writer_data(w, heads ? scratch : numbers, rows * cols);
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
