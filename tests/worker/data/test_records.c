/* Records come out whole in all three formats, whatever the quoting, the line ends or the size of the
   window; every fault names its line and column. */
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
#include "worker/data/records.h"

/* All records as text: fields between <>, records between newlines, then the fault if there is one.
   The input is a block of exactly its size, so that the address sanitizer sees any byte too many. */
static void show(struct str *out, const char *text, size_t length, enum record_format format) {
  struct records *records = NULL;
  const struct record *record;
  struct error err = {0};
  char *exact = malloc(length ? length : 1);
  assert_non_null(exact);
  memcpy(exact, text, length);
  str_clear(out);
  enum status status = records_open_memory(&records, exact, length, format, &err);
  while (!status && !(status = records_next(records, &record, &err)) && record) {
    str_printf(out, "%zu:", record->line);
    for (size_t i = 0; i < record->count; i++)
      str_printf(out, "<%s>", record->values[i].text);
    if (record->object)
      json_append(out, record->object);
    str_putc(out, '\n');
  }
  if (status) {
    assert_int_equal(status, STATUS_DATASET_INVALID);
    str_printf(out, "! %s", err.text);
  }
  records_close(records);
  free(exact);
}

struct example {
  const char *text, *want;
};

static void run(const struct example *cases, size_t count, enum record_format format) {
  struct str out;
  str_init(&out, 1 << 20);
  for (size_t i = 0; i < count; i++) {
    show(&out, cases[i].text, strlen(cases[i].text), format);
    if (strcmp(out.text, cases[i].want) != 0)
      fail_msg("case %zu:\n%s\ngives\n%s\nnot\n%s", i, cases[i].text, out.text, cases[i].want);
  }
  str_done(&out);
}

static void reads_csv(void **state) {
  (void)state;
  static const struct example cases[] = {
      {"a,b\n1,2\n", "2:<1><2>\n"},
      {"a,b\n1,2", "2:<1><2>\n"},
      {"a,b\r\n1,2\r\n", "2:<1><2>\n"},
      {"\xEF\xBB\xBF"
       "a\n1\n",
       "2:<1>\n"},
      {"a,b\n,\n", "2:<><>\n"},
      {"a,b\n\"\",\"\"\n", "2:<><>\n"},
      {"a,b\n\"x,y\",\"say \"\"hi\"\"\"\n", "2:<x,y><say \"hi\">\n"},
      {"a,b\n\"two\nlines\",1\n\"\r\n\",2\nx,3\n", "2:<two\nlines><1>\n4:<\r\n><2>\n6:<x><3>\n"},
      {"a,b\n\n1,2\n\r\n3,4\n", "3:<1><2>\n5:<3><4>\n"},
      {"\"a \"\"q\"\"\",b\n1,2\n", "2:<1><2>\n"},
      {"a\n\"\"\"\"\n", "2:<\">\n"},
      {"a,b\n1,2\n3\n", "2:<1><2>\n! line 3, column 1: 1 field, but the header has 2"},
      {"a,b\n1,2,3\n", "! line 2, column 1: 3 fields, but the header has 2"},
      {"a,b\nx\"y,2\n", "! line 2, column 2: a quote inside a field that is not quoted"},
      {"a,b\n1, \"y\"\n", "! line 2, column 4: a quote inside a field that is not quoted"},
      {"a,b\n\"x\" ,2\n",
       "! line 2, column 4: text after a closing quote, which was opened at line 2, column 1 (a quote "
       "inside a quoted field is written twice)"},
      {"a,b\n1,2\n3,\"open\nmore\n", "2:<1><2>\n! line 3, column 3: a quote is opened here and never closed"},
      {"a,b\n1,\"x\n2,\"y\"\n",
       "! line 3, column 4: text after a closing quote, which was opened at line 2, column 3 (a "
       "quote inside a quoted field is written twice)"},
      {"a,\xC3\xA9,b\n\xC3\xA9\xC3\xA9,\xFF,1\n",
       "! line 2, column 4: the byte 0xFF is not UTF-8; save the file as UTF-8"},
      {"sep=;\r\na;b\r\n1,5;\"x;\"\r\n", "3:<1,5><x;>\n"},
      {"a;b\n\"1;\";2\n3\n", "2:<1;><2>\n! line 3, column 1: 1 field, but the header has 2"},
      {"a\tb\n1,2\t\"3\t\"\n", "2:<1,2><3\t>\n"},
      {"a\n1;2\n", "2:<1;2>\n"},
      {"\x1F\x8B\x08",
       "! line 1, column 1: the file is compressed by gzip; upload what is in it, unpacked, as .jsonl, .csv or .tsv"},
      {"", "! line 1, column 1: the file is empty"},
      {"\n\n", "! line 3, column 1: the file is empty"},
      {"a,b\n", "! line 2, column 1: no record follows the header"},
      {"a,b", "! line 2, column 1: no record follows the header"},
      {"a,a\n1,2\n", "! line 1, column 3: a second column named a"},
      {"a,,b\n1,2,3\n", "! line 1, column 3: the name of column 2 is empty"},
  };
  run(cases, COUNT_OF(cases), RECORD_CSV);
}

