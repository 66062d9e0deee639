#include "worker/model/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"
#include "base/rng.h"

static enum status blame(enum status status, struct error *err) {
  if (!status)
    return STATUS_OK;
  error_prefix(err, "config.json");
  return err->status = STATUS_MODEL_INVALID;
}

enum status load_size(size_t *out, const struct model *m, const char *key, size_t fallback, size_t max,
                      struct error *err) {
  int64_t value;
  enum status status = json_get_int(&value, m->checkpoint.config, key, (int64_t)fallback, 1, (int64_t)max, err);
  if (!status)
    *out = (size_t)value;
  return blame(status, err);
}

enum status load_count(int64_t *out, const struct model *m, const char *key, int64_t fallback, int64_t min, int64_t max,
                       struct error *err) {
  return blame(json_get_int(out, m->checkpoint.config, key, fallback, min, max, err), err);
}

enum status load_number(double *out, const struct model *m, const char *key, double fallback, struct error *err) {
  return blame(json_get_number(out, m->checkpoint.config, key, fallback, err), err);
}

enum status load_share(double *out, const struct model *m, const char *key, double fallback, struct error *err) {
  enum status status = load_number(out, m, key, fallback, err);
  if (!status && !(*out >= 0 && *out < 1))
    status = blame(error_set(err, STATUS_INVALID_VALUE, key, "%s is %g; it must lie in [0, 1)", key, *out), err);
  return status;
}

enum status load_bool(bool *out, const struct model *m, const char *key, bool fallback, struct error *err) {
  const json_t *value = json_object_get(m->checkpoint.config, key);
  *out = value && !json_is_null(value) ? json_is_true(value) : fallback;
  if (value && !json_is_null(value) && !json_is_boolean(value))
    return blame(error_set(err, STATUS_INVALID_VALUE, key, "%s must be true or false, not %s", key, json_kind(value)),
                 err);
  return STATUS_OK;
}

/* hidden_act, by Transformers' names. Its fast and tanh kinds of GELU are the same approximation, written otherwise. */
static const struct {
  const char *name;
  load_activation_op *op;
} activations[] = {{"gelu", op_gelu},
                   {"gelu_python", op_gelu},
                   {"gelu_new", op_gelu_tanh},
                   {"gelu_pytorch_tanh", op_gelu_tanh},
                   {"gelu_fast", op_gelu_tanh},
                   {"quick_gelu", op_quick_gelu},
                   {"relu", op_relu},
                   {"silu", op_silu},
                   {"tanh", op_tanh}};

enum status load_activation(load_activation_op **out, const struct model *m, const char *key, const char *fallback,
                            struct error *err) {
  const char *name = fallback;
  enum status status = json_get_string(&name, m->checkpoint.config, key, fallback, err);
  if (status)
    return err->status = STATUS_MODEL_INVALID;
  for (size_t i = 0; i < COUNT_OF(activations); i++)
    if (strcmp(name, activations[i].name) == 0) {
      *out = activations[i].op;
      return STATUS_OK;
    }
  return error_set(err, STATUS_MODEL_INVALID, "model",
                   "config.json: %s \"%.40s\" is not supported; gelu, gelu_new, quick_gelu, relu, silu and tanh are",
                   key, name);
}

/* --- tensors -------------------------------------------------------------------------------------- */

/* Older BERT files call a norm's weight gamma and its bias beta. */
static bool find(struct checkpoint_tensor *out, const struct model *m, const char *prefix, const char *name) {
  char with[512], renamed[512];
  snprintf(with, sizeof with, "%s%s", prefix, name);
  if (checkpoint_find(out, &m->checkpoint, with) || checkpoint_find(out, &m->checkpoint, name))
    return true;
  const char *norm = strstr(name, "LayerNorm.");
  if (!norm)
    return false;
  int head = (int)(norm - name) + 10;
  snprintf(renamed, sizeof renamed, "%.*s%s", head, name, strcmp(name + head, "weight") == 0 ? "gamma" : "beta");
  snprintf(with, sizeof with, "%s%s", prefix, renamed);
  return checkpoint_find(out, &m->checkpoint, with) || checkpoint_find(out, &m->checkpoint, renamed);
}

