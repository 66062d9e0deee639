#include "worker/data/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double metric_accuracy(const uint32_t *predicted, const uint32_t *actual, size_t count) {
  size_t right = 0;
  for (size_t i = 0; i < count; i++)
    right += predicted[i] == actual[i];
  return count ? (double)right / (double)count : 0;
}

/* Counts of a binary confusion matrix; class 1 is positive, every other class negative. */
struct confusion {
  double tp, tn, fp, fn;
};

static struct confusion confuse(const uint32_t *predicted, const uint32_t *actual, size_t count) {
  struct confusion c = {0};
  for (size_t i = 0; i < count; i++) {
    if (predicted[i] == 1)
      *(actual[i] == 1 ? &c.tp : &c.fp) += 1;
    else
      *(actual[i] == 1 ? &c.fn : &c.tn) += 1;
  }
  return c;
}

static double f1_of(const struct confusion *c) {
  double below = 2 * c->tp + c->fp + c->fn;
  return below > 0 ? 2 * c->tp / below : 0;
}

double metric_f1(const uint32_t *predicted, const uint32_t *actual, size_t count) {
  struct confusion c = confuse(predicted, actual, count);
  return f1_of(&c);
}

double metric_matthews(const uint32_t *predicted, const uint32_t *actual, size_t count) {
  struct confusion c = confuse(predicted, actual, count);
  double below = sqrt((c.tp + c.fp) * (c.tp + c.fn)) * sqrt((c.tn + c.fp) * (c.tn + c.fn));
  return below > 0 ? (c.tp * c.tn - c.fp * c.fn) / below : 0;
}

void metric_lists(struct list_scores *out, const bool *predicted, const bool *actual, size_t count, size_t classes) {
  struct confusion all = {0};
  size_t right = 0;
  *out = (struct list_scores){0};
  for (size_t k = 0; k < classes; k++) {
    struct confusion own = {0};
    for (size_t at = k; at < count * classes; at += classes)
      *(predicted[at] ? actual[at] ? &own.tp : &own.fp : actual[at] ? &own.fn : &own.tn) += 1;
    all.tp += own.tp;
    all.fp += own.fp;
    all.fn += own.fn;
    out->f1_macro += f1_of(&own) / (double)classes;
  }
  out->f1_micro = f1_of(&all);
  for (size_t i = 0; i < count; i++) {
    bool same = true;
    for (size_t k = 0; k < classes; k++)
      same = same && predicted[i * classes + k] == actual[i * classes + k];
    right += same;
  }
  out->subset_accuracy = count ? (double)right / (double)count : 0;
}

/* What follows the first character: behind its first "-", if there is one. */
static const char *type_of(const char *tag) {
  const char *rest = tag + (*tag != '\0');
  while (((unsigned char)*rest & 0xC0) == 0x80) /* within that character */
    rest++;
  const char *dash = strchr(rest, '-');
  rest = dash ? dash + 1 : rest;
  return *rest ? rest : "_";
}

static bool one_of(char tag, const char *tags) {
  return tag && strchr(tags, tag);
}

/* Does the entity that the word before is in end before this one, and does one begin with it? */
static bool entity_ends(const struct entity *before, char tag, const char *type) {
  char last = before->tag;
  return one_of(last, "ES") || (one_of(last, "BI") && one_of(tag, "BSO")) ||
         (!one_of(last, "O.") && strcmp(before->type, type) != 0);
}

static bool entity_begins(const struct entity *before, char tag, const char *type) {
  return one_of(tag, "BS") || (one_of(before->tag, "ESO") && one_of(tag, "EI")) ||
         (!one_of(tag, "O.") && strcmp(before->type, type) != 0);
}

/* Takes a word's tag; *begin is where the entity begins that ends before it. */
static bool entity_step(struct entity *e, const char *name, size_t position, size_t *begin, const char **type) {
  char tag = name[0];
  const char *own = type_of(name);
  if (!e->type)
    *e = (struct entity){.tag = 'O', .type = "", .begin = 0};
  bool ends = entity_ends(e, tag, own);
  *begin = e->begin;
  *type = e->type;
  if (entity_begins(e, tag, own))
    e->begin = position;
  e->tag = tag;
  e->type = own;
  return ends;
}

