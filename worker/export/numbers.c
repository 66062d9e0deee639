#include "worker/export/numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/adapter/target.h"

/* Is it the tensor `kind` of the module? The base's file may lack the model's prefix ("bert."), or have it where the
   module's path has none. */
static bool is_of(const struct model *m, const char *tensor, const char *module, const char *kind) {
  char name[600], prefixed[700];
  snprintf(name, sizeof name, "%s.%s", module, kind);
  snprintf(prefixed, sizeof prefixed, "%s%s", m->ops->prefix, name);
  return target_suffix(name, tensor) || (m->output == OUTPUT_EMBEDDING && strcmp(prefixed, tensor) == 0);
}

/* False: it is another tensor than the module's bias, or that was not trained. */
static bool take_bias(float *out, const struct model *m, const char *tensor, const struct linear *l) {
  if (!l->trained_bias || !is_of(m, tensor, l->name, "bias"))
    return false;
  memcpy(out, l->trained_bias->data, l->out * sizeof *out);
  return true;
}

/* From out x in to the file's in x out. */
static enum status transpose(float *numbers, const struct linear *l, struct error *err) {
  float *copy = malloc(l->out * l->in * sizeof *copy);
  if (!copy)
    return error_no_memory(err, "the merged model");
  memcpy(copy, numbers, l->out * l->in * sizeof *copy);
  for (size_t i = 0; i < l->in; i++)
    for (size_t j = 0; j < l->out; j++)
      numbers[i * l->out + j] = copy[j * l->in + i];
  free(copy);
  return STATUS_OK;
}

enum status numbers_read(float *out, const struct model *m, const char *name, struct error *err) {
  for (size_t i = 0; i < m->linear_count; i++) {
    const struct linear *l = m->linears[i];
    const struct adapter *adapter = adapter_of(m->adapters, m->adapter_count, l);
    if (is_of(m, name, l->name, "weight") && (adapter || l->trained_weight)) {
      if (adapter)
        adapter->ops->merge(adapter, m->backend, out);
      else
        memcpy(out, l->trained_weight->data, l->out * l->in * sizeof *out);
      return l->conv1d ? transpose(out, l, err) : STATUS_OK;
    }
    if (take_bias(out, m, name, l))
      return STATUS_OK;
  }
  if (m->convolution && take_bias(out, m, name, m->convolution))
    return STATUS_OK;
  for (size_t i = 0; i < m->norm_count; i++)
    if (m->norms[i].norm->trained_bias && is_of(m, name, m->norms[i].name, "bias")) {
      memcpy(out, m->norms[i].norm->trained_bias->data, m->norms[i].norm->channels * sizeof *out);
      return STATUS_OK;
    }
  enum status status = checkpoint_read(out, &m->checkpoint, name, err);
  const struct token_rows *rows = m->token_rows;
  if (status || !rows || !rows->count ||
      !(is_of(m, name, rows->module, "weight") || (rows->in_head && is_of(m, name, m->head->name, "weight"))))
    return status;
  size_t C = rows->table->cols;
  for (size_t i = 0; i < rows->count; i++)
    memcpy(out + (size_t)rows->ids[i] * C, rows->trained->data + i * C, C * sizeof *out);
  return STATUS_OK;
}