bool load_has(const struct model *m, const char *prefix, const char *name) {
  struct checkpoint_tensor t;
  return find(&t, m, prefix, name);
}

/* What the paths of modules begin with: AutoModel, which embeddings come from, is the model without a head around it.
 */
static const char *path_prefix(const struct model *m, const char *prefix) {
  return (m->component || m->output == OUTPUT_EMBEDDING) && strcmp(prefix, m->ops->prefix) == 0 ? "" : prefix;
}

static enum status note(struct model *m, const char *prefix, const char *path, int length, struct error *err) {
  const char *full = arena_format(&m->arena, "%s%.*s", path_prefix(m, prefix), length, path);
  if (!full)
    return error_no_memory(err, "the model");
  if (m->owner_count == 0 || (m->owner_count < m->module_max && strcmp(m->owners[m->owner_count - 1], full) != 0))
    m->owners[m->owner_count++] = full;
  return STATUS_OK;
}

enum status load_note(struct model *m, const char *prefix, const char *path, struct error *err) {
  return note(m, prefix, path, (int)strlen(path), err);
}

/* Notes the module that a tensor is of. */
static enum status note_owner(struct model *m, const char *prefix, const char *name, struct error *err) {
  const char *dot = strrchr(name, '.');
  return note(m, prefix, name, dot ? (int)(dot - name) : (int)strlen(name), err);
}

/* A convolution is a matrix, as the caller knows; so is a linear layer that an older file of AutoencoderKL has as a
   convolution of one pixel. */
static void see_as_matrix(struct checkpoint_tensor *t) {
  size_t columns = 1;
  for (int i = 1; i < t->rank; i++)
    if (!checked_mul(&columns, columns, (size_t)t->shape[i]))
      return;
  if (t->rank > 2) {
    t->rank = 2;
    t->shape[1] = (int64_t)columns;
  }
}

/* Finds a tensor and checks its shape. */
static enum status expect(struct checkpoint_tensor *t, struct model *m, const char *prefix, const char *name,
                          size_t rows, size_t cols, struct error *err) {
  if (!find(t, m, prefix, name))
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model's files have no tensor %s%s", prefix, name);
  if (cols)
    see_as_matrix(t);
  if (t->rank != (cols ? 2 : 1) || t->shape[0] != (int64_t)rows || (cols && t->shape[1] != (int64_t)cols))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "tensor %s has rank %d, shape [%lld, %lld]; config.json asks for [%zu, %zu]", t->name, t->rank,
                     (long long)t->shape[0], (long long)(t->rank > 1 ? t->shape[1] : 0), rows, cols);
  m->weight_bytes += rows * (cols ? cols : 1) * sizeof(float);
  return note_owner(m, prefix, name, err);
}

static enum status convert(const float **out, struct model *m, const struct checkpoint_tensor *t, size_t count,
                           struct error *err) {
  float *copy = arena_array(&m->arena, count, sizeof *copy);
  *out = copy;
  return copy ? checkpoint_read(copy, &m->checkpoint, t->name, err) : error_no_memory(err, "the model");
}

static enum status import_weight(struct model *m, struct weight *w, struct error *err) {
  return buffers_import(&m->buffers, &w->place, w->bytes, weight_bytes(w), err);
}

/* The numbers in the order of the file, rounded; its pages are read once, a part at a time. */
static enum status import_rounded(struct model *m, struct weight *w, struct error *err) {
  enum { PART = 1 << 18, BYTES = 2 };
  struct backend *backend = m->backend;
  size_t count = w->rows * w->cols;
  const float *numbers = (const float *)(const void *)w->bytes;
  unsigned char *part = malloc((size_t)PART * BYTES);
  enum status status =
      part ? buffers_new(&m->buffers, &w->place, count * BYTES, err) : error_no_memory(err, "the model");
  for (size_t first = 0; !status && first < count; first += PART) {
    size_t n = count - first < PART ? count - first : PART;
    CHECK(ggml_from_f32(part, numbers + first, GGML_BF16, n));
    backend->ops->write(backend, place_at(w->place, first * BYTES), part, n * BYTES);
  }
  free(part);
  w->rounded = true;
  return status;
}

