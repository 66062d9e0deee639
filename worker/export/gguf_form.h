/* How GGUF has a model: what its exports share. */
#ifndef WORKER_EXPORT_GGUF_FORM_H
#define WORKER_EXPORT_GGUF_FORM_H

#include "worker/file/gguf.h"
#include "worker/model/model.h"

/* The architecture's name, or NULL: the model has none there. */
const char *gguf_architecture(const struct model *model);
/* STATUS_UNSUPPORTED_VALUE names the models that have one. */
NODISCARD enum status gguf_check_architecture(const struct model *model, struct error *err);
/* The next announced tensor, or factor of it, of that Hugging Face name: `rows` rows of `cols` numbers, which llama.cpp
   wants in another order where they are q's or k's. scratch: room for as many. */
void gguf_write_rows(struct gguf_writer *writer, const struct model *model, const char *name, const float *numbers,
                     size_t rows, size_t cols, float *scratch);

#endif
