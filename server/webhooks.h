/* Sends what the store says is to be told (storage/db_webhook.h): signed, a few at a time and one at a time to each
   endpoint, again at longer intervals where it is not taken. An attempt that a stop of the daemon cuts off is made
   again: receivers tell a repetition by its webhook-id. */
#ifndef SERVER_WEBHOOKS_H
#define SERVER_WEBHOOKS_H

#include <stdint.h>

#include "server/delivery.h"
#include "server/server.h"
#include "storage/db_webhook.h"

struct webhooks;

NODISCARD enum status webhooks_new(struct webhooks **out, struct server *server, struct error *err);
/* Nothing more is sent: its handles close in the loop. NULL is fine. */
void webhooks_close(struct webhooks *webhooks);
/* When the loop has ended. */
void webhooks_free(struct webhooks *webhooks);

/* Sends an event that tells of no real job, once. `key`: what requests wait for (http/wait.h). */
enum { WEBHOOKS_KEY = 48 };
NODISCARD enum status webhooks_test(char key[WEBHOOKS_KEY], struct webhooks *webhooks,
                                    const struct webhook_row *endpoint, const char *event_type, struct error *err);
/* What came of it, once. False: nothing is known of it. */
bool webhooks_tested(struct delivery_result *out, struct webhooks *webhooks, const char *key);

/* Seconds to wait after that many attempts: 1, 2, 4 ... up to an hour, or up to half less (`random`: any number). */
int64_t webhooks_retry_s(int64_t attempts, uint32_t random);

#endif
