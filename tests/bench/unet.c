/* bench unet --model DIR [--method hra|lora] [--r R] [--side PIXELS] [--batch B] [--steps S] [--threads N] [--isa NAME]
              [--recompute SEGMENTS] [--memory-limit MIB]
   Training steps of a UNet2DConditionModel with adapters on the projections of its attention (what DreamBooth adapts),
   on random latents of PIXELS x PIXELS and 77 rows of text. Prints one JSON line: the median step after one that warms
   up, memory of the process and of a step, and GFLOP/s of the products with frozen weights and of attention. */
#include "tests/bench/unet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/op/attributes.h"
#include "worker/train/denoiser.h"

enum { TEXT_TOKENS = 77, STEPS_MAX = 100 };

struct options {
  const char *model, *method, *isa;
  int r, side, batch, steps, threads, recompute, memory_limit;
};

static bool parse(struct options *o, int argc, char **argv) {
  *o = (struct options){.method = "hra", .r = 8, .side = 64, .batch = 1, .steps = 1};
  const struct {
    const char *name;
    const char **text;
    int *number;
  } rows[] = {{"--model", &o->model, NULL},
              {"--method", &o->method, NULL},
              {"--isa", &o->isa, NULL},
              {"--r", NULL, &o->r},
              {"--side", NULL, &o->side},
              {"--batch", NULL, &o->batch},
              {"--steps", NULL, &o->steps},
              {"--threads", NULL, &o->threads},
              {"--recompute", NULL, &o->recompute},
              {"--memory-limit", NULL, &o->memory_limit}};
  for (int i = 0; i + 1 < argc; i += 2) {
    size_t row = 0;
    while (row < COUNT_OF(rows) && strcmp(rows[row].name, argv[i]) != 0)
      row++;
    if (row == COUNT_OF(rows))
      return false;
    if (rows[row].text)
      *rows[row].text = argv[i + 1];
    else
      *rows[row].number = (int)strtol(argv[i + 1], NULL, 10);
  }
  return argc % 2 == 0 && o->model && (strcmp(o->method, "hra") == 0 || strcmp(o->method, "lora") == 0) && o->r > 0 &&
         o->side > 0 && o->batch > 0 && o->steps > 0 && o->steps <= STEPS_MAX;
}

static struct adapter_spec adapter(const struct options *o) {
  struct adapter_spec spec = {.peft_type = strcmp(o->method, "hra") == 0 ? PEFT_HRA : PEFT_LORA};
  spec.hra = (struct hra_spec){.r = o->r, .init_weights = true};
  spec.lora = (struct lora_spec){
      .r = o->r, .lora_alpha = (double)o->r, .init_lora_weights = LORA_INIT_TRUE, .loraplus_lr_ratio = 1};
  return spec;
}

struct batch {
  struct unet_input input;
  float *sample, *target, *timesteps, *text;
  size_t elements;
};

static float *noise(size_t count, struct rng *rng) {
  float *x = malloc(count * sizeof *x);
  CHECK(x);
  for (size_t i = 0; i < count; i++)
    x[i] = 2 * rng_uniform(rng) - 1;
  return x;
}

static struct batch make_batch(const struct model *m, const struct images *images, struct rng *rng) {
  struct unet_sizes sizes = unet_sizes(m);
  struct batch b = {.elements = images_rows(images) * sizes.out_channels};
  b.sample = noise(images_rows(images) * sizes.in_channels, rng);
  b.target = noise(b.elements, rng);
  b.timesteps = noise(images->count, rng);
  b.text = noise(images->count * TEXT_TOKENS * sizes.cross_attention_dim, rng);
  for (size_t i = 0; i < images->count; i++)
    b.timesteps[i] = (float)rng_below(rng, 1000);
  b.input = (struct unet_input){*images, TEXT_TOKENS, b.sample, b.timesteps, b.text, NULL};
  return b;
}

static void free_batch(struct batch *b) {
  free(b->sample);
  free(b->target);
  free(b->timesteps);
  free(b->text);
}

