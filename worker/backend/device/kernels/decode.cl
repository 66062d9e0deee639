/* Operands for a device's own matmul library: frozen weights decoded, floats rounded to bf16. A row is `stride` numbers,
   those beyond its end zeros; an item makes four. Groups: rows * stride / 4 / GROUP_ITEMS. */

/* The nearest bf16, of two the even one. */
DEVICE uint bf16_of(float value) {
  const uint bits = bits_of_float(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return bits >> 16 | 0x40u; /* NaN */
  return (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
}

DEVICE void store_run(GLOBAL uchar *out, long at, const float run[4], int bf16) {
  if (bf16) {
    GLOBAL uint *to = (GLOBAL uint *)(out + 2 * at);
    to[0] = bf16_of(run[0]) | bf16_of(run[1]) << 16;
    to[1] = bf16_of(run[2]) | bf16_of(run[3]) << 16;
  } else {
    for (int i = 0; i < 4; i++)
      ((GLOBAL float *)out)[at + i] = run[i];
  }
}

KERNEL decode_weight(GLOBAL uchar *out, GLOBAL const uchar *weight, const struct decode_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM) * 4;
    const int row = (int)(at / a.stride), col = (int)(at % a.stride);
    float run[4];
    if (row < a.rows) {
      weight_run(run, weight, a.weight, 0, a.first + row, col, a.first + a.rows, a.cols);
      store_run(out, at, run, a.bf16);
    }
  }
}

KERNEL round_rows(GLOBAL uchar *out, GLOBAL const float *x, const struct round_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM) * 4;
    const int row = (int)(at / a.stride), col = (int)(at % a.stride);
    float run[4];
    if (row < a.rows) {
      for (int i = 0; i < 4; i++)
        run[i] = col + i < a.cols ? x[(long)(a.first + row) * a.cols + col + i] : 0.0f;
      store_run(out, at, run, 1);
    }
  }
}
