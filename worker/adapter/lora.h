/* What DoRA (dora.c) has of LoRA (lora.c): all but what each gives of itself alone. */
#ifndef WORKER_ADAPTER_LORA_H
#define WORKER_ADAPTER_LORA_H

#include "worker/adapter/adapter.h"

/* Parameters: DoRA's magnitude; A0 and -B0 of a start from the weight, else NULL. */
enum { LORA_A, LORA_B, LORA_MAGNITUDE, LORA_A0, LORA_B0 };

/* adapter->state */
struct lora_state {
  size_t r;     /* of A and B: adapter->rank, or half of it with A0 and B0 */
  double scale; /* s of W' = W + s B A */
  /* of DoRA, [out]: the squared lengths of W's rows, and one over the lengths of those of W + s B A */
  struct place squares, inverse_norms;
};

NODISCARD enum status lora_attach(struct adapter *adapter, struct parameter_list *parameters, uint64_t seed,
                                  struct error *err);
void lora_forward_factors(struct adapter *adapter, struct backend *backend);
void lora_backward_factors(struct adapter *adapter, struct backend *backend);
double lora_lr_ratio(const struct adapter_spec *spec, const struct parameter *parameter);

#endif
