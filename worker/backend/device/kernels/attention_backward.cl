/* The backward pass of attention: probabilities are made again from the log-sum-exp, dropout included. One kernel
   gathers dQ over the keys, one dK and dV over the query rows of all heads that share them, each in a fixed order. With
   P the probabilities, M the dropout's factors and delta = rows' sums of dO * O:
     dV = (P M)^T dO,  dS = scale P (M (dO V^T) - delta),  dQ = dS K,  dK = dS^T Q. */

/* delta (heads x q_rows). NORM_LANES items a row of one head. Groups: q_rows * heads / NORM_ROWS. */
KERNEL attention_delta(GLOBAL float *delta, GLOBAL const float *dout, GLOBAL const float *out,
                       const struct attention_args a) {
  LOCAL float part[GROUP_ITEMS];
  FIRST_PHASE {
    const long number = (long)GROUP(0) * NORM_ROWS + ITEM / NORM_LANES; /* row, head */
    float sum = 0.0f;
    if (number < (long)a.q_rows * a.heads)
      for (int c = ITEM % NORM_LANES; c < a.head_size; c += NORM_LANES)
        sum += dout[number * a.head_size + c] * out[number * a.head_size + c];
    part[ITEM] = sum;
  }
  norm_sum_lanes(part);
  PHASE {
    const long number = (long)GROUP(0) * NORM_ROWS + ITEM / NORM_LANES;
    if (number < (long)a.q_rows * a.heads && ITEM % NORM_LANES == 0)
      delta[number % a.heads * a.q_rows + number / a.heads] = part[ITEM];
  }
}

/* From an item's scores and products dO V^T of the keys key + lane + 8 j: the numbers of P M into probabilities (unless
   NULL), of dS into slopes. Rows beyond the last have none. */
DEVICE void attention_slopes(LOCAL_PTR float *probabilities, LOCAL_PTR float *slopes, const float *score,
                             const float *product, GLOBAL const float *lse, GLOBAL const float *delta,
                             struct attention_args a, struct attention_place p, int head, int row, int key, int lane) {
  const int inside = row < p.rows;
  const long at = (long)head * a.q_rows + p.q + (inside ? row : 0);
  float mask[ATTENTION_EACH];
  attention_mask(mask, a, head, p.q + row, key, lane);
  for (int j = 0; j < ATTENTION_EACH; j++) {
    const int n = lane + j * ATTENTION_LANES, seen = inside && attention_sees(a, p, p.first + row, key + n);
    const float probability = seen ? expf(a.scale * score[j] - lse[at]) : 0.0f;
    slopes[n] = a.scale * probability * (mask[j] * product[j] - delta[at]);
    if (probabilities)
      probabilities[n] = probability * mask[j];
  }
}

/* dQ = [dQ +]. Groups as in the forward pass. */
KERNEL attention_backward_q(GLOBAL float *dq, GLOBAL const float *dout, GLOBAL const float *q, GLOBAL const float *k,
                            GLOBAL const float *v, GLOBAL const float *lse, GLOBAL const float *delta,
                            GLOBAL const int *offsets, const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float slopes[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, product, ATTENTION_EACH);
  OWN(float, sums, ATTENTION_SUMS);
  const struct attention_place p = attention_place(offsets, a, GROUP(2));
  const int head = GROUP(1), D = a.head_size, stride = a.heads * D, kv_stride = a.kv_heads * D;
  const int first = GROUP(0) * ATTENTION_ROWS, rows = p.rows - first < ATTENTION_ROWS ? p.rows - first : ATTENTION_ROWS;
  const int begin = attention_first_key(a, p.first + first);
  const int end = rows > 0 ? attention_end_key(a, p, p.first + first + rows) : 0;
  const long own_q = (p.q + first) * stride + head * D;
  const long own_kv = p.kv * kv_stride + head / (a.heads / a.kv_heads) * D;
  FIRST_PHASE {
    for (int i = 0; i < ATTENTION_SUMS; i++)
      MINE(sums)[i] = 0.0f;
  }
  for (int key = begin; key < end; key += ATTENTION_KEYS) {
    const long at = own_kv + (long)key * kv_stride;
    const int keys = p.length - key;
    attention_dots(score, x_tile, y_tile, q + own_q, stride, rows, k + at, kv_stride, keys, D);
    attention_dots(product, x_tile, y_tile, dout + own_q, stride, rows, v + at, kv_stride, keys, D);
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      attention_slopes(NULL, slopes[row], MINE(score), MINE(product), lse, delta, a, p, head, first + row, key, lane);
    }
    PHASE {
      attention_add_rows(MINE(sums), slopes[ITEM / ATTENTION_LANES], 1, k + at, kv_stride, keys, D,
                         ITEM % ATTENTION_LANES);
    }
  }
  PHASE {
    const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
    if (row < rows)
      attention_store(dq + own_q + (long)row * stride, MINE(sums), lane, D, 1.0f, a.accumulate);
  }
}

