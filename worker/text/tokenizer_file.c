/* Finds the tokenizer of a model's directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/file/stand_in.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"

static enum status read_json(struct tokenizer *t, const char *path, const struct tokenizer_config *config,
                             struct error *err) {
  AUTO(json_release) json_t *file = NULL;
  char *text;
  size_t length;
  enum status status = file_read(&text, &length, path, TOKENIZER_FILE_BYTES_MAX, err);
  if (status)
    return status;
  status = stand_in_refuse(text, length, err);
  status = status ? status : tokenizer_read_text(&file, text, length, err);
  free(text);
  if (!status)
    status = tokenizer_read_file(t, file, config, err);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

enum tokenizer_file { JSON, SPM, MERGES, WORDS, UNKNOWN };

/* The first of the files that the directory has; UNKNOWN also where it has none. */
static enum tokenizer_file find_file(char *path, size_t size, const char *dir) {
  static const struct {
    const char *name;
    enum tokenizer_file kind;
  } files[] = {{"tokenizer.json", JSON},   {"spm.model", SPM},
               {"spiece.model", SPM},      {"tokenizer.model", SPM},
               {"vocab.json", MERGES},     {"vocab.txt", WORDS},
               {"tekken.json", UNKNOWN},   {"tiktoken.model", UNKNOWN},
               {"qwen.tiktoken", UNKNOWN}, {"sentencepiece.bpe.model", UNKNOWN}};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    snprintf(path, size, "%s/%s", dir, files[i].name);
    if (access(path, F_OK) == 0)
      return files[i].kind;
  }
  *path = '\0';
  return UNKNOWN;
}

static enum status read_directory(struct tokenizer *t, const char *dir, struct tokenizer_config *config,
                                  struct error *err) {
  char path[1088];
  switch (find_file(path, sizeof path, dir)) {
  case JSON: return read_json(t, path, config, err);
  case SPM: return tokenizer_read_spm(t, path, config, err);
  case MERGES: return tokenizer_read_merges(t, dir, config, err);
  case WORDS: return tokenizer_read_words(t, path, config, err);
  case UNKNOWN: break;
  }
  if (*path)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "%s: a tokenizer of this kind is not supported; AutoTokenizer's save_pretrained writes a "
                     "tokenizer.json of it",
                     path);
  return error_set(err, STATUS_MODEL_INVALID, NULL, "%s has neither tokenizer.json nor vocab.txt nor spm.model", dir);
}

enum status tokenizer_open(struct tokenizer **out, const char *model_dir, struct error *err) {
  struct tokenizer_config config;
  *out = NULL;
  if (strlen(model_dir) > 1000)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", model_dir);
  enum status status = tokenizer_config_read(&config, model_dir, err);
  if (status)
    return status;
  struct tokenizer *t = tokenizer_new();
  status = t ? read_directory(t, model_dir, &config, err) : error_no_memory(err, "the tokenizer");
  const char *pad = status ? NULL : tokenizer_config_token(&config, "pad_token");
  if (pad && tokenizer_id(t, pad) >= 0)
    t->pad = tokenizer_id(t, pad);
  tokenizer_config_done(&config);
  return tokenizer_finish(out, t, status);
}