static void reads_tsv(void **state) {
  (void)state;
  static const struct example cases[] = {
      {"a\tb\n1\t2\n", "2:<1><2>\n"},
      {"a\tb\nx\"y\"\"\t5\" disk\n", "2:<x\"y\"\"><5\" disk>\n"},
      {"a\tb\n\"x\t2\n1\ty\"\n", "2:<\"x><2>\n3:<1><y\">\n"},
      {"a\tb\n\"x\" y\t\"z\"\n\"\"\t\"\n", "2:<\"x\" y><\"z\">\n3:<\"\"><\">\n"},
      {"\"a\tb\n1\t2\n", "2:<1><2>\n"},
      {"a\tb\n\"x\ty\"\t2\n",
       "! line 2, column 1: 3 fields, but the header has 2 (in TSV a quote is a character like any other: tabs and "
       "line ends inside quotes count)"},
      {"a\tb\n1\n", "! line 2, column 1: 1 field, but the header has 2"},
      {"gj04\t1\t\tIt \"is\" so.\ngj04\t0\t*\tNo.\n", "1:<gj04><1><><It \"is\" so.>\n2:<gj04><0><*><No.>\n"},
      {"gj04\t1\t\tA.\r\ngj04\t0\n",
       "1:<gj04><1><><A.>\n! line 2, column 1: 2 fields, but the first line, which is no header, has 4"},
      {"\xEF\xBB\xBF"
       "so good\t1\nbad\t0\n",
       "1:<so good><1>\n2:<bad><0>\n"},
  };
  run(cases, COUNT_OF(cases), RECORD_TSV);
}

static void reads_json_lines(void **state) {
  (void)state;
  static const struct example cases[] = {
      {"{\"a\":1}\n{\"b\":\"x\"}\n", "1:{\"a\":1}\n2:{\"b\":\"x\"}\n"},
      {"{\"a\":1}", "1:{\"a\":1}\n"},
      {"\n  \r\n{}\r\n", "3:{}\n"},
      {"   ", "! line 2, column 1: the file is empty"},
      {"", "! line 1, column 1: the file is empty"},
      {"{\"a\":1}\n[1]\n", "1:{\"a\":1}\n! line 2, column 1: each line must be a JSON object, not an array"},
      {" [{\"a\":1}]\n",
       "! line 1, column 2: the file is one JSON array; JSON Lines has one object a line (jq -c '.[]' makes it so)"},
      {"{}\n{\n  \"a\": 1\n}\n",
       "1:{}\n! line 2, column 1: the object goes on in the next line; JSON Lines has one object a line (jq -c . makes "
       "it so)"},
      {"{}\r{}\r",
       "! line 1, column 1: the lines end in CR alone, as on old Macs; save the file with the line ends LF or CRLF"},
      {"{}\n{\"\xC3\xA9\":\xC3}\n", "1:{}\n! line 2, column 6: the byte 0xC3 is not UTF-8; save the file as UTF-8"},
  };
  run(cases, COUNT_OF(cases), RECORD_JSONL);
  struct str out;
  str_init(&out, 1 << 16);
  show(&out, "{}\n{\"a\":}\n", 10, RECORD_JSONL);
  assert_non_null(strstr(out.text, "! line 2, column "));
  show(&out, "{}\n{\"a\":1,\"a\":2}\n", 18, RECORD_JSONL);
  assert_non_null(strstr(out.text, "! line 2, column "));
  assert_non_null(strstr(out.text, "duplicate object key"));
  show(&out, "{}\n{\"a\":\"\0\"}\n", 14, RECORD_JSONL);
  assert_non_null(strstr(out.text, "! line 2, column 7: a NUL byte"));
  show(&out, "a,b\n1,\0002\n", 9, RECORD_CSV);
  assert_non_null(strstr(out.text, "! line 2, column 3: a NUL byte"));
  str_done(&out);
}

