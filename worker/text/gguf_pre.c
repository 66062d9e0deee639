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

/* --- the other way -------------------------------------------------------------------------------- */

const char *const gguf_pre_texts[] = {
    "Hello world, it's what we'll say; they'd've said I'm sure: DON'T, WE'RE, I'LL, 's 'S",
    "1 12 123 1234 12345 123456 1234567 3.14159 1,000,000.50 0x1F 10:45 2024-11-30 a1b22c333d",
    "!!! ??? ... ,,, ;;; --- === +++ *** /// \\\\\\ ((())) [[[]]] {{{}}} <<<>>> \"\"\" ''' ``` ~~~ ^^^ |||",
    "one  two   three    four     five\tsix\t\tseven \t eight ",
    "line\nnext\n\nblank\n\n\nmore \n  indented\r\nwindows\r\n\r\n \r end\n",
    "camelCase HTTPServer XMLHttpRequest snake_case SCREAMING_CASE McDonald iPhone ALLCAPSword",
    "https://example.org/a/b?c=d&e=f#g user@example.com C:\\path\\file.txt ~/.config/x.y",
    "caf\u00E9 na\u00EFve \u00C5ngstr\u00F6m cafe\u0301 A\u030Angstro\u0308m \u1E9B\u0323 \uFB01 \u01C5 \u02B0",
    "\u4F60\u597D\uFF0C\u4E16\u754C\u3002\u6771\u4EAC2024\u5E74 \u3053\u3093\u306B\u3061 \u30AB\u30BF\u30AB\u30CA",
    "\uD55C\uAD6D\uC5B4 \u0645\u0631\u062D\u0628\u0627 \u061F \u05E9\u05DC\u05D5\u05DD \u0E2A\u0E27\u0E31\u0E2A\u0E14",
    "\u0928\u092E\u0938\u094D\u0924\u0947 \u0967\u0968\u0969 \u0661\u0662\u0663 \u0E35\u0E4C",
    "\U0001F600 \U0001F468\u200D\U0001F469\u200D\U0001F467 \U0001F1E9\U0001F1EA \u2764\uFE0F\U0001F3FD",
    "$5 \u20AC6 \u00A37 \u00A5800 5% 3\u00D74 \u2264\u2265\u2260 \u221E \u03B1\u03B2\u03B3 x\u00B2 \u00BD \u2167",
    "\u00A0no\u00A0break\u2003em \u200Bzero \u2026 \u2014 \u2013 \u201Cquoted\u201D \u2018single\u2019 don\u2019t",
    "int main(void) {\n\treturn x[i++] == 0 ? -1 : *p->q; // done\n}\nfor i in range(10):\n    print(f\"{i}\")\n",
    "  leading, trailing  ",
    " ",
    "a",
    "\n",
    "IMGIMGABCZ <sentinel:12> ,a ,1 (b (2 .c .3 /d /\n//\n!\n",
    NULL};

struct cut {
  struct normalizer_scratch normalizer;
  struct pre_tokenizer_scratch pieces;
};

static void cut_done(struct cut *cut) {
  normalizer_scratch_done(&cut->normalizer);
  pre_tokenizer_scratch_done(&cut->pieces);
}

/* A text's normal form in the pieces that the model sees. False: no memory, or an expression takes too long. */
static bool cut_text(struct cut *out, const struct tokenizer *t, const char *bytes) {
  struct normalized_string *text = &out->pieces.text[0];
  struct split_list *splits = &out->pieces.splits[0];
  size_t length = strlen(bytes);
  out->pieces.text_now = out->pieces.splits_now = 0;
  normalized_clear(text);
  split_list_clear(splits);
  pattern_scratch_start(&out->normalizer.pattern, length);
  pattern_scratch_start(&out->pieces.pattern, length);
  const struct normalized_string *normal = normalizer_apply(&t->normalizer, &out->normalizer, bytes, length, 0);
  normalized_add_part(text, normal, 0, normal->length);
  split_list_add(splits, 0, text->length, -1);
  return !normal->failed && !text->failed && !splits->failed && pre_tokenizer_apply(&t->pre_tokenizer, &out->pieces) &&
         !out->normalizer.pattern.failed && !out->pieces.pattern.failed;
}

static bool same_pieces(const struct cut *a, const struct cut *b) {
  const struct normalized_string *x = &a->pieces.text[a->pieces.text_now], *y = &b->pieces.text[b->pieces.text_now];
  const struct split_list *xs = &a->pieces.splits[a->pieces.splits_now], *ys = &b->pieces.splits[b->pieces.splits_now];
  bool same = x->length == y->length && memcmp(x->bytes, y->bytes, x->length) == 0 && xs->count == ys->count;
  for (size_t i = 0; same && i < xs->count; i++)
    same = xs->items[i].start == ys->items[i].start && xs->items[i].end == ys->items[i].end;
  return same;
}

/* Whether two cut every text alike. */
static enum status compare_cuts(bool *same, const struct tokenizer *a, const struct tokenizer *b, struct error *err) {
  struct cut cuts[2] = {0};
  bool ok = true;
  *same = true;
  for (const char *const *text = gguf_pre_texts; ok && *same && *text; text++) {
    ok = cut_text(&cuts[0], a, *text) && cut_text(&cuts[1], b, *text);
    *same = ok && same_pieces(&cuts[0], &cuts[1]);
  }
  cut_done(&cuts[0]);
  cut_done(&cuts[1]);
  return ok ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

static enum status fits(bool *out, const struct gguf_pre *pre, const struct tokenizer *t, struct error *err) {
  struct tokenizer *probe = tokenizer_new();
  if (!probe)
    return error_no_memory(err, "the tokenizer");
  enum status status = gguf_pre_apply(probe, pre, err);
  status = status ? status : compare_cuts(out, probe, t, err);
  tokenizer_free(probe);
  return status;
}

const struct gguf_pre *gguf_pre_of(const struct tokenizer *t, struct error *err) {
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    bool same = false;
    if (known[i].ignore_merges == t->bpe.ignore_merges && fits(&same, &known[i], t, err))
      return NULL;
    if (same)
      return &known[i];
  }
  error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
            "the tokenizer's normalizer and pre_tokenizer cut texts as none that GGUF has a name for "
            "(tokenizer.ggml.pre)");
  return NULL;
}

void gguf_pre_name(char out[64], const struct gguf_pre *pre) {
  const char *first = pre->names + 1;
  snprintf(out, 64, "%.*s", (int)strcspn(first, " "), first);
}