/* A matrix on the host, and what its file has of it. */
static enum status find_matrix(struct weight *out, struct model *m, const char *prefix, const char *name, size_t rows,
                               size_t cols, struct error *err) {
  struct checkpoint_tensor t;
  const float *copy;
  enum status status = expect(&t, m, prefix, name, rows, cols, err);
  if (status)
    return status;
  if (checkpoint_mapped(out, &m->checkpoint, t.name)) {
    m->mapped_bytes += weight_bytes(out);
    return STATUS_OK;
  }
  status = convert(&copy, m, &t, rows * cols, err);
  *out = weight_of(copy, rows, cols);
  return status;
}

enum status load_matrix(struct weight *out, struct model *m, const char *prefix, const char *name, size_t rows,
                        size_t cols, struct error *err) {
  enum status status = find_matrix(out, m, prefix, name, rows, cols, err);
  return status ? status : import_weight(m, out, err);
}

static enum status import_operand(struct model *m, struct weight *w, struct error *err) {
  const struct backend *backend = m->backend;
  if (backend->ops->rounds_weights && backend->precision == PRECISION_BF16 && w->type == GGML_F32)
    return import_rounded(m, w, err);
  return import_weight(m, w, err);
}

enum status load_operand(struct weight *out, struct model *m, const char *prefix, const char *name, size_t rows,
                         size_t cols, struct error *err) {
  enum status status = find_matrix(out, m, prefix, name, rows, cols, err);
  return status ? status : import_operand(m, out, err);
}

enum status load_floats_from(struct place *out, struct model *m, const char *prefix, const char *name, size_t rows,
                             size_t first, size_t cols, struct error *err) {
  struct checkpoint_tensor t;
  struct weight mapped;
  const float *numbers = NULL;
  size_t count = rows * (cols ? cols : 1);
  enum status status = expect(&t, m, prefix, name, rows, cols, err);
  if (status)
    return status;
  if (checkpoint_mapped(&mapped, &m->checkpoint, t.name) && mapped.type == GGML_F32 && !mapped.heads)
    numbers = weight_rows(&mapped, 0, mapped.rows, NULL);
  else
    status = convert(&numbers, m, &t, count, err);
  size_t before = first * (cols ? cols : 1);
  return status ? status : buffers_import(&m->buffers, out, numbers + before, (count - before) * sizeof *numbers, err);
}

enum status load_floats(struct place *out, struct model *m, const char *prefix, const char *name, size_t rows,
                        size_t cols, struct error *err) {
  return load_floats_from(out, m, prefix, name, rows, 0, cols, err);
}

/* --- modules -------------------------------------------------------------------------------------- */

static enum status join(struct model *m, struct linear *l, struct error *err) {
  if (m->linear_count == m->module_max)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model has more than %zu linear modules", m->module_max);
  m->linears[m->linear_count++] = l;
  return STATUS_OK;
}

static enum status load_parts(struct model *m, struct linear *l, const char *prefix, const char *path,
                              enum load_bias bias, struct error *err) {
  char name[300];
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = load_operand(&l->weight, m, prefix, name, l->out, l->in, err);
  snprintf(name, sizeof name, "%s.bias", path);
  if (!status && (bias == LOAD_BIAS || (bias == LOAD_BIAS_IF_THERE && load_has(m, prefix, name))))
    status = load_floats(&l->bias, m, prefix, name, l->out, 0, err);
  return status;
}

enum status load_frozen_linear(struct model *m, struct linear *l, const char *prefix, const char *path, size_t in,
                               size_t out, enum load_bias bias, struct error *err) {
  *l = (struct linear){.name = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path), .in = in, .out = out};
  return l->name ? load_parts(m, l, prefix, path, bias, err) : error_no_memory(err, "the model");
}

enum status load_linear(struct model *m, struct linear *l, const char *prefix, const char *path, size_t in, size_t out,
                        enum load_bias bias, struct error *err) {
  enum status status = load_frozen_linear(m, l, prefix, path, in, out, bias, err);
  return status ? status : join(m, l, err);
}

