#include "server/http/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Is the text one of a list with commas, or does that hold "*"? */
static bool listed(const char *list, const char *text, size_t length) {
  for (const char *item = list; item && *item;) {
    item += strspn(item, ", ");
    size_t its = strcspn(item, ", ");
    if ((its == 1 && *item == '*') || (its == length && its > 0 && strncasecmp(item, text, its) == 0))
      return true;
    item += its;
  }
  return false;
}

/* "name", "name:8080", "[::1]:8080": the name, without its brackets. False: none of these. */
static bool name_of(char out[256], const char *host) {
  bool bracket = host[0] == '[';
  size_t length = bracket ? strcspn(++host, "]") : strcspn(host, ":");
  const char *rest = host + length + (bracket && host[length] == ']');
  if (length == 0 || length > 255 || (bracket && host[length] != ']'))
    return false;
  if (*rest && (*rest != ':' || rest[1 + strspn(rest + 1, "0123456789")]))
    return false;
  memcpy(out, host, length);
  out[length] = '\0';
  return true;
}

/* Is the name an address, and does it stay on this machine? */
static bool is_address(const char *name, bool *loopback) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, name, &v4) == 1) {
    *loopback = ntohl(v4.s_addr) >> 24 == 127;
    return true;
  }
  if (inet_pton(AF_INET6, name, &v6) != 1)
    return false;
  *loopback = IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  return true;
}

static bool is_localhost(const char *name) {
  static const char suffix[] = ".localhost";
  size_t length = strlen(name), ending = sizeof suffix - 1;
  return strcasecmp(name, suffix + 1) == 0 || (length > ending && strcasecmp(name + length - ending, suffix) == 0);
}

enum status origin_check_host(const struct config *config, const char *host, struct error *err) {
  char name[256];
  bool inside = false;
  if (listed(config->allowed_hosts, host, strlen(host)))
    return STATUS_OK;
  if (!name_of(name, host))
    return error_set(err, STATUS_HOST_NOT_ALLOWED, "Host", "the Host header is not of the form NAME:PORT");
  if (listed(config->allowed_hosts, name, strlen(name)) || strcasecmp(name, config->host) == 0 || is_localhost(name))
    return STATUS_OK;
  if (is_address(name, &inside) && (inside || !config_is_loopback(config)))
    return STATUS_OK;
  return error_set(err, STATUS_HOST_NOT_ALLOWED, "Host",
                   "the server does not have the name \"%.100s\"; if it does, say so in its option allowed_hosts",
                   name);
}

bool origin_listed(const struct config *config, const char *origin) {
  return listed(config->allowed_origins, origin, strlen(origin));
}

enum status origin_check(const struct config *config, const char *origin, const char *host, struct error *err) {
  size_t scheme = strncmp(origin, "http://", 7) == 0 ? 7 : strncmp(origin, "https://", 8) == 0 ? 8 : strlen(origin);
  const char *name = origin + scheme;
  if ((host && *name && strcasecmp(name, host) == 0) || origin_listed(config, origin))
    return STATUS_OK;
  return error_set(err, STATUS_ORIGIN_NOT_ALLOWED, "Origin",
                   "pages of %.100s may change nothing here; the option allowed_origins names those that may", origin);
}
