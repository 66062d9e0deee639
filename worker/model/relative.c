#include "worker/model/relative.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

/* Is `word` one of those that text lists between bars, "c2p|p2c"? Spaces around them do not count. */
static bool lists(const char *text, size_t length, const char *word) {
  while (length && text[0] == ' ')
    text++, length--;
  while (length && text[length - 1] == ' ')
    length--;
  return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

static enum status note_kind(struct relative *r, const char *text, size_t length, struct error *err) {
  bool keys = lists(text, length, "c2p"), queries = lists(text, length, "p2c");
  r->keys = r->keys || keys;
  r->queries = r->queries || queries;
  return keys || queries ? STATUS_OK
                         : error_set(err, STATUS_MODEL_INVALID, "model",
                                     "config.json: pos_att_type \"%.*s\" is not supported; c2p and p2c are",
                                     (int)(length < 40 ? length : 40), text);
}

/* pos_att_type: a list, or words between bars. */
static enum status read_kinds(struct relative *r, const struct model *m, struct error *err) {
  const json_t *value = json_object_get(m->checkpoint.config, "pos_att_type"), *item;
  enum status status = STATUS_OK;
  size_t i;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (json_is_array(value)) {
    json_array_foreach(value, i, item) {
      const char *text = json_is_string(item) ? json_string_value(item) : "";
      status = status ? status : note_kind(r, text, strlen(text), err);
    }
    return status;
  }
  const char *text = json_string_value(value);
  if (!text)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: pos_att_type must be a list or a string, like \"p2c|c2p\"");
  for (size_t length; !status; text += length + 1) {
    length = strcspn(text, "|");
    status = note_kind(r, text, length, err);
    if (!text[length])
      break;
  }
  return status;
}

static enum status read_norm(bool *normed, const struct model *m, struct error *err) {
  const char *text = "none";
  if (json_get_string(&text, m->checkpoint.config, "norm_rel_ebd", "none", err))
    return err->status = STATUS_MODEL_INVALID;
  *normed = lists(text, strlen(text), "layer_norm");
  if (!*normed && !lists(text, strlen(text), "none"))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: norm_rel_ebd \"%.40s\" is not supported; layer_norm and none are", text);
  return STATUS_OK;
}

static enum status read_buckets(struct relative *r, const struct model *m, struct error *err) {
  int64_t buckets, most;
  enum { MOST = 1 << 20 };
  enum status s = load_count(&buckets, m, "position_buckets", -1, -1, MOST, err);
  s = s ? s : load_count(&most, m, "max_relative_positions", -1, -1, MOST, err);
  if (s)
    return s;
  r->most = most < 1 ? m->positions : (size_t)most;
  r->buckets = buckets < 1 ? 0 : (size_t)buckets;
  r->rows = 2 * (r->buckets ? r->buckets : r->most);
  if (r->buckets && (r->buckets < 2 || r->most < r->buckets / 2 + 2))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: position_buckets %zu must be at least 2, and max_relative_positions %zu larger than "
                     "half of it",
                     r->buckets, r->most);
  return STATUS_OK;
}

enum status relative_load_embeddings(struct relative *r, struct model *m, size_t hidden, double epsilon,
                                     struct error *err) {
  bool normed;
  *r = (struct relative){0};
  enum status s = load_bool(&r->shared, m, "share_att_key", false, err);
  s = s ? s : read_kinds(r, m, err);
  s = s ? s : read_norm(&normed, m, err);
  s = s ? s : read_buckets(r, m, err);
  s = s ? s : load_matrix(&r->table, m, m->ops->prefix, "encoder.rel_embeddings.weight", r->rows, hidden, err);
  if (!s && normed)
    s = load_norm(m, &r->norm, m->ops->prefix, "encoder.LayerNorm", hidden, epsilon, true, err);
  if (s)
    return s;
  int32_t *numbers = arena_array(&m->arena, r->rows + 1, sizeof *numbers);
  if (!numbers)
    return error_no_memory(err, "the model");
  for (size_t i = 0; i <= r->rows; i++)
    numbers[i] = (int32_t)i;
  return buffers_import(&m->buffers, &r->numbers, numbers, (r->rows + 1) * sizeof *numbers, err);
}

