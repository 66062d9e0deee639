/* Splits a GGUF file as llama.cpp's gguf-split does: the first part has the model's keys and its place among the parts,
   every other its place alone; tensors are shared out in order, bytes as they are. */
#ifndef TESTS_WORKER_FILE_SPLIT_GGUF_H
#define TESTS_WORKER_FILE_SPLIT_GGUF_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "worker/file/gguf.h"

static inline void split_number(FILE *file, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    fputc((int)(value >> (8 * i) & 0xFF), file);
}

static inline void split_text(FILE *file, const char *text, size_t length) {
  split_number(file, length, 8);
  fwrite(text, 1, length, file);
}

/* A key of `bytes` bytes, as gguf-split has them: 16 bits for places, 32 with a sign for the number of tensors. */
static inline void split_key(FILE *file, const char *key, enum gguf_type type, uint64_t value, size_t bytes) {
  split_text(file, key, strlen(key));
  split_number(file, type, 4);
  split_number(file, value, bytes);
}

static inline void split_value(FILE *file, const struct gguf_value *value) {
  split_text(file, value->key.text, value->key.length);
  split_number(file, value->type, 4);
  if (value->type == GGUF_ARRAY) {
    split_number(file, value->item_type, 4);
    split_number(file, value->count, 8);
  }
  if (value->type == GGUF_STRING)
    split_number(file, value->length, 8);
  fwrite(value->bytes, 1, (size_t)value->length, file);
}

static inline uint64_t split_aligned(uint64_t bytes) {
  return (bytes + 31) / 32 * 32;
}

/* Part `part` of `count`, from 0, with tensors first .. end - 1. */
static inline void split_part(FILE *file, const struct gguf *whole, size_t part, size_t count, size_t first,
                              size_t end) {
  uint64_t offset = 0;
  fwrite("GGUF", 1, 4, file);
  split_number(file, 3, 4);
  split_number(file, end - first, 8);
  split_number(file, 3 + (part ? 0 : whole->value_count), 8);
  for (size_t i = 0; part == 0 && i < whole->value_count; i++)
    split_value(file, &whole->values[i]);
  split_key(file, "split.no", GGUF_U16, part, 2);
  split_key(file, "split.count", GGUF_U16, count, 2);
  split_key(file, "split.tensors.count", GGUF_I32, whole->tensor_count, 4);
  for (size_t i = first; i < end; i++) {
    const struct gguf_tensor *t = &whole->tensors[i];
    split_text(file, t->name, strlen(t->name));
    split_number(file, (uint64_t)t->rank, 4);
    for (int k = t->rank; k-- > 0;)
      split_number(file, (uint64_t)t->shape[k], 8);
    split_number(file, t->type, 4);
    split_number(file, offset, 8);
    offset = split_aligned(offset + t->length);
  }
  for (size_t i = first; i < end; i++) {
    while (ftell(file) % 32)
      fputc(0, file);
    fwrite(whole->tensors[i].bytes, 1, whole->tensors[i].length, file);
  }
}

/* Writes STEM-00001-of-0000N.gguf and so on. False: the file cannot be read, or these not be written. */
static inline bool split_gguf(const char *path, const char *stem, size_t count) {
  struct gguf whole;
  bool ok = true;
  if (gguf_open(&whole, path, NULL))
    return false;
  for (size_t part = 0; ok && part < count; part++) {
    char name[512];
    snprintf(name, sizeof name, "%s-%05zu-of-%05zu.gguf", stem, part + 1, count);
    FILE *file = fopen(name, "wb");
    if (file)
      split_part(file, &whole, part, count, whole.tensor_count * part / count, whole.tensor_count * (part + 1) / count);
    ok = file && !ferror(file);
    ok = file && fclose(file) == 0 && ok;
  }
  gguf_close(&whole);
  return ok;
}

#endif