static void step_both(struct tag_counts *c, const char *predicted, const char *actual) {
  size_t begin[2];
  const char *type[2];
  bool found = entity_step(&c->predicted, predicted, c->position, &begin[0], &type[0]);
  bool there = entity_step(&c->actual, actual, c->position, &begin[1], &type[1]);
  c->found += found;
  c->there += there;
  c->both += found && there && begin[0] == begin[1] && strcmp(type[0], type[1]) == 0;
  c->position++;
}

void tag_counts_add(struct tag_counts *c, const char *predicted, const char *actual) {
  c->words++;
  c->right += strcmp(predicted, actual) == 0;
  step_both(c, predicted, actual);
}

void tag_counts_end(struct tag_counts *c) {
  step_both(c, "O", "O");
}

void tag_counts_score(struct tag_scores *out, const struct tag_counts *c) {
  double both = (double)c->both;
  *out = (struct tag_scores){.precision = c->found ? both / (double)c->found : 0,
                             .recall = c->there ? both / (double)c->there : 0,
                             .accuracy = c->words ? (double)c->right / (double)c->words : 0};
  double sum = out->precision + out->recall;
  out->f1 = sum > 0 ? 2 * out->precision * out->recall / sum : 0;
}

/* Running means and sums of products of deviations (Welford). */
struct moments {
  double count, mean_x, mean_y, xx, yy, xy;
};

static void add_pair(struct moments *m, double x, double y) {
  m->count += 1;
  double dx = x - m->mean_x, dy = y - m->mean_y;
  m->mean_x += dx / m->count;
  m->mean_y += dy / m->count;
  m->xx += dx * (x - m->mean_x);
  m->yy += dy * (y - m->mean_y);
  m->xy += dx * (y - m->mean_y);
}

static double correlation(const struct moments *m) {
  if (!(m->xx > 0 && m->yy > 0))
    return 0;
  double r = m->xy / (sqrt(m->xx) * sqrt(m->yy));
  return r > 1 ? 1 : r < -1 ? -1 : r;
}

double metric_pearson(const float *predicted, const float *actual, size_t count) {
  struct moments m = {0};
  for (size_t i = 0; i < count; i++)
    add_pair(&m, (double)predicted[i], (double)actual[i]);
  return correlation(&m);
}

struct ranked {
  float value;
  size_t index;
};

static int by_value(const void *a, const void *b) {
  float x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
  return (x > y) - (x < y);
}

/* ranks[i] of values[i], from 1; equal values share the mean of their ranks. */
static void rank(double *ranks, struct ranked *work, const float *values, size_t count) {
  for (size_t i = 0; i < count; i++)
    work[i] = (struct ranked){values[i], i};
  if (count)
    qsort(work, count, sizeof *work, by_value);
  for (size_t first = 0, last; first < count; first = last) {
    for (last = first + 1; last < count && work[last].value == work[first].value;)
      last++;
    for (size_t i = first; i < last; i++)
      ranks[work[i].index] = (double)(first + 1 + last) / 2;
  }
}

enum status metric_spearman(double *out, const float *predicted, const float *actual, size_t count, struct error *err) {
  struct moments m = {0};
  double *ranks = calloc(count ? count : 1, 2 * sizeof *ranks);
  struct ranked *work = calloc(count ? count : 1, sizeof *work);
  enum status status = STATUS_OK;
  *out = 0;
  if (!ranks || !work) {
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to rank %zu predictions", count);
  } else {
    rank(ranks, work, predicted, count);
    rank(ranks + count, work, actual, count);
    for (size_t i = 0; i < count; i++)
      add_pair(&m, ranks[i], ranks[count + i]);
    *out = correlation(&m);
  }
  free(ranks);
  free(work);
  return status;
}
