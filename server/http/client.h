/* A connection: what has come by it, how long it may take for what, and who must leave when there are too many. */
#ifndef SERVER_HTTP_CLIENT_H
#define SERVER_HTTP_CLIENT_H

#include <sys/socket.h>

#include "server/http/request.h"
#include "server/http/wire.h"

struct front;
struct gnutls_session_int;

enum { CLIENT_ADDRESS_BYTES = 46 };

struct client {
  struct client *next, **link;
  struct front *front;
  int fd;
  struct gnutls_session_int *tls; /* NULL: none */
  struct sockaddr_storage address;
  unsigned char network[ADDRESS_KEY_BYTES]; /* of the address: what its connections and wrong keys are counted by */
  struct wire wire;        /* what has come */
  size_t completed;        /* requests that were answered to their last byte */
  struct request *request; /* the one whose request line has arrived; NULL: none */
  int64_t since_ms;        /* boot clock: when it was accepted or its last request ended */
  int64_t head_ms;         /* when the head began that is arriving */
  int64_t lingering_ms;    /* when client_answer ended it, 0: it did not */
  uint64_t discarded;             /* bytes that came after that */
  uint64_t announced;             /* that its header said would come */
  int64_t sent_ms;         /* when the answer was last seen to get on, and to which byte; 0: never */
  uint64_t sent;
  enum status away; /* there was no room for it: only probes are answered; STATUS_OK: there was */
  bool ended;       /* client_end */
};

/* Everything that came and will come is thrown away, and the bytes are the last that it is sent: a connection that was
   closed while its client still sends would be reset, and the answer lost. */
void client_answer(struct client *client, const char *bytes, size_t length);
/* It ends now. libmicrohttpd sees it when it runs next. */
void client_end(struct client *client);

/* May it wait no longer at `now_ms`? An answer that its client does not read ends too. */
NODISCARD bool client_late(struct client *client, const struct config *config, int64_t now_ms);
/* Is part of a request's head there, and its end not? */
bool client_in_head(const struct client *client);

/* How much of an answer may lie unsent in its socket: little, so that who reads nothing is not copied megabytes. Of a
   file it is more, since the system only lends its pages. */
void client_set_unsent(struct client *client, bool file);
void client_set_address(struct client *client, const struct sockaddr_storage *address);
/* Its address as text, "" when it has none. */
void client_address(char out[CLIENT_ADDRESS_BYTES], const struct client *client);
bool client_is_local(const struct client *client);
/* From one machine, or from one network of IPv6 (/64). */
bool client_same_address(const struct client *a, const struct client *b);
/* Which of the list is to leave first, of `like`'s address where that is not NULL: one that is only kept to the end of
   what it sends, then the one that has waited longest without a request, and those that were never answered before
   those that were. NULL: all have a request. */
struct client *client_victim(struct client *list, const struct client *like);

#endif
