/* A byte trie that finds the longest key at a place of a text. One trie may hold several sets of
   keys, each under a root of its own. */
#ifndef WORKER_TEXT_TRIE_H
#define WORKER_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct trie_edge {
  uint64_t key;   /* parent << 8 | byte, plus 1; 0: free */
  uint32_t node;
};

struct trie {
  struct trie_edge *edges;  /* open addressing */
  size_t edge_count, edge_size;
  int32_t *values;          /* of each node; -1: no key ends there */
  size_t node_count, node_size;
};

void trie_init(struct trie *trie);
void trie_done(struct trie *trie);

/* A new, empty set of keys. False when memory runs out. */
NODISCARD bool trie_root(struct trie *trie, uint32_t *root);
/* Sets the value (>= 0) of a key, replacing an earlier one. False when memory runs out. */
NODISCARD bool trie_set(struct trie *trie, uint32_t root, const char *key, size_t length, int32_t value);

/* The value of the longest key, of at least one byte, that `text` begins with, and its bytes; -1 when none does. */
int32_t trie_longest(const struct trie *trie, uint32_t root, const char *text, size_t length, size_t *matched);
/* The value of exactly that key, or -1. */
int32_t trie_get(const struct trie *trie, uint32_t root, const char *key, size_t length);

/* All keys that `text` begins with, the shortest first. */
struct trie_walk {
  const struct trie *trie;
  const char *text;
  size_t left;    /* bytes of text ahead */
  size_t length;  /* of the key found */
  uint32_t node;
};
struct trie_walk trie_walk(const struct trie *trie, uint32_t root, const char *text, size_t length);
/* The value of the next key, or -1. */
int32_t trie_next(struct trie_walk *walk);

#endif
