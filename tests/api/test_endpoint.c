/* Requests reach the operation they mean: raw paths are matched segment by segment, parameters are
   decoded safely, and a wrong method is told from a wrong path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/endpoint.h"

static struct endpoint_match match;
static struct error err;

static enum status get(const char *path) {
  return endpoint_match(&match, HTTP_GET, path, &err);
}

static void finds_operations(void **state) {
  (void)state;
  assert_int_equal(get("/livez"), STATUS_OK);
  assert_int_equal(match.op, OP_livez);
  assert_int_equal(match.count, 0);
  assert_int_equal(get("/v1/files?purpose=fine-tune/x"), STATUS_OK);
  assert_int_equal(match.op, OP_files_list);
  assert_int_equal(endpoint_match(&match, HTTP_POST, "/v1/fine_tuning/jobs", &err), STATUS_OK);
  assert_int_equal(match.op, OP_jobs_create);
  assert_int_equal(endpoint_match(&match, HTTP_DELETE, "/v1/files/file-1", &err), STATUS_OK);
  assert_int_equal(match.op, OP_files_delete);
  assert_string_equal(match.param[0], "file-1");
  assert_int_equal(get("/v1/fine_tuning/jobs/ftjob-1/artifacts/a%20b.csv"), STATUS_OK);
  assert_int_equal(match.op, OP_artifacts_content);
  assert_int_equal(match.count, 2);
  assert_string_equal(match.param[0], "ftjob-1");
  assert_string_equal(match.param[1], "a b.csv");
}

static void every_row_matches_itself(void **state) {
  (void)state;
  for (int op = 0; op < OP_COUNT; op++) {
    const struct endpoint *endpoint = endpoint_of((enum operation)op);
    assert_int_equal(endpoint_match(&match, endpoint->method, endpoint->path, &err), STATUS_OK);
    assert_int_equal(match.op, op);
    assert_int_equal(http_method_parse(http_method_name(endpoint->method)), endpoint->method);
  }
}

static void decodes_parameters(void **state) {
  (void)state;
  assert_int_equal(get("/v1/models/ft:base:o%2Fx::1"), STATUS_OK);
  assert_int_equal(match.op, OP_models_retrieve);
  assert_string_equal(match.param[0], "ft:base:o/x::1");
  assert_int_equal(get("/v1/models/caf%C3%A9"), STATUS_OK);
  assert_string_equal(match.param[0], "caf\xC3\xA9");
  assert_int_equal(get("/v1/models/a+b"), STATUS_OK);
  assert_string_equal(match.param[0], "a+b");
}

static void takes_slashes_of_models(void **state) {
  (void)state;
  static const char *const ids[] = {"org/name", "ft:org/name:local:s:1", "ft:org/name:local:s:1:ckpt-step-2", "a/b/c"};
  char path[128];
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    snprintf(path, sizeof path, "/v1/models/%s?x=/y//", ids[i]);
    assert_int_equal(get(path), STATUS_OK);
    assert_int_equal(match.op, OP_models_retrieve);
    assert_int_equal(match.count, 1);
    assert_string_equal(match.param[0], ids[i]);
    assert_int_equal(endpoint_match(&match, HTTP_DELETE, path, &err), STATUS_OK);
    assert_int_equal(match.op, OP_models_delete);
    assert_string_equal(match.param[0], ids[i]);
  }
  assert_int_equal(endpoint_match(&match, HTTP_POST, "/v1/models/org/name", &err), STATUS_METHOD_NOT_ALLOWED);
  assert_int_equal(get("/v1/models/org/n%20e"), STATUS_OK);
  assert_string_equal(match.param[0], "org/n e");
  assert_int_equal(get("/v1/models/org/%zz"), STATUS_INVALID_VALUE);
  static const char *const none[] = {"/v1/models/", "/v1/models//", "/v1/models/org/", "/v1/models//name",
                                     "/v1/models/org//name"};
  for (size_t i = 0; i < COUNT_OF(none); i++)
    assert_int_equal(get(none[i]), STATUS_NOT_FOUND);
}

static void refuses_bad_parameters(void **state) {
  (void)state;
  static const char *const paths[] = {"/v1/models/%",    "/v1/models/a%2",    "/v1/models/%zz",  "/v1/models/%00",
                                      "/v1/models/a%2?", "/v1/models/%C3%28", "/v1/models/\xFF", "/v1/models/%+1"};
  for (size_t i = 0; i < COUNT_OF(paths); i++) {
    assert_int_equal(get(paths[i]), STATUS_INVALID_VALUE);
    assert_string_equal(err.param, "model");
  }
  char path[700] = "/v1/models/";
  memset(path + 11, 'a', ENDPOINT_PARAM_BYTES - 1);
  assert_int_equal(get(path), STATUS_OK);
  memset(path + 11, 'a', ENDPOINT_PARAM_BYTES);
  assert_int_equal(get(path), STATUS_INVALID_VALUE);
}

static void tells_404_from_405(void **state) {
  (void)state;
  static const char *const none[] = {"",
                                     "/v1",
                                     "/v1/files/",
                                     "/v1/files/x/",
                                     "/livez/",
                                     "//livez",
                                     "/v1/%66iles",
                                     "/v1/files/x/y",
                                     "/v1/fine_tuning/jobs//events",
                                     "/livezz",
                                     "/live",
                                     "*"};
  for (size_t i = 0; i < COUNT_OF(none); i++)
    assert_int_equal(get(none[i]), STATUS_NOT_FOUND);
  char allow[64];
  assert_int_equal(endpoint_match(&match, HTTP_PATCH, "/v1/files/x", &err), STATUS_METHOD_NOT_ALLOWED);
  endpoint_allow(allow, sizeof allow, match.allowed);
  assert_string_equal(allow, "GET, HEAD, DELETE");
  assert_non_null(strstr(err.text, allow));
  assert_int_equal(endpoint_match(&match, HTTP_METHOD_COUNT, "/livez", &err), STATUS_METHOD_NOT_ALLOWED);
  assert_int_equal(endpoint_match(&match, HTTP_METHOD_COUNT, "/none", &err), STATUS_NOT_FOUND);
  endpoint_allow(allow, sizeof allow, (1u << HTTP_METHOD_COUNT) - 1);
  assert_string_equal(allow, "GET, HEAD, POST, DELETE, PUT, PATCH");
}

static void parses_methods(void **state) {
  (void)state;
  assert_int_equal(http_method_parse("HEAD"), HTTP_GET);
  assert_int_equal(http_method_parse("get"), HTTP_METHOD_COUNT);
  assert_int_equal(http_method_parse("TRACE"), HTTP_METHOD_COUNT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_operations),       cmocka_unit_test(every_row_matches_itself),
      cmocka_unit_test(decodes_parameters),     cmocka_unit_test(takes_slashes_of_models),
      cmocka_unit_test(refuses_bad_parameters), cmocka_unit_test(tells_404_from_405),
      cmocka_unit_test(parses_methods)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
