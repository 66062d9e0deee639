/* LayerNorm and RMSNorm: NORM_LANES items a row. Each lane sums columns NORM_LANES apart, then a tree adds the lanes.
   Groups: rows / NORM_ROWS. */

enum { NORM_LANES = 32, NORM_ROWS = GROUP_ITEMS / NORM_LANES };

/* part[lane of a row] becomes in lane 0 the sum over the row's lanes. */
DEVICE void norm_sum_lanes(LOCAL_PTR float *part) {
  for (int apart = NORM_LANES / 2; apart > 0; apart /= 2) {
    PHASE {
      if (ITEM % NORM_LANES < apart)
        part[ITEM] += part[ITEM + apart];
    }
  }
}

/* What LayerNorm sees: x, or with a residual dropout(x) + residual, which lies in `sums` too. */
DEVICE float norm_input(GLOBAL const float *x, GLOBAL const float *residual, struct norm_args a, int row, int col) {
  const long i = (long)row * a.cols + col;
  return residual ? x[i] * dropout_at(a.dropout, row, col) + residual[i] : x[i];
}

/* y = (s - mean) * rstd * weight + bias, s = norm_input; bias may be NULL. stats: mean (rows), then rstd (rows). */
KERNEL layernorm_forward(GLOBAL float *y, GLOBAL float *stats, GLOBAL float *sums, GLOBAL const float *x,
                         GLOBAL const float *residual, GLOBAL const float *weight, GLOBAL const float *bias,
                         const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS], part_squares[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    float sum = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const float s = norm_input(x, residual, a, row, c);
      if (residual)
        sums[(long)row * a.cols + c] = s;
      sum += s;
    }
    part[ITEM] = sum;
  }
  norm_sum_lanes(part);
  PHASE { /* a lane reads back what it wrote itself */
    const int row = first + ITEM / NORM_LANES;
    const float mean = part[ITEM / NORM_LANES * NORM_LANES] / (float)a.cols;
    GLOBAL const float *s = residual ? sums : x;
    float squares = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const float d = s[(long)row * a.cols + c] - mean;
      squares += d * d;
    }
    part_squares[ITEM] = squares;
  }
  norm_sum_lanes(part_squares);
  PHASE {
    const int row = first + ITEM / NORM_LANES, lane_0 = ITEM / NORM_LANES * NORM_LANES;
    const float mean = part[lane_0] / (float)a.cols;
    const float rstd = 1.0f / sqrtf(part_squares[lane_0] / (float)a.cols + a.epsilon);
    GLOBAL const float *s = residual ? sums : x;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES)
      y[(long)row * a.cols + c] = (s[(long)row * a.cols + c] - mean) * rstd * weight[c] + (bias ? bias[c] : 0.0f);
    if (row < a.rows && ITEM == lane_0) {
      stats[row] = mean;
      stats[(long)a.rows + row] = rstd;
    }
  }
}

/* The gradient ds of what LayerNorm saw goes to dresidual as it is, to dx through the dropout; either may be NULL, and
   both may be one: the one that is not added to comes first. */
DEVICE void norm_deliver(GLOBAL float *dx, GLOBAL float *dresidual, struct norm_args a, int row, int col, float ds) {
  const long i = (long)row * a.cols + col;
  if (dresidual && a.accumulate)
    deliver(dresidual + i, ds, a.accumulate_residual);
  if (dx)
    deliver(dx + i, ds * dropout_at(a.dropout, row, col), a.accumulate);
  if (dresidual && !a.accumulate)
    deliver(dresidual + i, ds, a.accumulate_residual);
}

