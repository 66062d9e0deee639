/* Attention within each sequence, for heads that may share keys and values, never storing the probabilities
   (Dao et al., "FlashAttention", 2022). A group takes a block of ATTENTION_ROWS query rows of one head past blocks of
   ATTENTION_KEYS keys. Of a block's scores an item has one row and the keys lane, lane + 8, ... (the elements of one
   counter of dropout); of an output row the columns lane, lane + 8, ... of each chunk of ATTENTION_CHUNK columns.
   Groups: blocks of the longest sequence, heads, sequences; what a shorter one has not got has no keys. */

enum {
  ATTENTION_ROWS = 32,
  ATTENTION_KEYS = 32,
  ATTENTION_LANES = GROUP_ITEMS / ATTENTION_ROWS,
  ATTENTION_CHUNK = 32,
  ATTENTION_CHUNKS = 8,                                 /* head_size is at most so many chunks */
  ATTENTION_EACH = ATTENTION_KEYS / ATTENTION_LANES,    /* keys, or columns of a chunk, of an item */
  ATTENTION_SUMS = ATTENTION_CHUNKS * ATTENTION_EACH,   /* columns of a row of an item */
};

/* 32 x 32 numbers; a row is a number longer so that columns lie in different banks. */
#define ATTENTION_TILE(name) LOCAL_PTR float(*name)[ATTENTION_CHUNK + 1]

struct attention_place {
  int length;  /* tokens of the sequence: its keys */
  int rows;    /* query rows of the sequence */
  int first;   /* where in the sequence the first of them is */
  long q, kv;  /* the first rows in q and in k */
};

DEVICE struct attention_place attention_place(GLOBAL const int *offsets, struct attention_args a, int sequence) {
  struct attention_place p;
  const int begin = offsets[sequence], all = a.queries == QUERIES_ALL;
  p.length = offsets[sequence + 1] - begin;
  p.rows = all ? p.length : 1;
  p.first = a.queries == QUERIES_LAST ? p.length - 1 : 0;
  p.q = all ? begin : sequence;
  p.kv = begin;
  return p;
}

/* An item's share of a tile: rows x columns [chunk, chunk + ATTENTION_CHUNK) of x, zeros beyond the ends. */
DEVICE void attention_load(ATTENTION_TILE(tile), GLOBAL const float *x, int stride, int rows, int chunk, int cols,
                           int item) {
  for (int at = item; at < 32 * ATTENTION_CHUNK; at += GROUP_ITEMS) {
    const int i = at / ATTENTION_CHUNK, c = at % ATTENTION_CHUNK;
    tile[i][c] = i < rows && chunk + c < cols ? x[(long)i * stride + chunk + c] : 0.0f;
  }
}

/* dots[j] = row `item / lanes` of x times row lane + 8 j of y, over cols. */
DEVICE void attention_dots(OWN(float, dots, ATTENTION_EACH), ATTENTION_TILE(x_tile), ATTENTION_TILE(y_tile),
                           GLOBAL const float *x, int x_stride, int x_rows, GLOBAL const float *y, int y_stride,
                           int y_rows, int cols) {
  PHASE {
    for (int j = 0; j < ATTENTION_EACH; j++)
      MINE(dots)[j] = 0.0f;
  }
  for (int chunk = 0; chunk < cols; chunk += ATTENTION_CHUNK) {
    PHASE {
      attention_load(x_tile, x, x_stride, x_rows, chunk, cols, ITEM);
      attention_load(y_tile, y, y_stride, y_rows, chunk, cols, ITEM);
    }
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      for (int c = 0; c < ATTENTION_CHUNK; c++) {
        UNROLL
        for (int j = 0; j < ATTENTION_EACH; j++)
          MINE(dots)[j] += x_tile[row][c] * y_tile[lane + j * ATTENTION_LANES][c];
      }
    }
  }
}

/* What distances add to the scores of heads that have their own keys; NULL: nothing. */
struct attention_tables {
  GLOBAL const float *keys, *queries, *bias;
  GLOBAL const int *index;
};

