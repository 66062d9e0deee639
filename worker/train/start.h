/* The start of adapters that begin as a part of the weights (LoRA's "pissa" and "olora"). */
#ifndef WORKER_TRAIN_START_H
#define WORKER_TRAIN_START_H

#include "worker/train/training.h"

/* Before the first step of a training that goes on from nothing; else the adapters are as they were attached.
   STATUS_INVALID_VALUE, or what the worker was told meanwhile. */
NODISCARD enum status start_adapters(struct training *training, struct error *err);
/* Bytes that it takes; 0 where the model's adapters have no such start. */
size_t start_memory(const struct model *model);

#endif
