/* "diffusers-lora" and "kohya-lora": the equal LoRA of a UNet as one file, under the names that diffusers'
   load_lora_weights, and kohya's sd-scripts and what follows them, know. Both tell the rank by the tensors' shapes;
   without alphas diffusers scales all modules by what one of them has, so all are given one rank, with zeros. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/export/export_formats.h"
#include "worker/export/lora.h"

struct naming {
  const char *file;
  const char *prefix, *down, *up;
  const char *alpha; /* NULL: the file has none */
  bool underscores;  /* for the dots of a module's path */
};

static const struct naming diffusers = {
    "pytorch_lora_weights.safetensors", "unet.", "lora_A.weight", "lora_B.weight", NULL, false};
static const struct naming kohya = {"kohya_lora.safetensors", "lora_unet_", "lora_down.weight",
                                    "lora_up.weight",         "alpha",      true};
enum { TENSORS = 3 }; /* of a module */

struct building {
  const struct export *e;
  const struct naming *naming;
  struct arena arena;
  struct lora_factors *factors; /* one an adapter */
  struct st_tensor *tensors;
  size_t count, rank;
  float alpha; /* B A is the whole change */
};

/* From the adapter's rank to the file's. */
static enum status widen(struct lora_factors *f, const struct adapter *a, size_t rank, struct error *err) {
  size_t in = a->linear->in, out = a->linear->out, r = a->rank;
  struct lora_factors wide = {calloc(rank * in, sizeof *wide.A), calloc(rank * out, sizeof *wide.B)};
  if (wide.A && wide.B) {
    memcpy(wide.A, f->A, r * in * sizeof *wide.A);
    for (size_t o = 0; o < out; o++)
      memcpy(wide.B + o * rank, f->B + o * r, r * sizeof *wide.B);
  }
  lora_done(f);
  *f = wide;
  return wide.A && wide.B ? STATUS_OK : error_no_memory(err, "a LoRA file");
}

static char *key_of(struct building *b, const char *module, const char *kind) {
  char *key = arena_format(&b->arena, "%s%s.%s", b->naming->prefix, module, kind);
  size_t end = strlen(b->naming->prefix) + strlen(module);
  for (size_t i = 0; key && b->naming->underscores && i < end; i++)
    key[i] = key[i] == '.' ? '_' : key[i];
  return key;
}

static enum status add(struct building *b, size_t index, struct error *err) {
  const struct adapter *a = b->e->model->adapters[index];
  struct lora_factors *f = &b->factors[index];
  struct st_tensor *t = &b->tensors[b->count];
  enum status status = lora_factors(f, b->e, a, err);
  status = status || a->rank == b->rank ? status : widen(f, a, b->rank, err);
  if (status)
    return status;
  lora_tensors(&t[0], &t[1], a->linear, b->rank, f);
  t[0].name = key_of(b, a->linear->name, b->naming->down);
  t[1].name = key_of(b, a->linear->name, b->naming->up);
  b->count += 2;
  bool named = t[0].name && t[1].name;
  if (b->naming->alpha) {
    t[2] = (struct st_tensor){.name = key_of(b, a->linear->name, b->naming->alpha), .dtype = ST_F32};
    t[2].bytes = (const unsigned char *)&b->alpha;
    t[2].length = sizeof b->alpha;
    b->count++;
    named = named && t[2].name;
  }
  return named ? STATUS_OK : error_no_memory(err, "a LoRA file");
}

static enum status check_model(const struct model *m, struct error *err) {
  if (!m->component)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "this is no image model; \"lora\" is the equal LoRA");
  for (size_t i = 0; i < m->parameters.count; i++)
    if (!m->parameters.item[i]->file && !adapter_owns(m->adapters, m->adapter_count, m->parameters.item[i]))
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                       "it has no place for what is trained in full (%.200s); \"merged\" has it",
                       m->parameters.item[i]->key);
  return STATUS_OK;
}

static enum status build(struct building *b, struct error *err) {
  const struct model *m = b->e->model;
  enum status status = check_model(m, err);
  status = status ? status : lora_rank(&b->rank, b->e, err);
  if (status)
    return status;
  b->alpha = (float)b->rank;
  b->factors = arena_array(&b->arena, m->adapter_count, sizeof *b->factors);
  b->tensors = arena_array(&b->arena, TENSORS * m->adapter_count, sizeof *b->tensors);
  if (!b->factors || !b->tensors)
    return error_no_memory(err, "a LoRA file");
  for (size_t i = 0; !status && i < m->adapter_count; i++)
    status = add(b, i, err);
  return status;
}

static enum status write_file(const struct export *e, const struct naming *naming, struct error *err) {
  struct building b = {.e = e, .naming = naming};
  char path[1100];
  arena_init(&b.arena, (size_t)1 << 28);
  enum status status = build(&b, err);
  snprintf(path, sizeof path, "%s/%s", e->output_dir, naming->file);
  status = status ? status : safetensors_write(path, b.tensors, b.count, NULL, NULL, NULL, err);
  for (size_t i = 0; b.factors && i < e->model->adapter_count; i++)
    lora_done(&b.factors[i]);
  arena_done(&b.arena);
  return status ? status : export_announce(e, naming->file, naming->file, false, err);
}

enum status export_diffusers_lora(const struct export *e, struct error *err) {
  return write_file(e, &diffusers, err);
}

enum status export_kohya_lora(const struct export *e, struct error *err) {
  return write_file(e, &kohya, err);
}
