/* bench train --model DIR [--method hra] [--r R] [--batch B] [--seq T] [--steps S] [--precision fp32]
               [--no-dropout] [--lengths FILE] [--threads N] [--isa NAME] [--recompute]
   Trains on random tokens as the reference benchmark does (every Linear of the blocks adapted, two
   classes, AdamW) and prints one JSON line with its fields, and gflops, gemm, isa. The first step is
   a warm-up; step_s is the median of the others.
   --lengths FILE: one example length a line; tok_s counts these tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "worker/learner.h"

enum { STEPS_MAX = 1000, BATCH_MAX = 4096 };

struct options {
  const char *model, *method, *precision, *lengths, *isa;
  int r, batch, seq, steps, threads;
  bool no_dropout, recompute;
};

static bool parse(struct options *o, int argc, char **argv) {
  *o = (struct options){.method = "hra", .precision = "fp32", .r = 8, .batch = 4, .seq = 128, .steps = 4};
  const struct {
    const char *name;
    const char **text;
    int *number;
    bool *flag;
  } rows[] = {{"--model", &o->model, NULL, NULL},
              {"--method", &o->method, NULL, NULL},
              {"--precision", &o->precision, NULL, NULL},
              {"--lengths", &o->lengths, NULL, NULL},
              {"--isa", &o->isa, NULL, NULL},
              {"--r", NULL, &o->r, NULL},
              {"--batch", NULL, &o->batch, NULL},
              {"--seq", NULL, &o->seq, NULL},
              {"--steps", NULL, &o->steps, NULL},
              {"--threads", NULL, &o->threads, NULL},
              {"--no-dropout", NULL, NULL, &o->no_dropout},
              {"--recompute", NULL, NULL, &o->recompute}};
  if (argc < 2 || strcmp(argv[1], "train") != 0)
    return false;
  for (int i = 2; i < argc; i++) {
    size_t row = 0;
    while (row < COUNT_OF(rows) && strcmp(rows[row].name, argv[i]) != 0)
      row++;
    if (row == COUNT_OF(rows) || (!rows[row].flag && i + 1 == argc))
      return false;
    if (rows[row].flag)
      *rows[row].flag = true;
    else if (rows[row].text)
      *rows[row].text = argv[++i];
    else
      *rows[row].number = (int)strtol(argv[++i], NULL, 10);
  }
  return o->model && strcmp(o->method, "hra") == 0 && strcmp(o->precision, "fp32") == 0 && o->r > 0 && o->batch > 0 &&
         o->batch <= BATCH_MAX && o->seq > 1 && o->steps > 0 && o->steps < STEPS_MAX;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

/* Multiply-adds of a step times two: the linear layers forward and to the input (no weight
   gradients), and attention with its recomputed scores. */
static double flops(const struct model *m, double tokens, double sequences, double length) {
  double linear = 0, hidden = (double)m->linears[0]->in, layers = 0;
  for (size_t i = 0; i < m->linear_count; i++) {
    const struct linear *l = m->linears[i];
    double rows = l->adapter ? tokens : sequences;
    linear += 4 * rows * (double)l->in * (double)l->out;
    layers += l->in != l->out && l->out == hidden;
  }
  return linear + layers * 14 * tokens * length * hidden;
}

struct work {
  struct sequences sequences;
  uint32_t offsets[BATCH_MAX + 1], labels[BATCH_MAX];
  int32_t *ids;
};

static void fill(struct work *w, const struct options *o, FILE *lengths, size_t vocabulary, struct rng *rng) {
  size_t tokens = 0, longest = 0;
  for (int b = 0; b < o->batch; b++) {
    int length = o->seq, given;
    if (lengths && fscanf(lengths, "%d", &given) == 1 && given > 0)
      length = given < o->seq ? given : o->seq;
    w->offsets[b] = (uint32_t)tokens;
    w->labels[b] = rng_u32(rng) & 1;
    for (int i = 0; i < length; i++)
      w->ids[tokens++] = (int32_t)rng_below(rng, vocabulary);
    longest = (size_t)length > longest ? (size_t)length : longest;
  }
  w->offsets[o->batch] = (uint32_t)tokens;
  w->sequences = (struct sequences){(size_t)o->batch, tokens, longest, w->offsets, w->ids, NULL};
}

