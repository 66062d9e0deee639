/* Starts of LoRA that are a part of the weight itself (init_lora_weights "pissa", "pissa_niter_N", "olora"):
   - PiSSA (Meng et al., 2024): with the singular values S and vectors U, V of W, A = sqrt(S_r / s) V_r^T and
     B = U_r sqrt(S_r / s), so that s B A is the best approximation of W of rank r. Of each row of A the largest number
     is positive: the signs would else be LAPACK's. With niter subspace iterations it is found approximately;
   - OLoRA (Buyukakyuz, 2024): of W = Q R, B = Q's first r columns and A = R's first r rows. */
#ifndef WORKER_ADAPTER_LORA_INIT_H
#define WORKER_ADAPTER_LORA_INIT_H

#include "base/error.h"
#include "worker/backend/weight.h"

struct rng;

struct lora_init_task {
  const struct weight *weight; /* out x in */
  int init;                    /* enum lora_init (api/job.h); lora_init_of_weight */
  size_t r;                    /* at most in and out */
  double scale;                /* s */
};

/* A (r x in) and B (out x r); `rng` is drawn from with subspace iterations alone. On the calling thread; before the
   first call decompose_begin (worker/backend/cpu/decompose.h). STATUS_INVALID_VALUE where the weight has numbers that
   are not finite. */
NODISCARD enum status lora_init_fill(float *A, float *B, const struct lora_init_task *task, struct rng *rng,
                                     struct error *err);
/* Bytes that it takes beside these. */
size_t lora_init_bytes(const struct lora_init_task *task);

#endif
