/* The optimiser over many tensors in a launch: a group has TRAINED_EACH numbers of one of them. */

enum { TRAINED_EACH = 4096, TRAINED_TURNS = TRAINED_EACH / GROUP_ITEMS }; /* an item's numbers are GROUP_ITEMS apart */

/* The row that has this group: the last one that begins at it or before. */
DEVICE struct trained_tensor trained_tensor_of(GLOBAL const struct trained_tensor *table, struct trained_rows rows,
                                               int group) {
  int low = rows.first, high = rows.first + rows.count - 1;
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (table[middle].first_group <= group)
      low = middle;
    else
      high = middle - 1;
  }
  return table[low];
}

/* The sum of a group's squares; the host adds the groups' in double. */
KERNEL sum_squares(GLOBAL float *parts, GLOBAL const float *grad, GLOBAL const struct trained_tensor *table,
                   const struct sum_squares_args a) {
  LOCAL float part[GROUP_ITEMS];
  const int group = a.rows.first_group + GROUP(0);
  const struct trained_tensor t = trained_tensor_of(table, a.rows, group);
  const long first = (group - t.first_group) * TRAINED_EACH;
  FIRST_PHASE {
    float sum = 0.0f;
    for (int turn = 0; turn < TRAINED_TURNS; turn++) {
      const long i = first + turn * GROUP_ITEMS + ITEM;
      sum += i < t.count ? grad[t.grad + i] * grad[t.grad + i] : 0.0f;
    }
    part[ITEM] = sum;
  }
  for (int apart = GROUP_ITEMS / 2; apart > 0; apart /= 2) {
    PHASE {
      if (ITEM < apart)
        part[ITEM] += part[ITEM + apart];
    }
  }
  PHASE {
    if (ITEM == 0)
      parts[group] = part[0];
  }
}

/* One AdamW update in torch's form: step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t),
   decay = lr * weight_decay; a tensor's lr is its lr_ratio times that. */
KERNEL adamw(GLOBAL float *p, GLOBAL float *m, GLOBAL float *v, GLOBAL const float *grad,
             GLOBAL const struct trained_tensor *table, const struct adamw_args a) {
  const int group = a.rows.first_group + GROUP(0);
  const struct trained_tensor t = trained_tensor_of(table, a.rows, group);
  const long first = (group - t.first_group) * TRAINED_EACH;
  const float kept = 1.0f - t.decay * a.decay, step_size = t.lr_ratio * a.step_size;
  FIRST_PHASE {
    for (int turn = 0; turn < TRAINED_TURNS; turn++) {
      const long i = first + turn * GROUP_ITEMS + ITEM;
      if (i < t.count) {
        const float g = grad[t.grad + i] * a.grad_scale;
        const float first_moment = a.beta1 * m[t.m + i] + (1.0f - a.beta1) * g;
        const float second_moment = a.beta2 * v[t.v + i] + (1.0f - a.beta2) * g * g;
        m[t.m + i] = first_moment;
        v[t.v + i] = second_moment;
        p[t.p + i] = p[t.p + i] * kept - step_size * first_moment / (sqrtf(second_moment) * a.root_scale + a.epsilon);
      }
    }
  }
}
