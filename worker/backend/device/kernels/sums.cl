/* Sums in a fixed order, in two launches: parts, then the sum of the parts. */

/* An item a number, the splits in order. Groups: count / GROUP_ITEMS. */
KERNEL sum_splits(GLOBAL float *out, GLOBAL const float *parts, const struct sum_splits_args a) {
  FIRST_PHASE {
    const long i = (long)GROUP(0) * GROUP_ITEMS + ITEM;
    if (i < a.count) {
      float sum = 0.0f;
      for (int s = 0; s < a.splits; s++)
        sum += parts[s * a.count + i];
      out[i] = (a.accumulate ? out[i] : 0.0f) + a.scale * sum;
    }
  }
}

/* An item a column, its split's rows in order. Groups: cols / GROUP_ITEMS, splits. */
KERNEL column_sums(GLOBAL float *parts, GLOBAL const float *x, GLOBAL const float *y, const struct column_sums_args a) {
  FIRST_PHASE {
    const int col = GROUP(0) * GROUP_ITEMS + ITEM, split = GROUP(1), share = (a.rows + a.splits - 1) / a.splits;
    const int end = (split + 1) * share < a.rows ? (split + 1) * share : a.rows;
    if (col < a.cols) {
      float sum = 0.0f;
      for (int row = split * share; row < end; row++) {
        const long i = (long)row * a.cols + col;
        sum += y ? x[i] * y[i] : x[i];
      }
      parts[(long)split * a.cols + col] = sum;
    }
  }
}
