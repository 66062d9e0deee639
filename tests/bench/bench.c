/* bench gemm ...: the products alone (gemm.c)
   bench ops ...: each op of a step alone (ops.c)
   bench unet ...: training steps of a diffusion model's UNet (unet.c)
   bench train --model DIR [--method hra|hra_gs|lora|dora|oft|boft] [--r R] [--batch B] [--seq T] [--steps S]
               [--precision fp32|bf16] [--no-dropout] [--lengths FILE] [--threads N] [--isa NAME] [--matmul NAME]
               [--device NAME] [--recompute BLOCKS] [--memory-limit MIB]
   Trains on random tokens as the reference benchmark does (every Linear of the blocks adapted; two classes,
   or every next token; AdamW) and prints one JSON line with its fields, and gflops, gemm, isa. The first step is
   a warm-up; step_s is the median of the others.
   --lengths FILE: one example length a line; tok_s counts these tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/job_fields.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "tests/bench/gemm.h"
#include "tests/bench/gemv.h"
#include "tests/bench/ops.h"
#include "tests/bench/unet.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/device.h"
#include "worker/train/learner.h"

enum { STEPS_MAX = 1000, BATCH_MAX = 4096 };

struct options {
  const char *model, *method, *precision, *lengths, *isa, *matmul, *device;
  int r, batch, seq, steps, threads, memory_limit;
  bool no_dropout;
  int recompute;
};

static bool parse(struct options *o, int argc, char **argv) {
  *o = (struct options){
      .method = "hra", .precision = "fp32", .matmul = "auto", .r = 8, .batch = 4, .seq = 128, .steps = 4};
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
              {"--matmul", &o->matmul, NULL, NULL},
              {"--device", &o->device, NULL, NULL},
              {"--r", NULL, &o->r, NULL},
              {"--batch", NULL, &o->batch, NULL},
              {"--seq", NULL, &o->seq, NULL},
              {"--steps", NULL, &o->steps, NULL},
              {"--threads", NULL, &o->threads, NULL},
              {"--no-dropout", NULL, NULL, &o->no_dropout},
              {"--recompute", NULL, &o->recompute, NULL},
              {"--memory-limit", NULL, &o->memory_limit, NULL}};
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
  return o->model && (strcmp(o->precision, "fp32") == 0 || strcmp(o->precision, "bf16") == 0) &&
         job_matmul_parse(o->matmul) != MATMUL_LIBRARY_COUNT && o->r > 0 && o->batch > 0 && o->batch <= BATCH_MAX &&
         o->seq > 1 && o->steps > 0 && o->steps < STEPS_MAX;
}

/* The adapter as a job would ask for it. */
static enum status read_adapter(struct adapter_spec *out, const struct options *o, bool language, struct arena *arena,
                                struct error *err) {
  static const struct {
    const char *method, *peft_type, *size_name;
    int size; /* 0: r */
    const char *more;
  } rows[] = {{"hra", "HRA", "r", 0, ""},
              {"hra_gs", "HRA", "r", 0, ",\"apply_GS\":true"},
              {"lora", "LORA", "r", 0, ",\"lora_alpha\":16"},
              {"dora", "LORA", "r", 0, ",\"lora_alpha\":16,\"use_dora\":true"},
              {"oft", "OFT", "oft_block_size", 32, ""},
              {"boft", "BOFT", "boft_block_size", 4, ""}};
  static const char bert[] = "\".*encoder.*\\\\.((query|key|value)(_proj)?|dense)\"";
  static const char llama[] = "[\"q_proj\",\"k_proj\",\"v_proj\",\"o_proj\",\"gate_proj\",\"up_proj\",\"down_proj\"]";
  struct fault_list faults = {0};
  char text[400];
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    if (strcmp(rows[i].method, o->method) != 0)
      continue;
    snprintf(text, sizeof text, "{\"peft_type\":\"%s\",\"target_modules\":%s,\"%s\":%d%s}", rows[i].peft_type,
             language ? llama : bert, rows[i].size_name, rows[i].size ? rows[i].size : o->r, rows[i].more);
    AUTO(json_release) json_t *object = json_loads(text, 0, NULL);
    CHECK(object);
    job_adapter_parse(out, object, "adapter", arena, &faults);
    if (faults.count == 0)
      return STATUS_OK;
    *err = faults.item[0];
    return err->status;
  }
  return error_set(err, STATUS_UNSUPPORTED_VALUE, NULL, "--method %s is not known", o->method);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

struct work {
  struct sequences sequences;
  struct targets targets;
  uint32_t offsets[BATCH_MAX + 1];
  uint32_t *labels, *rows;
  int32_t *ids;
};

