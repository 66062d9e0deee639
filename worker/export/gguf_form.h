/* How GGUF has a model: what its exports share. */
#ifndef WORKER_EXPORT_GGUF_FORM_H
#define WORKER_EXPORT_GGUF_FORM_H

#include "worker/model/model.h"

/* The architecture's name, or NULL: the model has none there. */
const char *gguf_architecture(const struct model *model);
/* STATUS_UNSUPPORTED_VALUE names the models that have one. */
NODISCARD enum status gguf_check_architecture(const struct model *model, struct error *err);
/* How many heads' rows are interleaved in the tensor of that Hugging Face name; 0: none. */
size_t gguf_heads(const struct model *model, const char *name);
/* `rows` rows of `cols` numbers in the order that GGUF has them in; out and in do not overlap. */
void gguf_interleave(float *out, const float *in, size_t rows, size_t cols, size_t heads);

#endif
