/* Kernels that move whole rows; an item a number. Groups: rows * cols / GROUP_ITEMS. */

/* y = words[id] + positions[position] + types[type]; positions and types may be NULL (and token_types: all 0). The four
   numbers that decode together are an item's. */
KERNEL embeddings(GLOBAL float *y, GLOBAL const uchar *words, GLOBAL const float *positions, GLOBAL const float *types,
                  GLOBAL const int *token_ids, GLOBAL const int *cu_seqlens, GLOBAL const uchar *token_types,
                  const struct embeddings_args a) {
  FIRST_PHASE {
    const int runs = (a.cols + 3) / 4;
    const long i = element_of(ITEM);
    const int row = (int)(i / runs), col = (int)(i % runs) * 4;
    if (row < a.rows) {
      float word[4];
      weight_run(word, words, a.words, 0, token_ids[row], col, token_ids[row] + 1, a.cols);
      const int type = token_types ? token_types[row] : 0;
      const int position = positions ? position_of(cu_seqlens, a.sequences, row) : 0;
      for (int j = 0; j < 4 && col + j < a.cols; j++) {
        const float of_type = types ? types[(long)type * a.cols + col + j] : 0.0f;
        const float of_position = positions ? positions[(long)position * a.cols + col + j] : 0.0f;
        y[(long)row * a.cols + col + j] = word[j] + of_type + of_position;
      }
    }
  }
}

/* y = x, with trained[row_of[id]] in place of words[id] where the token has such a row. */
KERNEL token_rows(GLOBAL float *y, GLOBAL const float *x, GLOBAL const uchar *words, GLOBAL const float *trained,
                  GLOBAL const int *token_ids, GLOBAL const int *row_of, const struct embeddings_args a) {
  FIRST_PHASE {
    const int runs = (a.cols + 3) / 4;
    const long i = element_of(ITEM);
    const int row = (int)(i / runs), col = (int)(i % runs) * 4;
    if (row < a.rows) {
      const int own = row_of[token_ids[row]];
      float word[4];
      weight_run(word, words, a.words, 0, token_ids[row], col, token_ids[row] + 1, a.cols);
      for (int j = 0; j < 4 && col + j < a.cols; j++) {
        const long at = (long)row * a.cols + col + j;
        y[at] = own < 0 ? x[at] : x[at] - word[j] + trained[(long)own * a.cols + col + j];
      }
    }
  }
}

/* Row j of grad (count x cols) += dy of its tokens. */
KERNEL token_rows_backward(GLOBAL float *grad, GLOBAL const float *dy, GLOBAL const int *token_ids,
                           GLOBAL const int *row_of, const struct token_rows_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM);
    if (at < (long)a.count * a.cols) {
      const int own = (int)(at / a.cols), col = (int)(at % a.cols);
      float sum = grad[at];
      for (int i = 0; i < a.rows; i++)
        if (row_of[token_ids[i]] == own)
          sum += dy[(long)i * a.cols + col];
      grad[at] = sum;
    }
  }
}

/* Logits (rows x vocabulary) of the tokens that have trained rows: x (rows x cols) times these. */
KERNEL token_logits_put(GLOBAL float *logits, GLOBAL const float *x, GLOBAL const float *trained,
                        GLOBAL const int *tokens, const struct token_rows_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM);
    if (at < (long)a.rows * a.count) {
      const long row = at / a.count, own = at % a.count;
      float sum = 0;
      for (int c = 0; c < a.cols; c++)
        sum += x[row * a.cols + c] * trained[own * a.cols + c];
      logits[row * a.vocabulary + tokens[own]] = sum;
    }
  }
}

/* taken (rows x count): those tokens' part of the logits' gradient, which is zero then. */
KERNEL token_logits_take(GLOBAL float *taken, GLOBAL float *gradient, GLOBAL const int *tokens,
                         const struct token_rows_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM);
    if (at < (long)a.rows * a.count) {
      const long from = at / a.count * a.vocabulary + tokens[at % a.count];
      taken[at] = gradient[from];
      gradient[from] = 0;
    }
  }
}

/* dx (rows x cols) += taken times the trained rows. */
KERNEL token_logits_back(GLOBAL float *dx, GLOBAL const float *taken, GLOBAL const float *trained,
                         const struct token_rows_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM);
    if (at < (long)a.rows * a.cols) {
      const long row = at / a.cols, col = at % a.cols;
      float sum = dx[at];
      for (int j = 0; j < a.count; j++)
        sum += taken[row * a.count + j] * trained[(long)j * a.cols + col];
      dx[at] = sum;
    }
  }
}

/* Row j of grad += the sum of rows picked[i] of x, times taken[i][j] and, where there are any, weights[i]. */
KERNEL token_logits_learn(GLOBAL float *grad, GLOBAL const float *taken, GLOBAL const float *weights,
                          GLOBAL const float *x, GLOBAL const int *picked, const struct token_rows_args a) {
  FIRST_PHASE {
    const long at = element_of(ITEM);
    if (at < (long)a.count * a.cols) {
      const long own = at / a.cols, col = at % a.cols;
      float sum = grad[at];
      for (int i = 0; i < a.rows; i++) {
        const float weight = weights ? weights[i] : 1.0f;
        sum += taken[(long)i * a.count + own] * weight * x[(long)picked[i] * a.cols + col];
      }
      grad[at] = sum;
    }
  }
}