/* Multiply-adds times two of the step on the tape, each computed once. */
static double flops(const struct tape *tape) {
  double sum = 0;
  for (size_t i = 0; i < tape->node_count; i++) {
    const struct node *n = tape->nodes[i];
    const struct tensor *x = n->in[0], *y = n->out[0];
    if (strcmp(n->op->name, "attention") == 0) {
      const struct attention_attributes *a = n->attributes;
      sum += 14 * (double)x->rows * (double)n->in[1]->rows / (double)a->sequences->count * (double)x->cols;
    } else if (strcmp(n->op->name, "conv2d") == 0) {
      const struct conv2d_attributes *a = n->attributes;
      sum += (x->needs_grad ? 4 : 2) * (double)y->rows * (double)a->linear->in * (double)y->cols;
    } else if (strncmp(n->op->name, "linear", 6) == 0) {
      sum += (x->needs_grad ? 4 : 2) * (double)x->rows * (double)x->cols * (double)y->cols;
    }
  }
  return sum;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print(const struct options *o, const struct denoiser *d, double seconds, double loss) {
  const struct learner *l = &d->learner;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  AUTO(json_release)
  json_t *line = json_pack(
      "{s:s s:s s:i s:i s:i s:f s:f s:f s:I s:I s:I s:I s:I s:I}", "engine", "reflectd", "method", o->method, "r", o->r,
      "side", o->side, "batch", o->batch, "step_s", seconds, "gflops", flops(&l->tape) / seconds / 1e9, "loss", loss,
      "peak_mb", (json_int_t)(usage.ru_maxrss / 1024), "step_mb", (json_int_t)(learner_bytes(l) >> 20), "estimate_mb",
      (json_int_t)(l->estimate >> 20), "recomputed_segments", (json_int_t)l->recompute_segments, "segments",
      (json_int_t)l->model->blocks, "trainable", (json_int_t)parameter_elements(&l->model->parameters));
  json_dumpf(line, stdout, JSON_REAL_PRECISION(6));
  putchar('\n');
}

static enum status steps(const struct options *o, struct denoiser *d, struct error *err) {
  struct rng rng;
  double seconds[STEPS_MAX], loss = 0, norm;
  rng_init(&rng, 0, RNG_SHUFFLE);
  struct batch b = make_batch(d->learner.model, &d->images, &rng);
  enum status s = STATUS_OK;
  for (int step = 0; !s && step <= o->steps; step++) {
    double start = clock_seconds();
    s = learner_begin(&d->learner, NULL, err);
    s = s ? s : denoiser_accumulate(d, &b.input, b.target, 1 / (float)b.elements, &loss, err);
    if (s)
      break;
    learner_finish(&d->learner);
    s = learner_update(&d->learner, 1e-4, &norm, err);
    if (step)
      seconds[step - 1] = clock_seconds() - start;
  }
  free_batch(&b);
  if (s)
    return s;
  qsort(seconds, (size_t)o->steps, sizeof *seconds, ascending);
  print(o, d, seconds[o->steps / 2], loss);
  return STATUS_OK;
}

static enum status run(const struct options *o, struct error *err) {
  struct backend backend = {0};
  struct model model = {0};
  struct denoiser d = {.learner.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01}};
  const struct images images = {(size_t)o->batch, (size_t)o->side, (size_t)o->side};
  const struct adapter_spec spec = adapter(o);
  d.learner.recompute_segments = (size_t)o->recompute;
  d.learner.memory_limit = (size_t)o->memory_limit << 20;
  enum status s = cpu_open(&backend, o->threads, o->isa, err);
  s = s ? s : model_open_component(&model, o->model, NULL, &backend, err);
  s = s ? s : model_adapt(&model, &spec, 0, err);
  s = s ? s : denoiser_init(&d, &model, &images, TEXT_TOKENS, err);
  s = s ? s : steps(o, &d, err);
  denoiser_done(&d);
  model_close(&model);
  backend_close(&backend);
  return s;
}

int bench_unet(int argc, char **argv) {
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