DEVICE struct attention_tables attention_tables(GLOBAL const float *keys, GLOBAL const float *queries,
                                                GLOBAL const float *bias, GLOBAL const int *index) {
  struct attention_tables t;
  t.keys = keys;
  t.queries = queries;
  t.bias = bias;
  t.index = index;
  return t;
}

/* The row of the tables for a distance; -1: no sequence of the batch has such a distance. */
DEVICE int attention_table_row(struct attention_tables t, struct attention_args a, int distance) {
  const int inside = distance > -a.longest && distance < a.longest;
  const int row = inside ? t.index[distance + a.longest - 1] - a.first : -1;
  return row < a.table_rows ? row : -1;
}

/* An item's share of a tile whose rows are the head's columns of a table, from distance `least` on. */
DEVICE void attention_load_table(ATTENTION_TILE(tile), GLOBAL const float *table, struct attention_tables t,
                                 struct attention_args a, int head, int least, int chunk, int item) {
  for (int at = item; at < 32 * ATTENTION_CHUNK; at += GROUP_ITEMS) {
    const int i = at / ATTENTION_CHUNK, c = at % ATTENTION_CHUNK, row = attention_table_row(t, a, least + i);
    tile[i][c] = row >= 0 && chunk + c < a.head_size
                     ? table[((long)row * a.heads + head) * a.head_size + chunk + c]
                     : 0.0f;
  }
}

/* Adds to dots what distances do, bias / scale included. `apart`: from the block's first key to its first row. The
   distances of a block are a band of 63, which passes a tile of 32 twice. */
DEVICE void attention_add_distances(OWN(float, dots, ATTENTION_EACH), ATTENTION_TILE(x_tile), ATTENTION_TILE(y_tile),
                                    struct attention_tables t, struct attention_args a, int head, int apart,
                                    GLOBAL const float *q, int rows, GLOBAL const float *k, int keys) {
  const int D = a.head_size, stride = a.heads * D;
  for (int of_keys = 0; of_keys < 2; of_keys++) { /* q . keys[d], then k . queries[d] */
    GLOBAL const float *table = of_keys ? t.queries : t.keys;
    for (int chunk = 0; table && chunk < D; chunk += ATTENTION_CHUNK) {
      PHASE { attention_load(x_tile, of_keys ? k : q, stride, of_keys ? keys : rows, chunk, D, ITEM); }
      for (int part = 0; part < 2; part++) {
        PHASE {
          const int least = apart - ATTENTION_KEYS + 1 + part * 32;
          attention_load_table(y_tile, table, t, a, head, least, chunk, ITEM);
        }
        PHASE {
          const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
          for (int j = 0; j < ATTENTION_EACH; j++) {
            const int n = lane + j * ATTENTION_LANES, band = row - n + ATTENTION_KEYS - 1 - part * 32;
            if (band >= 0 && band < 32)
              for (int c = 0; c < ATTENTION_CHUNK; c++)
                MINE(dots)[j] += x_tile[of_keys ? n : row][c] * y_tile[band][c];
          }
        }
      }
    }
  }
  if (t.bias) {
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      for (int j = 0; j < ATTENTION_EACH; j++) {
        const int n = lane + j * ATTENTION_LANES;
        if (row < rows && n < keys)
          MINE(dots)[j] += t.bias[attention_table_row(t, a, apart + row - n) * a.heads + head] / a.scale;
      }
    }
  }
}

/* An item's columns of sums += the sum over n of weights[n * weight_step] times the table's row for the distance
   first + n * step. */