/* s: what LayerNorm saw (x, or `sums`). */
KERNEL layernorm_backward(GLOBAL float *dx, GLOBAL float *dresidual, GLOBAL const float *dy, GLOBAL const float *s,
                          GLOBAL const float *stats, GLOBAL const float *weight, const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS], part_dot[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    const float mean = row < a.rows ? stats[row] : 0.0f, rstd = row < a.rows ? stats[(long)a.rows + row] : 0.0f;
    float sum = 0.0f, dot = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const long i = (long)row * a.cols + c;
      sum += dy[i] * weight[c];
      dot += dy[i] * weight[c] * ((s[i] - mean) * rstd);
    }
    part[ITEM] = sum;
    part_dot[ITEM] = dot;
  }
  norm_sum_lanes(part);
  norm_sum_lanes(part_dot);
  PHASE {
    const int row = first + ITEM / NORM_LANES, lane_0 = ITEM / NORM_LANES * NORM_LANES;
    const float mean = row < a.rows ? stats[row] : 0.0f, rstd = row < a.rows ? stats[(long)a.rows + row] : 0.0f;
    const float sum = part[lane_0] / (float)a.cols, dot = part_dot[lane_0] / (float)a.cols;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const long i = (long)row * a.cols + c;
      norm_deliver(dx, dresidual, a, row, c, rstd * (dy[i] * weight[c] - sum - (s[i] - mean) * rstd * dot));
    }
  }
}

/* y = x * rstd * weight, rstd = 1 / sqrt(mean of x^2 + epsilon), saved. */
KERNEL rmsnorm_forward(GLOBAL float *y, GLOBAL float *rstd, GLOBAL const float *x, GLOBAL const float *weight,
                       const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    float squares = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const float value = x[(long)row * a.cols + c];
      squares += value * value;
    }
    part[ITEM] = squares;
  }
  norm_sum_lanes(part);
  PHASE {
    const int row = first + ITEM / NORM_LANES, lane_0 = ITEM / NORM_LANES * NORM_LANES;
    const float r = 1.0f / sqrtf(part[lane_0] / (float)a.cols + a.epsilon);
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES)
      y[(long)row * a.cols + c] = x[(long)row * a.cols + c] * r * weight[c];
    if (row < a.rows && ITEM == lane_0)
      rstd[row] = r;
  }
}

KERNEL rmsnorm_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *x, GLOBAL const float *rstd,
                        GLOBAL const float *weight, const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    float dot = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const long i = (long)row * a.cols + c;
      dot += dy[i] * weight[c] * x[i];
    }
    part[ITEM] = dot;
  }
  norm_sum_lanes(part);
  PHASE {
    const int row = first + ITEM / NORM_LANES;
    const float r = row < a.rows ? rstd[row] : 0.0f;
    const float pull = part[ITEM / NORM_LANES * NORM_LANES] * r * r / (float)a.cols;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const long i = (long)row * a.cols + c;
      deliver(dx + i, r * (dy[i] * weight[c] - x[i] * pull), a.accumulate);
    }
  }
}

/* y = x / length, inverse (rows) = 1 / length; a row of zeros stays one. */
KERNEL unit_rows(GLOBAL float *y, GLOBAL float *inverse, GLOBAL const float *x, const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    float sum = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES)
      sum += x[(long)row * a.cols + c] * x[(long)row * a.cols + c];
    part[ITEM] = sum;
  }
  norm_sum_lanes(part);
  PHASE {
    const int row = first + ITEM / NORM_LANES, lane_0 = ITEM / NORM_LANES * NORM_LANES;
    const float scale = 1.0f / fmaxf(sqrtf(part[lane_0]), a.epsilon);
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES)
      y[(long)row * a.cols + c] = x[(long)row * a.cols + c] * scale;
    if (row < a.rows && ITEM == lane_0)
      inverse[row] = scale;
  }
}

/* dx = [dx +] (dy - y (y . dy)) / length */
KERNEL unit_rows_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *y, GLOBAL const float *inverse,
                          const struct norm_args a) {
  LOCAL float part[GROUP_ITEMS];
  const int first = GROUP(0) * NORM_ROWS;
  FIRST_PHASE {
    const int row = first + ITEM / NORM_LANES;
    float sum = 0.0f;
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES)
      sum += y[(long)row * a.cols + c] * dy[(long)row * a.cols + c];
    part[ITEM] = sum;
  }
  norm_sum_lanes(part);
  PHASE {
    const int row = first + ITEM / NORM_LANES;
    const float along = part[ITEM / NORM_LANES * NORM_LANES];
    for (int c = ITEM % NORM_LANES; row < a.rows && c < a.cols; c += NORM_LANES) {
      const long i = (long)row * a.cols + c;
      deliver(dx + i, (dy[i] - y[i] * along) * inverse[row], a.accumulate);
    }
  }
}
