/* Proves: the parser gives the same parts whatever pieces the body arrives in, gives back bytes that only look
   like a boundary, and refuses every malformed body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "server/http/multipart.h"

static enum status on_part(void *context, const char *name, const char *filename, struct error *err) {
  (void)err;
  str_printf(context, "<%s|%s>", name, filename ? filename : "-");
  return STATUS_OK;
}

static enum status on_data(void *context, const char *bytes, size_t length, struct error *err) {
  (void)err;
  assert_true(length > 0);
  str_add(context, bytes, length);
  return STATUS_OK;
}

static enum status on_end(void *context, struct error *err) {
  (void)err;
  str_puts(context, "</>");
  return STATUS_OK;
}

static const struct multipart_calls calls = {on_part, on_data, on_end};

/* Feeds the body in pieces of `piece` bytes; the outcome in *out. */
static enum status parse(struct str *out, const char *body, size_t length, size_t piece) {
  struct multipart parser;
  struct error err;
  str_clear(out);
  enum status status = multipart_init(&parser, "multipart/form-data; boundary=AaB", &calls, out, &err);
  assert_int_equal(status, STATUS_OK);
  for (size_t i = 0; !status && i < length; i += piece)
    status = multipart_feed(&parser, body + i, length - i < piece ? length - i : piece, &err);
  return status ? status : multipart_end(&parser, &err);
}

static void check(const char *body, const char *want) {
  AUTO(str_done) struct str out;
  str_init(&out, 1 << 16);
  for (size_t piece = 1; piece <= strlen(body); piece++) {
    assert_int_equal(parse(&out, body, strlen(body), piece), STATUS_OK);
    assert_string_equal(out.text, want);
  }
}

#define PART(disposition) "--AaB\r\nContent-Disposition: form-data; " disposition "\r\n\r\n"

static void test_pieces(void **state) {
  (void)state;
  check(PART("name=\"purpose\"") "fine-tune\r\n" PART("name=\"file\"; filename=\"a;b.jsonl\"") "x\ny\r\n--AaB--\r\n",
        "<purpose|->fine-tune</><file|a;b.jsonl>x\ny</>");
  check(PART("name=file; filename=plain") "\r\n--AaB--", "<file|plain></>");
  check("--AaB \t\r\ncontent-disposition:form-data;filename=\"\";name=\"f\"\r\nContent-Type: text/plain\r\n\r\n"
        "1\r\n--AaB--",
        "<f|>1</>");
  check(PART("name=\"q\\\"u\\\\o\"") "\r\n--AaB--epilogue\r\n--AaB\r\n", "<q\"u\\o|-></>");
}

static void test_near_boundaries(void **state) {
  (void)state;
  check(PART("name=f") "\r\r\n\r\n--Aa\r\n--AaC\r\n-\r\n--\r\n--Aa\r\n--AaB--",
        "<f|->\r\r\n\r\n--Aa\r\n--AaC\r\n-\r\n--\r\n--Aa</>");
  check(PART("name=f") "--AaB\r\n--AaB--", "<f|->--AaB</>");
}

static void test_malformed(void **state) {
  static const char *const bodies[] = {
      "",
      "preamble\r\n--AaB--",
      "--AaB",
      "--AaC\r\n",
      "--AaBx\r\n",
      "--AaB\n\r\n",
      "--AaB-x",
      "--AaB\r\n\r\nno header\r\n--AaB--",
      "--AaB\r\nContent-Type: a\r\n\r\nno name\r\n--AaB--",
      PART("filename=x") "\r\n--AaB--",
      PART("name=\"x") "\r\n--AaB--",
      PART("name=\"\xff\"") "\r\n--AaB--",
      "--AaB\r\nContent-Disposition: attachment; name=x\r\n\r\n\r\n--AaB--",
      "--AaB\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--AaB--",
      "--AaB\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n\r\n--AaB--",
      PART("name=x") "never ends\r\n--AaB",
  };
  AUTO(str_done) struct str out;
  (void)state;
  str_init(&out, 1 << 16);
  for (size_t i = 0; i < COUNT_OF(bodies); i++)
    for (size_t piece = 1; piece < 8; piece++)
      assert_int_equal(parse(&out, bodies[i], strlen(bodies[i]), piece), STATUS_INVALID_REQUEST);
  static const char zero[] = "--AaB\r\nContent-Disposition: form-data; name=\"a\0b\"\r\n\r\n\r\n--AaB--";
  assert_int_equal(parse(&out, zero, sizeof zero - 1, 7), STATUS_INVALID_REQUEST);
}

