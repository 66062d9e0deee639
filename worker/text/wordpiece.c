#include "worker/text/wordpiece.h"

static size_t characters(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++)
    count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

void wordpiece_encode(const struct wordpiece *wordpiece, const struct vocab *vocab, struct token_list *out,
                      const struct normalized_string *text, size_t start, size_t end) {
  size_t before = out->count, matched = 0;
  bool found = characters(text->bytes + start, end - start) <= wordpiece->max_input_chars_per_word;
  for (size_t i = start; found && i < end; i += matched) {
    uint32_t root = i == start ? vocab->whole : vocab->rest;
    int32_t id = trie_longest(&vocab->trie, root, text->bytes + i, end - i, &matched);
    found = id >= 0;
    if (found)
      token_list_add(out, id, text->alignments[i + matched - 1].end);
  }
  if (!found) {
    out->count = before;
    token_list_add(out, wordpiece->unk_id, text->alignments[end - 1].end);
  }
}