/* Every token but the first of each sequence is predicted. */
static void fill_next(struct work *w) {
  size_t n = 0;
  for (size_t b = 0; b < w->sequences.count; b++)
    for (uint32_t i = w->offsets[b]; i + 1 < w->offsets[b + 1]; i++) {
      w->rows[n] = i;
      w->labels[n++] = (uint32_t)w->ids[i + 1];
    }
  w->targets = (struct targets){.ids = w->labels, .rows = w->rows, .count = n};
}

static void fill(struct work *w, const struct options *o, FILE *lengths, const struct model *m, struct rng *rng) {
  size_t tokens = 0, longest = 0;
  for (int b = 0; b < o->batch; b++) {
    int length = o->seq, given;
    if (lengths && fscanf(lengths, "%d", &given) == 1 && given > 0)
      length = given < o->seq ? given : o->seq;
    w->offsets[b] = (uint32_t)tokens;
    w->labels[b] = rng_u32(rng) & 1;
    for (int i = 0; i < length; i++)
      w->ids[tokens++] = (int32_t)rng_below(rng, m->vocabulary);
    longest = (size_t)length > longest ? (size_t)length : longest;
  }
  w->offsets[o->batch] = (uint32_t)tokens;
  w->sequences = sequences_host((size_t)o->batch, tokens, longest, w->offsets, w->ids, NULL);
  w->targets = (struct targets){.ids = w->labels};
  if (m->language)
    fill_next(w);
}

/* Query rows times the keys that they see: a causal row sees half of its sequence on average. */
static double scores(const struct work *w, size_t query_rows, bool causal) {
  const struct sequences *s = &w->sequences;
  bool all = query_rows == s->tokens;
  double sum = 0;
  for (size_t b = 0; b < s->count; b++) {
    double length = w->offsets[b + 1] - w->offsets[b];
    sum += all ? length * length * (causal ? 0.5 : 1) : length;
  }
  return sum;
}

/* Multiply-adds times two of the step on the tape: products with frozen weights, forward and to the input where that
   has a gradient; attention's seven with its recomputed scores. Adapters' own are left out. */
static double flops(const struct tape *tape, const struct model *m, const struct work *w) {
  double sum = 0;
  for (size_t i = 0; i < tape->node_count; i++) {
    const struct node *n = tape->nodes[i];
    const struct tensor *x = n->in[0], *y = n->out[0];
    if (strcmp(n->op->name, "attention") == 0)
      sum += 14 * scores(w, x->rows, m->language) * (double)x->cols;
    else if (strcmp(n->op->name, "linear+cross_entropy") == 0)
      sum += 4 * (double)w->targets.count * (double)m->head->in * (double)m->head->out;
    else if (strncmp(n->op->name, "linear", 6) == 0)
      sum += (x->needs_grad ? 4 : 2) * (double)x->rows * (double)x->cols * (double)y->cols;
  }
  return sum;
}

static enum status steps(const struct options *o, struct learner *l, struct error *err) {
  static struct work w; /* too large for the stack */
  double seconds[STEPS_MAX], rates[STEPS_MAX], gflops[STEPS_MAX], norm, loss;
  struct rng rng;
  FILE *lengths = o->lengths ? fopen(o->lengths, "r") : NULL;
  AUTO(json_release) json_t *losses = json_array();
  rng_init(&rng, 0, RNG_SHUFFLE);
  w.ids = calloc((size_t)o->batch * (size_t)o->seq, sizeof *w.ids);
  w.labels = calloc((size_t)o->batch * (size_t)o->seq, sizeof *w.labels);
  w.rows = calloc((size_t)o->batch * (size_t)o->seq, sizeof *w.rows);
  CHECK(w.ids && w.labels && w.rows && (lengths || !o->lengths));
  enum status s = STATUS_OK;
  for (int step = 0; !s && step <= o->steps; step++) {
    fill(&w, o, lengths, l->model, &rng);
    double share = 1.0 / (double)(l->model->language ? w.targets.count : w.sequences.count);
    double start = clock_seconds();
    s = learner_begin(l, NULL, err);
    if (s)
      break;
    s = learner_accumulate(l, &w.sequences, &w.targets, (float)share, (uint64_t)step, &loss, NULL, err);
    if (s)
      break;
    learner_finish(l);
    s = learner_update(l, 1e-3, &norm, err);
    double took = clock_seconds() - start;
    json_array_append_new(losses, json_real(loss));
    if (step) {
      seconds[step - 1] = took;
      rates[step - 1] = (double)w.sequences.tokens / took;
      gflops[step - 1] = flops(&l->tape, l->model, &w) / took / 1e9;
    }
  }
  if (lengths)
    fclose(lengths);
  free(w.ids);
  free(w.labels);
  free(w.rows);
  if (s)
    return s;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double step_s = median(seconds, (size_t)o->steps), tok_s = median(rates, (size_t)o->steps);
  AUTO(json_release)
  json_t *line = json_pack(
      "{s:s s:s s:s s:s s:i s:i s:i s:b s:f s:f s:I s:I s:O s:f s:s s:s s:i s:I s:I s:I}", "engine", "reflectd",
      "model", l->model->ops->model_type, "method", o->method, "precision", o->precision, "batch", o->batch, "seq",
      o->seq, "r", o->r, "dropout", !o->no_dropout, "step_s", step_s, "tok_s", tok_s, "peak_mb",
      (json_int_t)(usage.ru_maxrss / 1024), "trainable", (json_int_t)parameter_elements(&l->model->parameters), "loss",
      losses, "gflops", median(gflops, (size_t)o->steps), "gemm", job_matmul_names[l->model->backend->matmul], "isa",
      l->model->backend->ops->processor(l->model->backend), "threads", pool_threads(l->model->backend->pool), "step_mb",
      (json_int_t)(learner_bytes(l) >> 20), "estimate_mb", (json_int_t)(l->estimate >> 20), "recomputed_segments",
      (json_int_t)l->recompute_segments);
  json_dumpf(line, stdout, JSON_REAL_PRECISION(6));
  putchar('\n');
  return STATUS_OK;
}