enum status load_embedding_projection(struct model *m, struct linear *l, const char *path, size_t in,
                                      struct error *err) {
  struct checkpoint_tensor t;
  char name[100];
  snprintf(name, sizeof name, "%s.weight", path);
  *l = (struct linear){.out = 0};
  return checkpoint_find(&t, &m->checkpoint, name)
             ? load_linear(m, l, "", path, in, (size_t)t.shape[0], LOAD_NO_BIAS, err)
             : STATUS_OK;
}

static void print_shape(char out[100], const int64_t *shape, int rank) {
  size_t used = 0;
  out[0] = '\0';
  for (int i = 0; i < rank && used < 100; i++)
    used += (size_t)snprintf(out + used, 100 - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

enum status load_check_shape(const struct model *m, const char *prefix, const char *name, const int64_t *shape,
                             int rank, struct error *err) {
  struct checkpoint_tensor t;
  char has[100], wants[100];
  if (!find(&t, m, prefix, name))
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model's files have no tensor %s%s", prefix, name);
  if (t.rank == rank && memcmp(t.shape, shape, (size_t)rank * sizeof *shape) == 0)
    return STATUS_OK;
  print_shape(has, t.shape, t.rank);
  print_shape(wants, shape, rank);
  return error_set(err, STATUS_MODEL_INVALID, "model", "tensor %s has rank %d, shape [%s]; config.json asks for [%s]",
                   t.name, t.rank, has, wants);
}

/* A convolution's weight must have the shape that its kernel says: as a matrix other kernels would pass too. */
static enum status check_kernel(const struct model *m, const char *prefix, const char *path, const int64_t *shape,
                                int rank, struct error *err) {
  char name[300];
  snprintf(name, sizeof name, "%s.weight", path);
  return load_check_shape(m, prefix, name, shape, rank, err);
}

enum status load_conv(struct model *m, struct linear *l, const char *prefix, const char *path,
                      const struct convolution *convolution, size_t out, enum load_bias bias, struct error *err) {
  struct convolution *own = arena_alloc(&m->arena, sizeof *own);
  if (!own)
    return error_no_memory(err, "the model");
  *own = *convolution;
  const int64_t shape[4] = {(int64_t)out, (int64_t)own->channels, (int64_t)own->kernel[0], (int64_t)own->kernel[1]};
  *l = (struct linear){.name = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path),
                       .in = own->channels * own->kernel[0] * own->kernel[1],
                       .out = out,
                       .convolution = own};
  enum status status =
      l->name ? check_kernel(m, prefix, path, shape, COUNT_OF(shape), err) : error_no_memory(err, "the model");
  status = status ? status : load_parts(m, l, prefix, path, bias, err);
  return status ? status : join(m, l, err);
}

enum status load_torch_conv1d(struct model *m, struct linear *l, const char *prefix, const char *path, size_t channels,
                              size_t kernel, size_t out, struct error *err) {
  const int64_t shape[3] = {(int64_t)out, (int64_t)channels, (int64_t)kernel};
  *l = (struct linear){
      .name = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path), .in = channels * kernel, .out = out};
  m->convolution = l;
  enum status status =
      l->name ? check_kernel(m, prefix, path, shape, COUNT_OF(shape), err) : error_no_memory(err, "the model");
  return status ? status : load_parts(m, l, prefix, path, LOAD_BIAS, err);
}

enum status load_conv1d(struct model *m, struct linear *l, const char *prefix, const char *path, size_t in, size_t out,
                        struct error *err) {
  struct checkpoint_tensor t;
  const float *given = NULL;
  char name[300];
  *l = (struct linear){
      .name = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path), .in = in, .out = out, .conv1d = true};
  if (!l->name)
    return error_no_memory(err, "the model");
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = expect(&t, m, prefix, name, in, out, err);
  status = status ? status : convert(&given, m, &t, in * out, err);
  float *turned = status ? NULL : arena_array(&m->arena, in * out, sizeof *turned);
  if (!status && !turned)
    status = error_no_memory(err, "the model");
  for (size_t i = 0; !status && i < in; i++)
    for (size_t j = 0; j < out; j++)
      turned[j * in + i] = given[i * out + j];
  l->weight = weight_of(turned, out, in);
  status = status ? status : import_operand(m, &l->weight, err);
  snprintf(name, sizeof name, "%s.bias", path);
  status = status ? status : load_floats(&l->bias, m, prefix, name, out, 0, err);
  return status ? status : join(m, l, err);
}

