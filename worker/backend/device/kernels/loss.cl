/* Losses: a group a row. An item takes columns GROUP_ITEMS apart, then a tree goes over the items. Groups: rows. */

/* value[0], where[0] = the largest value and its column; of equal ones the first. */
DEVICE void loss_largest(LOCAL_PTR float *value, LOCAL_PTR int *where) {
  for (int apart = GROUP_ITEMS / 2; apart > 0; apart /= 2) {
    PHASE {
      if (ITEM < apart) {
        const float other = value[ITEM + apart];
        const int larger = other > value[ITEM], equal = other == value[ITEM];
        if (larger || (equal && where[ITEM + apart] < where[ITEM])) {
          value[ITEM] = other;
          where[ITEM] = where[ITEM + apart];
        }
      }
    }
  }
}

DEVICE float loss_capped(struct cross_entropy_args a, float logit) {
  return a.softcap > 0.0f ? a.softcap * tanhf(logit / a.softcap) : logit;
}

/* Logits are soft-capped where there is a softcap.
   losses[row] = log of the sum of exp(logits) - the label's logit; hits[row]: is the largest one the label's?
   gradient (may be the logits) = [gradient +] weight * (softmax - 1 at the label). Each of the three may be NULL. */
KERNEL cross_entropy(GLOBAL float *losses, GLOBAL int *hits, GLOBAL float *gradient, GLOBAL const float *logits,
                     GLOBAL const int *labels, const struct cross_entropy_args a) {
  LOCAL float value[GROUP_ITEMS], part[GROUP_ITEMS];
  LOCAL int where[GROUP_ITEMS];
  OWN(float, of_label, 1); /* read before the gradient takes the logits' place */
  const int label = labels[GROUP(0)];
  const long row = (long)GROUP(0) * a.cols;
  FIRST_PHASE {
    float largest = -INFINITY;
    int at = ITEM < a.cols ? ITEM : a.cols - 1;
    for (int c = ITEM; c < a.cols; c += GROUP_ITEMS)
      if (!(logits[row + c] <= largest)) { /* NaN too: it must show */
        largest = logits[row + c];
        at = c;
      }
    value[ITEM] = largest;
    where[ITEM] = at;
    MINE(of_label)[0] = loss_capped(a, logits[row + label]);
  }
  loss_largest(value, where);
  PHASE {
    const float largest = loss_capped(a, value[0]);
    float sum = 0.0f;
    for (int c = ITEM; c < a.cols; c += GROUP_ITEMS)
      sum += expf(loss_capped(a, logits[row + c]) - largest);
    part[ITEM] = sum;
  }
  for (int apart = GROUP_ITEMS / 2; apart > 0; apart /= 2) {
    PHASE {
      if (ITEM < apart)
        part[ITEM] += part[ITEM + apart];
    }
  }
  PHASE {
    const float lse = loss_capped(a, value[0]) + logf(part[0]);
    if (ITEM == 0 && losses)
      losses[GROUP(0)] = lse - MINE(of_label)[0];
    if (ITEM == 0 && hits)
      hits[GROUP(0)] = where[0] == label;
    for (int c = ITEM; gradient && c < a.cols; c += GROUP_ITEMS) {
      const float logit = loss_capped(a, logits[row + c]), ratio = a.softcap > 0.0f ? logit / a.softcap : 0.0f;
      const float slope = a.weight * (1.0f - ratio * ratio);
      deliver(gradient + row + c, slope * (expf(logit - lse) - (c == label ? 1.0f : 0.0f)), a.accumulate);
    }
  }
}

/* losses[i] = (x[i] - target)^2; dx (unless NULL) = [dx +] 2 weight (x[i] - target). Groups: count / GROUP_ITEMS. */
KERNEL squared_error(GLOBAL float *losses, GLOBAL float *dx, GLOBAL const float *x, GLOBAL const float *targets,
                     const struct element_loss_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      const float d = x[i] - targets[i];
      if (losses)
        losses[i] = d * d;
      if (dx)
        deliver(dx + i, 2.0f * a.weight * d, a.accumulate);
    }
  }
}

/* losses[i] of the logit x[i] against a target of 0 or 1; dx (unless NULL) = [dx +] weight (sigmoid(x[i]) - target). */
KERNEL binary_cross_entropy(GLOBAL float *losses, GLOBAL float *dx, GLOBAL const float *x, GLOBAL const float *targets,
                            const struct element_loss_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      const float small = expf(-fabsf(x[i])); /* never overflows */
      if (losses)
        losses[i] = fmaxf(x[i], 0.0f) - x[i] * targets[i] + log1pf(small);
      if (dx)
        deliver(dx + i, a.weight * ((x[i] < 0.0f ? small : 1.0f) / (1.0f + small) - targets[i]), a.accumulate);
    }
  }
}
