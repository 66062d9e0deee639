/* What the cases of test_conformance.c are written with: a small batch, memory on the backend under test, and the
   numbers that came of a case. */
#ifndef TESTS_WORKER_OP_TRIAL_H
#define TESTS_WORKER_OP_TRIAL_H

#include "tests/worker/engine_impl.h"
#include "worker/op/attributes.h"

enum { B = 4, N = 37, SEEN_MAX = 1 << 16 };
static const uint32_t cu_seqlens[B + 1] = {0, 5, 6, 20, N};
static const size_t longest = 17;
static int32_t token_ids[N];
static uint8_t token_type_ids[N];
static uint32_t targets[N], target_rows[] = {0, 3, 4, 9, 30, 36};
static const float values[B] = {0.5f, -1, 2, 0};

/* A case on a backend: what its op reads, and what came of it. */
struct trial {
  struct backend *backend;
  struct arena arena;
  struct buffers buffers;
  struct parameter_list list; /* on the backend */
  struct parameter_list inputs;
  struct parameter *in[3]; /* on the host: graph_input */
  struct sequences sequences;
  struct linear linear, bare; /* bare: without what is trained */
  struct low_rank low;
  struct rotation rotation;
  struct output_scale scale;
  struct token_rows token_rows;
  struct expert expert[5];
  struct experts experts;
  struct norm norm;
  struct rotary rotary;
  struct weight embedding;
  struct place position_embedding, token_type_embedding, targets, rows;
  struct next_tokens next;
  struct preference preference;
  struct completions completions;
  struct preference_scores scores;
  struct attention attention;
  struct dropout dropout;
  struct convolution convolution;
  struct sequences queries; /* of cross attention */
  size_t correct;
  float *seen; /* all numbers that came of it, one after the other */
  size_t count;
  char *names[64]; /* of the parts of `seen` */
  size_t ends[64], parts;
};

/* Numbers between -1 and 1 on the backend. */
static struct place numbers(struct trial *t, size_t count, uint64_t seed) {
  struct place place;
  struct error err;
  float *host = arena_array(&t->arena, count, sizeof *host);
  assert_non_null(host);
  fill(host, count, seed);
  assert_int_equal(buffers_import(&t->buffers, &place, host, count * sizeof *host, &err), STATUS_OK);
  return place;
}

static struct place zeros(struct trial *t, size_t count) {
  struct place place;
  struct error err;
  assert_int_equal(buffers_new(&t->buffers, &place, count * sizeof(float), &err), STATUS_OK);
  return place;
}

static struct place import(struct trial *t, const void *host, size_t bytes) {
  struct place place;
  struct error err;
  assert_int_equal(buffers_import(&t->buffers, &place, host, bytes, &err), STATUS_OK);
  return place;
}

/* A frozen matrix in the type. */
static struct weight weight(struct trial *t, enum ggml_type type, size_t rows, size_t cols, uint64_t seed) {
  float *host = arena_array(&t->arena, rows * cols, sizeof *host);
  const struct ggml_type_info *info = ggml_type_info(type);
  size_t bytes = rows * cols / info->block * info->bytes;
  unsigned char *coded = arena_alloc(&t->arena, bytes);
  assert_true(host && coded);
  fill(host, rows * cols, seed);
  assert_true(ggml_from_f32(coded, host, type, rows * cols));
  struct weight w = {.rows = rows, .cols = cols, .type = type, .bytes = coded};
  w.place = import(t, coded, bytes);
  return w;
}

static struct parameter *trained(struct trial *t, const char *name, int rank, size_t rows, size_t cols, uint64_t seed) {
  struct parameter *p = parameter_add(&t->list, name, rank, (int64_t)rows, (int64_t)cols);
  assert_non_null(p);
  fill(p->data, p->count, seed);
  parameter_push(p, t->backend);
  return p;
}

/* Three rows of a table of V tokens are trained. */
static void add_token_rows(struct trial *t, const struct weight *table) {
  static const int64_t ids[] = {7, 0, 14};
  static const int32_t tokens[] = {7, 0, 14};
  int32_t row_of[53];
  assert_true(table->rows <= COUNT_OF(row_of));
  for (size_t v = 0; v < table->rows; v++)
    row_of[v] = v == 7 ? 0 : v == 0 ? 1 : v == 14 ? 2 : -1;
  int32_t *copy = arena_array(&t->arena, table->rows, sizeof *copy);
  assert_non_null(copy);
  memcpy(copy, row_of, table->rows * sizeof *copy);
  t->token_rows = (struct token_rows){.table = table,
                                      .count = 3,
                                      .trained = trained(t, "rows", 2, 3, table->cols, 31),
                                      .ids = ids,
                                      .tokens = import(t, tokens, sizeof tokens),
                                      .row_of = import(t, copy, table->rows * sizeof *copy),
                                      .in_head = true};
}

static void see(struct trial *t, const char *name, struct place place, size_t count) {
  assert_true(t->count + count <= SEEN_MAX && t->parts < COUNT_OF(t->ends));
  t->backend->ops->read(t->backend, t->seen + t->count, place, count * sizeof(float));
  t->count += count;
  t->names[t->parts] = (char *)(uintptr_t)name;
  t->ends[t->parts++] = t->count;
}

static void see_host(struct trial *t, const char *name, const float *x, size_t count) {
  assert_true(t->count + count <= SEEN_MAX && t->parts < COUNT_OF(t->ends));
  memcpy(t->seen + t->count, x, count * sizeof *x);
  t->count += count;
  t->names[t->parts] = (char *)(uintptr_t)name;
  t->ends[t->parts++] = t->count;
}

enum { IN = 64, OUT = 45, R = 8, BLOCK = 16, HEADS = 6, KV = 2, D = 10, V = 53 };

#endif
