/* GroupNorm. An image's pixels are cut into parts, whose number depends on the image alone; a part sums each column in
   fp32 over a few rows at a time, then in double, and the groups' sums are made of the parts' in order. With zhat =
   (x - mean) rstd, n elements of a group and sums over them:
     dx = rstd (dz w - sum(dz w) / n - zhat sum(dz w zhat) / n) */
#include <math.h>
#include <string.h>

#include "worker/backend/cpu/op.h"

enum { PARTS_MAX = 8, PART_ROWS = 64, STRIP = 32 };

struct group_norm_pass {
  const struct node *node;
  const struct group_norm_attributes *a;
  const struct kernels *kernels;
  size_t pixels, C, parts; /* of an image */
  double *sums;            /* per image and part: 2 x C */
  float *columns;          /* per image: mean, scale, shift, pull, push */
  float *strips;           /* per image and part: 2 x C, and STRIP x C */
  float *dx;
  bool add;
};

enum { COLUMNS = 5 };

static size_t parts_of(const struct node *n) {
  const struct group_norm_attributes *a = n->attributes;
  size_t pixels = n->in[0]->rows / a->images, parts = (pixels + PART_ROWS - 1) / PART_ROWS;
  return parts < PARTS_MAX ? parts : PARTS_MAX;
}

static size_t group_norm_scratch(const struct tape *tape, const struct node *n) {
  (void)tape;
  const struct group_norm_attributes *a = n->attributes;
  size_t C = n->in[0]->cols, tasks = a->images * parts_of(n);
  return tasks * 4 * C + a->images * COLUMNS * C + tasks * (2 + STRIP) * C;
}

static struct group_norm_pass make_pass(const struct tape *tape, const struct node *n) {
  const struct group_norm_attributes *a = n->attributes;
  struct group_norm_pass p = {.node = n,
                              .a = a,
                              .kernels = tape->backend->kernels,
                              .pixels = n->in[0]->rows / a->images,
                              .C = n->in[0]->cols,
                              .parts = parts_of(n),
                              .sums = place_address(tape->scratch)};
  p.columns = cpu_scratch(tape) + a->images * p.parts * 4 * p.C;
  p.strips = p.columns + a->images * COLUMNS * p.C;
  return p;
}

/* --- tasks: a part of an image -------------------------------------------------------------------- */

struct part {
  size_t image, row, end; /* rows of all pixels */
  double *sums;
  float *strip;
};

static struct part part_of(const struct group_norm_pass *p, size_t index) {
  size_t part = index % p->parts, first = index / p->parts * p->pixels;
  return (struct part){.image = index / p->parts,
                       .row = first + p->pixels * part / p->parts,
                       .end = first + p->pixels * (part + 1) / p->parts,
                       .sums = p->sums + index * 2 * p->C,
                       .strip = p->strips + index * (2 + STRIP) * p->C};
}

static struct group_norm_columns columns_of(const struct group_norm_pass *p, size_t image) {
  const float *at = p->columns + image * COLUMNS * p->C;
  return (struct group_norm_columns){.mean = at,
                                     .scale = at + p->C,
                                     .shift = at + 2 * p->C,
                                     .pull = at + 3 * p->C,
                                     .push = at + 4 * p->C,
                                     .silu = p->a->silu};
}

/* Sums of two things a column: `add` adds those of a few rows to 2 x C floats. */
typedef void strip_sums(const struct group_norm_pass *p, const struct part *part, size_t row, size_t rows, float *to);

static void sum_part(const struct group_norm_pass *p, size_t index, strip_sums *add) {
  struct part part = part_of(p, index);
  memset(part.sums, 0, 2 * p->C * sizeof *part.sums);
  for (size_t row = part.row; row < part.end; row += STRIP) {
    memset(part.strip, 0, 2 * p->C * sizeof *part.strip);
    add(p, &part, row, part.end - row < STRIP ? part.end - row : STRIP, part.strip);
    for (size_t j = 0; j < 2 * p->C; j++)
      part.sums[j] += (double)part.strip[j];
  }
}

static void add_sums(const struct group_norm_pass *p, const struct part *part, size_t row, size_t rows, float *to) {
  (void)part;
  p->kernels->column_sums(to, cpu_data(p->node->in[0]) + row * p->C, rows, p->C);
}

static void add_squares(const struct group_norm_pass *p, const struct part *part, size_t row, size_t rows, float *to) {
  p->kernels->column_squares(to, cpu_data(p->node->in[0]) + row * p->C, columns_of(p, part->image).mean, rows, p->C);
}

static void add_gradients(const struct group_norm_pass *p, const struct part *part, size_t row, size_t rows,
                          float *to) {
  struct group_norm_columns c = columns_of(p, part->image);
  p->kernels->group_norm_sums(to, to + p->C, cpu_grad(p->node->out[0]) + row * p->C,
                              cpu_data(p->node->in[0]) + row * p->C, &c, rows, p->C);
}

static void sums_task(void *payload, size_t index, int thread) {
  (void)thread;
  sum_part(payload, index, add_sums);
}

static void squares_task(void *payload, size_t index, int thread) {
  (void)thread;
  sum_part(payload, index, add_squares);
}

static void gradients_task(void *payload, size_t index, int thread) {
  (void)thread;
  sum_part(payload, index, add_gradients);
}