/* Parts that are cut off hold the records that a reader of the whole finds. */
static void cuts_at_records(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum record_format format;
    size_t records;
  } cases[] = {{"a\tb\n\"x\t1\n\"y\t2\nz\"\t3\n\"w\"\t4\n", RECORD_TSV, 4},
               {"a;b\n\"x\n\";1\n\"y;\n\";2\n", RECORD_CSV, 2},
               {"a,b\n\"x\n\",1\n\"y\",2\n", RECORD_CSV, 2}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct records *records, *part;
    const struct record *record;
    struct error err;
    size_t count = 1;
    assert_int_equal(records_open_memory(&records, cases[i].text, strlen(cases[i].text), cases[i].format, &err), 0);
    assert_int_equal(records_next(records, &record, &err), STATUS_OK);
    for (;;) {
      assert_int_equal(records_cut(&part, records, 1, &err), STATUS_OK);
      if (!part)
        break;
      assert_int_equal(records_next(part, &record, &err), STATUS_OK);
      assert_int_equal(record->count, 2);
      assert_int_equal(records_next(part, &record, &err), STATUS_OK);
      assert_null(record);
      records_close(part);
      count++;
    }
    assert_int_equal(count, cases[i].records);
    records_close(records);
  }
}

static void keeps_its_limits(void **state) {
  (void)state;
  struct str out;
  char *text = malloc(RECORD_BYTES_MAX + 100);
  assert_non_null(text);
  str_init(&out, 4 << 20);
  memcpy(text, "a\n", 2);
  memset(text + 2, 'x', RECORD_BYTES_MAX + 98);
  show(&out, text, 2 + RECORD_BYTES_MAX, RECORD_CSV);
  assert_int_equal(out.length, RECORD_BYTES_MAX + 5);
  show(&out, text, 2 + RECORD_BYTES_MAX + 1, RECORD_CSV);
  assert_string_equal(out.text, "! line 2, column 1: a record of more than 1048576 bytes");
  text[2] = '"';
  show(&out, text, 2 + RECORD_BYTES_MAX + 1, RECORD_CSV);
  assert_string_equal(out.text, "! line 2, column 1: a quote is opened here and not closed in 1048576 bytes");
  str_clear(&out);
  for (int columns = 256; columns <= 257; columns++) {
    size_t n = 0;
    for (int i = 0; i < columns; i++)
      n += (size_t)snprintf(text + n, 16, "%sc%d", i ? "," : "", i);
    show(&out, text, n, RECORD_CSV);
    assert_string_equal(out.text, columns == 256 ? "! line 2, column 1: no record follows the header"
                                                 : "! line 1, column 1171: more than 256 columns");
  }
  free(text);
  str_done(&out);
}

/* Records of many sizes, so that they meet the window's end in many ways. */
static void slides_over_large_files(void **state) {
  (void)state;
  struct str text;
  struct records *records;
  const struct record *record;
  struct error err = {0};
  size_t lines = 0, count = 0;
  str_init(&text, 64 << 20);
  str_puts(&text, "id,text\n");
  for (size_t i = 0; text.length < 9 << 20; i++) {
    size_t length = i * 7919 % 90000;
    str_printf(&text, "%zu,\"", i);
    for (size_t k = 0; k < length; k++)
      str_putc(&text, k % 61 == 60 ? '\n' : (char)('a' + (i + k) % 26));
    str_puts(&text, "\"\"\"\n");
    count++;
  }
  assert_false(text.failed);
  for (size_t i = 0; i < text.length; i++)
    lines += text.text[i] == '\n';
  assert_int_equal(file_put(data_file, text.text, text.length, &err), STATUS_OK);
  assert_int_equal(records_open(&records, data_file, "big.CSV", &err), STATUS_OK);
  assert_int_equal(records_column(records, "text"), 1);
  for (size_t i = 0; i < count; i++) {
    char id[32];
    size_t length = i * 7919 % 90000;
    assert_int_equal(records_next(records, &record, &err), STATUS_OK);
    assert_non_null(record);
    snprintf(id, sizeof id, "%zu", i);
    assert_string_equal(record->values[0].text, id);
    assert_int_equal(record->values[1].length, length + 1);
    for (size_t k = 0; k < length; k++)
      if (record->values[1].text[k] != (k % 61 == 60 ? '\n' : (char)('a' + (i + k) % 26)))
        fail_msg("record %zu, byte %zu", i, k);
  }
  assert_int_equal(records_next(records, &record, &err), STATUS_OK);
  assert_null(record);
  assert_int_equal(records_lines(records), lines);
  assert_int_equal(records_bytes(records), text.length);
  records_close(records);
  str_done(&text);
}

