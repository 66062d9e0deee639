/* "gguf-lora": the equal LoRA as llama.cpp reads it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/export/export_formats.h"
#include "worker/export/gguf_form.h"
#include "worker/export/lora.h"
#include "worker/file/gguf.h"

static enum status lora_names(char a[160], char b[160], const struct adapter *adapter, struct error *err) {
  char tensor[300], name[128];
  snprintf(tensor, sizeof tensor, "%s.weight", adapter->linear->name);
  if (!checkpoint_gguf_name(name, tensor))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "GGUF has no name for %s", adapter->linear->name);
  snprintf(a, 160, "%s.lora_a", name);
  snprintf(b, 160, "%s.lora_b", name);
  return STATUS_OK;
}

/* llama.cpp scales each module by alpha / its rank, so B is divided by what is left of that. */
static enum status write_factors(struct gguf_writer *w, const struct export *e, const struct adapter *a, size_t rank,
                                 struct error *err) {
  struct lora_factors f = {0};
  char name[600];
  size_t out = a->linear->out, r = a->rank;
  float scale = (float)a->rank / (float)rank, *rows = malloc(out * r * sizeof *rows);
  snprintf(name, sizeof name, "%s.weight", a->linear->name);
  enum status status = rows ? lora_factors(&f, e, a, err) : error_no_memory(err, "a GGUF file");
  if (!status) {
    for (size_t i = 0; i < out * r; i++)
      f.B[i] *= scale;
    gguf_writer_data(w, f.A, r * a->linear->in);
    gguf_write_rows(w, e->model, name, f.B, out, r, rows);
  }
  lora_done(&f);
  free(rows);
  return status;
}

/* Only changes of weights have a place in a GGUF LoRA. */
static enum status check_trained(const struct model *m, struct error *err) {
  for (size_t i = 0; i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    if (!adapter_owns(m->adapters, m->adapter_count, p))
      return error_set(
          err, STATUS_UNSUPPORTED_VALUE, "exports",
          "a GGUF LoRA has no place for %s (modules_to_save, bias, trainable_token_indices), which the job "
          "trained in full; \"gguf\" and \"merged\" have it",
          p->key + strlen("base_model.model."));
  }
  return STATUS_OK;
}

static enum status write_lora(struct gguf_writer *w, const struct export *e, size_t rank, struct error *err) {
  const struct model *m = e->model;
  char a[160], b[160];
  enum status status = STATUS_OK;
  const char *arch = gguf_architecture(m);
  gguf_writer_string(w, "general.type", "adapter", 7);
  gguf_writer_string(w, "general.architecture", arch, strlen(arch));
  gguf_writer_string(w, "general.name", e->base, strlen(e->base));
  gguf_writer_string(w, "adapter.type", "lora", 4);
  gguf_writer_f32(w, "adapter.lora.alpha", (float)rank);
  for (size_t i = 0; !status && i < m->adapter_count; i++) {
    const struct adapter *adapter = m->adapters[i];
    const int64_t shape_a[2] = {(int64_t)adapter->rank, (int64_t)adapter->linear->in};
    const int64_t shape_b[2] = {(int64_t)adapter->linear->out, (int64_t)adapter->rank};
    status = lora_names(a, b, adapter, err);
    if (status)
      break;
    gguf_writer_tensor(w, a, GGML_F32, 2, shape_a);
    gguf_writer_tensor(w, b, GGML_F32, 2, shape_b);
  }
  for (size_t i = 0; !status && i < m->adapter_count; i++)
    status = write_factors(w, e, m->adapters[i], rank, err);
  return status;
}

enum status export_gguf_lora(const struct export *e, struct error *err) {
  char path[1100];
  struct gguf_writer *w;
  size_t rank;
  enum status status = gguf_check_architecture(e->model, err);
  status = status ? status : lora_rank(&rank, e, err);
  status = status ? status : check_trained(e->model, err);
  snprintf(path, sizeof path, "%s/lora.gguf", e->output_dir);
  status = status ? status : gguf_writer_open(&w, path, err);
  if (status)
    return status;
  status = write_lora(w, e, rank, err);
  if (status)
    gguf_writer_discard(w);
  else
    status = gguf_writer_finish(w, NULL, NULL, err);
  return status ? status : export_announce(e, "lora.gguf", "lora.gguf", false, err);
}
