#include "worker/model/mixture.h"

#include <stdio.h>

#include "worker/op/kind.h"

/* --- config --------------------------------------------------------------------------------------- */

/* What is drawn or added in a training alone. */
static enum status refuse_training_extras(const struct model *m, struct error *err) {
  bool loss = false;
  double noise = 0;
  enum status s = load_bool(&loss, m, "output_router_logits", false, err);
  s = s ? s : load_number(&noise, m, "router_jitter_noise", 0, err);
  if (!s && loss)
    return error_set(
        err, STATUS_MODEL_INVALID, "model",
        "config.json: output_router_logits is true, which adds a loss of the routers to a training's; that "
        "is not built: set it to false to train without");
  if (!s && noise != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: router_jitter_noise is not supported: it must be 0");
  return s;
}

static enum status read_layers(struct mixture_config *out, const struct model *m, struct error *err) {
  static const char member[] = "mlp_only_layers";
  const json_t *but = json_object_get(m->checkpoint.config, member), *layer;
  size_t i;
  enum status s = load_size(&out->every, m, "decoder_sparse_step", 1, 1 << 16, err);
  if (s || !but || json_is_null(but))
    return s;
  bool good = json_is_array(but);
  json_array_foreach(but, i, layer) good = good && json_is_integer(layer);
  out->but = but;
  return good ? STATUS_OK
              : error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be a list of layers' numbers",
                          member);
}

enum status mixture_read(struct mixture_config *out, const struct model *m, const struct mixture_class *class,
                         struct error *err) {
  bool local = json_object_get(m->checkpoint.config, "num_local_experts") != NULL; /* two names of one member */
  const char *count = local ? "num_local_experts" : "num_experts";
  *out = (struct mixture_config){.normalised = class->normalised, .every = 1};
  if (!m->backend->ops->bodies[OP_EXPERTS])
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "%s does not have mixtures of experts yet; the CPU has them", m->backend->device_name);
  enum status s = load_size(&out->count, m, count, class->count, 1 << 12, err);
  s = s ? s : load_size(&out->chosen, m, "num_experts_per_tok", class->chosen, 1 << 12, err);
  s = s ? s : load_size(&out->inner, m, class->inner_member, class->inner, 1 << 20, err);
  if (!s && !class->normalised)
    s = load_bool(&out->normalised, m, "norm_topk_prob", false, err);
  if (!s && class->dense_layers)
    s = read_layers(out, m, err);
  s = s ? s : refuse_training_extras(m, err);
  if (!s && out->chosen > out->count)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: num_experts_per_tok %zu is more than %s %zu",
                     out->chosen, count, out->count);
  return s;
}

bool mixture_has_layer(const struct mixture_config *config, size_t layer) {
  for (size_t i = 0; i < json_array_size(config->but); i++)
    if (json_integer_value(json_array_get(config->but, i)) == (json_int_t)layer)
      return false;
  return (layer + 1) % config->every == 0;
}

/* --- weights -------------------------------------------------------------------------------------- */

/* How files call a layer's block, and the three matrices of an expert in it. */
static const struct naming {
  const char *block, *gate, *up, *down;
} namings[] = {{"block_sparse_moe", "w1", "w3", "w2"}, {"mlp", "gate_proj", "up_proj", "down_proj"}};

/* What is loaded of one layer, and whence. */
struct loading {
  struct model *model;
  const struct mixture *mixture;
  struct expert *expert;
  const char *prefix;
  size_t layer;
};

static const char *path_of(char out[128], const struct loading *l, const char *block, const char *name) {
  snprintf(out, 128, "layers.%zu.%s.%s", l->layer, block, name);
  return out;
}

static enum status load_one(struct weight *out, const struct loading *l, const struct naming *naming, size_t expert,
                            const char *matrix, size_t rows, size_t cols, struct error *err) {
  char name[128];
  snprintf(name, sizeof name, "layers.%zu.%s.experts.%zu.%s.weight", l->layer, naming->block, expert, matrix);
  return load_operand(out, l->model, l->prefix, name, rows, cols, err);
}

/* Each expert's matrices have tensors of their own. The names of the first expert stand for those of all. */
static enum status load_apart(const struct loading *l, const struct naming *naming, struct error *err) {
  const struct experts *x = &l->mixture->experts;
  size_t C = x->channels, F = x->inner, owners = 0;
  enum status s = STATUS_OK;
  for (size_t e = 0; !s && e < x->count; e++) {
    s = load_one(&l->expert[e].gate, l, naming, e, naming->gate, F, C, err);
    s = s ? s : load_one(&l->expert[e].up, l, naming, e, naming->up, F, C, err);
    s = s ? s : load_one(&l->expert[e].down, l, naming, e, naming->down, C, F, err);
    if (e == 0)
      owners = l->model->owner_count;
    l->model->owner_count = owners;
  }
  return s;
}