static enum status steps(const struct options *o, struct learner *l, struct error *err) {
  static struct work w; /* too large for the stack */
  double seconds[STEPS_MAX], rates[STEPS_MAX], norm, loss;
  struct rng rng;
  FILE *lengths = o->lengths ? fopen(o->lengths, "r") : NULL;
  AUTO(json_release) json_t *losses = json_array();
  rng_init(&rng, 0, RNG_SHUFFLE);
  w.ids = calloc((size_t)o->batch * (size_t)o->seq, sizeof *w.ids);
  CHECK(w.ids && (lengths || !o->lengths));
  enum status s = STATUS_OK;
  for (int step = 0; !s && step <= o->steps; step++) {
    fill(&w, o, lengths, l->model->vocabulary, &rng);
    double start = clock_seconds();
    s = learner_begin(l, NULL, err);
    if (s)
      break;
    learner_accumulate(l, &w.sequences, &(struct answers){.labels = w.labels}, 1.0f / (float)o->batch, (uint64_t)step,
                       &loss);
    learner_finish(l);
    s = learner_update(l, 1e-3, &norm, err);
    double took = clock_seconds() - start;
    json_array_append_new(losses, json_real(loss));
    if (step) {
      seconds[step - 1] = took;
      rates[step - 1] = (double)w.sequences.tokens / took;
    }
  }
  if (lengths)
    fclose(lengths);
  free(w.ids);
  if (s)
    return s;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double step_s = median(seconds, (size_t)o->steps), tok_s = median(rates, (size_t)o->steps);
  double per_token = flops(l->model, (double)o->batch * o->seq, o->batch, o->seq) / ((double)o->batch * o->seq);
  AUTO(json_release)
  json_t *line = json_pack("{s:s s:s s:s s:s s:i s:i s:i s:b s:f s:f s:I s:I s:O s:f s:s s:s s:i}", "engine",
                           "reflectd", "model", l->model->ops->model_type, "method", o->method, "precision",
                           o->precision, "batch", o->batch, "seq", o->seq, "r", o->r, "dropout", !o->no_dropout,
                           "step_s", step_s, "tok_s", tok_s, "peak_mb", (json_int_t)(usage.ru_maxrss / 1024),
                           "trainable", (json_int_t)parameter_elements(&l->model->parameters), "loss", losses, "gflops",
                           per_token * tok_s / 1e9, "gemm", l->model->backend->gemm, "isa",
                           l->model->backend->kernels->isa, "threads", pool_threads(l->model->backend->pool));
  json_dumpf(line, stdout, JSON_REAL_PRECISION(6));
  putchar('\n');
  return STATUS_OK;
}

static enum status run(const struct options *o, struct error *err) {
  struct backend backend = {0};
  struct model model = {0};
  struct learner learner = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01}};
  struct adapter_spec spec = {.peft_type = PEFT_HRA,
                              .target_modules.pattern = ".*encoder.*\\.(query|key|value|dense)",
                              .hra = {.r = o->r, .init_weights = true}};
  size_t batch = (size_t)o->batch, seq = (size_t)o->seq;
  struct batch_limits limits = {batch, batch * seq, seq}, none = {1, seq, seq};
  enum status s = backend_open(&backend, o->threads, o->isa, err);
  s = s ? s : model_open(&model, o->model, 2, 0, &backend, err);
  if (!s && o->no_dropout)
    model.ops->disable_dropout(&model);
  s = s ? s : model_adapt(&model, &spec, 0, err);
  learner.recompute = o->recompute;
  s = s ? s : learner_init(&learner, &model, &limits, &none, err);
  s = s ? s : steps(o, &learner, err);
  learner_done(&learner);
  model_close(&model);
  backend_close(&backend);
  return s;
}

int main(int argc, char **argv) {
  struct options options;
  struct error err;
  if (!parse(&options, argc, argv)) {
    fprintf(stderr, "usage: bench train --model DIR [--method hra] [--r 8] [--batch 4] [--seq 128] [--steps 4]\n"
                    "         [--precision fp32] [--no-dropout] [--lengths FILE] [--threads N] [--isa avx2|avx512] "
                    "[--recompute]\n");
    return 2;
  }
  if (run(&options, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  return 0;
}
