/* Tall-skinny products of adapters: Q = X down, C = dY up_back, and what is gathered over all rows, X^T C, dY^T Q,
   C^T Q, U^T U (transposes are strides). A group makes SKINNY_ROWS x SKINNY_COLS numbers from one part of the depth;
   an item sums SKINNY_TALL rows of one column, SKINNY_LINES apart. Groups: rows, columns, splits. */

enum {
  SKINNY_ROWS = 128,
  SKINNY_COLS = 8,
  SKINNY_DEPTH = 16,
  SKINNY_LINES = GROUP_ITEMS / SKINNY_COLS,
  SKINNY_TALL = SKINNY_ROWS / SKINNY_LINES,
};

/* A (i, k) with its dropout. */
DEVICE float skinny_a(GLOBAL const float *a, struct skinny_args s, int i, int k) {
  const float value = a[(long)i * s.a_row + (long)k * s.a_col];
  return value * (s.a_row >= s.a_col ? dropout_at(s.dropout, i, k) : dropout_at(s.dropout, k, i));
}

KERNEL skinny(GLOBAL float *c, GLOBAL const float *a, GLOBAL const float *b, const struct skinny_args s) {
  LOCAL float a_tile[SKINNY_DEPTH][SKINNY_ROWS + 1], b_tile[SKINNY_DEPTH][SKINNY_COLS];
  OWN(float, sums, SKINNY_TALL);
  const int row = GROUP(0) * SKINNY_ROWS, col = GROUP(1) * SKINNY_COLS;
  const int tiles = (s.depth + SKINNY_DEPTH - 1) / SKINNY_DEPTH, share = (tiles + s.splits - 1) / s.splits;
  const int begin = GROUP(2) * share * SKINNY_DEPTH, most = begin + share * SKINNY_DEPTH;
  const int end = most < s.depth ? most : s.depth;
  FIRST_PHASE {
    for (int i = 0; i < SKINNY_TALL; i++)
      MINE(sums)[i] = 0.0f;
  }
  for (int k = begin; k < end; k += SKINNY_DEPTH) {
    PHASE {
      for (int at = ITEM; at < SKINNY_ROWS * SKINNY_DEPTH; at += GROUP_ITEMS) {
        const int i = s.a_row == 1 ? at % SKINNY_ROWS : at / SKINNY_DEPTH;
        const int j = s.a_row == 1 ? at / SKINNY_ROWS : at % SKINNY_DEPTH;
        a_tile[j][i] = row + i < s.rows && k + j < end ? skinny_a(a, s, row + i, k + j) : 0.0f;
      }
      const int j = ITEM / SKINNY_COLS, n = col + ITEM % SKINNY_COLS;
      if (j < SKINNY_DEPTH)
        b_tile[j][ITEM % SKINNY_COLS] = k + j < end && n < s.cols ? b[(long)(k + j) * s.cols + n] : 0.0f;
    }
    PHASE {
      for (int j = 0; j < SKINNY_DEPTH; j++) {
        const float factor = b_tile[j][ITEM % SKINNY_COLS];
        UNROLL
        for (int i = 0; i < SKINNY_TALL; i++)
          MINE(sums)[i] += a_tile[j][ITEM / SKINNY_COLS + i * SKINNY_LINES] * factor;
      }
    }
  }
  PHASE {
    GLOBAL float *to = c + (long)GROUP(2) * s.rows * s.cols;
    const int n = col + ITEM % SKINNY_COLS;
    for (int i = 0; i < SKINNY_TALL; i++) {
      const int m = row + ITEM / SKINNY_COLS + i * SKINNY_LINES;
      if (m < s.rows && n < s.cols)
        to[(long)m * s.cols + n] = MINE(sums)[i] + (s.accumulate ? to[(long)m * s.cols + n] : 0.0f);
    }
  }
}
