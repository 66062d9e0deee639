#include "worker/tensor/parameter.h"

#include <string.h>

/* --- memory of the backend ------------------------------------------------------------------------ */

/* The backend that has copies, or NULL. */
static struct backend *elsewhere(const struct parameter_list *list) {
  struct backend *backend = list->buffers ? list->buffers->backend : NULL;
  return backend && !backend->ops->host_memory ? backend : NULL;
}

struct parameter_slab {
  struct parameter_slab *before;
  struct place data, grad;
  size_t bytes, used; /* of each */
};

static size_t aligned(size_t bytes) {
  return (bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
}

/* A slab with room for so much: as large as all before together, within bounds. */
static struct parameter_slab *slab_for(struct parameter_list *list, size_t bytes) {
  enum { LEAST = 1 << 20, MOST = 16 << 20 };
  struct parameter_slab *last = list->slab;
  size_t size = 0;
  if (last && last->bytes - last->used >= bytes)
    return last;
  for (const struct parameter_slab *s = last; s && size < MOST; s = s->before)
    size += s->bytes;
  size = size < LEAST ? LEAST : size > MOST ? MOST : size;
  struct parameter_slab *slab = arena_alloc(list->arena, sizeof *slab);
  if (!slab)
    return NULL;
  *slab = (struct parameter_slab){.before = last, .bytes = size > bytes ? size : bytes};
  if (buffers_new(list->buffers, &slab->data, slab->bytes, NULL) ||
      buffers_new(list->buffers, &slab->grad, slab->bytes, NULL))
    return NULL;
  return list->slab = slab;
}

static bool find_place(struct parameter_list *list, struct parameter *p) {
  size_t bytes = aligned(p->count * sizeof *p->data);
  p->at = place_host(p->data);
  p->grad_at = place_host(p->grad);
  if (!elsewhere(list))
    return true;
  struct parameter_slab *slab = slab_for(list, bytes);
  if (!slab)
    return false;
  p->at = place_at(slab->data, slab->used);
  p->grad_at = place_at(slab->grad, slab->used);
  slab->used += bytes;
  return true;
}

/* --- parameters ----------------------------------------------------------------------------------- */

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
  *p = (struct parameter){.rank = rank, .count = 1, .lr_ratio = 1, .decay = true};
  for (int i = 0; i < rank; i++) {
    p->shape[i] = shape[i];
    p->count *= (size_t)shape[i];
  }
  p->key = arena_string(list->arena, key);
  p->data = arena_array(list->arena, p->count, sizeof *p->data);
  p->grad = arena_array(list->arena, p->count, sizeof *p->grad);
  if (!p->key || !p->data || !p->grad || !find_place(list, p))
    return NULL;
  list->item[list->count++] = p;
  return p;
}

struct parameter *parameter_add(struct parameter_list *list, const char *key, int rank, int64_t rows, int64_t cols) {
  return parameter_add_shaped(list, key, rank, (const int64_t[]){rows, cols});
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
  for (size_t i = 0; i < list->count; i++)
    memset(list->item[i]->grad, 0, list->item[i]->count * sizeof(float));
  for (const struct parameter_slab *s = b ? list->slab : NULL; s; s = s->before)
    b->ops->zero(b, s->grad, s->used);
}

size_t parameter_trained(const struct parameter_list *list) {
  size_t sum = 0;
  for (size_t i = 0; i < list->count; i++)
    sum += list->item[i]->frozen ? 0 : list->item[i]->count;
  return sum;
}

size_t parameter_elements(const struct parameter_list *list) {
  size_t sum = 0;
  for (size_t i = 0; i < list->count; i++)
    sum += list->item[i]->count;
  return sum;
}
