/* What requests ask of a worker and wait for: what a job would take, what is in a file. A question that is asked again
   while its answer is fresh is not worked out again, and everybody who asks the same waits for the same. */
#ifndef SERVER_QUESTIONS_H
#define SERVER_QUESTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/device.h"
#include "api/task.h"
#include "api/tenant.h"
#include "base/error.h"

enum question_state {
  QUESTION_WANTED, /* it waits for a worker */
  QUESTION_RUNNING,
  QUESTION_KNOWN, /* `report` or `error` */
};

enum { QUESTION_KEY = 48, QUESTION_FRESH_S = 300, QUESTIONS_MAX = 64, QUESTIONS_WAITING_MAX = 16 };

struct question {
  struct question *next;
  char key[QUESTION_KEY]; /* by which requests wait for it (http/wait.h) */
  enum task_kind kind;
  char tenant[TENANT_BYTES];
  char device[DEVICE_NAME_MAX]; /* that the job wants */
  char *spec;                   /* of the job that it is about: the text of job_spec_json */
  enum question_state state;
  int64_t known_ms;   /* boot clock */
  json_t *report;     /* the worker's; NULL: none */
  json_t *warnings;   /* what it told besides: an array of strings */
  struct error error; /* why there is no report */
};

struct question_list {
  struct question *first; /* newest first */
};

/* The question of that kind about a spec, new or asked before; `version` changes with what else the answer depends on.
 *out lives until the loop turns. STATUS_OVERLOADED: too many wait. */
NODISCARD enum status questions_ask(struct question **out, struct question_list *list, enum task_kind kind,
                                    const char *tenant, const struct job_spec *spec, uint64_t version,
                                    struct error *err);
/* The same where it is known already and fresh; NULL: it is not. */
const struct question *questions_known(const struct question_list *list, enum task_kind kind, const char *tenant,
                                       const struct job_spec *spec, uint64_t version);
/* For the scheduler: how many wait, and the next of them. */
size_t questions_waiting(const struct question_list *list);
struct question *questions_next(const struct question_list *list);
void questions_free(struct question_list *list);

#endif
