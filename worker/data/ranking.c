#include "worker/data/ranking.h"

#include <math.h>
#include <stdlib.h>

struct item {
  double score;
  uint32_t group;
  bool relevant;
};

/* Groups in their order; in one, the largest score first, and of equal ones what is not relevant: a model to which all
   are alike has found nothing. */
static int order(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  if (x->group != y->group)
    return x->group < y->group ? -1 : 1;
  if (x->score != y->score)
    return x->score > y->score ? -1 : 1;
  return x->relevant - y->relevant;
}

static struct item *sorted(const float *scores, const bool *relevant, const uint32_t *groups, size_t count,
                           struct error *err) {
  struct item *items = calloc(count + 1, sizeof *items);
  if (!items) {
    (void)error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to rank %zu predictions", count);
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    items[i] = (struct item){(double)scores[i], groups ? groups[i] : 0, relevant[i]};
  qsort(items, count, sizeof *items, order);
  return items;
}

/* The end of the items that have the score of the first one. */
static size_t ties(const struct item *items, size_t first, size_t count) {
  size_t end = first + 1;
  while (end < count && items[end].score == items[first].score)
    end++;
  return end;
}

static size_t count_relevant(const struct item *items, size_t count) {
  size_t sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += items[i].relevant;
  return sum;
}

static double average_precision(const struct item *items, size_t count) {
  size_t all = count_relevant(items, count), found = 0;
  double sum = 0;
  for (size_t first = 0, end; first < count; first = end) {
    end = ties(items, first, count);
    size_t more = count_relevant(items + first, end - first);
    found += more;
    sum += (double)more / (double)(all ? all : 1) * (double)found / (double)end;
  }
  return sum;
}

enum status ranking_separation(struct separation *out, const float *scores, const bool *relevant, size_t count,
                               struct error *err) {
  *out = (struct separation){0};
  struct item *items = sorted(scores, relevant, NULL, count, err);
  if (!items)
    return err->status;
  size_t all = count_relevant(items, count), found = 0;
  if (count) { /* nothing is taken */
    out->accuracy = (double)(count - all) / (double)count;
    out->accuracy_threshold = (double)nextafterf((float)items[0].score, INFINITY);
  }
  out->average_precision = average_precision(items, count);
  for (size_t first = 0, end; first < count; first = end) {
    end = ties(items, first, count);
    found += count_relevant(items + first, end - first);
    double threshold = end < count ? (items[first].score + items[end].score) / 2 : items[first].score;
    double accuracy = (double)(found + (count - all) - (end - found)) / (double)count;
    double f1 = found ? 2 * (double)found / (double)(end + all) : 0;
    if (accuracy > out->accuracy) {
      out->accuracy = accuracy;
      out->accuracy_threshold = threshold;
    }
    if (f1 > out->f1) {
      out->f1 = f1;
      out->f1_threshold = threshold;
    }
  }
  free(items);
  return STATUS_OK;
}

static double discount(size_t place) {
  return 1 / log2((double)place + 2);
}

/* Items of one score share the mean of what their places are worth. */
static double ndcg(const struct item *items, size_t count) {
  size_t all = count_relevant(items, count);
  double sum = 0, best = 0;
  for (size_t i = 0; i < all && i < RANKING_CUT; i++)
    best += discount(i);
  for (size_t first = 0, end; first < count && first < RANKING_CUT; first = end) {
    double places = 0;
    end = ties(items, first, count);
    for (size_t i = first; i < end && i < RANKING_CUT; i++)
      places += discount(i);
    sum += places * (double)count_relevant(items + first, end - first) / (double)(end - first);
  }
  return best > 0 ? sum / best : 0;
}

static double reciprocal_rank(const struct item *items, size_t count) {
  for (size_t i = 0; i < count && i < RANKING_CUT; i++)
    if (items[i].relevant)
      return 1 / (double)(i + 1);
  return 0;
}

enum status ranking_of_groups(struct ranking *out, const float *scores, const bool *relevant, const uint32_t *groups,
                              size_t count, struct error *err) {
  *out = (struct ranking){0};
  struct item *items = sorted(scores, relevant, groups, count, err);
  if (!items)
    return err->status;
  for (size_t first = 0, end; first < count; first = end) {
    for (end = first + 1; end < count && items[end].group == items[first].group;)
      end++;
    out->map += average_precision(items + first, end - first);
    out->mrr += reciprocal_rank(items + first, end - first);
    out->ndcg += ndcg(items + first, end - first);
    out->lists++;
  }
  double lists = out->lists ? (double)out->lists : 1;
  out->map /= lists;
  out->mrr /= lists;
  out->ndcg /= lists;
  free(items);
  return STATUS_OK;
}
