#include "worker/tensor/parameter.h"

#include <string.h>

struct parameter *parameter_add_shaped(struct parameter_list *list, const char *key, int rank, const int64_t *shape) {
  if (list->count == list->max) {
    size_t max = list->max ? 2 * list->max : 64;
    struct parameter **item = arena_array(list->arena, max, sizeof *item);
    if (!item)
      return NULL;
    if (list->count)
      memcpy(item, list->item, list->count * sizeof *item);
    list->item = item;
    list->max = max;
  }
  struct parameter *p = arena_alloc(list->arena, sizeof *p);
  if (!p)
    return NULL;
  *p = (struct parameter){.rank = rank, .count = 1, .decay = true};
  for (int i = 0; i < rank; i++) {
    p->shape[i] = shape[i];
    p->count *= (size_t)shape[i];
  }
  p->key = arena_string(list->arena, key);
  p->data = arena_array(list->arena, p->count, sizeof *p->data);
  p->grad = arena_array(list->arena, p->count, sizeof *p->grad);
  struct buffers host = {0}, *owner = list->buffers ? list->buffers : &host;
  size_t bytes = p->count * sizeof *p->data;
  if (!p->key || !p->data || !p->grad || buffers_import(owner, &p->at, p->data, bytes, NULL) ||
      buffers_import(owner, &p->grad_at, p->grad, bytes, NULL))
    return NULL;
  list->item[list->count++] = p;
  return p;
}

struct parameter *parameter_add(struct parameter_list *list, const char *key, int rank, int64_t rows, int64_t cols) {
  return parameter_add_shaped(list, key, rank, (const int64_t[]){rows, cols});
}

/* The backend that has copies, or NULL. */
static struct backend *elsewhere(const struct parameter_list *list) {
  struct backend *backend = list->buffers ? list->buffers->backend : NULL;
  return backend && !backend->ops->host_memory ? backend : NULL;
}

void parameter_pull(struct parameter *p, struct backend *b) {
  if (b->ops->host_memory)
    return;
  b->ops->read(b, p->data, p->at, p->count * sizeof(float));
  b->ops->read(b, p->grad, p->grad_at, p->count * sizeof(float));
}

void parameter_push(struct parameter *p, struct backend *b) {
  if (b->ops->host_memory)
    return;
  b->ops->write(b, p->at, p->data, p->count * sizeof(float));
  b->ops->write(b, p->grad_at, p->grad, p->count * sizeof(float));
}

void parameter_upload(const struct parameter_list *list) {
  struct backend *b = elsewhere(list);
  for (size_t i = 0; b && i < list->count; i++)
    parameter_push(list->item[i], b);
}

enum status parameter_download(const struct parameter_list *list, struct error *err) {
  struct backend *b = elsewhere(list);
  for (size_t i = 0; b && i < list->count; i++)
    parameter_pull(list->item[i], b);
  return b ? b->ops->synchronise(b, err) : STATUS_OK; /* a read that failed is told here */
}

void parameter_zero_grads(struct parameter_list *list) {
  struct backend *b = elsewhere(list);
  for (size_t i = 0; i < list->count; i++) {
    struct parameter *p = list->item[i];
    memset(p->grad, 0, p->count * sizeof(float));
    if (b)
      b->ops->zero(b, p->grad_at, p->count * sizeof(float));
  }
}

size_t parameter_elements(const struct parameter_list *list) {
  size_t sum = 0;
  for (size_t i = 0; i < list->count; i++)
    sum += list->item[i]->count;
  return sum;
}
