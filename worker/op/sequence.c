/* Ops that know where sequences begin: embeddings, rotary positions, attention, pooling, convolutions. */
#include "worker/op/attributes.h"

struct sequences sequences_host(size_t count, size_t tokens, size_t longest, const uint32_t *cu_seqlens,
                                const int32_t *token_ids, const uint8_t *token_type_ids) {
  return (struct sequences){.count = count,
                            .tokens = tokens,
                            .longest = longest,
                            .cu_seqlens = place_host(cu_seqlens),
                            .token_ids = place_host(token_ids),
                            .token_type_ids = place_host(token_type_ids)};
}

static const struct op op_row_embeddings = {.name = "embeddings", .kind = OP_EMBEDDINGS};

struct tensor *op_embeddings(struct tape *tape, const struct sequences *sequences, const struct weight *token_embedding,
                             struct place position_embedding, struct place token_type_embedding) {
  struct embeddings_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct embeddings_attributes){sequences, token_embedding, position_embedding, token_type_embedding};
  struct tensor *in[NODE_INPUTS] = {0};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, sequences->tokens, token_embedding->cols)};
  tape_record(tape, &op_row_embeddings, a, in, out);
  return out[0];
}

static const struct op op_row_rope = {.name = "rope", .kind = OP_ROPE};

struct tensor *op_rope(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                       const struct rotary *rotary) {
  CHECK(x->cols % rotary->head_size == 0 && rotary->turned <= rotary->head_size);
  struct rope_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct rope_attributes){sequences, rotary};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_rope, a, in, out);
  return out[0];
}

static const struct op op_row_attention = {.name = "attention",
                                           .kind = OP_ATTENTION,
                                           .saves_inputs = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4,
                                           .saves_outputs = 1 << 0 | 1 << 1};

/* The tables of distances follow q, k and v. */
static void add_distances(struct tensor **in, const struct tensor *q, const struct sequences *sequences,
                          const struct attention *how) {
  const struct distances *d = &how->distances;
  struct tensor *tables[] = {d->keys, d->queries};
  CHECK(sequences->longest <= d->longest && how->kv_heads == how->heads && !how->causal && !how->window);
  for (size_t i = 0; i < COUNT_OF(tables); i++)
    if (tables[i]) {
      CHECK(tables[i]->cols == q->cols);
      *in++ = tables[i];
    }
}

struct tensor *op_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct sequences *sequences, const struct attention *attention) {
  struct attention_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attention_attributes){sequences, sequences, *attention};
  if (!tape->training)
    a->how.dropout.threshold = 0;
  CHECK(a->how.queries <= POOLING_LAST);
  CHECK(!sequences->caches || (!tape->training && tape->backend->ops->host_memory));
  CHECK(!sequences->prefixes ||
        (a->how.causal && a->how.queries == POOLING_NONE && !sequences->caches && tape->backend->ops->host_memory));
  CHECK(q->rows == (a->how.queries == POOLING_NONE ? sequences->tokens : sequences->count));
  CHECK(q->cols % a->how.heads == 0 && a->how.heads % a->how.kv_heads == 0);
  CHECK(k->cols == v->cols && k->cols / a->how.kv_heads == q->cols / a->how.heads);
  struct tensor *in[NODE_INPUTS] = {q, k, v};
  if (a->how.distances.index.buffer)
    add_distances(in + 3, q, sequences, &a->how);
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, q->rows, q->cols), tape_tensor(tape, a->how.heads, q->rows)};
  tape_record(tape, &op_row_attention, a, in, out);
  return out[0];
}

static const struct op op_row_cross_attention = {.name = "cross_attention",
                                                 .kind = OP_CROSS_ATTENTION,
                                                 .saves_inputs = 1 << 0 | 1 << 1 | 1 << 2,
                                                 .saves_outputs = 1 << 0 | 1 << 1};

struct tensor *op_cross_attention(struct tape *tape, struct tensor *q, struct tensor *k, struct tensor *v,
                                  const struct sequences *queries, const struct sequences *keys,
                                  const struct attention *attention) {
  struct attention_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct attention_attributes){queries, keys, *attention};
  if (!tape->training)
    a->how.dropout.threshold = 0;
  CHECK(!a->how.causal && !a->how.window && !a->how.distances.index.buffer && a->how.queries == POOLING_NONE);
  CHECK(queries->count == keys->count && !queries->caches && !keys->caches);
  CHECK(!queries->prefixes && !keys->prefixes);
  CHECK(q->rows == queries->tokens && k->rows == keys->tokens && v->rows == keys->tokens);
  CHECK(q->cols % a->how.heads == 0 && a->how.heads % a->how.kv_heads == 0);
  CHECK(k->cols == v->cols && k->cols / a->how.kv_heads == q->cols / a->how.heads);
  struct tensor *in[NODE_INPUTS] = {q, k, v};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, q->rows, q->cols), tape_tensor(tape, a->how.heads, q->rows)};
  tape_record(tape, &op_row_cross_attention, a, in, out);
  return out[0];
}

static const struct op op_row_pooling = {.name = "pooling", .kind = OP_POOLING};

struct tensor *op_pooling(struct tape *tape, struct tensor *x, const struct sequences *sequences,
                          enum pooling pooling) {
  if (pooling == POOLING_NONE)
    return x;
  struct pooling_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct pooling_attributes){sequences, pooling};
  size_t rows = pooling == POOLING_ROWS ? sequences->row_count : sequences->count;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, rows, x->cols)};
  tape_record(tape, &op_row_pooling, a, in, out);
  return out[0];
}

static const struct op op_row_unfold = {.name = "unfold", .kind = OP_UNFOLD};

struct tensor *op_unfold(struct tape *tape, struct tensor *x, const struct sequences *sequences, size_t kernel) {
  CHECK(x->rows == sequences->tokens && kernel % 2 == 1 && !sequences->caches && !sequences->prefixes);
  struct unfold_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct unfold_attributes){sequences, kernel};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols * kernel)};
  tape_record(tape, &op_row_unfold, a, in, out);
  return out[0];
}
