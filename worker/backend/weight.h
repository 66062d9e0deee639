/* A frozen matrix as its file has it: fp32, fp16, bf16 or ggml's quantised blocks, mapped and never copied as a whole,
   so that every worker of a base model reads the same pages. What needs fp32 decodes a part. */
#ifndef WORKER_BACKEND_WEIGHT_H
#define WORKER_BACKEND_WEIGHT_H

#include <stdbool.h>

#include "worker/backend/place.h"
#include "worker/file/ggml.h"

struct weight {
  size_t rows, cols; /* out x in of a linear layer */
  enum ggml_type type;
  const unsigned char *bytes; /* rows of whole blocks, one after the other; F32: aligned to float. NULL: no matrix */
  struct place place;         /* where the backend has these bytes */
  bool rounded;               /* there they are rounded to bf16 */
  size_t heads; /* the file has the rows of that many heads interleaved: 2j + s of a head of D rows is row s * D/2 + j
                   here (GGUF's q and k of LLaMA); 0: in order */
};

/* fp32, in order; borrowed. In host memory. */
struct weight weight_of(const float *numbers, size_t rows, size_t cols);
/* Columns that are decoded together: parts begin and end at multiples of it. */
size_t weight_block(const struct weight *weight);
/* Bytes that the whole matrix takes where it lies. */
size_t weight_bytes(const struct weight *weight);
/* Where `count` rows from `row` on begin. In host memory. */
void weight_row_bytes(const unsigned char **out, const struct weight *weight, size_t row, size_t count);
/* Columns [first, first + count) of a row: where they lie if they are fp32, else decoded into scratch[count]. */
const float *weight_part(const struct weight *weight, size_t row, size_t first, size_t count, float *scratch);
/* The same for `count` whole rows from `row` on, which are then `cols` floats apart; scratch[count * cols]. */
const float *weight_rows(const struct weight *weight, size_t row, size_t count, float *scratch);
/* Prefetches columns [first, first + count) of a row; nothing where there is no such row. */
void weight_prefetch(const struct weight *weight, size_t row, size_t first, size_t count);
/* All of it into out[rows * cols]. */
void weight_read(float *out, const struct weight *weight);

#endif