DEVICE void attention_add_table(float *sums, LOCAL_PTR const float *weights, int weight_step,
                                GLOBAL const float *table, struct attention_tables t, struct attention_args a, int head,
                                int first, int step, int count, int lane) {
  const int most = count < 32 ? count : 32;
  NO_UNROLL
  for (int n = 0; n < most; n++) {
    const int row = attention_table_row(t, a, first + n * step);
    if (row >= 0) {
      GLOBAL const float *x = table + ((long)row * a.heads + head) * a.head_size;
      UNROLL
      for (int i = 0; i < ATTENTION_SUMS; i++) {
        const int col = lane + i * ATTENTION_LANES;
        if (col < a.head_size)
          sums[i] += weights[n * weight_step] * x[col];
      }
    }
  }
}

/* Does row `row` of the sequence see key `key` of it? */
DEVICE int attention_sees(struct attention_args a, struct attention_place p, int row, int key) {
  const int near = a.window == 0 || (row - key < a.window && key - row < a.window);
  return key < p.length && (!a.causal || key <= row) && near;
}

/* The first block of keys that rows from `first` on see, and the end of the keys that rows before `end` see. */
DEVICE int attention_first_key(struct attention_args a, int first) {
  const int low = a.window && first >= a.window ? first + 1 - a.window : 0;
  return low / ATTENTION_KEYS * ATTENTION_KEYS;
}

DEVICE int attention_end_key(struct attention_args a, struct attention_place p, int end) {
  const int most = a.causal ? end : a.window ? end - 1 + a.window : p.length;
  return most < p.length ? most : p.length;
}

/* The scaled score, soft-capped where there is a softcap. */
DEVICE float attention_score(struct attention_args a, float dot) {
  const float score = a.scale * dot;
  return a.softcap > 0.0f ? a.softcap * tanhf(score / a.softcap) : score;
}

/* What the probabilities of row `row` of q and the keys key + lane + 8 j are multiplied with. */
DEVICE void attention_mask(float mask[ATTENTION_EACH], struct attention_args a, int head, long row, int key, int lane) {
  for (int j = 0; j < ATTENTION_EACH; j++)
    mask[j] = 1.0f;
  if (a.dropout.threshold) {
    const uint number = (uint)((long)head * a.q_rows + row);
    const struct draws draws = dropout_draws(a.dropout, number, (uint)key / 64u, (uint)lane);
    for (int j = 0; j < ATTENTION_EACH; j++)
      mask[j] = dropout_factor(a.dropout, draws, key % 64 / 8 + j);
  }
}

/* An item's columns of sums += the sum over n of weights[n * weight_step] times row n of x. x is read from the cache by
   all rows of the group: a tile of it would be read as often, and cost barriers. Chunks are unrolled, so that sums stay
   in registers; rows are not, which doubled them. */
DEVICE void attention_add_rows(float *sums, LOCAL_PTR const float *weights, int weight_step, GLOBAL const float *x,
                               int stride, int rows, int cols, int lane) {
  const int count = rows < 32 ? rows : 32;
  UNROLL
  for (int chunk = 0; chunk < ATTENTION_CHUNKS; chunk++)
    if (chunk * ATTENTION_CHUNK < cols)
      NO_UNROLL
      for (int n = 0; n < count; n++) {
        UNROLL
        for (int j = 0; j < ATTENTION_EACH; j++) {
          const int col = chunk * ATTENTION_CHUNK + lane + j * ATTENTION_LANES;
          if (col < cols)
            sums[chunk * ATTENTION_EACH + j] += weights[n * weight_step] * x[(long)n * stride + col];
        }
      }
}

/* An item's columns of one row. */
DEVICE void attention_store(GLOBAL float *to, const float *sums, int lane, int cols, float scale, int accumulate) {
  UNROLL
  for (int i = 0; i < ATTENTION_SUMS; i++) {
    const int col = lane + i * ATTENTION_LANES;
    if (col < cols)
      deliver(to + col, scale * sums[i], accumulate);
  }
}

/* out = dropout(softmax(scale Q K^T)) V; lse (heads x q_rows) = log of the sum of exp of each row's scores. The softmax
   is made online: what was summed is scaled down when a block has a larger score. */
