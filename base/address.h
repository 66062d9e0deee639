/* Which addresses are of the public Internet: those of this machine, of its networks and of special use are not. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* IPv4 and IPv6; an address of another family is not public. */
bool address_public(const struct sockaddr *address);
/* Is `host` the text of an IPv6 address, without brackets? */
bool address_text_v6(const char *host);
/* Is `host` the text of an address ("127.0.0.1", "::1") that is not public? Of IPv4 each form counts that programs
   read: 0x7F.1 and 2130706433 are 127.0.0.1. */
bool address_text_private(const char *host);

#endif
