/* What the tests of checkpoints share: a folder, and GGUF files of a small model, changed where a test says so.
   Included once, after cmocka.h. */
#ifndef TESTS_WORKER_MODEL_CHECKPOINT_FILES_H
#define TESTS_WORKER_MODEL_CHECKPOINT_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/model/checkpoint.h"

/* The model of these tests: 1 layer, 8 channels, 2 heads of 4 that share one of keys, 6 tokens. */
enum { HIDDEN = 8, HEADS = 2, KV_HEADS = 1, HEAD = 4, INNER = 32, VOCABULARY = 6 };

static char dir[64];

static inline int make_dir(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_checkpoint.XXXXXX");
  return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_dir(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

/* A path in `dir`; valid for the next four calls. */
static inline const char *at(const char *name) {
  static char paths[5][256];
  static unsigned next;
  char *out = paths[next++ % 5];
  snprintf(out, 256, "%s/%s", dir, name);
  return out;
}

/* --- files ----------------------------------------------------------------------------------------- */

/* What a GGUF has otherwise than the plain one: a list that ends with an empty row. */
struct change {
  const char *key;
  enum { DROP, SET_U32, SET_F32, SET_TEXT, SET_FALSE, ADD_VECTOR, ADD_MATRIX } what;
  double number; /* the value; elements of a vector, rows of a matrix */
  const char *text;
};

/* CHANGES({"key", SET_U32, 3, NULL}, {...}) */
#define CHANGES(...) ((const struct change[]){__VA_ARGS__, {0}})

static inline bool changes(const struct change *change, const char *key) {
  for (; change && change->key; change++)
    if (strcmp(change->key, key) == 0)
      return true;
  return false;
}

static inline void put_u32(struct gguf_writer *w, const struct change *change, const char *key, uint32_t value) {
  if (!changes(change, key))
    gguf_writer_u32(w, key, value);
}

static inline void put_changes(struct gguf_writer *w, const struct change *change) {
  for (; change && change->key; change++)
    if (change->what == SET_U32)
      gguf_writer_u32(w, change->key, (uint32_t)change->number);
    else if (change->what == SET_F32)
      gguf_writer_f32(w, change->key, (float)change->number);
    else if (change->what == SET_TEXT)
      gguf_writer_string(w, change->key, change->text, strlen(change->text));
    else if (change->what == SET_FALSE)
      gguf_writer_bool(w, change->key, false);
}

struct matrix {
  const char *name;
  int rank;
  int64_t shape[2];
};

static const struct matrix matrices[] = {
    {"blk.0.attn_q.weight", 2, {HEADS * HEAD, HIDDEN}},    {"blk.0.attn_q.bias", 1, {HEADS * HEAD, 0}},
    {"blk.0.attn_k.weight", 2, {KV_HEADS * HEAD, HIDDEN}}, {"blk.0.attn_v.weight", 2, {KV_HEADS * HEAD, HIDDEN}},
    {"blk.0.attn_output.weight", 2, {HIDDEN, HIDDEN}},     {"blk.0.ffn_gate.weight", 2, {INNER, HIDDEN}},
    {"blk.0.ffn_down.weight", 2, {HIDDEN, INNER}},         {"output_norm.weight", 1, {HIDDEN, 0}},
    {"token_embd.weight", 2, {VOCABULARY, HIDDEN}},
};

/* Element (row, column) of every matrix is 10 row + column / 8; of a vector, its index from 1. */
static inline void put_matrix(struct gguf_writer *w, const struct matrix *m) {
  float out[INNER * INNER];
  size_t columns = (size_t)m->shape[m->rank - 1], count = columns * (m->rank == 2 ? (size_t)m->shape[0] : 1);
  CHECK(count <= COUNT_OF(out));
  for (size_t i = 0; i < count; i++)
    out[i] = m->rank == 2 ? 10 * (float)(i / columns) + (float)(i % columns) / 8 : (float)(i + 1);
  gguf_writer_data(w, out, count);
}

static inline void write_gguf(const char *path, const char *architecture, const struct change *change) {
  static const char *const counts[] = {"embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                                       "context_length"};
  static const uint32_t values[] = {HIDDEN, 1, INNER, HEADS, 128};
  struct gguf_writer *w;
  struct error err = {0};
  char key[128];
  assert_int_equal(gguf_writer_open(&w, path, &err), STATUS_OK);
  if (!changes(change, "general.architecture"))
    gguf_writer_string(w, "general.architecture", architecture, strlen(architecture));
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    snprintf(key, sizeof key, "%s.%s", architecture, counts[i]);
    put_u32(w, change, key, values[i]);
  }
  snprintf(key, sizeof key, "%s.attention.head_count_kv", architecture);
  put_u32(w, change, key, KV_HEADS);
  snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
  if (!changes(change, key))
    gguf_writer_f32(w, key, 1e-5f);
  put_u32(w, change, "tokenizer.ggml.eos_token_id", 2);
  put_changes(w, change);
  struct matrix all[COUNT_OF(matrices) + 4];
  size_t count = 0;
  for (size_t i = 0; i < COUNT_OF(matrices); i++)
    if (!changes(change, matrices[i].name))
      all[count++] = matrices[i];
  for (; change && change->key && count < COUNT_OF(all); change++)
    if (change->what == ADD_VECTOR)
      all[count++] = (struct matrix){change->key, 1, {(int64_t)change->number, 0}};
    else if (change->what == ADD_MATRIX)
      all[count++] = (struct matrix){change->key, 2, {(int64_t)change->number, HIDDEN}};
  for (size_t i = 0; i < count; i++) {
    bool down = strcmp(all[i].name, "blk.0.ffn_down.weight") == 0, half = all[i].shape[0] == INNER;
    gguf_writer_tensor(w, all[i].name, down ? GGML_Q8_0 : half ? GGML_F16 : GGML_F32, all[i].rank, all[i].shape);
  }
  for (size_t i = 0; i < count; i++)
    put_matrix(w, &all[i]);
  if (gguf_writer_finish(w, NULL, NULL, &err))
    fail_msg("%s", err.text);
}

static inline void put_text(const char *path, const char *text) {
  assert_int_equal(file_put(path, text, strlen(text), NULL), STATUS_OK);
}

static inline void open_ok(struct checkpoint *out, const char *path) {
  struct error err = {0};
  if (checkpoint_open(out, path, &err))
    fail_msg("%s", err.text);
}

static inline void open_fails(const char *path, enum status want, const char *says) {
  struct checkpoint c;
  struct error err = {0};
  enum status status = checkpoint_open(&c, path, &err);
  if (status != want || !strstr(err.text, says))
    fail_msg("status %d, \"%s\" should say \"%s\"", (int)status, err.text, says);
  assert_null(c.config);
  assert_int_equal(checkpoint_count(&c), 0);
  checkpoint_close(&c);
}

static inline int64_t member(const struct checkpoint *c, const char *key) {
  const json_t *value = json_object_get(c->config, key);
  if (!json_is_integer(value))
    fail_msg("the config has no integer %s", key);
  return json_integer_value(value);
}

static inline const char *text_member(const struct checkpoint *c, const char *key) {
  return json_string_value(json_object_get(c->config, key));
}

#endif
