/* The certificate that clients are shown, and its private key: read from files at the start, and again when told. */
#ifndef SERVER_HTTP_TLS_H
#define SERVER_HTTP_TLS_H

#include <gnutls/abstract.h>

#include "config/config.h"

struct tls;

/* What is spoken: TLS 1.2 and 1.3. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Reads tls_certificate and tls_key. An error names the file, and a key that belongs to another certificate is one. */
NODISCARD enum status tls_open(struct tls **out, const struct config *config, struct error *err);
/* Reads them again: new connections are shown the new pair. When it cannot be used the old one stays. */
NODISCARD enum status tls_reload(struct tls *tls, const struct config *config, struct error *err);
/* NULL is fine. */
void tls_close(struct tls *tls);

/* For a handshake, which may use it as long as it takes. */
void tls_pair(struct tls *tls, gnutls_pcert_st **chain, unsigned *count, gnutls_privkey_t *key);

/* Warns of a file with a secret that everybody on this machine can read or write. */
void tls_look_at(const char *path);

#endif
