/* Encodes texts with a model's tokenizer: JSON lines {"text": "...", "pair": "..."} on standard input, a line of ids
   and one of types for each on standard output; of {"words": [...]} a line of ids, and one of the word that each token
   is the first one of, or -1.   usage: tokenize MODEL_FOLDER */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/text/tokenizer.h"

static void print(const int32_t *numbers, size_t count) {
  for (size_t i = 0; i < count; i++)
    printf(i ? " %d" : "%d", (int)numbers[i]);
  putchar('\n');
}

enum { WORDS_MAX = 4096 };

static enum status encode_words(const struct tokenizer *tokenizer, struct encoding *out, const json_t *list,
                                struct error *err) {
  static struct word_text words[WORDS_MAX];
  size_t i;
  json_t *word;
  CHECK(json_array_size(list) <= WORDS_MAX);
  json_array_foreach(list, i, word) words[i] = (struct word_text){json_string_value(word), json_string_length(word)};
  return tokenizer_encode_words(tokenizer, out, words, json_array_size(list), 0, err);
}

int main(int count, char **args) {
  struct tokenizer *tokenizer;
  struct encoding out;
  struct error err = {0};
  char *line = NULL;
  size_t size = 0;
  if (count != 2 || tokenizer_open(&tokenizer, args[1], &err)) {
    fprintf(stderr, "tokenize: %s\n", count != 2 ? "usage: tokenize MODEL_FOLDER" : err.text);
    return 1;
  }
  encoding_init(&out);
  while (getline(&line, &size, stdin) > 0) {
    json_t *c = json_loads(line, JSON_ALLOW_NUL, NULL);
    const json_t *text = json_object_get(c, "text"), *pair = json_object_get(c, "pair"),
                 *words = json_object_get(c, "words");
    if (words ? encode_words(tokenizer, &out, words, &err)
              : tokenizer_encode(tokenizer, &out, json_string_value(text), json_string_length(text),
                                 json_string_value(pair), json_string_length(pair), 0, &err)) {
      fprintf(stderr, "tokenize: %s: %s\n", line, err.text);
      return 1;
    }
    print(out.ids, out.count);
    print(words ? (const int32_t *)out.words : out.type_ids, out.count);
    json_decref(c);
  }
  free(line);
  encoding_done(&out);
  tokenizer_free(tokenizer);
  return 0;
}
