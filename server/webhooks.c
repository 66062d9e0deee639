#include "server/webhooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "api/webhook.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/signature.h"
#include "server/http/front.h"

enum {
  LOOK_MS = 500,
  AT_ONCE = 8,
  TESTS_MAX = 16,
  TIMEOUT_MS = 10000,
  BODY_BYTES = 4096,
  ARENA_BYTES = 4 << 20,
  RETRY_MAX_S = 3600,
  KEPT_S = 7 * 24 * 3600, /* deliveries that have ended */
  FORGET_AT_ONCE = 500,
};

/* One that is on its way. */
struct sending {
  struct sending *next;
  struct webhooks *webhooks;
  struct delivery *delivery;
  bool is_test, done;     /* a test that is done waits for who asked for it */
  char key[WEBHOOKS_KEY]; /* of a test */
  char endpoint_id[40];
  int64_t seq, created_at, attempts; /* of the delivery's row */
  struct delivery_result result;
};

struct webhooks {
  struct server *server;
  uv_timer_t timer;
  struct sending *list;
  size_t sending, tests;
  int64_t forget_after_ms;
  bool closing;
};

int64_t webhooks_retry_s(int64_t attempts, uint32_t random) {
  int64_t most = attempts < 13 ? (int64_t)1 << (attempts > 0 ? attempts - 1 : 0) : RETRY_MAX_S;
  most = most < RETRY_MAX_S ? most : RETRY_MAX_S;
  return most - random % (uint32_t)(most / 2 + 1);
}

/* ---- the order ---- */

/* While a secret is replaced both sign. */
static bool add_signatures(struct str *out, const struct webhook_row *endpoint, const char *id, int64_t now,
                           const char *body) {
  char signature[SIGNATURE_BYTES];
  if (!signature_make(signature, endpoint->secret, id, now, body))
    return false;
  str_printf(out, "webhook-signature: %s", signature);
  if (!endpoint->old_secret || endpoint->old_secret_until <= now)
    return true;
  if (!signature_make(signature, endpoint->old_secret, id, now, body))
    return false;
  return str_printf(out, " %s", signature);
}

static json_t *make_order(const struct server *server, const struct webhook_row *endpoint, const char *id,
                          const char *type, int64_t created_at, const char *job_id) {
  AUTO(str_done) struct str body, signatures;
  AUTO(json_release) json_t *event = webhook_event(id, type, created_at, job_id);
  char id_line[96], time_line[64];
  int64_t now = clock_unix();
  str_init(&body, BODY_BYTES);
  str_init(&signatures, BODY_BYTES);
  if (!event || !json_append(&body, event) || !add_signatures(&signatures, endpoint, id, now, body.text))
    return NULL;
  snprintf(id_line, sizeof id_line, "webhook-id: %s", id);
  snprintf(time_line, sizeof time_line, "webhook-timestamp: %" PRId64, now);
  return json_pack("{s:s, s:s, s:[s, s, s, s], s:b, s:b, s:i}", "url", endpoint->url, "body", body.text, "headers",
                   "Content-Type: application/json", id_line, time_line, signatures.text, "http",
                   server->config->webhook_http, "any", server->config->webhook_targets == WEBHOOK_ANY, "timeout_ms",
                   TIMEOUT_MS);
}

/* ---- how one ends ---- */

static void drop(struct sending *sending) {
  struct sending **link = &sending->webhooks->list;
  while (*link != sending)
    link = &(*link)->next;
  *link = sending->next;
  if (sending->is_test)
    sending->webhooks->tests--;
  free(sending);
}

static enum status store_tried(struct db *db, const void *what, struct error *err) {
  return db_webhook_tried(db, what, clock_unix(), err);
}

/* Taken is what was answered with 2xx. 410 says that there will never be anybody. */
static void judge(struct webhook_delivery *out, const struct sending *sending) {
  const struct config *config = sending->webhooks->server->config;
  const struct delivery_result *result = &sending->result;
  uint32_t random;
  rng_secret(&random, sizeof random);
  *out = (struct webhook_delivery){.seq = sending->seq,
                                   .endpoint_id = sending->endpoint_id,
                                   .status_code = result->http_status,
                                   .error = result->http_status ? NULL : result->error,
                                   .due_at = clock_unix() + webhooks_retry_s(sending->attempts + 1, random)};
  if (result->http_status >= 200 && result->http_status < 300)
    out->status = DELIVERY_DELIVERED;
  else if (result->http_status == 410 || out->due_at > sending->created_at + config->webhook_retry_s)
    out->status = DELIVERY_GIVEN_UP;
}

static void settle(const struct sending *sending) {
  struct server *server = sending->webhooks->server;
  struct webhook_delivery tried;
  struct error err;
  judge(&tried, sending);
  enum metrics_delivery kind = tried.status == DELIVERY_DELIVERED  ? DELIVERY_TAKEN
                               : tried.status == DELIVERY_GIVEN_UP ? DELIVERY_FAILED
                                                                   : DELIVERY_RETRIED;
  server->metrics.deliveries[kind]++;
  if (tried.status == DELIVERY_GIVEN_UP)
    log_warn("the webhook whd-%" PRId64 " to %s is given up: %s", tried.seq, tried.endpoint_id,
             tried.error ? tried.error : "its answers were no success");
  if (db_apply(server->db, store_tried, &tried, true, &err)) /* it is sent again */
    log_error("what became of the webhook whd-%" PRId64 " is not stored: %s", tried.seq, err.text);
}

static void on_ended(void *context, const struct delivery_result *result) {
  struct sending *sending = context;
  struct webhooks *webhooks = sending->webhooks;
  sending->delivery = NULL;
  sending->result = *result;
  webhooks->sending--;
  if (sending->is_test && !webhooks->closing) {
    sending->done = true;
    front_wake(webhooks->server->front, sending->key);
    return;
  }
  if (!webhooks->closing)
    settle(sending);
  drop(sending);
}

