#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BACKLOG = 1024, HEALTH_TIMEOUT_S = 3 };

static enum status resolve(struct addrinfo **out, const struct config *config, struct error *err) {
  char port[8];
  snprintf(port, sizeof port, "%u", config->port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  int code = getaddrinfo(config->host[0] ? config->host : NULL, port, &hints, out);
  return code ? error_set(err, STATUS_INVALID_VALUE, "listen", "cannot resolve %s: %s", config->listen,
                          gai_strerror(code))
              : STATUS_OK;
}

/* What the socket is bound to, in text. */
static void name_socket(char out[ADDRESS_BYTES], int fd) {
  struct sockaddr_storage bound;
  socklen_t length = sizeof bound;
  char host[64] = "?", port[8] = "?";
  if (getsockname(fd, (struct sockaddr *)&bound, &length) == 0)
    getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
  snprintf(out, ADDRESS_BYTES, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

enum status listen_open(int *fd, char address[ADDRESS_BYTES], const struct config *config, bool keys,
                        struct error *err) {
  struct addrinfo *found;
  *fd = -1;
  enum status status = resolve(&found, config, err);
  if (status)
    return status;
  status = config_check_exposure(config, keys, err);
  if (!status) {
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(*fd, found->ai_addr, found->ai_addrlen) != 0 || listen(*fd, BACKLOG) != 0) {
      status = error_set_errno(err, STATUS_INVALID_VALUE, "listen", "cannot listen on %s", config->listen);
      if (*fd >= 0)
        close(*fd);
      *fd = -1;
    }
  }
  freeaddrinfo(found);
  if (!status)
    name_socket(address, *fd);
  return status;
}

/* The question is whether the daemon answers, not who it is: its certificate is not looked at. */
static ssize_t ask_tls(int fd, char *text, size_t length, size_t size) {
  gnutls_session_t session;
  gnutls_certificate_credentials_t credentials;
  ssize_t n = -1;
  if (gnutls_certificate_allocate_credentials(&credentials) < 0)
    return -1;
  if (gnutls_init(&session, GNUTLS_CLIENT) == 0) {
    gnutls_transport_set_int(session, fd);
    if (gnutls_set_default_priority(session) == 0 &&
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) == 0 && gnutls_handshake(session) == 0 &&
        gnutls_record_send(session, text, length) == (ssize_t)length)
      n = gnutls_record_recv(session, text, size);
    gnutls_deinit(session);
  }
  gnutls_certificate_free_credentials(credentials);
  return n;
}

static enum status ask(int fd, const struct config *config, struct error *err) {
  char text[512];
  ssize_t n = -1;
  int length = snprintf(text, sizeof text, "GET /livez HTTP/1.1\r\nHost: %.200s\r\nConnection: close\r\n\r\n",
                        config->listen);
  if (config->tls_certificate)
    n = ask_tls(fd, text, (size_t)length, sizeof text - 1);
  else if (send(fd, text, (size_t)length, MSG_NOSIGNAL) == length)
    n = recv(fd, text, sizeof text - 1, MSG_WAITALL);
  if (n <= 0)
    return error_set(err, STATUS_IO, NULL, "%s does not answer", config->listen);
  text[n] = '\0';
  if (strncmp(text, "HTTP/1.1 200 ", 13) != 0)
    return error_set(err, STATUS_INTERNAL, NULL, "%s answers %.32s", config->listen, text);
  return STATUS_OK;
}

enum status listen_healthcheck(const struct config *config, struct error *err) {
  struct addrinfo *found;
  enum status status = resolve(&found, config, err);
  if (status)
    return status;
  /* A daemon bound to every address answers on loopback. */
  struct sockaddr_storage address;
  memcpy(&address, found->ai_addr, found->ai_addrlen);
  struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
  if (address.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else if (address.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
    v6->sin6_addr = in6addr_loopback;
  struct timeval limit = {.tv_sec = HEALTH_TIMEOUT_S};
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      connect(fd, (struct sockaddr *)&address, found->ai_addrlen) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "cannot reach %s", config->listen);
  if (!status)
    status = ask(fd, config, err);
  if (fd >= 0)
    close(fd);
  freeaddrinfo(found);
  return status;
}
