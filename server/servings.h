/* What is asked of models: by base model, what waits for its worker and what that works on. The worker is that of
   serving.h. */
#ifndef SERVER_SERVINGS_H
#define SERVER_SERVINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/generation.h"
#include "base/error.h"
#include "server/served.h"

struct worker;
struct serving;

/* Hears all that is said of what it asked; FINISHED, VECTOR, SCORES and FAILED are the last of it. It asks for nothing
   more from inside of the call. What the event has lives until it returns. */
typedef void generation_call(void *context, const struct generation_event *event);

/* A completion, a vector, the scores of a text. */
struct generation {
  struct generation *next;
  struct serving *serving;
  int64_t id;
  char *line; /* to the worker, until it is sent */
  size_t length;
  generation_call *call; /* NULL: nobody listens any more */
  void *context;
};

struct served_adapter {
  struct served_adapter *next;
  char *name;
  char *source; /* where its files are; when they are gone it is forgotten */
};

enum serving_state {
  SERVING_WANTED,  /* it waits for a worker */
  SERVING_LOADING,
  SERVING_READY,
  SERVING_LEAVING, /* its worker was told to end: what is asked waits for the next one */
};

/* A base model that was asked for. */
struct serving {
  struct serving *next;
  struct serving_list *list;
  char *model, *path; /* its id, and where it lies */
  char *folder;       /* of its adapters */
  enum serving_state state;
  struct worker *worker; /* READY */
  struct generation *generations; /* in the order in which they were asked */
  size_t count;
  struct served_adapter *adapters;
  int64_t idle_ms; /* boot clock: since when there is nothing to do */
};

typedef void servings_wanted(void *context);
struct serving_list {
  struct server *server;
  struct serving *first;
  size_t count;         /* of generations */
  uint64_t bytes;       /* of lines that are not sent */
  int64_t last_id;
  uint64_t folders;     /* made so far */
  servings_wanted *wanted; /* one waits for a worker, or another one could leave */
  void *context;
};

/* Clears what a former daemon has left. */
NODISCARD enum status servings_open(struct serving_list *list, struct server *server, servings_wanted *wanted,
                                    void *context, struct error *err);

/* Asks `what` (its id and adapter are set here) of a model. *out lives until its last event, or servings_cancel.
   STATUS_MODEL_OVERLOADED: too much is asked already; STATUS_TOO_LARGE; STATUS_DRAINING. */
NODISCARD enum status servings_ask(struct generation **out, struct serving_list *list, const struct served *model,
                                   const struct generation_request *what, generation_call *call, void *context,
                                   struct error *err);
/* Nobody waits for it any more: it makes no call. */
void servings_cancel(struct generation *generation);

/* For the scheduler: how many wait, and the next of them. */
size_t servings_waiting(const struct serving_list *list);
struct serving *servings_next(const struct serving_list *list);
size_t servings_ready(const struct serving_list *list);

/* For its run: the worker has loaded the model; it has said something, STATUS_WORKER_CRASHED: nothing that it may; it
   is gone: what was asked of it has failed for that reason, or waits for the next worker where it was told to leave
   (frees a serving that is not asked anything). */
void servings_loaded(struct serving *serving, struct worker *worker);
NODISCARD enum status servings_event(struct serving *serving, const struct generation_event *event, struct error *err);
void servings_ended(struct serving *serving, const struct error *why);
/* Forgets adapters whose files are gone. */
void servings_sweep(struct serving *serving);

#endif
