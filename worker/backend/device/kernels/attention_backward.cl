/* The backward pass of attention: probabilities are made again from the log-sum-exp, dropout included. One kernel
   gathers dQ over the keys, one dK and dV over the query rows of all heads that share them, one the gradients of tables
   of distances over the sequences, each in a fixed order. With
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
    const float capped = attention_score(a, score[j]), ratio = a.softcap > 0.0f ? capped / a.softcap : 0.0f;
    const float probability = seen ? expf(capped - lse[at]) : 0.0f;
    slopes[n] = a.scale * probability * (mask[j] * product[j] - delta[at]) * (1.0f - ratio * ratio);
    if (probabilities)
      probabilities[n] = probability * mask[j];
  }
}

/* dQ = [dQ +]. Groups as in the forward pass. */
KERNEL attention_backward_q(GLOBAL float *dq, GLOBAL const float *dout, GLOBAL const float *q, GLOBAL const float *k,
                            GLOBAL const float *v, GLOBAL const float *lse, GLOBAL const float *delta,
                            GLOBAL const int *offsets, GLOBAL const float *keys, GLOBAL const float *queries,
                            GLOBAL const float *bias, GLOBAL const int *index, const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float slopes[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, product, ATTENTION_EACH);
  OWN(float, sums, ATTENTION_SUMS);
  const struct attention_tables t = attention_tables(keys, queries, bias, index);
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
    const int left = p.length - key, apart = p.first + first - key;
    attention_dots(score, x_tile, y_tile, q + own_q, stride, rows, k + at, kv_stride, left, D);
    attention_add_distances(score, x_tile, y_tile, t, a, head, apart, q + own_q, rows, k + at, left);
    attention_dots(product, x_tile, y_tile, dout + own_q, stride, rows, v + at, kv_stride, left, D);
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      attention_slopes(NULL, slopes[row], MINE(score), MINE(product), lse, delta, a, p, head, first + row, key, lane);
    }
    PHASE {
      const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
      attention_add_rows(MINE(sums), slopes[row], 1, k + at, kv_stride, left, D, lane);
      if (keys)
        attention_add_table(MINE(sums), slopes[row], 1, keys, t, a, head, apart + row, -1, left, lane);
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
                             GLOBAL const float *delta, GLOBAL const int *offsets, GLOBAL const float *keys,
                             GLOBAL const float *queries, GLOBAL const float *bias, GLOBAL const int *index,
                             const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float slopes[ATTENTION_ROWS][ATTENTION_KEYS + 1], probabilities[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, product, ATTENTION_EACH);
  OWN(float, of_k, ATTENTION_SUMS);
  OWN(float, of_v, ATTENTION_SUMS);
  const struct attention_tables t = attention_tables(keys, queries, bias, index);
  const struct attention_place p = attention_place(offsets, a, GROUP(2));
  const int D = a.head_size, stride = a.heads * D, kv_stride = a.kv_heads * D, shared_by = a.heads / a.kv_heads;
  const int key = GROUP(0) * ATTENTION_KEYS, left = p.length - key;
  const long own_kv = (p.kv + key) * kv_stride + GROUP(1) * D;
  /* The rows of the sequence that see a key of the block, as rows of q. */
  const int seeing = a.causal ? key : a.window ? key + 1 - a.window : 0, low = seeing > p.first ? seeing - p.first : 0;
  const int past = a.window ? key + ATTENTION_KEYS - 1 + a.window - p.first : p.rows;
  const int begin = low / ATTENTION_ROWS * ATTENTION_ROWS, end = left <= 0 ? 0 : past < p.rows ? past : p.rows;
  FIRST_PHASE {
    for (int i = 0; i < ATTENTION_SUMS; i++)
      MINE(of_k)[i] = MINE(of_v)[i] = 0.0f;
  }
  for (int head = GROUP(1) * shared_by; head < (GROUP(1) + 1) * shared_by; head++)
    for (int first = begin; first < end; first += ATTENTION_ROWS) {
      const long own_q = (p.q + first) * stride + head * D;
      const int rows = p.rows - first, apart = p.first + first - key;
      attention_dots(score, x_tile, y_tile, q + own_q, stride, rows, k + own_kv, kv_stride, left, D);
      attention_add_distances(score, x_tile, y_tile, t, a, head, apart, q + own_q, rows, k + own_kv, left);
      attention_dots(product, x_tile, y_tile, dout + own_q, stride, rows, v + own_kv, kv_stride, left, D);
      PHASE {
        const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
        attention_slopes(probabilities[row], slopes[row], MINE(score), MINE(product), lse, delta, a, p, head,
                         first + row, key, lane);
      }
      PHASE { /* an item has a key here, and goes over the rows */
        const int n = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
        attention_add_rows(MINE(of_k), &slopes[0][n], ATTENTION_KEYS + 1, q + own_q, stride, rows, D, lane);
        if (queries)
          attention_add_table(MINE(of_k), &slopes[0][n], ATTENTION_KEYS + 1, queries, t, a, head, apart - n, 1, rows,
                              lane);
        attention_add_rows(MINE(of_v), &probabilities[0][n], ATTENTION_KEYS + 1, dout + own_q, stride, rows, D, lane);
      }
    }
  PHASE {
    const int n = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
    if (n < left && dk)
      attention_store(dk + own_kv + (long)n * kv_stride, MINE(of_k), lane, D, 1.0f, a.accumulate);
    if (n < left && dv)
      attention_store(dv + own_kv + (long)n * kv_stride, MINE(of_v), lane, D, 1.0f, a.accumulate_v);
  }
}