static enum status norm_parts(struct model *m, struct norm *n, const char *prefix, const char *path, bool bias,
                              struct error *err) {
  char name[300];
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = load_floats(&n->weight, m, prefix, name, n->channels, 0, err);
  snprintf(name, sizeof name, "%s.bias", path);
  return status || !bias ? status : load_floats(&n->bias, m, prefix, name, n->channels, 0, err);
}

/* A new norm's: ones and zeros. */
static enum status make_norm_parts(struct model *m, struct norm *n, bool bias, struct error *err) {
  float *ones = arena_array(&m->arena, n->channels, sizeof *ones);
  if (!ones)
    return error_no_memory(err, "the model");
  for (size_t i = 0; i < n->channels; i++)
    ones[i] = 1;
  enum status status = buffers_import(&m->buffers, &n->weight, ones, n->channels * sizeof *ones, err);
  return status || !bias ? status : buffers_new(&m->buffers, &n->bias, n->channels * sizeof(float), err);
}

static enum status join_norm(struct model *m, struct norm *n, const char *prefix, const char *path, bool made,
                             struct error *err) {
  const char *full = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path);
  if (!full)
    return error_no_memory(err, "the model");
  if (m->norm_count == m->module_max)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model has more than %zu norms", m->module_max);
  m->norms[m->norm_count].name = full;
  m->norms[m->norm_count].made = made;
  m->norms[m->norm_count++].norm = n;
  return STATUS_OK;
}

enum status load_norm(struct model *m, struct norm *n, const char *prefix, const char *path, size_t channels,
                      double epsilon, bool bias, struct error *err) {
  *n = (struct norm){.channels = channels, .epsilon = (float)epsilon};
  enum status status = norm_parts(m, n, prefix, path, bias, err);
  return status ? status : join_norm(m, n, prefix, path, false, err);
}

enum status load_rmsnorm(struct model *m, struct norm *n, const char *prefix, const char *path, size_t channels,
                         double epsilon, float offset, float factor, struct error *err) {
  struct checkpoint_tensor t;
  const float *given;
  char name[300];
  if (offset == 0 && factor == 1)
    return load_norm(m, n, prefix, path, channels, epsilon, false, err);
  *n = (struct norm){.channels = channels, .epsilon = (float)epsilon};
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = expect(&t, m, prefix, name, channels, 0, err);
  status = status ? status : convert(&given, m, &t, channels, err);
  float *weight = status ? NULL : arena_array(&m->arena, channels, sizeof *weight);
  if (!status && !weight)
    status = error_no_memory(err, "the model");
  for (size_t i = 0; !status && i < channels; i++)
    weight[i] = factor * (offset + given[i]);
  status = status ? status : buffers_import(&m->buffers, &n->weight, weight, channels * sizeof *weight, err);
  return status ? status : join_norm(m, n, prefix, path, false, err);
}

enum status load_or_make_norm(struct model *m, struct norm *n, const char *prefix, const char *path, size_t channels,
                              double epsilon, bool bias, struct error *err) {
  char weight[300];
  snprintf(weight, sizeof weight, "%s.weight", path);
  *n = (struct norm){.channels = channels, .epsilon = (float)epsilon};
  bool made = !load_has(m, prefix, weight);
  enum status status = made ? make_norm_parts(m, n, bias, err) : norm_parts(m, n, prefix, path, bias, err);
  return status ? status : join_norm(m, n, prefix, path, made, err);
}

