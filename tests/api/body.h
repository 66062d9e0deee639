/* The body of a job and what comes of it, for the tests of api/ that ask what follows from its members. */
#ifndef TESTS_API_BODY_H
#define TESTS_API_BODY_H

#include <stdio.h>
#include <string.h>

#include "api/job.h"
#include "base/json.h"

static struct arena arena;
static json_t *body;
static struct job_spec spec;
static struct fault_list faults;

/* Of a model, the files that `files` names and these members, ' for ". */
static inline void parse_body(const char *files, const char *members, int64_t seed) {
  char text[1000];
  struct error err;
  snprintf(text, sizeof text, "{'model':'m',%s%s}", files, members);
  for (char *p = text; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  json_decref(body);
  arena_done(&arena);
  arena_init(&arena, 1 << 20);
  faults = (struct fault_list){0};
  assert_int_equal(json_parse(&body, text, strlen(text), NULL, &err), STATUS_OK);
  job_spec_parse(&spec, body, seed, &arena, &faults);
}

/* The teardown of a group. */
static inline int close_body(void **state) {
  (void)state;
  json_decref(body);
  arena_done(&arena);
  return 0;
}

#endif