static enum status format_of(const char *filename, const char *text, enum record_format *format) {
  struct records *records;
  struct error err;
  put_data(text);
  enum status status = records_open(&records, data_file, filename, &err);
  if (!status)
    *format = records_format(records);
  records_close(records);
  return status;
}

static void finds_the_format(void **state) {
  (void)state;
  static const struct {
    const char *name, *text;
    enum record_format want;
  } cases[] = {
      {"x.jsonl", "{}", RECORD_JSONL},
      {"x.JSON", "{}", RECORD_JSONL},
      {"x.ndjson", "{}", RECORD_JSONL},
      {"a.b.csv", "a\tb\n", RECORD_CSV},
      {"x.tsv", "a,b\n", RECORD_TSV},
      {"x.txt", " \n{\"a\":1}\n", RECORD_JSONL},
      {"x", "a\tb, c\n", RECORD_TSV},
      {NULL, "a,b\n", RECORD_CSV},
      {"x", "a;b\n", RECORD_CSV},
      {"x", "sep=\t\na\tb\n", RECORD_TSV},
      {"x.dat", "\xEF\xBB\xBF{}\n", RECORD_JSONL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    enum record_format got = RECORD_FORMAT_COUNT;
    assert_int_equal(format_of(cases[i].name, cases[i].text, &got), STATUS_OK);
    assert_int_equal(got, cases[i].want);
  }
  enum record_format got;
  assert_int_equal(format_of("x.txt", "words\n", &got), STATUS_DATASET_INVALID);
  assert_int_equal(format_of("x.txt", "", &got), STATUS_DATASET_INVALID);
  struct records *records;
  assert_int_equal(records_open(&records, "/nonexistent", "x.csv", NULL), STATUS_IO);
  assert_int_equal(records_open(&records, "/tmp", "x.csv", NULL), STATUS_IO);
}

static void places_faults_at_fields(void **state) {
  (void)state;
  struct records *records;
  const struct record *record;
  struct error err;
  static const char json[] = "{\"x\": {\"label\": 1}, \"\xC3\xA9\": \"label\", \"label\" : \"a\\\"b\"}";
  assert_int_equal(records_open_memory(&records, json, strlen(json), RECORD_JSONL, &err), STATUS_OK);
  assert_int_equal(records_next(records, &record, &err), STATUS_OK);
  assert_int_equal(record_fault(&err, record, -1, "label", "is %s", "bad"), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 1, column 45: is bad");
  assert_string_equal(err.param, "label");
  record_fault(&err, record, -1, "none", "is absent");
  assert_string_equal(err.text, "line 1, column 1: is absent");
  records_close(records);
  static const char csv[] = "a,b,c\n\"\xC3\xA9\n\",\xC3\xA9,3\n";
  assert_int_equal(records_open_memory(&records, csv, strlen(csv), RECORD_CSV, &err), STATUS_OK);
  assert_int_equal(records_next(records, &record, &err), STATUS_OK);
  record_fault(&err, record, 2, "c", "is bad");
  assert_string_equal(err.text, "line 3, column 5: is bad");
  records_close(records);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_csv),        cmocka_unit_test(reads_tsv),
      cmocka_unit_test(reads_json_lines), cmocka_unit_test(cuts_at_records),
      cmocka_unit_test(keeps_its_limits), cmocka_unit_test(slides_over_large_files),
      cmocka_unit_test(finds_the_format), cmocka_unit_test(places_faults_at_fields),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