static void forward_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct group_norm_pass *p = payload;
  struct part part = part_of(p, index);
  struct group_norm_columns c = columns_of(p, part.image);
  p->kernels->group_norm(cpu_data(p->node->out[0]) + part.row * p->C, cpu_data(p->node->in[0]) + part.row * p->C, &c,
                         part.end - part.row, p->C);
}

static void backward_task(void *payload, size_t index, int thread) {
  (void)thread;
  const struct group_norm_pass *p = payload;
  struct part part = part_of(p, index);
  struct group_norm_columns c = columns_of(p, part.image);
  for (size_t row = part.row, n; row < part.end; row += n) {
    n = part.end - row < STRIP ? part.end - row : STRIP;
    size_t at = row * p->C;
    float *dx = p->add ? part.strip + 2 * p->C : p->dx + at;
    p->kernels->group_norm_backward(dx, cpu_grad(p->node->out[0]) + at, cpu_data(p->node->in[0]) + at, &c, n, p->C);
    if (p->add)
      p->kernels->add(p->dx + at, dx, n * p->C);
  }
}

/* --- groups --------------------------------------------------------------------------------------- */

/* The sum of a group's columns over an image; which: 0 or 1 of the two. `weight` of each column, or NULL. */
static double group_sum(const struct group_norm_pass *p, size_t image, size_t group, size_t which,
                        const float *weight) {
  size_t each = p->C / p->a->groups;
  double sum = 0;
  for (size_t part = 0; part < p->parts; part++) {
    const double *sums = p->sums + ((image * p->parts + part) * 2 + which) * p->C;
    for (size_t j = group * each; j < (group + 1) * each; j++)
      sum += weight ? (double)weight[j] * sums[j] : sums[j];
  }
  return sum;
}

/* What stands for each group is set for each of its columns. */
static void spread(const struct group_norm_pass *p, size_t image, size_t group, double mean, double rstd) {
  size_t each = p->C / p->a->groups;
  const float *weight = place_floats(p->a->norm->weight), *bias = place_floats(p->a->norm->bias);
  float *to = p->columns + image * COLUMNS * p->C;
  for (size_t j = group * each; j < (group + 1) * each; j++) {
    to[j] = (float)mean;
    to[p->C + j] = (float)rstd * weight[j];
    to[2 * p->C + j] = bias ? bias[j] : 0;
  }
}

static void group_norm_forward(struct tape *tape, const struct node *node) {
  struct group_norm_pass p = make_pass(tape, node);
  size_t images = p.a->images, groups = p.a->groups;
  double count = (double)(p.pixels * (p.C / groups));
  float *means = cpu_data(node->out[1]), *rstds = means + images * groups;
  pool_run(tape->backend->pool, images * p.parts, sums_task, &p);
  for (size_t i = 0; i < images * groups; i++) {
    means[i] = (float)(group_sum(&p, i / groups, i % groups, 0, NULL) / count);
    spread(&p, i / groups, i % groups, (double)means[i], 0);
  }
  pool_run(tape->backend->pool, images * p.parts, squares_task, &p);
  for (size_t i = 0; i < images * groups; i++) {
    double variance = group_sum(&p, i / groups, i % groups, 0, NULL) / count;
    rstds[i] = (float)(1 / sqrt(variance + (double)p.a->norm->epsilon));
    spread(&p, i / groups, i % groups, (double)means[i], (double)rstds[i]);
  }
  pool_run(tape->backend->pool, images * p.parts, forward_task, &p);
}

/* Gradients of the bias, over all images. */
static void add_bias_gradient(const struct group_norm_pass *p) {
  const struct parameter *bias = p->a->norm->trained_bias;
  for (size_t i = 0; bias && i < p->a->images * p->parts; i++)
    for (size_t j = 0; j < p->C; j++)
      place_floats(bias->grad_at)[j] += (float)p->sums[i * 2 * p->C + j];
}

static void group_norm_backward(struct tape *tape, const struct node *node) {
  struct group_norm_pass p = make_pass(tape, node);
  size_t images = p.a->images, groups = p.a->groups, each = p.C / groups;
  double count = (double)(p.pixels * each);
  const float *means = cpu_data(node->out[1]), *rstds = means + images * groups;
  const float *weight = place_floats(p.a->norm->weight);
  p.dx = cpu_take_grad(node->in[0], &p.add);
  for (size_t i = 0; i < images * groups; i++)
    spread(&p, i / groups, i % groups, (double)means[i], (double)rstds[i]);
  pool_run(tape->backend->pool, images * p.parts, gradients_task, &p);
  add_bias_gradient(&p);
  if (!p.dx)
    return;
  for (size_t i = 0; i < images * groups; i++) {
    size_t image = i / groups, group = i % groups;
    double rstd = (double)rstds[i], sum = group_sum(&p, image, group, 0, weight) / count;
    double dot = group_sum(&p, image, group, 1, weight) / count;
    float *pull = p.columns + (image * COLUMNS + 3) * p.C, *push = pull + p.C;
    for (size_t j = group * each; j < (group + 1) * each; j++) {
      pull[j] = (float)(-rstd * rstd * rstd * dot);
      push[j] = (float)(-rstd * sum);
    }
  }
  pool_run(tape->backend->pool, images * p.parts, backward_task, &p);
}

const struct op_body cpu_group_norm = {
    .forward = group_norm_forward, .backward = group_norm_backward, .scratch = group_norm_scratch};