/* One tensor has a matrix of all experts, [count, rows, cols]. */
static enum status load_stack(struct weight *out, const struct loading *l, const char *name, size_t rows, size_t cols,
                              struct error *err) {
  char path[128];
  path_of(path, l, "mlp.experts", name);
  const int64_t shape[3] = {(int64_t)l->mixture->experts.count, (int64_t)rows, (int64_t)cols};
  enum status s = load_check_shape(l->model, l->prefix, path, shape, COUNT_OF(shape), err);
  return s ? s : load_operand(out, l->model, l->prefix, path, l->mixture->experts.count, rows * cols, err);
}

/* The matrix of one expert in a stack: columns of its row, from `first` on. */
static struct weight of_stack(const struct weight *stack, size_t expert, size_t first, size_t rows, size_t cols) {
  const struct ggml_type_info *info = ggml_type_info(stack->type);
  size_t bytes = (expert * stack->cols + first) / info->block * info->bytes;
  CHECK(!stack->rounded && !stack->heads && first + rows * cols <= stack->cols);
  struct weight out = *stack;
  out.rows = rows;
  out.cols = cols;
  out.bytes = stack->bytes + bytes;
  out.place = place_at(stack->place, bytes);
  return out;
}

/* As Transformers 5 has them in memory. */
static enum status load_fused(const struct loading *l, struct error *err) {
  const struct experts *x = &l->mixture->experts;
  size_t C = x->channels, F = x->inner;
  struct weight gate_up, down;
  enum status s = load_stack(&gate_up, l, "gate_up_proj", 2 * F, C, err);
  s = s ? s : load_stack(&down, l, "down_proj", C, F, err);
  for (size_t e = 0; !s && e < x->count; e++)
    l->expert[e] = (struct expert){of_stack(&gate_up, e, 0, F, C), of_stack(&gate_up, e, F * C, F, C),
                                   of_stack(&down, e, 0, C, F)};
  return s;
}

/* As GGUF has them. */
static enum status load_stacks(const struct loading *l, struct error *err) {
  const struct experts *x = &l->mixture->experts;
  size_t C = x->channels, F = x->inner;
  struct weight gate, up, down;
  enum status s = load_stack(&gate, l, "gate_proj.weight", F, C, err);
  s = s ? s : load_stack(&up, l, "up_proj.weight", F, C, err);
  s = s ? s : load_stack(&down, l, "down_proj.weight", C, F, err);
  for (size_t e = 0; !s && e < x->count; e++)
    l->expert[e] = (struct expert){of_stack(&gate, e, 0, F, C), of_stack(&up, e, 0, F, C), of_stack(&down, e, 0, C, F)};
  return s;
}

static const struct naming *find_naming(const struct loading *l) {
  char name[128];
  for (size_t i = 0; i < COUNT_OF(namings); i++) {
    snprintf(name, sizeof name, "layers.%zu.%s.experts.0.%s.weight", l->layer, namings[i].block, namings[i].gate);
    if (load_has(l->model, l->prefix, name))
      return &namings[i];
  }
  return NULL;
}

/* What Transformers 5 calls the experts' parameters: a job may name them, to be told why they stay frozen. */
static enum status note_parameters(const struct loading *l, struct error *err) {
  char path[128];
  enum status s = load_note(l->model, l->prefix, path_of(path, l, "mlp.experts", "gate_up_proj"), err);
  return s ? s : load_note(l->model, l->prefix, path_of(path, l, "mlp.experts", "down_proj"), err);
}

enum status mixture_load(struct mixture *out, struct model *m, const struct mixture_config *config, const char *prefix,
                         size_t layer, size_t channels, struct error *err) {
  char path[128];
  struct loading l = {.model = m, .mixture = out, .prefix = prefix, .layer = layer};
  l.expert = arena_array(&m->arena, config->count, sizeof *l.expert);
  if (!l.expert)
    return error_no_memory(err, "the model");
  out->experts = (struct experts){.count = config->count,
                                  .chosen = config->chosen,
                                  .channels = channels,
                                  .inner = config->inner,
                                  .normalised = config->normalised,
                                  .expert = l.expert};
  const struct naming *naming = find_naming(&l);
  bool fused = !naming && load_has(m, prefix, path_of(path, &l, "mlp.experts", "gate_up_proj"));
  path_of(path, &l, naming ? naming->block : "mlp", "gate");
  enum status s = load_frozen_linear(m, &out->router, prefix, path, channels, config->count, LOAD_NO_BIAS, err);
  s = s                       ? s
      : m->checkpoint.is_gguf ? load_stacks(&l, err)
      : fused                 ? load_fused(&l, err)
                              : load_apart(&l, naming ? naming : &namings[COUNT_OF(namings) - 1], err);
  return s ? s : note_parameters(&l, err);
}

/* --- forward -------------------------------------------------------------------------------------- */

struct tensor *mixture_forward(struct tape *tape, struct tensor *x, const struct mixture *mixture) {
  return op_experts(tape, x, op_linear(tape, x, &mixture->router), &mixture->experts);
}
