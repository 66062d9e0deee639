/* "lora": a PEFT LoRA adapter that is equal to the trained one. B A is the whole change, so lora_alpha = r. */
#include "worker/export/lora.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "worker/export/export_formats.h"
#include "worker/peft/peft.h"

enum status lora_rank(size_t *out, const struct export *e, struct error *err) {
  const struct model *m = e->model;
  *out = 0;
  for (size_t i = 0; i < m->adapter_count; i++) {
    if (!m->adapters[i]->ops->low_rank)
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                       "%s has no low-rank form, so no LoRA equals it; \"merged\" and \"gguf\" are exact",
                       adapter_spec_name(e->spec));
    *out = m->adapters[i]->rank > *out ? m->adapters[i]->rank : *out;
  }
  return STATUS_OK;
}

enum status lora_factors(struct lora_factors *out, const struct export *e, const struct adapter *a, struct error *err) {
  out->A = calloc(a->rank * a->linear->in, sizeof *out->A);
  out->B = calloc(a->rank * a->linear->out, sizeof *out->B);
  if (!out->A || !out->B)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the LoRA of %s", a->linear->name);
  a->ops->low_rank(a, e->model->backend, out->A, out->B);
  return STATUS_OK;
}

void lora_done(struct lora_factors *f) {
  free(f->A);
  free(f->B);
}

void lora_tensors(struct st_tensor *A, struct st_tensor *B, const struct linear *l, size_t rank,
                  const struct lora_factors *f) {
  const struct convolution *c = l->convolution;
  int64_t r = (int64_t)rank, in = (int64_t)(c ? c->channels : l->in), out = (int64_t)l->out;
  int64_t height = c ? (int64_t)c->kernel[0] : 1, width = c ? (int64_t)c->kernel[1] : 1;
  *A = (struct st_tensor){.dtype = ST_F32, .rank = c ? 4 : 2, .shape = {r, in, height, width}};
  *B = (struct st_tensor){.dtype = ST_F32, .rank = c ? 4 : 2, .shape = {out, r, 1, 1}};
  A->bytes = (const unsigned char *)f->A;
  B->bytes = (const unsigned char *)f->B;
  A->length = rank * l->in * sizeof *f->A;
  B->length = rank * l->out * sizeof *f->B;
}

/* Everything that the written file consists of. */
struct building {
  struct arena arena;
  struct lora_factors *factors; /* one an adapter */
  struct st_tensor *tensors;
  size_t count;
  struct adapter_spec spec;
};

static enum status add(struct building *b, const struct adapter *a, const struct lora_factors *f, struct error *err) {
  struct st_tensor *A = &b->tensors[b->count++], *B = &b->tensors[b->count++];
  const char *module = a->linear->name;
  lora_tensors(A, B, a->linear, a->rank, f);
  A->name = arena_format(&b->arena, "base_model.model.%s.lora_A.weight", module);
  B->name = arena_format(&b->arena, "base_model.model.%s.lora_B.weight", module);
  return A->name && B->name ? STATUS_OK : error_no_memory(err, "writing a LoRA adapter");
}

/* Parameters that are not an adapter's: heads, biases, modules_to_save. They are LoRA's as they are. */
static void add_others(struct building *b, const struct model *m) {
  for (size_t i = 0; i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    if (!p->file && !adapter_owns(m->adapters, m->adapter_count, p))
      b->tensors[b->count++] = (struct st_tensor){.name = p->key,
                                                  .dtype = ST_F32,
                                                  .rank = p->rank,
                                                  .shape = {p->shape[0], p->shape[1]},
                                                  .bytes = (const unsigned char *)p->data,
                                                  .length = p->count * sizeof(float)};
  }
}

/* Modules by their whole paths: right whatever the rules of matching. Ranks other than r go by pattern. */
static enum status describe(struct building *b, const struct export *e, size_t rank, struct error *err) {
  const struct model *m = e->model;
  const char **names = arena_array(&b->arena, m->adapter_count, sizeof *names);
  struct number_entry *ranks = arena_array(&b->arena, m->adapter_count + 1, sizeof *ranks);
  if (!names || !ranks)
    return error_no_memory(err, "writing a LoRA adapter");
  size_t others = 0;
  for (size_t i = 0; i < m->adapter_count; i++) {
    names[i] = m->adapters[i]->linear->name;
    if (m->adapters[i]->rank != rank)
      ranks[others++] = (struct number_entry){names[i], (double)m->adapters[i]->rank};
  }
  b->spec = (struct adapter_spec){.peft_type = PEFT_LORA,
                                  .target_modules.names = {m->adapter_count, names},
                                  .modules_to_save = e->spec->modules_to_save,
                                  .bias = e->spec->bias,
                                  .lora = {.r = (int64_t)rank,
                                           .lora_alpha = (double)rank,
                                           .rank_pattern = {others, ranks},
                                           .alpha_pattern = {others, ranks}}};
  if (e->spec->peft_type == PEFT_LORA) {
    b->spec.lora.trainable_token_indices = e->spec->lora.trainable_token_indices;
    b->spec.lora.trainable_token_module = e->spec->lora.trainable_token_module;
  }
  return STATUS_OK;
}

static enum status build(struct building *b, const struct export *e, struct error *err) {
  const struct model *m = e->model;
  size_t rank;
  enum status status = lora_rank(&rank, e, err);
  status = status ? status : describe(b, e, rank, err);
  if (status)
    return status;
  b->factors = arena_array(&b->arena, m->adapter_count, sizeof *b->factors);
  b->tensors = arena_array(&b->arena, 2 * m->adapter_count + m->parameters.count, sizeof *b->tensors);
  if (!b->factors || !b->tensors)
    return error_no_memory(err, "writing a LoRA adapter");
  for (size_t i = 0; !status && i < m->adapter_count; i++) {
    status = lora_factors(&b->factors[i], e, m->adapters[i], err);
    status = status ? status : add(b, m->adapters[i], &b->factors[i], err);
  }
  add_others(b, m);
  return status;
}

enum status export_lora(const struct export *e, struct error *err) {
  struct building b = {0};
  char folder[1024], path[1100];
  arena_init(&b.arena, (size_t)1 << 30);
  enum status status = build(&b, e, err);
  snprintf(folder, sizeof folder, "%s/lora", e->output_dir);
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  status = status ? status : file_mkdirs(folder, err);
  status = status ? status : safetensors_write(path, b.tensors, b.count, NULL, NULL, NULL, err);
  status = status ? status : peft_save_about(e->model, &b.spec, folder, e->base, NULL, err);
  for (size_t i = 0; b.factors && i < e->model->adapter_count; i++)
    lora_done(&b.factors[i]);
  arena_done(&b.arena);
  return status ? status : export_pack(e, "lora", err);
}
