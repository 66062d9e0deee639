/* One item an element (dropout: 8 of them). An output that accumulates is added to; inputs and outputs may be the same.
   Groups: count / GROUP_ITEMS. */

DEVICE long element_of(int item) {
  return (long)GROUP(0) * GROUP_ITEMS + item;
}

DEVICE void deliver(GLOBAL float *to, float value, int accumulate) {
  *to = accumulate ? *to + value : value;
}

KERNEL strided_copy(GLOBAL float *to, GLOBAL const float *from, const struct strided_copy_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM), i = at / a.cols, j = at % a.cols;
    if (i < a.rows)
      deliver(to + a.to_first + i * a.to_row + j * a.to_col, a.scale * from[i * a.from_row + j * a.from_col], a.accumulate);
  }
}

KERNEL fill_with(GLOBAL float *y, const struct fill_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = a.value;
  }
}

/* y = [y +] x */
KERNEL add_to(GLOBAL float *y, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      deliver(y + i, x[i], a.accumulate);
  }
}

/* y = x + z */
KERNEL add_forward(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *z, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = x[i] + z[i];
  }
}

/* y = [y +] x z */
KERNEL multiply_to(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *z, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      deliver(y + i, x[i] * z[i], a.accumulate);
  }
}

/* y = 1 / sqrt(squares + the rows of u times those of v) */
KERNEL inverse_norms(GLOBAL float *y, GLOBAL const float *squares, GLOBAL const float *u, GLOBAL const float *v,
                     const struct inverse_norms_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.rows) {
      float sum = 0.0f;
      for (int j = 0; j < a.R; j++)
        sum += u[i * a.R + j] * v[i * a.R + j];
      y[i] = 1.0f / sqrtf(squares[i] + sum);
    }
  }
}

/* P(Z < x) of the normal distribution. */
DEVICE float normal_below(float x) {
  return 0.5f * (1.0f + erff(x * 0.70710678118654752f));
}

/* y = x P(Z < x) */
KERNEL gelu_forward(GLOBAL float *y, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = x[i] * normal_below(x[i]);
  }
}

KERNEL gelu_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      const float density = 0.39894228040143268f * expf(-0.5f * x[i] * x[i]);
      deliver(dx + i, dy[i] * (normal_below(x[i]) + x[i] * density), a.accumulate);
    }
  }
}

/* sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): x times it is GELU's approximation with tanh. */
DEVICE float gelu_tanh_share(float x) {
  return 1.0f / (1.0f + expf(x * (x * x * -7.135481627e-2f - 1.595769122f)));
}

KERNEL gelu_tanh_forward(GLOBAL float *y, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = x[i] * gelu_tanh_share(x[i]);
  }
}

DEVICE float gelu_tanh_slope(float x) {
  const float share = gelu_tanh_share(x);
  return share + x * share * (1.0f - share) * (x * x * 2.140644488e-1f + 1.595769122f);
}

KERNEL gelu_tanh_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *x,
                          const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      deliver(dx + i, dy[i] * gelu_tanh_slope(x[i]), a.accumulate);
  }
}

KERNEL relu_forward(GLOBAL float *y, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = x[i] < 0.0f ? 0.0f : x[i];
  }
}

KERNEL relu_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *y, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      deliver(dx + i, y[i] > 0.0f ? dy[i] : 0.0f, a.accumulate);
  }
}

KERNEL tanh_forward(GLOBAL float *y, GLOBAL const float *x, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = tanhf(x[i]);
  }
}

KERNEL tanh_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *y, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      deliver(dx + i, dy[i] * (1.0f - y[i] * y[i]), a.accumulate);
  }
}

/* y = silu(gate) * up, silu(x) = x / (1 + e^-x) */
KERNEL swiglu_forward(GLOBAL float *y, GLOBAL const float *gate, GLOBAL const float *up, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
  }
}

/* silu' = s (1 + x (1 - s)) with s = 1 / (1 + e^-x). Either gradient may be NULL. */
KERNEL swiglu_backward(GLOBAL float *dgate, GLOBAL float *dup, GLOBAL const float *dy, GLOBAL const float *gate,
                       GLOBAL const float *up, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      const float s = 1.0f / (1.0f + expf(-gate[i]));
      if (dgate)
        deliver(dgate + i, dy[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s)), a.accumulate);
      if (dup)
        deliver(dup + i, dy[i] * gate[i] * s, a.accumulate_second);
    }
  }
}

/* y = gelu(gate) * up by the approximation with tanh */
KERNEL geglu_tanh_forward(GLOBAL float *y, GLOBAL const float *gate, GLOBAL const float *up,
                          const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = gate[i] * gelu_tanh_share(gate[i]) * up[i];
  }
}

/* Either gradient may be NULL. */
KERNEL geglu_tanh_backward(GLOBAL float *dgate, GLOBAL float *dup, GLOBAL const float *dy, GLOBAL const float *gate,
                           GLOBAL const float *up, const struct elements_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      if (dgate)
        deliver(dgate + i, dy[i] * up[i] * gelu_tanh_slope(gate[i]), a.accumulate);
      if (dup)
        deliver(dup + i, dy[i] * gate[i] * gelu_tanh_share(gate[i]), a.accumulate_second);
    }
  }
}

