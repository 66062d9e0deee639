#include "worker/text/gguf_pre.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"

/* As the models' own tokenizer.json has them; llama.cpp, which gives the names, has some in other words. */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define ENDINGS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SYMBOLS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define LLAMA3 ENDINGS "|" WORDS "\\p{N}{1,3}|" SYMBOLS SPACES
#define QWEN2 ENDINGS "|" WORDS "\\p{N}|" SYMBOLS SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
/* Words by case, with what may end them. */
#define CASED(end) \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end "|"
#define SLASHES " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
#define PUNCTUATION "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK3                                                                                             \
  PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define BLOOM " ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"

static const struct gguf_pre known[] = {
    {.names = " default ", .splits = {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {.names =
         " gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert "
         "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe ",
     .splits = {GPT2}},
    {.names = " smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 ", .splits = {"\\p{N}", GPT2}},
    {.names = " llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
     .splits = {LLAMA3}, .ignore_merges = true, .bos = true},
    {.names = " dbrx smaug-bpe glm4 chatglm-bpe ", .splits = {LLAMA3}},
    {.names = " qwen2 deepseek-r1-qwen ", .splits = {QWEN2}, .nfc = true},
    {.names = " stablelm2 hunyuan megrez grok-2 solar-open kormo f2llmv2 ", .splits = {QWEN2}},
    {.names = " qwen35 ",
     .splits = {ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES},
     .nfc = true},
    {.names = " tekken ", .splits = {CASED("") "\\p{N}|" SLASHES SPACES}, .ignore_merges = true, .bos = true},
    {.names = " gpt-4o llama4 kanana2 talkie minimax-m2 ",
     .splits = {CASED(ENDINGS "?") "\\p{N}{1,3}|" SLASHES SPACES}},
    {.names = " tiny_aya cohere2moe ",
     .splits = {"\\d{1,3}(?=(?:\\d{3})*\\b)", CASED(ENDINGS "?") "\\p{N}{1,3}|" SLASHES SPACES}},
    {.names = " deepseek-coder ",
     .splits = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+", "\\p{N}"}},
    {.names = " deepseek-v3 hunyuan-dense joyai-llm hy_v4 ",
     .splits = {"\\p{N}{1,3}", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", DEEPSEEK3}},
    {.names = " falcon ", .splits = {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {.names = " bloom gpt3-finnish poro-chat ", .splits = {BLOOM}},
    {.names = " viking ", .splits = {BLOOM, "\\p{N}"}},
    {.names = " superbpe ", .splits = {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {.names = " bailingmoe bailingmoe2 llada-moe ",
     .splits = {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
                "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {.names = " seed-coder ", .splits = {ENDINGS "|" WORDS "\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES}},
    {.names = " ufakzeka ", .splits = {WORDS "\\p{N}|" SYMBOLS SPACES}},
    {.names = " exaone-moe ",
     .splits = {ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
                "[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {.names = " minicpm5 ",
     .splits = {"\\p{N}{1,3}", ENDINGS "|" WORDS "\\p{N}+|" SYMBOLS SPACES}, .ignore_merges = true},
    {.names = " chameleon ",
     .splits = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2},
     .bos = true},
};

const struct gguf_pre *gguf_pre_find(struct gguf_string name) {
  char spaced[64];
  if (name.length + 3 > sizeof spaced || (name.length && memchr(name.text, ' ', name.length)))
    return NULL;
  snprintf(spaced, sizeof spaced, " %.*s ", (int)name.length, name.text);
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strlen(spaced) > 2 && strstr(known[i].names, spaced))
      return &known[i];
  return NULL;
}

enum status gguf_pre_apply(struct tokenizer *t, const struct gguf_pre *pre, struct error *err) {
  enum status status = STATUS_OK;
  if (pre->nfc)
    CHECK(normalizer_add(&t->normalizer, (struct normalizer_step){.kind = NORMALIZER_NFC}));
  for (size_t i = 0; !status && i < GGUF_PRE_SPLITS_MAX && pre->splits[i]; i++) {
    struct pre_tokenizer_step step = {.kind = PRE_TOKENIZER_SPLIT, .behavior = SPLIT_ISOLATED};
    status = pattern_regex(&step.pattern, pre->splits[i], err);
    CHECK(status || pre_tokenizer_add(&t->pre_tokenizer, step));
  }
  return status;
}
