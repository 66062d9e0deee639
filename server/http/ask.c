#include "server/http/ask.h"

#include <string.h>

#include "server/http/wait.h"
#include "server/inspected.h"
#include "server/scheduler.h"

enum { WAIT_MS = 120 * 1000 };

enum status ask(const struct question **answer, struct request *request, enum task_kind kind,
                const struct job_spec *spec, const struct base_model *model, struct error *err) {
  struct server *server = request->server;
  struct question *question;
  const struct inspected *inspected = model ? inspected_of(server->inspected, model) : NULL;
  *answer = NULL;
  enum status status = questions_ask(&question, &server->questions, kind, request->tenant, spec,
                                     inspected ? inspected->version : 0, err);
  if (status)
    return status;
  if (question->state == QUESTION_KNOWN) {
    *answer = question;
    return STATUS_OK;
  }
  if (server->draining)
    return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  if (server->hold.why.status) /* of the host: it may last */
    return error_set(err, STATUS_UNAVAILABLE, NULL, "%s", server->hold.why.text);
  if (request->waited && strcmp(request->wait_key, question->key) == 0)
    return error_set(err, STATUS_OVERLOADED, NULL, "this takes more than %d seconds; ask again for the answer",
                     WAIT_MS / 1000);
  scheduler_wake(server->scheduler);
  wait_for(request, question->key, WAIT_MS);
  return STATUS_OK;
}