/* The row that row i stands for. */
DEVICE long picked_row(GLOBAL const int *picked, struct rows_args a, long i) {
  return picked[i + a.after] - a.after;
}

/* y (rows x cols): row i is its row of x. */
KERNEL pick_rows(GLOBAL float *y, GLOBAL const float *x, GLOBAL const int *picked, const struct rows_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols)
      y[i] = x[picked_row(picked, a, i / a.cols) * a.cols + i % a.cols];
  }
}

/* Its row of dx += row i of dy. No row is picked twice. */
KERNEL scatter_rows(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const int *picked, const struct rows_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols)
      dx[picked_row(picked, a, i / a.cols) * a.cols + i % a.cols] += dy[i];
  }
}

/* Row i of x *= scale[i]. */
KERNEL scale_rows(GLOBAL float *x, GLOBAL const float *scale, const struct rows_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols)
      x[i] *= scale[i / a.cols];
  }
}

/* y (rows x cols): row i is the mean of the rows of sequence i of x. */
KERNEL mean_rows(GLOBAL float *y, GLOBAL const float *x, GLOBAL const int *cu_seqlens, const struct mean_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols) {
      const int sequence = (int)(i / a.cols), first = cu_seqlens[sequence], end = cu_seqlens[sequence + 1];
      float sum = 0.0f;
      for (int row = first; row < end; row++)
        sum += x[(long)row * a.cols + i % a.cols];
      y[i] = sum / (float)(end - first);
    }
  }
}

/* Back: each row of the sequence has its share of dy. */
KERNEL spread_rows(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const int *cu_seqlens, const struct mean_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)a.rows * a.cols) {
      const int sequence = (int)(i / a.cols), first = cu_seqlens[sequence], end = cu_seqlens[sequence + 1];
      const float share = dy[i] / (float)(end - first);
      for (int row = first; row < end; row++)
        deliver(dx + (long)row * a.cols + i % a.cols, share, a.accumulate);
    }
  }
}

/* Is `other` in the sequence of `row`? */
DEVICE int same_sequence(GLOBAL const int *cu_seqlens, struct unfold_args a, int row, int other) {
  const int sequence = sequence_of(cu_seqlens, a.sequences, row);
  return other >= cu_seqlens[sequence] && other < cu_seqlens[sequence + 1];
}

/* y (rows x (cols * taps)): column c * taps + k of a row is column c of the row k - taps / 2 behind it, or 0. */
KERNEL unfold(GLOBAL float *y, GLOBAL const float *x, GLOBAL const int *cu_seqlens, const struct unfold_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM), wide = (long)a.cols * a.taps;
    if (i < a.rows * wide) {
      const int row = (int)(i / wide), column = (int)(i % wide);
      const int seen = row + column % a.taps - a.taps / 2;
      y[i] = same_sequence(cu_seqlens, a, row, seen) ? x[(long)seen * a.cols + column / a.taps] : 0.0f;
    }
  }
}

/* Back: dx (rows x cols) = [dx +] the sum over the rows that see this one. */
KERNEL fold(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const int *cu_seqlens, const struct unfold_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM), wide = (long)a.cols * a.taps;
    if (i < (long)a.rows * a.cols) {
      const int row = (int)(i / a.cols), column = (int)(i % a.cols);
      float sum = 0.0f;
      for (int k = 0; k < a.taps; k++) {
        const int other = row + a.taps / 2 - k;
        if (same_sequence(cu_seqlens, a, row, other))
          sum += dy[other * wide + column * a.taps + k];
      }
      deliver(dx + i, sum, a.accumulate);
    }
  }
}

/* y (first x others, or first x 1 of each one's own) = scale * the products of two rows of x; an item one of them. */
KERNEL similarity(GLOBAL float *y, GLOBAL const float *x, const struct similarity_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    const int width = a.own ? 1 : a.others;
    if (i < (long)a.first * width) {
      const long row = i / width, other = a.first + (a.own ? row : i % width);
      float sum = 0.0f;
      for (int c = 0; c < a.cols; c++)
        sum += x[row * a.cols + c] * x[other * a.cols + c];
      y[i] = a.scale * sum;
    }
  }
}

/* dx (first + others rows) = [dx +] scale * the sum over a row's products of dy times the other row of x. */
KERNEL similarity_backward(GLOBAL float *dx, GLOBAL const float *dy, GLOBAL const float *x,
                           const struct similarity_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < (long)(a.first + a.others) * a.cols) {
      const int row = (int)(i / a.cols), col = (int)(i % a.cols), is_first = row < a.first;
      const int end = a.own ? 1 : is_first ? a.others : a.first;
      float sum = 0.0f;
      for (int k = 0; k < end; k++) {
        const int mine = is_first ? row : row - a.first, other = a.own ? mine : k;
        const long at = a.own ? mine : is_first ? (long)mine * a.others + k : (long)k * a.others + mine;
        sum += dy[at] * x[(long)(is_first ? a.first + other : other) * a.cols + col];
      }
      deliver(dx + i, a.scale * sum, a.accumulate);
    }
  }
}