/* dK = [dK +], dV = [dV +]; either may be NULL. A group takes a block of keys past the query rows that see it, head
   after head. Groups: blocks of keys of the longest sequence, kv_heads, sequences. */
KERNEL attention_backward_kv(GLOBAL float *dk, GLOBAL float *dv, GLOBAL const float *dout, GLOBAL const float *q,
                             GLOBAL const float *k, GLOBAL const float *v, GLOBAL const float *lse,
                             GLOBAL const float *delta, GLOBAL const int *offsets, const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float slopes[ATTENTION_ROWS][ATTENTION_KEYS + 1], probabilities[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, product, ATTENTION_EACH);
  OWN(float, of_k, ATTENTION_SUMS);
  OWN(float, of_v, ATTENTION_SUMS);
  const struct attention_place p = attention_place(offsets, a, GROUP(2));
  const int D = a.head_size, stride = a.heads * D, kv_stride = a.kv_heads * D, shared_by = a.heads / a.kv_heads;
  const int key = GROUP(0) * ATTENTION_KEYS, keys = p.length - key;
  const long own_kv = (p.kv + key) * kv_stride + GROUP(1) * D;
  /* The rows of the sequence that see a key of the block, as rows of q. */
  const int low = a.causal && key > p.first ? key - p.first : 0;
  const int past = a.causal && a.window ? key + ATTENTION_KEYS - 1 + a.window - p.first : p.rows;
  const int begin = low / ATTENTION_ROWS * ATTENTION_ROWS, end = keys <= 0 ? 0 : past < p.rows ? past : p.rows;
  FIRST_PHASE {
    for (int i = 0; i < ATTENTION_SUMS; i++)
      MINE(of_k)[i] = MINE(of_v)[i] = 0.0f;
  }
  for (int head = GROUP(1) * shared_by; head < (GROUP(1) + 1) * shared_by; head++)
    for (int first = begin; first < end; first += ATTENTION_ROWS) {
      const long own_q = (p.q + first) * stride + head * D;
      const int rows = p.rows - first;
      attention_dots(score, x_tile, y_tile, q + own_q, stride, rows, k + own_kv, kv_stride, keys, D);
      attention_dots(product, x_tile, y_tile, dout + own_q, stride, rows, v + own_kv, kv_stride, keys, D);
      PHASE {
        const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
        attention_slopes(probabilities[row], slopes[row], MINE(score), MINE(product), lse, delta, a, p, head,
                         first + row, key, lane);
      }
      PHASE { /* an item has a key here, and goes over the rows */
        const int n = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
        attention_add_rows(MINE(of_k), &slopes[0][n], ATTENTION_KEYS + 1, q + own_q, stride, rows, D, lane);
        attention_add_rows(MINE(of_v), &probabilities[0][n], ATTENTION_KEYS + 1, dout + own_q, stride, rows, D, lane);
      }
    }
  PHASE {
    const int n = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
    if (n < keys && dk)
      attention_store(dk + own_kv + (long)n * kv_stride, MINE(of_k), lane, D, 1.0f, a.accumulate);
    if (n < keys && dv)
      attention_store(dv + own_kv + (long)n * kv_stride, MINE(of_v), lane, D, 1.0f, a.accumulate_v);
  }
}
