/* What config.json says of a decoder, as keys of a GGUF file: the other way of worker/model/checkpoint_keys.c. */
#ifndef WORKER_EXPORT_GGUF_KEYS_H
#define WORKER_EXPORT_GGUF_KEYS_H

#include "worker/file/gguf.h"
#include "worker/model/rotary.h"

/* general.architecture and the architecture's own keys, of a model that gguf_check_architecture lets pass.
   STATUS_UNSUPPORTED_VALUE names what of the config GGUF has no keys for. */
NODISCARD enum status gguf_keys_write(struct gguf_writer *writer, const struct model *model, struct error *err);

/* LLaMA 3's scaling of rotary frequencies is a tensor there: their divisors. Announces it where the model needs it;
 *out is what it is made of, NULL where there is none. */
NODISCARD enum status gguf_frequencies_announce(const struct rotary_config **out, struct gguf_writer *writer,
                                                const struct model *model, struct error *err);
/* Its numbers: they come after those of all tensors that were announced before. */
void gguf_frequencies_write(struct gguf_writer *writer, const struct rotary_config *rotary);

#endif
