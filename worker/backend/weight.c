#include "worker/backend/weight.h"

#include <string.h>

#include "base/attr.h"

struct weight weight_of(const float *numbers, size_t rows, size_t cols) {
  return (struct weight){.rows = rows,
                         .cols = cols,
                         .type = GGML_F32,
                         .bytes = (const unsigned char *)numbers,
                         .place = place_host(numbers)};
}

size_t weight_block(const struct weight *w) {
  return ggml_type_info(w->type)->block;
}

/* Of that many columns of a row, whole blocks. */
static size_t bytes_of(const struct weight *w, size_t columns) {
  const struct ggml_type_info *info = ggml_type_info(w->type);
  return columns / info->block * info->bytes;
}

size_t weight_bytes(const struct weight *w) {
  return w->rows * bytes_of(w, w->cols);
}

static size_t file_row(const struct weight *w, size_t row) {
  if (!w->heads)
    return row;
  size_t head = w->rows / w->heads, in_head = row % head, half = head / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

void weight_row_bytes(const unsigned char **out, const struct weight *w, size_t row, size_t count) {
  size_t bytes = bytes_of(w, w->cols);
  for (size_t i = 0; i < count; i++)
    out[i] = w->bytes + file_row(w, row + i) * bytes;
}

static const unsigned char *part_bytes(const struct weight *w, size_t row, size_t column) {
  return w->bytes + file_row(w, row) * bytes_of(w, w->cols) + bytes_of(w, column);
}

const float *weight_part(const struct weight *w, size_t row, size_t first, size_t count, float *scratch) {
  const unsigned char *at = part_bytes(w, row, first);
  if (w->type == GGML_F32)
    return (const float *)(const void *)at;
  CHECK(first % weight_block(w) == 0);
  ggml_to_f32(scratch, at, w->type, count);
  return scratch;
}

void weight_prefetch(const struct weight *w, size_t row, size_t first, size_t count) {
  enum { CACHE_LINE = 64 };
  if (row >= w->rows)
    return;
  const unsigned char *at = part_bytes(w, row, first);
  for (const unsigned char *end = at + bytes_of(w, count); at < end; at += CACHE_LINE)
    __builtin_prefetch(at);
}

const float *weight_rows(const struct weight *w, size_t row, size_t count, float *scratch) {
  if (w->type == GGML_F32 && !w->heads)
    return weight_part(w, row, 0, w->cols, NULL);
  for (size_t i = 0; i < count; i++) {
    float *to = scratch + i * w->cols;
    const float *from = weight_part(w, row + i, 0, w->cols, to);
    if (from != to)
      memcpy(to, from, w->cols * sizeof *to);
  }
  return scratch;
}

void weight_read(float *out, const struct weight *w) {
  const float *numbers = weight_rows(w, 0, w->rows, out);
  if (numbers != out)
    memcpy(out, numbers, w->rows * w->cols * sizeof *out);
}
