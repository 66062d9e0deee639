/* What each base model is good for. A model's files are hostile, so a worker opens them (worker/inspect.h); what it
   reports is kept until they change. At start every model is looked at, and later any that is requested and new. */
#ifndef SERVER_INSPECTED_H
#define SERVER_INSPECTED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/data_use.h"
#include "base/error.h"
#include "config/config.h"
#include "server/models.h"

enum inspected_state {
  INSPECTED_WANTED,   /* it waits for a worker */
  INSPECTED_RUNNING,
  INSPECTED_KNOWN,    /* `report` or `error` */
};

struct inspected {
  struct inspected *next;
  char *id, *path;
  uint64_t version;            /* of its files */
  enum inspected_state state;
  json_t *report;              /* worker/inspect.h; NULL: none */
  struct error error;          /* why no job can use it; STATUS_OK: one can, or nobody could tell */
};

struct inspected_list;

/* `wanted` is called when one waits for a worker. */
typedef void inspected_wanted(void *context);
NODISCARD enum status inspected_new(struct inspected_list **out, const struct config *config, inspected_wanted *wanted,
                                    void *context, struct error *err);
/* NULL is fine. */
void inspected_free(struct inspected_list *list);

/* What is known of a model: valid until the loop turns. One whose files have changed is looked at again. NULL: no
   memory. */
const struct inspected *inspected_of(struct inspected_list *list, const struct base_model *model);
/* The key by which requests wait for it (http/wait.h). */
enum { INSPECTED_KEY = 32 };
void inspected_key(char out[INSPECTED_KEY], const struct inspected *inspected);
/* What it can learn; all, as long as nobody knows. */
struct data_tasks inspected_tasks(const struct inspected *inspected);

/* For the scheduler: how many wait, and the next of them. */
size_t inspected_waiting(const struct inspected_list *list);
struct inspected *inspected_next(struct inspected_list *list);

#endif
