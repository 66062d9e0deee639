/* Requests that wait for something to become known: that an upload is durable, its check, a look at a base model. */
#ifndef SERVER_HTTP_WAIT_H
#define SERVER_HTTP_WAIT_H

#include "server/http/request.h"
#include "server/models.h"

struct wait_list {
  struct request *first;
  bool resumed;  /* some were: libmicrohttpd must run, and cannot know it */
};

/* Lets the request wait until wait_over(key) or until `wait_ms` have passed (-1: however long); the handler is then
   called again with `waited` set, or `refused` is answered when that was set meanwhile. A client that leaves is not
   noticed before, but of a request that asks something of a model (wait_look). */
void wait_for(struct request *request, const char *key, int64_t wait_ms);
/* While it waits: `wait_ms` from now and no longer. */
void wait_at_most(struct request *request, int64_t wait_ms);
/* Lets it wait while a base model is still looked at, as long as an upload waits for its check: the outcome belongs
   into the answer. False: there is nothing to wait for. */
NODISCARD bool wait_for_model(struct request *request, const struct base_model *model);
/* It is over, whether it waits or not. */
void wait_forget(struct request *request);

/* Lets those that wait for `key` go on; those whose time is over. */
void wait_over(struct wait_list *list, const char *key);
void wait_expire(struct wait_list *list, int64_t now_ms);
/* Lets those go on that ask something of a model for a client that has left: `gone` is set. */
void wait_look(struct wait_list *list);

#endif
