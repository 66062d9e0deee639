/* The exact rank-r form of the adapters of a model, one module at a time. */
#ifndef WORKER_EXPORT_LORA_H
#define WORKER_EXPORT_LORA_H

#include "worker/export/artifact.h"

/* The largest rank of all adapters. STATUS_UNSUPPORTED_VALUE with the reason when the method has no such form. */
NODISCARD enum status lora_rank(size_t *out, const struct export *e, struct error *err);
/* A (rank x in) and B (out x rank) of an adapter with W' = W + B A; owned by the caller, freed with lora_done. */
struct lora_factors {
  float *A, *B;
};
NODISCARD enum status lora_factors(struct lora_factors *out, const struct export *e, const struct adapter *adapter,
                                   struct error *err);
void lora_done(struct lora_factors *factors);

/* A and B of that rank as PEFT, diffusers and kohya shape them: matrices, or of a convolution one from its input to
   `rank` channels, and one of a pixel from there. */
void lora_tensors(struct st_tensor *A, struct st_tensor *B, const struct linear *linear, size_t rank,
                  const struct lora_factors *factors);

#endif
