#include "worker/export/gguf_keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/export/gguf_form.h"
#include "worker/model/decoder.h"

enum { ROTARY_PAIRS_MAX = 1 << 11 };

struct keys {
  struct gguf_writer *writer;
  const struct model *model;
  const char *architecture;
  struct decoder_shape shape;
};

static enum status unsupported(struct error *err, const char *what) {
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "config.json: %s has no key in GGUF", what);
}

static void key_of(char out[128], const struct keys *k, const char *suffix) {
  snprintf(out, 128, "%s.%s", k->architecture, suffix);
}

static void put_count(const struct keys *k, const char *suffix, size_t value) {
  char key[128];
  key_of(key, k, suffix);
  gguf_writer_u32(k->writer, key, (uint32_t)value);
}

static void put_number(const struct keys *k, const char *suffix, double value) {
  char key[128];
  key_of(key, k, suffix);
  gguf_writer_f32(k->writer, key, (float)value);
}

static void put_text(const struct keys *k, const char *suffix, const char *value) {
  char key[128];
  key_of(key, k, suffix);
  gguf_writer_string(k->writer, key, value, strlen(value));
}

/* --- rotary positions ----------------------------------------------------------------------------- */

/* A member that is there and not null. */
static const json_t *member(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

/* llama.cpp's yarn is Transformers' where nothing else is set. A member beside the object goes before one in it. */
static enum status put_yarn(const struct keys *k, const json_t *scaling, struct error *err) {
  static const char *const others[] = {"mscale", "mscale_all_dim", "attention_factor", "truncate"};
  static const char context_member[] = "original_max_position_embeddings";
  static const char *const betas[][2] = {{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                         {"beta_slow", "rope.scaling.yarn_beta_slow"}};
  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (member(scaling, others[i]))
      return unsupported(err, others[i]);
  const json_t *top = member(k->model->checkpoint.config, context_member), *in = member(scaling, context_member);
  const json_t *context = top ? top : in, *factor = member(scaling, "factor");
  double positions = (double)k->model->positions, first = context ? json_number_value(context) : positions;
  put_text(k, "rope.scaling.type", "yarn");
  put_number(k, "rope.scaling.factor", factor ? json_number_value(factor) : positions / first);
  put_count(k, "rope.scaling.original_context_length", (size_t)first);
  for (size_t i = 0; i < COUNT_OF(betas); i++)
    if (member(scaling, betas[i][0]))
      put_number(k, betas[i][1], json_number_value(member(scaling, betas[i][0])));
  return STATUS_OK;
}

static enum status put_rotary(const struct keys *k, struct error *err) {
  const struct rotary_config *rotary = k->shape.rotary;
  put_number(k, "rope.freq_base", rotary->theta);
  put_count(k, "rope.dimension_count", rotary->turned);
  if (strcmp(rotary->type, "yarn") == 0)
    return put_yarn(k, rotary->scaling, err);
  if (strcmp(rotary->type, "longrope") == 0)
    return unsupported(err, "longrope");
  if (strcmp(rotary->type, "llama3") == 0)
    return strcmp(k->architecture, "llama") == 0 ? STATUS_OK : unsupported(err, "llama3 of this architecture");
  if (strcmp(rotary->type, "linear") == 0) {
    put_text(k, "rope.scaling.type", "linear");
    put_number(k, "rope.scaling.factor", json_number_value(json_object_get(rotary->scaling, "factor")));
  }
  return STATUS_OK;
}

enum status gguf_frequencies_announce(const struct rotary_config **out, struct gguf_writer *w, const struct model *m,
                                      struct error *err) {
  struct decoder_shape shape;
  decoder_shape(&shape, m);
  const int64_t pairs = (int64_t)shape.rotary->turned / 2;
  *out = strcmp(shape.rotary->type, "llama3") == 0 ? shape.rotary : NULL;
  if (*out && pairs > ROTARY_PAIRS_MAX)
    return unsupported(err, "a head of that size");
  if (*out)
    gguf_writer_tensor(w, "rope_freqs.weight", GGML_F32, 1, &pairs);
  return STATUS_OK;
}

void gguf_frequencies_write(struct gguf_writer *w, const struct rotary_config *rotary) {
  float divisors[ROTARY_PAIRS_MAX];
  if (!rotary)
    return;
  for (size_t i = 0; i < rotary->turned / 2; i++) {
    double plain = pow(rotary->theta, -2.0 * (double)i / (double)rotary->turned);
    divisors[i] = (float)(plain / (double)rotary->frequencies[i]);
  }
  gguf_writer_data(w, divisors, rotary->turned / 2);
}

/* --- the whole ------------------------------------------------------------------------------------ */

enum status gguf_keys_write(struct gguf_writer *w, const struct model *m, struct error *err) {
  struct keys k = {.writer = w, .model = m, .architecture = gguf_architecture(m)};
  decoder_shape(&k.shape, m);
  const struct decoder_shape *s = &k.shape;
  if (s->mixture)
    return error_set(
        err, STATUS_UNSUPPORTED_VALUE, "exports",
        "a mixture of experts is written as GGUF of a GGUF base only; \"merged\" is exact, and llama.cpp's "
        "convert_hf_to_gguf.py reads it");
  if (!s->same_windows)
    return unsupported(err, "sliding_window of some layers alone");
  gguf_writer_string(w, "general.architecture", k.architecture, strlen(k.architecture));
  put_count(&k, "context_length", m->positions);
  put_count(&k, "embedding_length", s->hidden);
  put_count(&k, "block_count", s->layer_count);
  put_count(&k, "feed_forward_length", s->intermediate);
  put_count(&k, "attention.head_count", s->heads);
  put_count(&k, "attention.head_count_kv", s->kv_heads);
  put_count(&k, "attention.key_length", s->head_size);
  put_count(&k, "attention.value_length", s->head_size);
  put_number(&k, "attention.layer_norm_rms_epsilon", s->epsilon);
  put_count(&k, "vocab_size", m->vocabulary);
  if (s->window)
    put_count(&k, "attention.sliding_window", s->window);
  return put_rotary(&k, err);
}
