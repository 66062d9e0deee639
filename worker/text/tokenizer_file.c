/* Finds the tokenizer of a model's folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"

static enum status open_json(struct tokenizer **out, const char *path, struct error *err) {
  char *text;
  size_t length;
  enum status status = file_read(&text, &length, path, TOKENIZER_FILE_BYTES_MAX, err);
  if (status)
    return status;
  status = tokenizer_parse(out, text, length, err);
  free(text);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

enum status tokenizer_open(struct tokenizer **out, const char *model_dir, struct error *err) {
  static const char *const names[] = {"tokenizer.json", "spm.model", "spiece.model", "tokenizer.model", "vocab.txt"};
  char path[1024];
  size_t found = 0;
  *out = NULL;
  if (strlen(model_dir) > sizeof path - 64)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", model_dir);
  for (; found < COUNT_OF(names); found++) {
    snprintf(path, sizeof path, "%s/%s", model_dir, names[found]);
    if (access(path, F_OK) == 0)
      break;
  }
  if (found == COUNT_OF(names))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s has neither tokenizer.json nor vocab.txt nor spm.model",
                     model_dir);
  if (found == 0)
    return open_json(out, path, err);
  struct tokenizer *t = tokenizer_new();
  if (!t)
    return component_no_memory(err);
  bool vocab = found == COUNT_OF(names) - 1;
  enum status status =
      vocab ? tokenizer_read_vocab(t, model_dir, path, err) : tokenizer_read_spm(t, model_dir, path, err);
  return tokenizer_finish(out, t, status);
}
