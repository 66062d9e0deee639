/* Transformers' ConvLayer of DeBERTa v2 (xlarge and xxlarge): beside the first layer, a convolution of the embeddings
   along the tokens of each sequence, whose output joins that layer's:
     LayerNorm(residual + act(dropout(conv(x)))) */
#ifndef WORKER_MODEL_CONV_LAYER_H
#define WORKER_MODEL_CONV_LAYER_H

#include "worker/model/load.h"

struct conv_layer {
  size_t kernel; /* tokens that each row sees: odd */
  struct linear conv;
  struct norm norm;
  load_activation_op *activation;
};

/* The members of config.json and the tensors of the module `path` below the model's prefix. *out lives as long as the
   model; NULL: conv_kernel_size says that there is none. */
NODISCARD enum status conv_layer_load(struct conv_layer **out, struct model *model, const char *path, size_t hidden,
                                      double epsilon, struct error *err);
/* x: (N, C), what the first layer read; residual: its output, of the rows that `rows` says, for which the result is
   too. */
struct tensor *conv_layer_forward(struct tape *tape, const struct conv_layer *layer, struct tensor *x,
                                  struct tensor *residual, const struct sequences *sequences, enum pooling rows,
                                  double dropout);

#endif
