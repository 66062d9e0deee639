/* sources: base api/single_file.c worker/file worker/model/checkpoint*.c */
/* Any bytes are either refused or a GGUF whose every value and tensor lies within them: all of it can be
   read, as the type it is and as any other, and seen as a Hugging Face checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "worker/file/gguf_parts.h"
#include "worker/model/checkpoint_gguf.h"

enum { ELEMENTS_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static unsigned sum_of(const void *bytes, size_t length) {
  const unsigned char *p = bytes;
  unsigned sum = 0;
  for (size_t i = 0; i < length; i++)
    sum += p[i];
  return sum;
}

static unsigned use_array(const struct gguf_value *value) {
  unsigned sum = 0;
  size_t at = 0;
  for (size_t i = 0; i < value->count; i++)
    if (value->item_type == GGUF_STRING) {
      struct gguf_string text = gguf_next_string(value, &at);
      sum += sum_of(text.text, text.length);
    } else {
      sum += gguf_item_number(value, i) > 0;
    }
  CHECK(value->item_type != GGUF_STRING || at == value->length);
  return sum;
}

/* Asks for a value as everything it may be. */
static unsigned use_value(const struct gguf *gguf, const struct gguf_value *value) {
  char key[GGUF_KEY_MAX + 1];
  const struct gguf_value *array;
  struct gguf_string text = {0};
  struct error err;
  uint64_t integer;
  double number;
  bool truth;
  unsigned right = 0;
  CHECK(value->key.length < sizeof key);
  memcpy(key, value->key.text, value->key.length);
  key[value->key.length] = '\0';
  CHECK(gguf_find(gguf, key) == value);
  right += gguf_get_f64(&number, gguf, key, 0, &err) == STATUS_OK;
  right += gguf_get_bool(&truth, gguf, key, false, &err) == STATUS_OK;
  right += gguf_get_string(&text, gguf, key, NULL, &err) == STATUS_OK;
  right += gguf_get_u64(&integer, gguf, key, 0, &err) == STATUS_OK;
  for (int type = 0; type < GGUF_TYPE_COUNT; type++)
    if (type != GGUF_ARRAY && gguf_get_array(&array, gguf, key, (enum gguf_type)type, &err) == STATUS_OK) {
      CHECK(array == value);
      right++;
    }
  CHECK(right <= 1);
  return sum_of(value->bytes, (size_t)value->length) + (value->type == GGUF_ARRAY ? use_array(value) : 0);
}

static unsigned use_tensor(const struct gguf *gguf, const struct gguf_tensor *tensor, const uint8_t *bytes,
                           size_t length) {
  size_t rows = 1, columns = (size_t)tensor->shape[tensor->rank - 1];
  struct error err;
  unsigned sum = sum_of(tensor->bytes, tensor->length);
  CHECK(gguf_find_tensor(gguf, tensor->name) == tensor);
  CHECK(tensor->bytes >= bytes && (size_t)(tensor->bytes - bytes) <= length &&
        tensor->length <= length - (size_t)(tensor->bytes - bytes));
  for (int i = 0; i + 1 < tensor->rank; i++)
    rows *= (size_t)tensor->shape[i];
  const struct ggml_type_info *type = ggml_type_info((uint32_t)tensor->type);
  CHECK(type && columns % type->block == 0);
  CHECK(tensor->length == rows * (columns / type->block) * type->bytes);
  float *out = rows * columns <= ELEMENTS_MAX ? malloc(rows * columns * sizeof *out) : NULL;
  if (out) {
    CHECK(gguf_to_f32(out, tensor, 0, rows, &err) == STATUS_OK);
    sum += out[rows * columns - 1] > 0;
  }
  free(out);
  return sum;
}

/* Where the bytes have "GGUF" a second time, they are the two parts of a model. */
static enum status join_second(struct gguf *gguf, const uint8_t *bytes, size_t length, struct error *err) {
  const uint8_t *second = length > 8 ? memmem(bytes + 4, length - 4, "GGUF", 4) : NULL;
  size_t fault;
  if (!second)
    return STATUS_OK;
  gguf->parts = arena_array(&gguf->arena, 1, sizeof *gguf->parts);
  if (!gguf->parts)
    return STATUS_OUT_OF_MEMORY;
  enum status status = gguf_parse(gguf->parts, second, length - (size_t)(second - bytes), err);
  if (status)
    return status;
  gguf->part_count = 1;
  status = gguf_parts_join(gguf, &fault, err);
  CHECK(status == STATUS_OK || (err->text[0] && fault <= 1));
  return status;
}

static void use_checkpoint(struct gguf *gguf) {
  struct checkpoint c = {.gguf = *gguf, .is_gguf = true, .weights_path = "fuzz"};
  struct error err = {0};
  arena_init(&c.arena, 1 << 24);
  enum status status = checkpoint_gguf_translate(&c, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  for (size_t i = 0; status == STATUS_OK && i < checkpoint_count(&c); i++) {
    struct checkpoint_tensor tensor = checkpoint_at(&c, i);
    size_t elements = 1;
    for (int k = 0; k < tensor.rank; k++)
      elements *= (size_t)tensor.shape[k];
    float *out = elements <= ELEMENTS_MAX ? malloc(elements * sizeof *out) : NULL;
    CHECK(!out || checkpoint_read(out, &c, tensor.name, &err) == STATUS_OK);
    free(out);
  }
  *gguf = (struct gguf){0}; /* it went with the checkpoint */
  checkpoint_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct gguf gguf;
  struct error err = {0};
  unsigned sum = 0;
  enum status status = gguf_parse(&gguf, bytes, length, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  if (status == STATUS_OK)
    status = join_second(&gguf, bytes, length, &err);
  for (size_t i = 0; i < gguf.value_count; i++)
    sum += use_value(&gguf, &gguf.values[i]);
  for (size_t i = 0; i < gguf.tensor_count; i++)
    sum += use_tensor(&gguf, &gguf.tensors[i], bytes, length);
  CHECK(sum < UINT32_MAX);
  if (status == STATUS_OK)
    use_checkpoint(&gguf);
  gguf_close(&gguf);
  return 0;
}
