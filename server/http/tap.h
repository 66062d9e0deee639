/* Where bytes come from. libmicrohttpd parses what it reads before it shows a request, forgives much that is malformed,
   and answers the rest in its own words. It reads by recv() and gnutls_record_recv(), and the functions of that name in
   tap.c are the ones that the dynamic linker finds first: what comes, decrypted under TLS, is judged before
   libmicrohttpd sees it. For descriptors that are not tapped they do what the libraries' do. */
#ifndef SERVER_HTTP_TAP_H
#define SERVER_HTTP_TAP_H

#include <stdbool.h>
#include <stddef.h>

/* How many of the bytes may be read: the others are gone. */
typedef size_t tap_take(void *context, const char *bytes, size_t length);

/* From now on what comes by `fd` goes through `take`; `tls`: what comes decrypted. False: no memory. */
bool tap_open(int fd, bool tls, tap_take *take, void *context);
/* Before the descriptor is closed. */
void tap_close(int fd);
/* Did it, tapped for TLS, begin with something else? Then what comes goes through `take` as it is. */
bool tap_is_clear(int fd);
/* The context of a tapped descriptor, else NULL. */
void *tap_context(int fd);

#endif
