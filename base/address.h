/* Which addresses are of the public Internet: those of this machine, of its networks and of special use are not. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* IPv4 and IPv6; an address of another family is not public. */
bool address_public(const struct sockaddr *address);
/* Is `host` the text of an address ("127.0.0.1", "::1", without brackets) that is not public? */
bool address_text_private(const char *host);

#endif