/* Of rows that are gate and up side by side, in either order, `cols` each: y = gelu(gate) * up */
KERNEL geglu_forward(GLOBAL float *y, GLOBAL const float *x, const struct halves_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM), at = i / a.cols * 2 * a.cols + i % a.cols + a.gate;
    if (i < a.count)
      y[i] = x[at] * normal_below(x[at]) * x[at + a.cols - 2 * a.gate];
  }
}

KERNEL geglu_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *x, const struct halves_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM), at = i / a.cols * 2 * a.cols + i % a.cols + a.gate;
    const long up = at + a.cols - 2 * a.gate;
    if (i < a.count) {
      const float gate = x[at], below = normal_below(gate);
      const float density = 0.39894228040143268f * expf(-0.5f * gate * gate);
      deliver(dx + at, dy[i] * x[up] * (below + gate * density), a.accumulate);
      deliver(dx + up, dy[i] * gate * below, a.accumulate);
    }
  }
}

/* y = some columns of x */
KERNEL columns_forward(GLOBAL float *y, GLOBAL const float *x, const struct columns_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count)
      y[i] = x[i / a.cols * a.wide + a.first + i % a.cols];
  }
}

/* dx = [dx +] dy in these columns, 0 in the others */
KERNEL columns_backward(GLOBAL float *dx, GLOBAL const float *dy, const struct columns_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM), row = i / a.wide;
    const int col = (int)(i % a.wide) - a.first, theirs = col >= 0 && col < a.cols;
    if (i < a.count && (theirs || !a.accumulate))
      deliver(dx + i, theirs ? dy[row * a.cols + col] : 0.0f, a.accumulate);
  }
}

/* y = [y +] mask * x. Groups: 8 elements an item, counters of the last group of 64 that do not exist included. */
KERNEL dropout_rows(GLOBAL float *y, GLOBAL const float *x, const struct dropout_rows_args a) {
  FIRST_PHASE {
    const int counters = (a.cols + 63) / 64 * 8;
    const long i = element_of(ITEM);
    const int row = (int)(i / counters), counter = (int)(i % counters);
    if (row < a.rows) {
      const struct draws draws = dropout_draws(a.dropout, (uint)row, (uint)counter / 8u, (uint)counter % 8u);
      for (int eighth = 0; eighth < 8; eighth++) {
        const int col = counter / 8 * 64 + eighth * 8 + counter % 8;
        const long at = (long)row * a.cols + col;
        if (col < a.cols)
          deliver(y + at, x[at] * dropout_factor(a.dropout, draws, eighth), a.accumulate);
      }
    }
  }
}

/* y (rows x cols) = [y +] x * scale + bias; the bias may be NULL. */
KERNEL scale_columns(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *scale, GLOBAL const float *bias,
                     const struct scale_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols) {
      const int col = (int)(i % a.cols);
      deliver(y + i, x[i] * scale[col] + (bias ? bias[col] : 0.0f), a.accumulate);
    }
  }
}

/* The sequence that a row is of: a search for the last one that begins no later. */
DEVICE int sequence_of(GLOBAL const int *cu_seqlens, int sequences, int row) {
  int low = 0, high = sequences;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (cu_seqlens[middle] <= row)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Where in its sequence a row is. */
DEVICE int position_of(GLOBAL const int *cu_seqlens, int sequences, int row) {
  return row - cu_seqlens[sequence_of(cu_seqlens, sequences, row)];
}

/* The row of the tables for a row of tokens. */
DEVICE int rope_row(GLOBAL const int *cu_seqlens, struct rope_args a, int row) {
  const int sequence = sequence_of(cu_seqlens, a.sequences, row), first = cu_seqlens[sequence];
  const int is_long = a.short_most && cu_seqlens[sequence + 1] - first > a.short_most;
  return row - first + (is_long ? a.long_row : 0);
}

/* Rotary positions: of each head, column c of the first `turning` ones turns with column c + turning by the angle whose
   cosine and sine are (position, c) of the tables; columns from 2 * turning on stay. An item a pair of columns. */
KERNEL rope(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *cosines, GLOBAL const float *sines,
            GLOBAL const int *cu_seqlens, const struct rope_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    const int pairs = a.heads * a.half_head, row = (int)(i / pairs), c = (int)(i % a.half_head);
    if (row < a.rows) {
      const long head = (long)row * 2 * pairs + (long)(i % pairs / a.half_head) * 2 * a.half_head;
      if (c < a.turning) {
        const long at = head + c, angle = (long)rope_row(cu_seqlens, a, row) * a.turning + c;
        const float first = x[at], second = x[at + a.turning], cosine = cosines[angle];
        const float sine = a.direction * sines[angle];
        deliver(y + at, first * cosine - second * sine, a.accumulate);
        deliver(y + at + a.turning, second * cosine + first * sine, a.accumulate);
      } else {
        deliver(y + head + 2 * c, x[head + 2 * c], a.accumulate);
        deliver(y + head + 2 * c + 1, x[head + 2 * c + 1], a.accumulate);
      }
    }
  }
}