/* The gradients of the tables of distances, a row a distance, 0 where no sequence has it: of keys the sum over rows of
   dS Q, of queries that of dS K; either may be NULL. A group takes a block of 32 distances past the rows of each
   sequence, and for each block of rows the two or three blocks of keys that lie so far from them. Groups: blocks of
   distances, half of them of negative ones; heads. */
KERNEL attention_backward_distances(GLOBAL float *dkeys, GLOBAL float *dqueries, GLOBAL const float *dout,
                                    GLOBAL const float *q, GLOBAL const float *k, GLOBAL const float *v,
                                    GLOBAL const float *lse, GLOBAL const float *delta, GLOBAL const int *offsets,
                                    GLOBAL const float *keys, GLOBAL const float *queries, GLOBAL const float *bias,
                                    GLOBAL const int *index, const struct attention_args a) {
  LOCAL float x_tile[ATTENTION_ROWS][ATTENTION_CHUNK + 1], y_tile[ATTENTION_KEYS][ATTENTION_CHUNK + 1];
  LOCAL float slopes[ATTENTION_ROWS][ATTENTION_KEYS + 1];
  OWN(float, score, ATTENTION_EACH);
  OWN(float, product, ATTENTION_EACH);
  OWN(float, of_keys, ATTENTION_SUMS);
  OWN(float, of_queries, ATTENTION_SUMS);
  const struct attention_tables t = attention_tables(keys, queries, bias, index);
  const int head = GROUP(1), D = a.head_size, stride = a.heads * D;
  const int least = (GROUP(0) - GROUPS(0) / 2) * 32; /* the block's first distance */
  FIRST_PHASE {
    for (int i = 0; i < ATTENTION_SUMS; i++)
      MINE(of_keys)[i] = MINE(of_queries)[i] = 0.0f;
  }
  for (int sequence = 0; sequence < a.sequences; sequence++) {
    const struct attention_place p = attention_place(offsets, a, sequence);
    for (int first = 0; first < p.rows; first += ATTENTION_ROWS) {
      const int rows = p.rows - first, place = p.first + first;
      const int low = place - least - 31, high = place - least + ATTENTION_ROWS; /* keys so far from these rows */
      const int end = high < p.length ? high : p.length;
      GLOBAL const float *own_q = q + (p.q + first) * stride + head * D;
      GLOBAL const float *own_dout = dout + (p.q + first) * stride + head * D;
      for (int key = low > 0 ? low / ATTENTION_KEYS * ATTENTION_KEYS : 0; key < end; key += ATTENTION_KEYS) {
        const int left = p.length - key;
        GLOBAL const float *own_k = k + (p.kv + key) * stride + head * D;
        GLOBAL const float *own_v = v + (p.kv + key) * stride + head * D;
        attention_dots(score, x_tile, y_tile, own_q, stride, rows, own_k, stride, left, D);
        attention_add_distances(score, x_tile, y_tile, t, a, head, place - key, own_q, rows, own_k, left);
        attention_dots(product, x_tile, y_tile, own_dout, stride, rows, own_v, stride, left, D);
        PHASE {
          const int row = ITEM / ATTENTION_LANES, lane = ITEM % ATTENTION_LANES;
          attention_slopes(NULL, slopes[row], MINE(score), MINE(product), lse, delta, a, p, head, first + row, key,
                           lane);
        }
        PHASE { /* an item has a distance here, and goes over the rows whose key is in the block */
          const int lane = ITEM % ATTENTION_LANES, apart = place - key - least - ITEM / ATTENTION_LANES;
          const int from = apart < 0 ? -apart : 0, most = rows < left - apart ? rows : left - apart;
          const int count = (most < ATTENTION_KEYS - apart ? most : ATTENTION_KEYS - apart) - from;
          if (count > 0) {
            LOCAL_PTR const float *weights = &slopes[from][from + apart];
            if (dkeys)
              attention_add_rows(MINE(of_keys), weights, ATTENTION_KEYS + 2, own_q + (long)from * stride, stride,
                                 count < ATTENTION_ROWS - from ? count : ATTENTION_ROWS - from, D, lane);
            if (dqueries)
              attention_add_rows(MINE(of_queries), weights, ATTENTION_KEYS + 2, own_k + (long)(from + apart) * stride,
                                 stride, count < ATTENTION_ROWS - from ? count : ATTENTION_ROWS - from, D, lane);
          }
        }
      }
    }
  }
  PHASE {
    const int lane = ITEM % ATTENTION_LANES;
    const long to = ((long)GROUP(0) * 32 + ITEM / ATTENTION_LANES) * stride + head * D;
    if (dkeys)
      attention_store(dkeys + to, MINE(of_keys), lane, D, 1.0f, 0);
    if (dqueries)
      attention_store(dqueries + to, MINE(of_queries), lane, D, 1.0f, 0);
  }
}

/* gradient = [gradient +] the sums of the parts whose distances share a row, in their order: the index is ascending.
   An item an element. */
KERNEL gather_distances(GLOBAL float *gradient, GLOBAL const float *parts, GLOBAL const int *index,
                        const struct gather_distances_args a) {
  FIRST_PHASE {
    const long at = (long)GROUP(0) * GROUP_ITEMS + ITEM;
    const int row = (int)(at / a.cols), col = (int)(at % a.cols);
    if (row < a.rows) {
      int low = 1 - a.tokens, high = a.tokens; /* the first distance of the row lies between them */
      while (low < high) {
        const int middle = low + (high - low) / 2;
        if (index[middle + a.longest - 1] - a.first < row)
          low = middle + 1;
        else
          high = middle;
      }
      float sum = 0.0f;
      for (int d = low; d < a.tokens && index[d + a.longest - 1] - a.first == row; d++)
        sum += parts[(long)(d + a.blocks * 32) * a.cols + col];
      deliver(gradient + at, sum, a.accumulate);
    }
  }
}
