/* What is probably not meant so is told once for each kind, with the place of the first; what is meant is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "worker/data/check.h"

/* The warnings of a file's report, one a line. */
static void warnings(struct str *out, const char *name, const char *text) {
  json_t *report, *item;
  struct error err;
  size_t i;
  put_data(text);
  if (check_file(&report, data_file, name, &err))
    fail_msg("%s: %s", text, err.text);
  str_clear(out);
  json_array_foreach(json_object_get(report, "warnings"), i, item)
    str_printf(out, "%s\n", json_string_value(item));
  json_decref(report);
}

#define ROWS "text,label\na,1\nb,2\nc,3\nd,4\n"

static void what_is_warned_of(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *says; /* all of it */
  } cases[] = {
      {"x.csv", ROWS, ""},
      {"x.csv", ROWS "e,n/a\n",
       "line 6, column 3: label is \"n/a\", but 4 others are numbers: with it, they are names of classes\n"},
      {"x.csv", "text,stars\na,1\nb,2\nc,2\nd,1\ne,1\nf,2\ng,1\nh,2\ni,?\nj,?\n",
       "line 10, column 3: stars is \"?\" (and so are 1 more), but 8 others are numbers: with it, they are names of "
       "classes\n"},
      {"x.csv", "text,label\na,x\nb,y\ntext,label\n", "line 4: the header again, as an example\n"},
      {"x.csv", "text,label\na,Positive\nb,negative\nc,\"positive \"\nd,n\xC3\xA9gative\ne,ne\xCC\x81gative\n",
       "line 6, column 3: label is \"ne\xCC\x81gative\", on line 5 \"n\xC3\xA9gative\": two classes that differ in "
       "case, blanks or Unicode form alone\n"
       "line 4, column 3: label is \"positive \", on line 2 \"Positive\": two classes that differ in case, blanks or "
       "Unicode form alone\n"},
      {"x.csv", "text,label\na,x\nb,y\na,y\nb,y\n",
       "1 records are repeated\nline 4, column 3: the text of line 2 has another label here\n"},
      {"x.csv", "text,text_pair,label\na,p,x\na,q,y\n", ""},
      {"x.csv", "text,label\na,1\nb,0\na,1.0\n",
       "line 4, column 3: label is written as a fraction, but all are whole: they are 2 classes; dataset.problem_type "
       "\"regression\" learns them as numbers\n"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"0.5\"}\n{\"text\":\"b\",\"label\":\"1\"}\n",
       "each label is a number in quotes: they are names of 2 classes; dataset.problem_type \"regression\" learns them "
       "as numbers\n"},
      {"x.csv", "text,label\n\" \",x\na,y\n\xE2\x80\x8B,x\n",
       "line 2, column 1: text holds nothing but blanks or invisible characters (and so are 1 more)\n"},
      {"x.jsonl", "{\"text\":\"a <b> [1] < | > <|> [INST\"}\n{\"text\":\"a<|endoftext|>\"}\n{\"text\":\"[INST] x\"}\n",
       "line 2, column 9: text holds \"<|endoftext|>\", which a tokenizer may take for a special token (and so are 1 "
       "more)\n"},
      {"x.jsonl", CHAT(USER("</s>") "," SAYS("ok")) CHAT(MESSAGE("user", "[" PART("<|im_end|>") "]") "," SAYS("ok")),
       "line 1, column 13: messages holds \"</s>\", which a tokenizer may take for a special token (and so are 1 "
       "more)\n"},
      {"x.tsv", "text\tlabel\n\"a\" b\tx\n\"\ty\nc \"d\"\tx\n", ""},
      {"x.tsv", "text\tlabel\na\tx\n\"b\"\t\"y\"\n",
       "line 3, column 1: the field is in quotes (and so are 1 more), which are part of it: TSV has no quoting (a file "
       "with quotes is saved as .csv, with commas)\n"},
      {"x.csv", "text;label\na,b;x\nc;y\n", "the fields are separated by semicolons, not by commas\n"},
      {"x.tsv", "text,label\na,x\nb,y\n",
       "the header has no tab: it is one column named text,label\n"
       "no column is named text; a job must name its columns (dataset.text, dataset.label)\n"},
      {"x.csv", "text,label\na,x\n\xEF\xBB\xBFtext,label\nb,y\n", "line 3: the header again, as an example\n"},
      {"x.csv", "review,stars\n[CLS] a,1\nb,2\n",
       "line 2, column 1: review holds \"[CLS]\", which a tokenizer may take for a special token\n"
       "no column is named text; a job must name its columns (dataset.text, dataset.label)\n"},
  };
  struct str out;
  str_init(&out, 1 << 16);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    warnings(&out, cases[i].name, cases[i].text);
    assert_string_equal(out.text, cases[i].says);
  }
  str_done(&out);
}

static void tells_a_few_of_many(void **state) {
  (void)state;
  struct str text, out;
  str_init(&text, 1 << 20);
  str_init(&out, 1 << 16);
  str_puts(&text, "text,label\n");
  for (int i = 0; i < 2000; i++)
    str_printf(&text, "t%d,class %d\nu%d,Class %d\n", i, i, i, i);
  warnings(&out, "x.csv", text.text);
  size_t lines = 0;
  for (const char *p = out.text; (p = strchr(p, '\n')); p++)
    lines++;
  assert_int_equal(lines, 5);
  str_clear(&text);
  str_puts(&text, "text,label\n");
  for (int i = 0; i < 50; i++)
    str_printf(&text, "t%d,%d\n", i, 10 * i);
  warnings(&out, "x.csv", text.text);
  assert_string_equal(out.text, "label is one of 50 different numbers: each is a class of its own; "
                                "dataset.problem_type \"regression\" learns them as numbers\n");
  str_done(&text);
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_warned_of), cmocka_unit_test(tells_a_few_of_many)};
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
