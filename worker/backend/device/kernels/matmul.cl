/* The tiled product of everything that is wide (struct matmul_args has the formula). A group makes a tile of C of
   MATMUL_ROWS x MATMUL_COLS; tiles of A and B of MATMUL_DEPTH pass through local memory, B decoded on its way there.
   An item sums a square of MATMUL_SQUARE rows (side by side) and columns (MATMUL_ACROSS apart). Each number of C is one
   sum in the depth's order, then the rank's. Groups: columns, rows, batches x splits. */

enum {
  MATMUL_ROWS = 64,
  MATMUL_COLS = 64,
  MATMUL_DEPTH = 16,
  MATMUL_SQUARE = 4,
  MATMUL_ACROSS = MATMUL_COLS / MATMUL_SQUARE, /* items side by side */
};

/* Rows of a tile are a number longer than they need to be, so that columns of it lie in different banks. */
#define MATMUL_A_TILE(name) LOCAL_PTR float(*name)[MATMUL_ROWS + 1]
#define MATMUL_B_TILE(name) LOCAL_PTR float(*name)[MATMUL_COLS + 1]

/* An item's share of rows x depth numbers of A from (row, k) on, transposed, zeros beyond the ends. Items side by side
   read numbers side by side. */
DEVICE void matmul_load_a(MATMUL_A_TILE(tile), GLOBAL const float *a, int a_row, int a_col, int row, int rows, int k,
                          int depth, int bf16, int item) {
  for (int at = item; at < MATMUL_ROWS * MATMUL_DEPTH; at += GROUP_ITEMS) {
    const int i = a_row == 1 ? at % MATMUL_ROWS : at / MATMUL_DEPTH;
    const int j = a_row == 1 ? at / MATMUL_ROWS : at % MATMUL_DEPTH;
    const int inside = row + i < rows && k + j < depth;
    tile[j][i] = inside ? round_to(a[(long)(row + i) * a_row + (long)(k + j) * a_col], bf16) : 0.0f;
  }
}

/* Four numbers of B for each item: along the depth when the weight is transposed, else along the columns. */
DEVICE void matmul_load_b(MATMUL_B_TILE(tile), GLOBAL const uchar *weight, struct weight_args w, long first,
                          int transposed, int k, int depth, int col, int cols, int item) {
  float run[4];
  if (transposed) {
    const int n = item / (MATMUL_DEPTH / 4), j = item % (MATMUL_DEPTH / 4) * 4;
    weight_run(run, weight, w, first, col + n, k + j, cols, depth);
    for (int i = 0; i < 4; i++)
      tile[j + i][n] = run[i];
  } else {
    const int j = item / (MATMUL_COLS / 4), n = item % (MATMUL_COLS / 4) * 4;
    weight_run(run, weight, w, first, k + j, col + n, depth, cols);
    for (int i = 0; i < 4; i++)
      tile[j][n + i] = run[i];
  }
}

/* sums += A tile * B tile, an item's square of it. */
DEVICE void matmul_multiply(float sums[MATMUL_SQUARE * MATMUL_SQUARE], MATMUL_A_TILE(a_tile), MATMUL_B_TILE(b_tile),
                            int item) {
  const int row = item / MATMUL_ACROSS * MATMUL_SQUARE, col = item % MATMUL_ACROSS;
  for (int k = 0; k < MATMUL_DEPTH; k++) {
    float b[MATMUL_SQUARE];
    UNROLL
    for (int j = 0; j < MATMUL_SQUARE; j++)
      b[j] = b_tile[k][col + j * MATMUL_ACROSS];
    UNROLL
    for (int i = 0; i < MATMUL_SQUARE; i++) {
      const float a = a_tile[k][row + i];
      UNROLL
      for (int j = 0; j < MATMUL_SQUARE; j++)
        sums[i * MATMUL_SQUARE + j] += a * b[j];
    }
  }
}

/* What becomes of a sum. */
DEVICE void matmul_store(GLOBAL float *c, GLOBAL const float *bias, struct matmul_args m, int row, int col, float sum) {
  GLOBAL float *to = c + (long)row * m.c_row + (long)col * m.c_col;
  float value = m.alpha * sum * dropout_at(m.dropout, row, col);
  if (m.splits == 1) {
    value += bias ? bias[col] : 0.0f;
    value += m.accumulate ? *to : 0.0f;
  }
  *to = value;
}

KERNEL matmul(GLOBAL float *c, GLOBAL const float *a, GLOBAL const uchar *weight, GLOBAL const float *q,
              GLOBAL const float *v, GLOBAL const float *bias, const struct matmul_args m) {
  LOCAL float a_tile[MATMUL_DEPTH][MATMUL_ROWS + 1], b_tile[MATMUL_DEPTH][MATMUL_COLS + 1];
  OWN(float, sums, MATMUL_SQUARE * MATMUL_SQUARE);
  const int col = GROUP(0) * MATMUL_COLS, row = GROUP(1) * MATMUL_ROWS;
  const int batch = GROUP(2) / m.splits, split = GROUP(2) % m.splits;
  const int tiles = (m.depth + MATMUL_DEPTH - 1) / MATMUL_DEPTH, share = (tiles + m.splits - 1) / m.splits;
  const int begin = split * share * MATMUL_DEPTH, most = begin + share * MATMUL_DEPTH;
  const int end = most < m.depth ? most : m.depth;
  FIRST_PHASE {
    for (int i = 0; i < MATMUL_SQUARE * MATMUL_SQUARE; i++)
      MINE(sums)[i] = 0.0f;
  }
  for (int k = begin; k < end; k += MATMUL_DEPTH) {
    PHASE {
      matmul_load_a(a_tile, a + batch * m.a_step, m.a_row, m.a_col, row, m.rows, k, end, m.weight.bf16, ITEM);
      matmul_load_b(b_tile, weight, m.weight, batch * m.b_step, m.transposed, k, end, col, m.cols, ITEM);
    }
    PHASE { matmul_multiply(MINE(sums), a_tile, b_tile, ITEM); }
  }
  const struct weight_args of_v = {WEIGHT_F32, 1, 4, m.cols, 0, 0};
  const int rank = split == 0 ? m.rank : 0;
  for (int k = 0; k < rank; k += MATMUL_DEPTH) { /* sign * Q V: V is multiplied on its way */
    PHASE {
      matmul_load_a(a_tile, q, m.rank, 1, row, m.rows, k, rank, 0, ITEM);
      matmul_load_b(b_tile, (GLOBAL const uchar *)v, of_v, 0, 0, k, rank, col, m.cols, ITEM);
      for (int i = 0; i < 4; i++)
        b_tile[ITEM / (MATMUL_COLS / 4)][ITEM % (MATMUL_COLS / 4) * 4 + i] *= m.sign;
    }
    PHASE { matmul_multiply(MINE(sums), a_tile, b_tile, ITEM); }
  }
  PHASE {
    for (int i = 0; i < MATMUL_SQUARE; i++)
      for (int j = 0; j < MATMUL_SQUARE; j++) {
        const int to_row = row + ITEM / MATMUL_ACROSS * MATMUL_SQUARE + i;
        const int to_col = col + ITEM % MATMUL_ACROSS + j * MATMUL_ACROSS;
        if (to_row < m.rows && to_col < m.cols)
          matmul_store(c + batch * m.c_step + split * m.split_step, bias, m, to_row, to_col,
                       MINE(sums)[i * MATMUL_SQUARE + j]);
      }
  }
}