static enum status run(const struct options *o, struct error *err) {
  struct backend backend = {0};
  struct model model = {0};
  struct learner learner = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01}};
  struct adapter_spec spec;
  struct arena arena;
  arena_init(&arena, 1 << 20);
  size_t batch = (size_t)o->batch, seq = (size_t)o->seq;
  struct batch_limits limits = {batch, batch * seq, seq}, none = {1, seq, seq};
  enum status s =
      o->device ? device_open(&backend, o->device, o->threads, err) : cpu_open(&backend, o->threads, o->isa, err);
  if (!s) {
    backend_set_precision(&backend, strcmp(o->precision, "bf16") == 0 ? PRECISION_BF16 : PRECISION_FP32);
    backend_set_matmul(&backend, job_matmul_parse(o->matmul));
  }
  s = s ? s : model_open(&model, o->model, OUTPUT_TEXT, 0, 0, &backend, err);
  if (s == STATUS_UNSUPPORTED_VALUE) /* no language model: a classifier */
    s = model_open(&model, o->model, OUTPUT_CLASS, 2, 0, &backend, err);
  s = s ? s : read_adapter(&spec, o, model.language, &arena, err);
  if (!s && o->no_dropout)
    model.ops->disable_dropout(&model);
  s = s ? s : model_adapt(&model, &spec, 0, err);
  learner.recompute_segments = (size_t)o->recompute;
  learner.memory_limit = (size_t)o->memory_limit << 20;
  s = s ? s : learner_init(&learner, &model, &limits, &none, err);
  s = s ? s : steps(o, &learner, err);
  learner_done(&learner);
  model_close(&model);
  backend_close(&backend);
  arena_done(&arena);
  return s;
}

static int bench_train(int argc, char **argv) {
  struct options options;
  struct error err;
  if (!parse(&options, argc, argv))
    return 2;
  if (run(&options, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  int status = argc > 1 && strcmp(argv[1], "gemm") == 0   ? bench_gemm(argc - 2, argv + 2)
               : argc > 1 && strcmp(argv[1], "gemv") == 0 ? bench_gemv(argc - 2, argv + 2)
               : argc > 1 && strcmp(argv[1], "ops") == 0  ? bench_ops(argc - 2, argv + 2)
               : argc > 1 && strcmp(argv[1], "unet") == 0 ? bench_unet(argc - 2, argv + 2)
                                                          : bench_train(argc, argv);
  if (status == 2)
    fputs(
        "usage: bench train --model DIR [--method hra|hra_gs|lora|dora|oft|boft] [--r 8] [--batch 4] [--seq 128] "
        "[--steps 4]\n"
        "         [--precision fp32|bf16] [--no-dropout] [--lengths FILE] [--threads N] [--isa NAME]\n"
        "         [--matmul auto|native|openblas] [--device NAME] [--recompute BLOCKS] [--memory-limit MIB]\n"
        "       bench gemm [--threads N] [--isa NAME] [--matmul NAME] [--runs 10] [--only TEXT]\n"
        "       bench gemv [--threads N] [--isa NAME] [--runs 5] [--only TYPE]\n"
        "       bench ops [--threads N] [--isa NAME] [--matmul NAME] [--precision fp32|bf16] [--runs 10]\n"
        "                 [--only TEXT]\n"
        "       bench unet --model DIR [--method hra|lora] [--r 8] [--side 64] [--batch 1] [--steps 1] [--threads N]\n"
        "                  [--isa NAME] [--recompute SEGMENTS] [--memory-limit MIB]\n",
        stderr);
  return status;
}
