#include "server/http/tap.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <sys/socket.h>

#define EXPORTED __attribute__((visibility("default")))

enum { TLS_HANDSHAKE = 0x16 }; /* its first byte */

struct tapped {
  tap_take *take; /* NULL: not tapped */
  void *context;
  bool tls, begun;
};

/* By descriptor. recv() has no context, so this is the one table of its process. */
static struct tapped *table;
static size_t table_size;

static struct tapped *find(int fd) {
  return fd >= 0 && (size_t)fd < table_size && table[fd].take ? &table[fd] : NULL;
}

bool tap_open(int fd, bool tls, tap_take *take, void *context) {
  if ((size_t)fd >= table_size) {
    size_t size = (size_t)fd + 64;
    struct tapped *grown = realloc(table, size * sizeof *grown);
    if (!grown)
      return false;
    for (size_t i = table_size; i < size; i++)
      grown[i] = (struct tapped){0};
    table = grown;
    table_size = size;
  }
  table[fd] = (struct tapped){.take = take, .context = context, .tls = tls};
  return true;
}

void tap_close(int fd) {
  if (find(fd))
    table[fd] = (struct tapped){0};
}

bool tap_is_clear(int fd) {
  const struct tapped *at = find(fd);
  return at && !at->tls;
}

void *tap_context(int fd) {
  const struct tapped *at = find(fd);
  return at ? at->context : NULL;
}

/* Nothing for the reader now is what a socket says that has nothing (EAGAIN); where its buffer was full more may be
   there, and no event will tell it, so it is to try again (EINTR). */
EXPORTED ssize_t recv(int fd, void *bytes, size_t size, int flags) {
  ssize_t n = recvfrom(fd, bytes, size, flags, NULL, NULL);
  struct tapped *at = find(fd);
  if (n <= 0 || !at || (flags & MSG_PEEK))
    return n;
  if (!at->begun && *(const unsigned char *)bytes != TLS_HANDSHAKE)
    at->tls = false;
  at->begun = true;
  if (at->tls)
    return n;
  size_t good = at->take(at->context, bytes, (size_t)n);
  if (good > 0)
    return (ssize_t)good;
  errno = (size_t)n == size ? EINTR : EAGAIN;
  return -1;
}

EXPORTED ssize_t gnutls_record_recv(gnutls_session_t session, void *bytes, size_t size) {
  unsigned char sequence[8];
  ssize_t n = gnutls_record_recv_seq(session, bytes, size, sequence);
  const struct tapped *at = find(gnutls_transport_get_int(session));
  if (n <= 0 || !at)
    return n;
  size_t good = at->take(at->context, bytes, (size_t)n);
  return good > 0 ? (ssize_t)good : GNUTLS_E_INTERRUPTED;
}
