/* AdamW (Loshchilov and Hutter, 2019) with global-norm clipping, in torch's order of operations:
   p <- p (1 - lr wd); m, v; p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
   lr of a parameter is its lr_ratio times the step's. */
#ifndef WORKER_OPTIM_ADAMW_H
#define WORKER_OPTIM_ADAMW_H

#include "base/error.h"
#include "worker/backend/backend.h"
#include "worker/tensor/parameter.h"

struct adamw {
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm;       /* 0: no clipping */
  bool uncorrected;           /* without the two divisions by 1 - beta^t */
  int64_t steps;              /* updates made */
  struct adamw_slice *slices; /* one a parameter */
  size_t slice_count;
  struct buffers buffers; /* the moments */
};

/* Hyperparameters are the caller's to set; this makes zero moments on the backend where the parameters are. */
NODISCARD enum status adamw_init(struct adamw *adamw, const struct parameter_list *parameters, struct backend *backend,
                                 struct error *err);
void adamw_done(struct adamw *adamw);
/* One update. *norm is the gradients' global norm before clipping. A norm that is not finite is
   STATUS_NAN_LOSS and changes nothing. */
NODISCARD enum status adamw_update(struct adamw *adamw, double learning_rate, double *norm, struct error *err);

#endif
