/* Edges of all nodes share one hash table: a step costs one probe however many children a node has,
   and a vocabulary of 30,000 words needs a few megabytes. */
#include "worker/text/trie.h"

#include <stdlib.h>

#include "base/grow.h"

#define NONE UINT32_MAX

void trie_init(struct trie *trie) {
  *trie = (struct trie){0};
}

void trie_done(struct trie *trie) {
  free(trie->edges);
  free(trie->values);
  trie_init(trie);
}

static size_t slot_of(const struct trie *trie, uint64_t key) {
  size_t mask = trie->edge_size - 1;
  size_t slot = (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & mask;
  while (trie->edges[slot].key && trie->edges[slot].key != key)
    slot = (slot + 1) & mask;
  return slot;
}

static uint32_t child(const struct trie *trie, uint32_t node, char byte) {
  if (!trie->edge_size)
    return NONE;
  const struct trie_edge *edge = &trie->edges[slot_of(trie, ((uint64_t)node << 8 | (unsigned char)byte) + 1)];
  return edge->key ? edge->node : NONE;
}

static bool edges_grow(struct trie *trie) {
  if (trie->edge_count * 3 < trie->edge_size * 2)
    return true;
  struct trie old = *trie;
  trie->edge_size = old.edge_size ? old.edge_size * 2 : 1024;
  trie->edges = calloc(trie->edge_size, sizeof *trie->edges);
  if (!trie->edges) {
    trie->edges = old.edges;
    trie->edge_size = old.edge_size;
    return false;
  }
  for (size_t i = 0; i < old.edge_size; i++)
    if (old.edges[i].key)
      trie->edges[slot_of(trie, old.edges[i].key)] = old.edges[i];
  free(old.edges);
  return true;
}

bool trie_root(struct trie *trie, uint32_t *root) {
  if (trie->node_count >= NONE)
    return false;
  int32_t *values = grow(trie->values, &trie->node_size, trie->node_count + 1, sizeof *values);
  if (!values)
    return false;
  trie->values = values;
  *root = (uint32_t)trie->node_count++;
  trie->values[*root] = -1;
  return true;
}

bool trie_set(struct trie *trie, uint32_t root, const char *key, size_t length, int32_t value) {
  uint32_t node = root;
  for (size_t i = 0; i < length; i++) {
    uint32_t next = child(trie, node, key[i]);
    if (next == NONE) {
      if (!edges_grow(trie) || !trie_root(trie, &next))
        return false;
      uint64_t edge = ((uint64_t)node << 8 | (unsigned char)key[i]) + 1;
      trie->edges[slot_of(trie, edge)] = (struct trie_edge){edge, next};
      trie->edge_count++;
    }
    node = next;
  }
  trie->values[node] = value;
  return true;
}

int32_t trie_longest(const struct trie *trie, uint32_t root, const char *text, size_t length, size_t *matched) {
  int32_t best = -1;
  uint32_t node = root;
  for (size_t i = 0; i < length && (node = child(trie, node, text[i])) != NONE; i++)
    if (trie->values[node] >= 0) {
      best = trie->values[node];
      *matched = i + 1;
    }
  return best;
}

int32_t trie_get(const struct trie *trie, uint32_t root, const char *key, size_t length) {
  uint32_t node = root;
  for (size_t i = 0; i < length; i++)
    if ((node = child(trie, node, key[i])) == NONE)
      return -1;
  return trie->values[node];
}

struct trie_walk trie_walk(const struct trie *trie, uint32_t root, const char *text, size_t length) {
  return (struct trie_walk){trie, text, length, 0, root};
}

int32_t trie_next(struct trie_walk *walk) {
  while (walk->left) {
    walk->node = child(walk->trie, walk->node, walk->text[walk->length]);
    if (walk->node == NONE) {
      walk->left = 0;
      return -1;
    }
    walk->length++;
    walk->left--;
    if (walk->trie->values[walk->node] >= 0)
      return walk->trie->values[walk->node];
  }
  return -1;
}