static void test_limits(void **state) {
  AUTO(str_done) struct str body, out;
  (void)state;
  str_init(&body, 1 << 20);
  str_init(&out, 1 << 20);
  for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
    str_printf(&body, PART("name=p%d") "\r\n", i);
  str_puts(&body, "--AaB--");
  assert_int_equal(parse(&out, body.text, body.length, 100), STATUS_INVALID_REQUEST);
  str_clear(&body);
  str_puts(&body, "--AaB\r\nX: ");
  for (int i = 0; i < MULTIPART_HEADER_MAX; i++)
    str_putc(&body, 'x');
  assert_int_equal(parse(&out, body.text, body.length, 100), STATUS_INVALID_REQUEST);
}

/* What is wrong with the name of a field's file names the field. */
static void test_file_names(void **state) {
  static const struct {
    const char *byte;
    size_t count;
  } names[] = {{"x", MULTIPART_NAME_MAX}, {"x", MULTIPART_HEADER_MAX}, {"\x01", 1}, {"\xFF", 1}};
  AUTO(str_done) struct str body, out;
  struct multipart parser;
  struct error err;
  (void)state;
  str_init(&body, 1 << 20);
  str_init(&out, 1 << 20);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    str_clear(&body);
    str_puts(&body, "--AaB\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
    for (size_t n = 0; n < names[i].count; n++)
      str_puts(&body, names[i].byte);
    str_puts(&body, "\"\r\n\r\n\r\n--AaB--");
    assert_int_equal(multipart_init(&parser, "multipart/form-data; boundary=AaB", &calls, &out, &err), STATUS_OK);
    assert_int_equal(multipart_feed(&parser, body.text, body.length, &err), STATUS_INVALID_REQUEST);
    assert_string_equal(err.param, "file");
  }
}

static void test_content_types(void **state) {
  static const struct {
    const char *type;
    enum status want;
  } cases[] = {
      {"multipart/form-data; boundary=x", STATUS_OK},
      {"Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", STATUS_OK},
      {"multipart/form-data", STATUS_MEDIA_TYPE},
      {"multipart/form-data; boundary=", STATUS_MEDIA_TYPE},
      {"multipart/form-data; boundary=\"x", STATUS_MEDIA_TYPE},
      {"multipart/form-data; boundary=a{b", STATUS_MEDIA_TYPE},
      {"multipart/form-data; noboundary=x", STATUS_MEDIA_TYPE},
      {"multipart/form-datax; boundary=x", STATUS_MEDIA_TYPE},
      {"multipart/mixed; boundary=x", STATUS_MEDIA_TYPE},
      {"application/json", STATUS_MEDIA_TYPE},
      {NULL, STATUS_MEDIA_TYPE},
      {"multipart/form-data; boundary=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghh",
       STATUS_MEDIA_TYPE},
  };
  struct multipart parser;
  struct error err;
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    assert_int_equal(multipart_init(&parser, cases[i].type, &calls, NULL, &err), cases[i].want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces),     cmocka_unit_test(test_near_boundaries),
                                     cmocka_unit_test(test_malformed),  cmocka_unit_test(test_limits),
                                     cmocka_unit_test(test_file_names), cmocka_unit_test(test_content_types)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
