/* The OpenAPI document has every endpoint, parameter, body member and error code, and every reference
   in it leads somewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/endpoint.h"
#include "api/job.h"
#include "api/openapi.h"
#include "base/error.h"

static json_t *document;

static int start(void **state) {
  (void)state;
  document = openapi_document();
  return document ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  json_decref(document);
  return 0;
}

/* at("a", "b", NULL) */
static json_t *at(json_t *value, ...) {
  va_list keys;
  va_start(keys, value);
  for (const char *key; (key = va_arg(keys, const char *));)
    value = json_object_get(value, key);
  va_end(keys);
  return value;
}

static void has_every_endpoint(void **state) {
  (void)state;
  for (int op = 0; op < OP_COUNT; op++) {
    const struct endpoint *endpoint = endpoint_of((enum operation)op);
    char method[8];
    snprintf(method, sizeof method, "%s", http_method_name(endpoint->method));
    for (char *c = method; *c; c++)
      *c = (char)(*c | 0x20);
    json_t *operation = at(document, "paths", endpoint->path, method, NULL);
    if (!operation)
      fail_msg("%s %s is missing", method, endpoint->path);
    assert_string_equal(json_string_value(at(operation, "operationId", NULL)), endpoint->operation);
    assert_non_null(at(operation, "responses", "200", "description", NULL));
    assert_non_null(at(operation, "responses", "default", NULL));
    size_t params = 0;
    for (const char *c = endpoint->path; *c; c++)
      params += *c == '{';
    assert_true(json_array_size(at(operation, "parameters", NULL)) >= params);
    assert_int_equal(json_array_size(at(operation, "security", NULL)), endpoint->scope != SCOPE_OPEN);
  }
}

static void describes_the_job(void **state) {
  (void)state;
  json_t *job = at(document, "components", "schemas", "JobRequest", "properties", NULL);
  json_t *epochs = at(json_array_get(at(job, "method", "oneOf", NULL), 0), "properties", "supervised", "properties",
                      "hyperparameters", "properties", "n_epochs", NULL);
  assert_string_equal(json_string_value(at(json_array_get(at(epochs, "anyOf", NULL), 0), "const", NULL)), "auto");
  assert_int_equal(json_integer_value(at(epochs, "default", NULL)), 3);
  assert_int_equal(json_integer_value(at(json_array_get(at(epochs, "anyOf", NULL), 1), "maximum", NULL)), 100);
  json_t *adapter = json_array_get(at(job, "adapter", "oneOf", NULL), 0);
  assert_string_equal(json_string_value(at(adapter, "properties", "peft_type", "const", NULL)), "HRA");
  assert_int_equal(json_integer_value(at(adapter, "properties", "r", "default", NULL)), 8);
  static const char *const members[] = {"model",         "training_file", "seed",    "dataset", "evaluation",
                                        "checkpointing", "scheduling",    "exports", "metadata"};
  for (size_t i = 0; i < COUNT_OF(members); i++)
    assert_non_null(json_object_get(job, members[i]));
  json_t *codes =
      at(document, "components", "schemas", "Error", "properties", "error", "properties", "code", "enum", NULL);
  assert_int_equal(json_array_size(codes), STATUS_COUNT - 1);
}

static bool among(const json_t *values, json_t *value) {
  bool found = false;
  for (size_t i = 0; i < json_array_size(values); i++)
    found |= json_equal(json_array_get(values, i), value);
  json_decref(value);
  return found;
}

/* One schema a method; exactly one of them fits a body, so only HRA's may do without a peft_type. */
static void describes_every_method(void **state) {
  (void)state;
  json_t *adapters = at(document, "components", "schemas", "JobRequest", "properties", "adapter", "oneOf", NULL);
  assert_int_equal(json_array_size(adapters), PEFT_COUNT + 1); /* null, too */
  for (size_t i = 0; i < PEFT_COUNT; i++) {
    const struct method *method = method_of((enum peft_type)i);
    json_t *adapter = json_array_get(adapters, i), *properties = at(adapter, "properties", NULL);
    assert_string_equal(json_string_value(at(properties, "peft_type", "const", NULL)), method->peft_type);
    assert_int_equal(among(at(adapter, "required", NULL), json_string("peft_type")), i != PEFT_HRA);
    for (size_t f = 0; f < method->fields.count; f++)
      assert_non_null(at(properties, method->fields.fields[f].name, "description", NULL));
    for (const struct method_fixed *fixed = method->fixed; fixed->name; fixed++)
      assert_true(among(at(properties, fixed->name, "enum", NULL), json_null()));
  }
  json_t *lora = at(json_array_get(adapters, PEFT_LORA), "properties", NULL);
  json_t *starts = at(lora, "init_lora_weights", "enum", NULL);
  assert_true(among(starts, json_true()) && among(starts, json_false()) && among(starts, json_string("gaussian")));
  assert_true(!among(starts, json_string("true")) && among(at(lora, "lora_bias", "enum", NULL), json_false()));
  assert_true(json_number_value(at(lora, "rank_pattern", "additionalProperties", "maximum", NULL)) == 1024);
}

static void follow(const json_t *value) {
  const char *key;
  json_t *child;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)value, key, child) {
    if (strcmp(key, "$ref") == 0) {
      char kind[32] = "", name[64] = "";
      assert_int_equal(sscanf(json_string_value(child), "#/components/%31[^/]/%63s", kind, name), 2);
      if (!at(document, "components", kind, name, NULL))
        fail_msg("%s leads nowhere", json_string_value(child));
    }
    follow(child);
  }
  if (json_is_array(value))
    json_array_foreach(value, i, child) follow(child);
}

static void references_lead_somewhere(void **state) {
  (void)state;
  follow(document);
  assert_string_equal(json_string_value(at(document, "openapi", NULL)), "3.1.0");
}

static bool can_fail(const char *path, const char *method, const char *status) {
  return at(document, "paths", path, method, "responses", status, NULL) != NULL;
}

static void tells_how_a_request_can_fail(void **state) {
  (void)state;
  static const char job[] = "/v1/fine_tuning/jobs/{job_id}", pause[] = "/v1/fine_tuning/jobs/{job_id}/pause";
  assert_true(can_fail("/livez", "get", "403") && !can_fail("/livez", "get", "401"));
  assert_true(can_fail(job, "get", "404") && !can_fail(job, "get", "409") && !can_fail(job, "get", "507"));
  assert_true(can_fail(pause, "post", "409") && can_fail(pause, "post", "429") && can_fail(pause, "post", "503"));
  assert_true(can_fail("/v1/files", "post", "413") && !can_fail("/v1/files", "get", "413"));
  json_t *later = at(document, "components", "responses", "429", NULL);
  assert_non_null(at(later, "headers", "Retry-After", NULL));
  assert_non_null(strstr(json_string_value(at(later, "description", NULL)), "`quota_exceeded`"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(has_every_endpoint), cmocka_unit_test(describes_the_job),
                                     cmocka_unit_test(describes_every_method),
                                     cmocka_unit_test(references_lead_somewhere),
                                     cmocka_unit_test(tells_how_a_request_can_fail)};
  return cmocka_run_group_tests(tests, start, stop);
}
