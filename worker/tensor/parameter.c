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
  if (!p->key || !p->data || !p->grad)
    return NULL;
  list->item[list->count++] = p;
  return p;
}

struct parameter *parameter_add(struct parameter_list *list, const char *key, int rank, int64_t rows, int64_t cols) {
  return parameter_add_shaped(list, key, rank, (const int64_t[]){rows, cols});
}

void parameter_zero_grads(struct parameter_list *list) {
  for (size_t i = 0; i < list->count; i++)
    memset(list->item[i]->grad, 0, list->item[i]->count * sizeof(float));
}

size_t parameter_elements(const struct parameter_list *list) {
  size_t sum = 0;
  for (size_t i = 0; i < list->count; i++)
    sum += list->item[i]->count;
  return sum;
}
