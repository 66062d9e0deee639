#include "worker/model/conv_layer.h"

#include <stdio.h>

/* With an even kernel the output has a row less than the residual, in Transformers too. */
static enum status read_config(struct conv_layer *layer, const struct model *m, struct error *err) {
  enum { KERNEL_MAX = 63, MOST = 1 << 16 };
  int64_t kernel, groups = 1;
  enum status s = load_count(&kernel, m, "conv_kernel_size", 0, 0, KERNEL_MAX, err);
  if (s || !kernel)
    return s;
  s = load_count(&groups, m, "conv_groups", 1, 1, MOST, err);
  if (!s && kernel % 2 == 0)
    s = error_set(err, STATUS_MODEL_INVALID, "model",
                  "config.json: conv_kernel_size %lld is not supported, odd ones are", (long long)kernel);
  if (!s && groups != 1)
    s = error_set(err, STATUS_MODEL_INVALID, "model", "config.json: conv_groups %lld is not supported, 1 is",
                  (long long)groups);
  layer->kernel = (size_t)kernel;
  return s ? s : load_activation(&layer->activation, m, "conv_act", "tanh", err);
}

enum status conv_layer_load(struct conv_layer **out, struct model *m, const char *path, size_t hidden, double epsilon,
                            struct error *err) {
  struct conv_layer found = {0};
  char conv[128], norm[128];
  *out = NULL;
  enum status s = read_config(&found, m, err);
  if (s || !found.kernel)
    return s;
  struct conv_layer *layer = arena_alloc(&m->arena, sizeof *layer);
  if (!layer)
    return error_no_memory(err, "the model");
  *layer = found;
  snprintf(conv, sizeof conv, "%s.conv", path);
  snprintf(norm, sizeof norm, "%s.LayerNorm", path);
  s = load_torch_conv1d(m, &layer->conv, m->ops->prefix, conv, hidden, layer->kernel, hidden, err);
  s = s ? s : load_norm(m, &layer->norm, m->ops->prefix, norm, hidden, epsilon, true, err);
  *out = layer;
  return s;
}

struct tensor *conv_layer_forward(struct tape *tape, const struct conv_layer *layer, struct tensor *x,
                                  struct tensor *residual, const struct sequences *sequences, enum pooling rows,
                                  double dropout) {
  struct dropout d = op_next_dropout(tape, dropout), none = {0};
  struct tensor *seen = op_pooling(tape, op_unfold(tape, x, sequences, layer->kernel), sequences, rows);
  struct tensor *y = layer->activation(tape, op_dropout(tape, op_linear(tape, seen, &layer->conv), &d));
  return op_residual_layernorm(tape, y, residual, &layer->norm, &none);
}
