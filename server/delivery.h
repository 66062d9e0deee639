/* One webhook that is sent by a process of its own (reflect-deliver): the loop waits for no name and no handshake, and
   what a receiver answers is read where nothing is to be had. */
#ifndef SERVER_DELIVERY_H
#define SERVER_DELIVERY_H

#include <jansson.h>

#include "base/error.h"

struct uv_loop_s;
struct delivery;

struct delivery_result {
  int http_status;  /* of the answer; 0: there was none */
  char error[200];  /* and why */
};
/* It is over, and freed afterwards. */
typedef void delivery_ended(void *context, const struct delivery_result *result);

/* Starts `program` with the order (deliver/post.h). What is not over in time is killed. */
NODISCARD enum status delivery_start(struct delivery **out, struct uv_loop_s *loop, const char *program,
                                     const json_t *order, delivery_ended *ended, void *context, struct error *err);
/* Ends it as soon as may be; `ended` is called all the same, later. */
void delivery_kill(struct delivery *delivery);

#endif
