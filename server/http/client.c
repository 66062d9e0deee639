#include "server/http/client.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
  UNSENT_BYTES = 128 << 10,
  UNSENT_FILE_BYTES = 4 << 20,
  BODY_BYTES_PER_S_MIN = 16 << 10,
  ANSWER_BYTES_PER_S_MIN = 4 << 10,
  ANSWER_WINDOW_MS = 20 * 1000,
  AWAY_MS = 2000,   /* for the head of one that there is no room for */
  LINGER_MS = 2000, /* and what is sent meanwhile buys time */
  LINGER_BYTES_PER_S_MIN = 64 << 10,
  LINGER_MAX_MS = 300 * 1000,
  LINGER_UPLOADS = 4, /* a body without an end is read to so many times the upload's limit */
};

void client_set_unsent(struct client *client, bool file) {
  int bytes = file && !client->tls ? UNSENT_FILE_BYTES : UNSENT_BYTES;
  setsockopt(client->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

void client_answer(struct client *client, const char *bytes, size_t length) {
  ssize_t sent;
  if (client->tls) {
    sent = gnutls_record_send(client->tls, bytes, length);
    gnutls_bye(client->tls, GNUTLS_SHUT_WR);
  } else {
    sent = send(client->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  if (sent != (ssize_t)length)
    log_debug("an answer could not be sent");
  shutdown(client->fd, SHUT_WR);
  client->lingering_ms = clock_boot_ms();
  client->announced = client->wire.state == WIRE_BODY ? client->wire.left : 0;
}

void client_end(struct client *client) {
  client->ended = true;
  shutdown(client->fd, SHUT_RDWR);
}

bool client_in_head(const struct client *client) {
  return client->wire.state >= WIRE_METHOD && client->wire.state <= WIRE_VALUE && !client->wire.trailer;
}

static int64_t earned_ms(uint64_t bytes, int64_t rate) {
  return (int64_t)(bytes * 1000 / (uint64_t)rate);
}

/* What the other side has confirmed of all that was sent. */
static uint64_t confirmed(const struct client *client) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  memset(&info, 0, sizeof info);
  return getsockopt(client->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_bytes_acked : 0;
}

/* Too little of an answer was read within a window of time. */
static bool answer_late(struct client *client, int64_t timeout_ms, int64_t now_ms) {
  int64_t window = timeout_ms < ANSWER_WINDOW_MS ? timeout_ms : ANSWER_WINDOW_MS;
  if (!client->sent_ms) {
    client->sent_ms = now_ms;
    client->sent = 0;
  }
  if (now_ms - client->sent_ms < window)
    return false;
  uint64_t sent = confirmed(client), least = (uint64_t)window * ANSWER_BYTES_PER_S_MIN / 1000;
  bool late = client->sent > 0 && sent - client->sent < least;
  client->sent_ms = now_ms;
  client->sent = sent;
  return late;
}

static bool linger_late(const struct client *client, const struct config *config, int64_t now_ms) {
  int64_t earned = earned_ms(client->discarded, LINGER_BYTES_PER_S_MIN);
  uint64_t max = LINGER_UPLOADS * (uint64_t)config->upload_bytes_max;
  return now_ms - client->lingering_ms > (earned < LINGER_MAX_MS ? LINGER_MS + earned : LINGER_MAX_MS) ||
         client->discarded > (client->announced > max ? client->announced : max);
}

bool client_late(struct client *client, const struct config *config, int64_t now_ms) {
  const struct request *request = client->request;
  int64_t timeout_ms = config->request_timeout_s * 1000, head_ms = config->header_timeout_s * 1000;
  if (head_ms > timeout_ms)
    head_ms = timeout_ms;
  if (client->away && head_ms > AWAY_MS)
    head_ms = AWAY_MS;
  if (client->lingering_ms)
    return linger_late(client, config, now_ms);
  switch (request ? request->phase : REQUEST_HEADER) {
  case REQUEST_HEADER:
    if (client_in_head(client))
      return now_ms > (client->head_ms > client->since_ms ? client->head_ms : client->since_ms) + head_ms;
    return now_ms > client->since_ms + (client->completed ? timeout_ms : head_ms);
  case REQUEST_BODY:
    return now_ms > request->started_ms + timeout_ms + earned_ms(request->body_bytes, BODY_BYTES_PER_S_MIN);
  case REQUEST_WAITING: return false;
  case REQUEST_ANSWERED:
    if (request->quiet) { /* there was nothing to read */
      client->sent_ms = 0;
      return false;
    }
    return answer_late(client, timeout_ms, now_ms);
  }
  CHECK(!"a phase");
}

/* ---- who ---- */

/* Tells machines apart: all of an IPv4 address, in the last four bytes; of an IPv6 one its network (/64), since a host
   has as many addresses in it as it likes. */
static void find_network(unsigned char out[ADDRESS_KEY_BYTES], const struct sockaddr_storage *address) {
  const struct sockaddr_in *v4 = (const void *)address;
  const struct sockaddr_in6 *v6 = (const void *)address;
  memset(out, 0, ADDRESS_KEY_BYTES);
  if (address->ss_family == AF_INET)
    memcpy(out + 12, &v4->sin_addr, 4);
  else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
    memcpy(out + 12, v6->sin6_addr.s6_addr + 12, 4);
  else if (address->ss_family == AF_INET6)
    memcpy(out, &v6->sin6_addr, 8);
}

void client_set_address(struct client *client, const struct sockaddr_storage *address) {
  client->address = *address;
  find_network(client->network, address);
}

void client_address(char out[CLIENT_ADDRESS_BYTES], const struct client *client) {
  const struct sockaddr_storage *address = &client->address;
  const struct sockaddr_in *v4 = (const void *)address;
  const struct sockaddr_in6 *v6 = (const void *)address;
  const void *bytes = address->ss_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
  if (!inet_ntop(address->ss_family, bytes, out, CLIENT_ADDRESS_BYTES))
    out[0] = '\0';
}

bool client_is_local(const struct client *client) {
  const struct sockaddr_in6 *v6 = (const void *)&client->address;
  return client->network[12] == 127 ||
         (client->address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
}

bool client_same_address(const struct client *a, const struct client *b) {
  return memcmp(a->network, b->network, ADDRESS_KEY_BYTES) == 0;
}

/* The order in which clients leave; 0: not at all. */
static int rank(const struct client *client) {
  if (client->ended)
    return 0;
  if (client->lingering_ms)
    return 3;
  if (client->request && client->request->phase != REQUEST_HEADER)
    return 0;
  return client->completed == 0 ? 2 : 1;
}

struct client *client_victim(struct client *list, const struct client *like) {
  struct client *victim = NULL;
  int best = 0;
  for (struct client *client = list; client; client = client->next) {
    int its = rank(client);
    if (!its || its < best || client == like || (like && !client_same_address(client, like)))
      continue;
    if (its == best && client->since_ms >= victim->since_ms)
      continue;
    victim = client;
    best = its;
  }
  return victim;
}
