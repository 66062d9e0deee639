/* sources: base api */
/* Any bytes are either refused with at least one fault, or are a sweep whose every job can be made, with a value for
   nothing but what varies. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/sweep.h"
#include "base/json.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static bool among(const json_t *names, const char *name) {
  for (size_t i = 0; i < json_array_size(names); i++)
    if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
      return true;
  return false;
}

static void make_all(const struct sweep_spec *sweep) {
  AUTO(json_release) json_t *varied = sweep_varied(sweep);
  struct error err;
  CHECK(varied && sweep->count >= 1 && sweep->count <= SWEEP_JOBS_MAX);
  for (size_t i = 0; i < sweep->count; i++) {
    struct sweep_combination job;
    const char *name;
    json_t *value;
    char text[64];
    CHECK(sweep_combine(&job, sweep, i, 7, &err) == STATUS_OK && json_is_object(job.body));
    json_object_foreach(job.values, name, value) CHECK(among(varied, name));
    sweep_describe(text, sizeof text, job.values);
    CHECK(utf8_valid(text, strlen(text), NULL));
    sweep_combination_done(&job);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct arena arena;
  struct error err;
  struct fault_list faults = {0};
  struct sweep_spec sweep;
  json_t *body;
  if (json_parse(&body, (const char *)bytes, length, NULL, &err) || !json_is_object(body)) {
    json_decref(body);
    return 0;
  }
  arena_init(&arena, 8 << 20);
  sweep_parse(&sweep, body, &arena, &faults);
  for (size_t i = 0; i < faults.count; i++)
    CHECK(faults.item[i].text[0] && faults.item[i].status &&
          utf8_valid(faults.item[i].text, strlen(faults.item[i].text), NULL));
  if (faults.count == 0)
    make_all(&sweep);
  json_decref(body);
  arena_done(&arena);
  return 0;
}
