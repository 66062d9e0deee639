/* Names of the parts of a model that llama.cpp's gguf-split made: "NAME-00001-of-00003.gguf" to
   "NAME-00003-of-00003.gguf". The first is what names the model. Names are looked at, no file is read. */
#ifndef BASE_SPLIT_FILE_H
#define BASE_SPLIT_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { SPLIT_PARTS_MAX = 1024 };

struct split_file {
  size_t stem;    /* bytes of the path before "-00001-of-..." */
  unsigned part;  /* 1 .. count */
  unsigned count; /* 1 .. SPLIT_PARTS_MAX */
};

/* Is the path called as one of such parts? Of the parts of more than SPLIT_PARTS_MAX none is. What is not is its own
   only part. */
bool split_file_named(struct split_file *out, const char *path);
/* The path of part `part`, 1 .. count, of those of which `path` is `one`. */
void split_file_path(char out[PATH_MAX], const char *path, const struct split_file *one, unsigned part);
/* Walks through the parts, the first to the last, that `of` is one of; what is whole is its own only part. */
struct split_walk {
  const char *of; /* outlives the walk */
  struct split_file one;
  unsigned part;       /* where the walk is; 0 before the first */
  char path[PATH_MAX]; /* of that part */
};
void split_walk_begin(struct split_walk *out, const char *path);
/* To the next part; false: there are no more. */
bool split_walk_next(struct split_walk *walk);
/* Does the path belong to an earlier part, which lies beside it? */
bool split_file_follows(const char *path);

#endif