static enum status send_one(struct webhooks *webhooks, struct sending *sending, const json_t *order,
                            struct error *err) {
  struct server *server = webhooks->server;
  enum status status = order ? delivery_start(&sending->delivery, server->uv, server->config->deliver_path, order,
                                              on_ended, sending, err)
                             : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "sending a webhook");
  if (status) {
    free(sending);
    return status;
  }
  sending->webhooks = webhooks;
  sending->next = webhooks->list;
  webhooks->list = sending;
  webhooks->sending++;
  webhooks->tests += sending->is_test;
  return STATUS_OK;
}

/* ---- what is due ---- */

static bool busy(const struct webhooks *webhooks, const char *endpoint_id) {
  for (const struct sending *sending = webhooks->list; sending; sending = sending->next)
    if (!sending->is_test && strcmp(sending->endpoint_id, endpoint_id) == 0)
      return true;
  return false;
}

static enum status send_due(struct webhooks *webhooks, const struct webhook_row *endpoint, int64_t now,
                            struct arena *arena, struct error *err) {
  struct webhook_delivery row;
  bool found;
  enum status status = db_webhook_next(&row, &found, webhooks->server->db, endpoint->id, now, arena, err);
  if (status || !found)
    return status;
  struct sending *sending = calloc(1, sizeof *sending);
  if (!sending)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "sending a webhook");
  snprintf(sending->endpoint_id, sizeof sending->endpoint_id, "%s", endpoint->id);
  sending->seq = row.seq;
  sending->created_at = row.created_at;
  sending->attempts = row.attempts;
  AUTO(json_release)
  json_t *order = make_order(webhooks->server, endpoint, row.event_id, row.event_type, row.created_at, row.job_id);
  return send_one(webhooks, sending, order, err);
}

static enum status look(struct webhooks *webhooks, struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct webhook_row *endpoints;
  size_t count;
  int64_t now = clock_unix();
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_webhook_due(&endpoints, &count, webhooks->server->db, now, 2 * AT_ONCE, &arena, err);
  for (size_t i = 0; !status && i < count && webhooks->sending < AT_ONCE; i++)
    if (!busy(webhooks, endpoints[i].id))
      status = send_due(webhooks, &endpoints[i], now, &arena, err);
  if (!status && clock_boot_ms() > webhooks->forget_after_ms) {
    webhooks->forget_after_ms = clock_boot_ms() + 60 * 1000;
    status = db_webhook_forget(webhooks->server->db, now - KEPT_S, FORGET_AT_ONCE, err);
  }
  return status;
}

static void on_timer(uv_timer_t *timer) {
  struct webhooks *webhooks = timer->data;
  const struct server *server = webhooks->server;
  struct error err;
  if (server->draining || server->config->webhook_targets == WEBHOOK_NONE)
    return;
  if (webhooks->sending < AT_ONCE && look(webhooks, &err))
    log_warn("webhooks wait: %s", err.text);
}

/* ---- tests ---- */

/* Who asked for the oldest did not come for it. */
static void forget_test(struct webhooks *webhooks) {
  struct sending *oldest = NULL;
  for (struct sending *sending = webhooks->list; sending; sending = sending->next)
    if (sending->is_test && sending->done)
      oldest = sending;
  if (oldest)
    drop(oldest);
}

enum status webhooks_test(char key[WEBHOOKS_KEY], struct webhooks *webhooks, const struct webhook_row *endpoint,
                          const char *event_type, struct error *err) {
  if (webhooks->tests >= TESTS_MAX)
    forget_test(webhooks);
  if (webhooks->tests >= TESTS_MAX || webhooks->closing)
    return error_set(err, STATUS_OVERLOADED, NULL, "too many webhooks are being tested");
  struct sending *sending = calloc(1, sizeof *sending);
  if (!sending)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "testing a webhook");
  sending->is_test = true;
  rng_id(sending->key, sizeof sending->key, "evt_test_");
  snprintf(key, WEBHOOKS_KEY, "%s", sending->key);
  AUTO(json_release)
  json_t *order = make_order(webhooks->server, endpoint, key, event_type, clock_unix(), "ftjob-test");
  return send_one(webhooks, sending, order, err);
}

bool webhooks_tested(struct delivery_result *out, struct webhooks *webhooks, const char *key) {
  for (struct sending *sending = webhooks->list; sending; sending = sending->next)
    if (sending->done && strcmp(sending->key, key) == 0) {
      *out = sending->result;
      drop(sending);
      return true;
    }
  return false;
}

/* ---- its life ---- */

enum status webhooks_new(struct webhooks **out, struct server *server, struct error *err) {
  struct webhooks *webhooks = *out = calloc(1, sizeof *webhooks);
  if (!webhooks)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the webhooks");
  webhooks->server = server;
  CHECK(uv_timer_init(server->uv, &webhooks->timer) == 0);
  webhooks->timer.data = webhooks;
  CHECK(uv_timer_start(&webhooks->timer, on_timer, LOOK_MS, LOOK_MS) == 0);
  return STATUS_OK;
}

void webhooks_close(struct webhooks *webhooks) {
  if (!webhooks || webhooks->closing)
    return;
  webhooks->closing = true;
  uv_close((uv_handle_t *)&webhooks->timer, NULL);
  for (struct sending *sending = webhooks->list; sending; sending = sending->next)
    if (sending->delivery)
      delivery_kill(sending->delivery);
}

void webhooks_free(struct webhooks *webhooks) {
  while (webhooks && webhooks->list)
    drop(webhooks->list);
  free(webhooks);
}
