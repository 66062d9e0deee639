/* ggml's element types: how numbers lie in blocks, and their conversion from and to float. */
#ifndef WORKER_FILE_GGML_H
#define WORKER_FILE_GGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ggml_type { /* the format's numbers */
  GGML_F32 = 0, GGML_F16 = 1, GGML_Q4_0 = 2, GGML_Q4_1 = 3, GGML_Q5_0 = 6, GGML_Q5_1 = 7, GGML_Q8_0 = 8,
  GGML_Q2_K = 10, GGML_Q3_K = 11, GGML_Q4_K = 12, GGML_Q5_K = 13, GGML_Q6_K = 14, GGML_IQ4_NL = 20, GGML_IQ4_XS = 23,
  GGML_BF16 = 30, GGML_MXFP4 = 39,
};

struct ggml_type_info {
  const char *name; /* "Q4_K" */
  size_t block;     /* elements a block */
  size_t bytes;     /* bytes a block */
};

/* What the four bits of IQ4_NL and IQ4_XS stand for, and those of MXFP4: twice the numbers of E2M1 (OCP Microscaling
   Formats, 2023). */
extern const int8_t ggml_iq4_values[16], ggml_mxfp4_values[16];

/* NULL for a type that this engine does not read. */
const struct ggml_type_info *ggml_type_info(uint32_t type);
/* out[count] from blocks; count is a multiple of the block. */
void ggml_to_f32(float *out, const unsigned char *blocks, enum ggml_type type, size_t count);
/* F32, F16, BF16 and Q8_0 only (false for others); rounds to nearest even. */
bool ggml_from_f32(unsigned char *blocks, const float *in, enum ggml_type type, size_t count);

#endif
