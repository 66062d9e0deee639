/* Tokens of one text in the making. */
#ifndef WORKER_TEXT_TOKEN_LIST_H
#define WORKER_TEXT_TOKEN_LIST_H

#include <stdint.h>

#include "base/grow.h"

struct token {
  int32_t id;
  uint32_t end; /* bytes of the original up to and with it */
};

struct token_list {
  struct token *items;
  size_t count, size;
  bool failed; /* memory ran out */
};

static inline void token_list_add(struct token_list *list, int32_t id, uint32_t end) {
  struct token *items = grow(list->items, &list->size, list->count + 1, sizeof *items);
  if (!items) {
    list->failed = true;
    return;
  }
  list->items = items;
  items[list->count++] = (struct token){id, end};
}

#endif
