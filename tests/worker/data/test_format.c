/* What is no text with lines is refused by what it is; what is text is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "worker/data/format.h"

#define BYTES(text) text, sizeof text - 1

static void says_what_a_file_is(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t length;
    const char *says; /* NULL: it is not refused */
  } cases[] = {
      {BYTES("\xFF\xFE"
             "t\0e\0"),
       "UTF-16"},
      {BYTES("\xFE\xFF\0t\0e"), "UTF-16"},
      {BYTES("t\0e\0x\0t\0,\0"), "UTF-16"},
      {BYTES("\0t\0e\0x\0t\0,"), "UTF-16"},
      {BYTES("\xFF\xFE\0\0t\0\0\0"), "UTF-32"},
      {BYTES("\0\0\xFE\xFF\0\0\0t"), "UTF-32"},
      {BYTES("t\0\0\0e\0\0\0x\0\0\0"), "UTF-32"},
      {BYTES("\0\0\0t\0\0\0e\0\0\0x"), "UTF-32"},
      {BYTES("\x1F\x8B\x08\0\0\0"), "compressed by gzip; upload what is in it, unpacked"},
      {BYTES("BZh91AY&SY\x01\x02"), "bzip2"},
      {BYTES("\x28\xB5\x2F\xFD\x24"), "zstd"},
      {BYTES("\xFD"
             "7zXZ\0\0"),
       "xz"},
      {BYTES("PK\3\4\x14\0\0\0train.csv"), "the file is a zip archive; upload what is in it"},
      {BYTES("PK\3\4\x14\0\0\0[Content_Types].xml...PK\3\4xl/workbook.xml"), "an Excel workbook"},
      {BYTES("PK\3\4\x14\0mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK"), "OpenDocument"},
      {BYTES("PAR1\x15\x04\x15"), "Parquet"},
      {BYTES("ARROW1\0\0"), "Arrow"},
      {BYTES("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0"), "Office"},
      {BYTES("%PDF-1.7\n"), "PDF"},
      {BYTES("\xEF\xBB\xBF\n<!DOCTYPE HTML>\n"), "HTML"},
      {BYTES("<?xml version=\"1.0\"?>\n"), "XML"},
      {BYTES("\x80\x04\x95"), "pickle"},
      {BYTES("SQLite format 3\0\x10"), "SQLite"},
      {BYTES("a,b\rc,d\r"), "the lines end in CR alone"},
      {BYTES("{}\r{}"), "the lines end in CR alone"},
      {BYTES("-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n"), "each line has a word and its tag (CoNLL)"},
      {BYTES("EU\tB-ORG\r\nrejects\tO\r\n\r\ncalls\tO"), "CoNLL"},
      {BYTES("\n\nAda B-PER\nspoke O \n"), "python3 -c 'import json,re,sys; [print(json.dumps("},
      {BYTES("text\tO\n"), NULL},
      {BYTES("text\tlabel\na b\tO\nc d\tB-X\n"), NULL},
      {BYTES("one O\ntwo O\n\0-\n"), NULL},
      {BYTES("O\nO\n"), NULL},
      {BYTES("a,b\r"), NULL},
      {BYTES("{}\r \r"), NULL},
      {BYTES("a,b\r\nc\rd,e\r\n"), NULL},
      {BYTES("BZh,PAR1\nORC,GGUF\n"), NULL},
      {BYTES("PAR1,ORC\n"), NULL},
      {BYTES("a\0b\0\n"), NULL},
      {BYTES("text\n<html>\n"), NULL},
      {BYTES("\xC3\xA9,b\n"), NULL},
      {BYTES(""), NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char *exact = malloc(cases[i].length + 1); /* no byte too many is read */
    memcpy(exact, cases[i].bytes, cases[i].length);
    char *cut = realloc(exact, cases[i].length ? cases[i].length : 1);
    const char *says = format_refused(cut, cases[i].length);
    if (cases[i].says ? !says || !strstr(says, cases[i].says) : says != NULL)
      fail_msg("case %zu: %s", i, says ? says : "(not refused)");
    free(cut);
  }
  char tar[512] = "train.csv";
  memcpy(tar + 257, "ustar", 5);
  assert_non_null(strstr(format_refused(tar, sizeof tar), "tar archive"));
}

static void finds_delimiters(void **state) {
  (void)state;
  static const struct {
    const char *text;
    char want;
    size_t named;
  } cases[] = {
      {"a,b;c\n", ',', 0},      {"a;b\n1,5;2\n", ';', 0},
      {"a\tb;c\n", '\t', 0},    {"a|b\n", '|', 0},
      {"text\na;b\n", ',', 0},  {"\"a;b\"\n", ',', 0},
      {"\"a,b\";c\n", ';', 0},  {"sep=;\na\n", ';', 6},
      {"SEP=,\r\na\n", ',', 7}, {"", ',', 0},
      {"sep=x\n", ',', 0},      {"sep=;", ';', 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char named = 0;
    size_t length = strlen(cases[i].text);
    assert_int_equal(format_names_delimiter(&named, cases[i].text, length), cases[i].named);
    assert_int_equal(cases[i].named ? named : format_delimiter(cases[i].text, length), cases[i].want);
  }
}

static void knows_tables_without_a_header(void **state) {
  (void)state;
  static const struct {
    const char *line;
    size_t want;
  } cases[] = {
      {"gj04\t1\t\tA sentence.", 4},
      {"gj04\t0\t*\tA", 4},
      {"gj04\t0\t*\t", 0},
      {"gj04\t0\tx\tA", 0},
      {"gj04\t2\t\tA", 0},
      {"a b\t0\t\tA\tB", 0},
      {"so good\t1", 2},
      {"good\t1", 0},
      {"so good\t2", 0},
      {"so good\t01", 0},
      {"sentence\tlabel", 0},
      {"0\t1", 0},
      {"index\tsentence", 0},
      {"so good\t", 0},
      {"so good", 0},
      {"", 0},
      {"\t1", 0},
      {"\t\t\t\t\t\t", 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *const *names = NULL;
    size_t length = strlen(cases[i].line);
    char *exact = malloc(length + 1); /* no byte too many is read */
    memcpy(exact, cases[i].line, length);
    char *cut = realloc(exact, length ? length : 1);
    size_t count = format_headerless(&names, cut, length);
    if (count != cases[i].want)
      fail_msg("%s: %zu", cases[i].line, count);
    if (count)
      assert_string_equal(names[count == 2 ? 0 : 3], "sentence");
    free(cut);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(says_what_a_file_is), cmocka_unit_test(finds_delimiters),
                                     cmocka_unit_test(knows_tables_without_a_header)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
