/* Weights as torch.save writes them since PyTorch 1.6 (pytorch_model.bin): a zip of a pickle, which says what tensors
   there are, and of their numbers. The pickle is read, never run (pickle.h), and the tensors stay where they lie in the
   file. */
#ifndef WORKER_FILE_TORCH_FILE_H
#define WORKER_FILE_TORCH_FILE_H

#include "worker/file/safetensors.h"

/* As safetensors_open, safetensors_open_model and safetensors_parse, into the same table: tensors that are one (tied)
   share their bytes. A tensor whose numbers do not lie one after the other is refused by name. */
NODISCARD enum status torch_file_open(struct safetensors *out, const char *path, struct error *err);
/* pytorch_model.bin, or else the shards that pytorch_model.bin.index.json lists. */
NODISCARD enum status torch_file_open_model(struct safetensors *out, const char *directory, struct error *err);
NODISCARD enum status torch_file_parse(struct safetensors *out, const unsigned char *bytes, size_t length,
                                       struct error *err);

#endif