/* A matrix of normal numbers (Box and Muller) from seed and name. */
static enum status make_random(const float **out, struct model *m, const char *name, size_t rows, size_t cols,
                               double deviation, uint64_t seed, struct error *err) {
  float *w = arena_array(&m->arena, rows * cols, sizeof *w);
  if (!w)
    return error_no_memory(err, "the model");
  uint64_t stream = RNG_INIT;
  for (const char *c = name; *c; c++)
    stream = stream * 1099511628211u + (unsigned char)*c;
  struct rng rng;
  rng_init(&rng, seed, stream);
  for (size_t i = 0; i < rows * cols; i++) {
    double u = 1.0 - (double)rng_uniform(&rng), v = (double)rng_uniform(&rng);
    w[i] = (float)(deviation * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
  }
  *out = w;
  return STATUS_OK;
}

enum status load_at_random(struct model *m, struct linear *l, const char *name, bool bias, double deviation,
                           uint64_t seed, struct error *err) {
  const float *numbers = NULL;
  enum status status = make_random(&numbers, m, name, l->out, l->in, deviation, seed, err);
  l->weight = weight_of(numbers, l->out, l->in);
  l->bias = (struct place){0};
  status = status ? status : import_weight(m, &l->weight, err);
  return status || !bias ? status : buffers_new(&m->buffers, &l->bias, l->out * sizeof(float), err);
}

enum status load_or_make(struct model *m, struct linear *l, const char *prefix, const char *path, size_t in, size_t out,
                         bool bias, double deviation, uint64_t seed, bool *made, struct error *err) {
  char name[300];
  struct checkpoint_tensor t;
  *l = (struct linear){.name = arena_format(&m->arena, "%s%s", path_prefix(m, prefix), path), .in = in, .out = out};
  if (!l->name)
    return error_no_memory(err, "the model");
  snprintf(name, sizeof name, "%s.weight", path);
  *made = !find(&t, m, prefix, name) || t.rank != 2 || t.shape[0] != (int64_t)out || t.shape[1] != (int64_t)in;
  enum status status = *made ? load_at_random(m, l, path, bias, deviation, seed, err)
                             : load_parts(m, l, prefix, path, bias ? LOAD_BIAS : LOAD_NO_BIAS, err);
  return status ? status : join(m, l, err);
}

enum status load_decoder_head(struct model *m, struct linear *head, const char *embedding_path,
                              const struct weight *token_embedding, bool tied, uint64_t seed, struct error *err) {
  size_t hidden = token_embedding->cols;
  m->head = head;
  m->token_rows = arena_alloc(&m->arena, sizeof *m->token_rows);
  if (!m->token_rows)
    return error_no_memory(err, "the model");
  *m->token_rows = (struct token_rows){.module = embedding_path, .table = token_embedding};
  if (m->language) {
    bool own = load_has(m, "", "lm_head.weight");
    *head = (struct linear){.name = "lm_head", .in = hidden, .out = m->vocabulary, .weight = *token_embedding};
    enum status s = load_bool(&tied, m, "tie_word_embeddings", tied, err);
    if (!s && !own && !tied)
      s = error_set(err, STATUS_MODEL_INVALID, "model",
                    "the model's files have no tensor lm_head.weight, and config.json does not set tie_word_embeddings "
                    "to true; set it if the token embedding is meant to be both");
    head->token_rows = own && !tied ? NULL : m->token_rows;
    return s || !own ? s : load_operand(&head->weight, m, "", "lm_head.weight", m->vocabulary, hidden, err);
  }
  double deviation;
  bool made;
  enum status s = load_number(&deviation, m, "initializer_range", 0.02, err);
  return s ? s : load_or_make(m, head, "", m->ops->head, hidden, m->num_labels, false, deviation, seed, &made, err);
}

enum status load_must_save(struct model *m, const char *name, struct error *err) {
  size_t count = m->modules_to_save.count;
  const char **item = arena_array(&m->arena, count + 1, sizeof *item);
  if (!item)
    return error_no_memory(err, "the model");
  if (count)
    memcpy(item, m->modules_to_save.item, count * sizeof *item);
  item[count] = name;
  m->modules_to_save = (struct string_list){count + 1, item};
  return STATUS_OK;
}