enum status relative_load_bias(struct relative *r, struct model *m, size_t heads, struct error *err) {
  *r = (struct relative){0};
  enum status s = load_size(&r->rows, m, "relative_attention_num_buckets", 32, 1 << 16, err);
  if (!s && r->rows != 32)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: relative_attention_num_buckets %zu is not supported, 32 is", r->rows);
  return s ? s
           : load_floats(&r->bias, m, m->ops->prefix, "encoder.relative_attention_bias.weight", r->rows, heads, err);
}

/* --- rows of distances ---------------------------------------------------------------------------- */

/* Half of the buckets are for near distances, one each; the others grow with the logarithm up to `most`. */
static int64_t embedding_row(const struct relative *r, int64_t distance) {
  int64_t span = (int64_t)r->rows / 2, bucket = distance, far = distance < 0 ? -distance : distance;
  int64_t middle = (int64_t)r->buckets / 2;
  if (r->buckets && far > middle) {
    double position = log((double)far / (double)middle) / log((double)(r->most - 1) / (double)middle);
    bucket = (int64_t)ceil(position * (double)(middle - 1)) + middle;
    bucket = distance < 0 ? -bucket : bucket;
  }
  bucket += span;
  return bucket < 0 ? 0 : bucket >= 2 * span ? 2 * span - 1 : bucket;
}

/* T5's buckets: keys before the row have the first half. Of each half, half are for near distances. */
static int64_t bias_row(const struct relative *r, int64_t distance) {
  const int64_t half = (int64_t)r->rows / 2, near = half / 2, most = 128;
  int64_t far = distance < 0 ? -distance : distance, bucket = far;
  if (far >= near) {
    float position = logf((float)far / (float)near) / (float)log((double)most / (double)near);
    bucket = near + (int64_t)(position * (float)(half - near));
    bucket = bucket < half ? bucket : half - 1;
  }
  return bucket + (distance < 0 ? half : 0);
}

static int32_t row_of(const struct relative *r, int64_t distance) {
  return (int32_t)(r->bias.buffer ? bias_row(r, distance) : embedding_row(r, distance));
}

enum status relative_reserve(struct relative *r, struct model *m, size_t longest, struct error *err) {
  if (longest <= r->longest)
    return STATUS_OK;
  size_t count = 2 * longest - 1;
  r->index = arena_array(&m->arena, count, sizeof *r->index);
  if (!r->index)
    return error_no_memory(err, "the model");
  for (size_t i = 0; i < count; i++)
    r->index[i] = row_of(r, (int64_t)i - (int64_t)longest + 1);
  r->longest = longest;
  return buffers_import(&m->buffers, &r->index_place, r->index, count * sizeof *r->index, err);
}

/* --- forward -------------------------------------------------------------------------------------- */

/* The least row that is read, or one before it with which a place on a device can begin. */
static size_t first_row(const struct relative *r, const struct sequences *s) {
  enum { EACH = PLACE_ALIGN / sizeof(int32_t) };
  return r->bias.buffer ? 0 : (size_t)r->index[r->longest - s->longest] / EACH * EACH;
}

struct tensor *relative_table(struct tape *tape, const struct relative *r, const struct sequences *s) {
  if (!r->keys && !r->queries)
    return NULL;
  size_t first = first_row(r, s), rows = (size_t)r->index[r->longest + s->longest - 2] + 1 - first;
  struct sequences *read = tape_attributes(tape, sizeof *read);
  *read = (struct sequences){.count = rows, /* of one token each */
                             .tokens = rows,
                             .longest = 1,
                             .cu_seqlens = r->numbers,
                             .token_ids = place_at(r->numbers, first * sizeof(int32_t))};
  struct tensor *x = op_embeddings(tape, read, &r->table, (struct place){0}, (struct place){0});
  return r->norm.channels ? op_layernorm(tape, x, &r->norm) : x;
}

struct distances relative_distances(const struct relative *r, const struct sequences *s) {
  return (struct distances){.index = r->index_place, .longest = r->longest, .first = first_row(r, s), .bias = r->bias};
}
