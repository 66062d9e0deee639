#include "api/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

/* The first three are OpenAI's; the others go to whoever asks for them. */
const char *const webhook_events[] = {"fine_tuning.job.succeeded", "fine_tuning.job.failed",
                                      "fine_tuning.job.cancelled", "fine_tuning.job.running",
                                      "fine_tuning.job.paused",    NULL};

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

static enum status refuse(struct error *err, const char *why) {
  return error_set(err, STATUS_INVALID_VALUE, "url", "url %s", why);
}

/* HOST or HOST:PORT or [ADDRESS]:PORT. */
static enum status check_authority(const char *text, size_t length, enum webhook_targets targets, struct error *err) {
  char host[256];
  const char *start = text, *end = text + length, *after;
  if (memchr(text, '@', length))
    return refuse(err, "must have no user and no password in it");
  bool bracket = length > 0 && text[0] == '[';
  if (bracket) {
    start++;
    const char *close = memchr(text, ']', length);
    if (!close)
      return refuse(err, "has a [ without a ]");
    end = close;
    after = close + 1;
  } else {
    const char *colon = memchr(text, ':', length);
    end = colon ? colon : end;
    after = end;
  }
  if (start == end || (size_t)(end - start) >= sizeof host)
    return refuse(err, "must name a host");
  snprintf(host, sizeof host, "%.*s", (int)(end - start), start);
  /* Nothing that means another thing to whoever connects: %31 would be a digit. */
  if (bracket ? !address_text_v6(host) : host[strspn(host, NAME_LETTERS)] != '\0')
    return refuse(err, "must name a host by letters, digits, - . and _, or by an address");
  size_t digits = after < text + length && *after == ':' ? strspn(after + 1, "0123456789") : 0;
  long port = digits > 0 && digits < 6 ? strtol(after + 1, NULL, 10) : 0;
  if (after < text + length && (after + 1 + digits != text + length || port < 1 || port > 65535))
    return refuse(err, "must have a port of 1 to 65535 or none");
  size_t tail = strlen(host);
  if (host[tail - 1] == '.') /* the root, which may be named */
    host[--tail] = '\0';
  if (!tail)
    return refuse(err, "must name a host");
  bool local = strcasecmp(host, "localhost") == 0 || (tail > 10 && strcasecmp(host + tail - 10, ".localhost") == 0);
  if (targets == WEBHOOK_PUBLIC && (local || address_text_private(host)))
    return refuse(err, "must lead to the public Internet: this server sends no webhooks to private addresses");
  return STATUS_OK;
}

enum status webhook_check_url(const char *url, bool http, enum webhook_targets targets, struct error *err) {
  size_t scheme = strncasecmp(url, "https://", 8) == 0 ? 8 : http && strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
  if (strlen(url) > WEBHOOK_URL_MAX)
    return refuse(err, "is too long");
  if (!scheme)
    return refuse(err, http ? "must begin with https:// or http://" : "must begin with https://");
  for (const char *c = url; *c; c++)
    if (*c <= 0x20 || *c >= 0x7F || *c == '\\' || *c == '#')
      return refuse(err, "must be printable ASCII without spaces, \\ and #");
  return check_authority(url + scheme, strcspn(url + scheme, "/?"), targets, err);
}

enum status webhook_check_event(const char *type, const char *param, struct error *err) {
  char all[256] = "";
  for (const char *const *event = webhook_events; *event; event++) {
    if (strcmp(*event, type) == 0)
      return STATUS_OK;
    snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", all[0] ? ", " : "", *event);
  }
  return error_set(err, STATUS_UNSUPPORTED_VALUE, param, "this server has no events %.64s; it has: %s", type, all);
}

json_t *webhook_event(const char *id, const char *type, int64_t created_at, const char *job_id) {
  return json_pack("{s:s, s:s, s:I, s:s, s:{s:s}}", "id", id, "object", "event", "created_at", (json_int_t)created_at,
                   "type", type, "data", "id", job_id);
}
