/* sources: base api */
/* Any bytes are either refused with at least one fault or become a spec whose written form reads back
   as itself: what the daemon stores is what the worker runs. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/job.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Parses `text` and writes it again. False: refused. */
static bool rewrite(struct str *out, const char *text, size_t length) {
  struct arena arena;
  struct error err;
  struct fault_list faults = {0};
  struct job_spec spec;
  json_t *body;
  if (json_parse(&body, text, length, NULL, &err)) {
    CHECK(err.text[0] && utf8_valid(err.text, strlen(err.text), NULL));
    return false;
  }
  arena_init(&arena, 8 << 20);
  job_spec_parse(&spec, body, 7, &arena, &faults);
  for (size_t i = 0; i < faults.count; i++)
    CHECK(faults.item[i].text[0] && faults.item[i].status &&
          utf8_valid(faults.item[i].text, strlen(faults.item[i].text), NULL));
  CHECK(faults.more == 0 || faults.count > 0);
  if (faults.count == 0) {
    json_t *written = job_spec_json(&spec), *config = job_spec_peft_config(&spec.adapter);
    CHECK(written && config && json_append(out, written));
    for (int64_t step = 0; step < 3; step++) {
      double rate = job_learning_rate(&spec.hyperparameters, step, 2);
      CHECK(rate >= 0 && rate <= spec.hyperparameters.learning_rate * spec.hyperparameters.learning_rate_multiplier);
    }
    json_decref(written);
    json_decref(config);
  }
  json_decref(body);
  arena_done(&arena);
  return faults.count == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct str first, second;
  str_init(&first, 8 << 20);
  str_init(&second, 8 << 20);
  if (rewrite(&first, (const char *)bytes, length)) {
    CHECK(rewrite(&second, first.text, first.length));
    CHECK(first.length == second.length && memcmp(first.text, second.text, first.length) == 0);
  }
  str_done(&first);
  str_done(&second);
  return 0;
}