KERNEL attention_forward(GLOBAL float *out, GLOBAL float *lse, GLOBAL const float *q, GLOBAL const float *k,
                         GLOBAL const float *v, GLOBAL const int *offsets, GLOBAL const float *keys,
                         GLOBAL const float *queries, GLOBAL const float *bias, GLOBAL const int *index,
                         const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float weights[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, sums, ATTENTION_SUMS);
  OWN(float, high, 1);  /* the largest score of the row so far */
  OWN(float, total, 1); /* the item's part of the row's sum of exp(score - high) */
  const struct attention_tables t = attention_tables(keys, queries, bias, index);
  const struct attention_place p = attention_place(offsets, a, GROUP(2));
  const int head = GROUP(1), D = a.head_size, stride = a.heads * D, kv_stride = a.kv_heads * D;
  const int first = GROUP(0) * ATTENTION_ROWS, rows = p.rows - first < ATTENTION_ROWS ? p.rows - first : ATTENTION_ROWS;
  const int begin = attention_first_key(a, p.first + first);
  const int end = rows > 0 ? attention_end_key(a, p, p.first + first + rows) : 0;
  GLOBAL const float *own_q = q + (p.q + first) * stride + head * D;
  const long own_kv = p.kv * kv_stride + head / (a.heads / a.kv_heads) * D;
  FIRST_PHASE {
    for (int i = 0; i < ATTENTION_SUMS; i++)
      MINE(sums)[i] = 0.0f;
    MINE(high)[0] = -INFINITY;
    MINE(total)[0] = 0.0f;
  }
  for (int key = begin; key < end; key += ATTENTION_KEYS) {
    const long at = own_kv + (long)key * kv_stride;
    attention_dots(score, x_tile, y_tile, own_q, stride, rows, k + at, kv_stride, p.length - key, D);
    attention_add_distances(score, x_tile, y_tile, t, a, head, p.first + first - key, own_q, rows, k + at,
                            p.length - key);
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      for (int j = 0; j < ATTENTION_EACH; j++) {
        const int n = lane + j * ATTENTION_LANES;
        const int seen = attention_sees(a, p, p.first + first + row, key + n);
        MINE(score)[j] = seen ? attention_score(a, MINE(score)[j]) : -INFINITY;
        weights[row][n] = MINE(score)[j];
      }
    }
    PHASE {
      float largest = MINE(high)[0];
      for (int n = 0; n < ATTENTION_KEYS; n++)
        largest = fmaxf(largest, weights[ITEM / ATTENTION_LANES][n]);
      const float scale = MINE(high)[0] == largest ? 1.0f : expf(MINE(high)[0] - largest);
      for (int i = 0; i < ATTENTION_SUMS; i++)
        MINE(sums)[i] *= scale;
      MINE(total)[0] *= scale;
      MINE(high)[0] = largest;
    }
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      float mask[ATTENTION_EACH];
      attention_mask(mask, a, head, p.q + first + row, key, lane);
      for (int j = 0; j < ATTENTION_EACH; j++) {
        const float e = MINE(score)[j] == -INFINITY ? 0.0f : expf(MINE(score)[j] - MINE(high)[0]);
        MINE(total)[0] += e;
        weights[row][lane + j * ATTENTION_LANES] = e * mask[j];
      }
    }
    PHASE {
      attention_add_rows(MINE(sums), weights[ITEM / ATTENTION_LANES], 1, v + at, kv_stride, p.length - key, D,
                         ITEM % ATTENTION_LANES);
    }
  }
  PHASE { x_tile[ITEM / ATTENTION_LANES][ITEM % ATTENTION_LANES] = MINE(total)[0]; }
  PHASE {
    const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
    float sum = 0.0f;
    for (int n = 0; n < ATTENTION_LANES; n++)
      sum += x_tile[row][n];
    if (row < rows) {
      const long to = p.q + first + row;
      attention_store(out + to * stride + head * D, MINE(sums), lane, D, 1.0f / sum, 0);
      if (lane == 0)
        lse[(long)head * a.q_rows + to] = MINE(high)[0] + logf(sum);
    }
  }
}
