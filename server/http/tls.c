#include "server/http/tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

enum { CHAIN_MAX = 16, FILE_BYTES_MAX = 1 << 20, HANDSHAKE_MS = 3600 * 1000, ID_BYTES = 64 };

/* A certificate with those that vouch for it, and the key of the first. */
struct pair {
  struct pair *next;          /* older */
  int64_t replaced_ms;
  gnutls_pcert_st chain[CHAIN_MAX];
  unsigned count;
  gnutls_privkey_t key;
};

struct tls {
  struct pair *pairs; /* the first is shown; the others may still be in use by a handshake */
};

static enum status fault(struct error *err, const char *option, const char *path, const char *text) {
  return error_set(err, STATUS_INVALID_VALUE, option, "%s: %s: %s", option, path, text);
}

static void pair_free(struct pair *pair) {
  for (unsigned i = 0; i < pair->count; i++)
    gnutls_pcert_deinit(&pair->chain[i]);
  if (pair->key)
    gnutls_privkey_deinit(pair->key);
  free(pair);
}

static enum status read_file(gnutls_datum_t *out, const char *option, const char *path, struct error *err) {
  char *text;
  size_t length;
  enum status status = file_read(&text, &length, path, FILE_BYTES_MAX, err);
  if (status) {
    err->status = STATUS_INVALID_VALUE; /* of the configuration, whatever the reason */
    return error_prefix(err, "%s", option);
  }
  *out = (gnutls_datum_t){.data = (unsigned char *)text, .size = (unsigned)length};
  return STATUS_OK;
}

static enum status read_chain(struct pair *pair, const char *path, struct error *err) {
  gnutls_datum_t text;
  unsigned count = CHAIN_MAX;
  enum status status = read_file(&text, "tls_certificate", path, err);
  if (status)
    return status;
  int code = gnutls_pcert_list_import_x509_raw(pair->chain, &count, &text, GNUTLS_X509_FMT_PEM, 0);
  free(text.data);
  if (code < 0)
    return fault(err, "tls_certificate", path, gnutls_strerror(code));
  pair->count = count;
  return count > 0 ? STATUS_OK : fault(err, "tls_certificate", path, "no certificate is in it");
}

static enum status read_key(struct pair *pair, const char *path, struct error *err) {
  gnutls_datum_t text;
  enum status status = read_file(&text, "tls_key", path, err);
  if (status)
    return status;
  int code = gnutls_privkey_init(&pair->key);
  if (code == 0)
    code = gnutls_privkey_import_x509_raw(pair->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
  explicit_bzero(text.data, text.size);
  free(text.data);
  return code < 0 ? fault(err, "tls_key", path, gnutls_strerror(code)) : STATUS_OK;
}

/* Does the key belong to the certificate? */
static enum status compare(const struct pair *pair, const struct config *config, struct error *err) {
  unsigned char certified[ID_BYTES], own[ID_BYTES];
  size_t certified_length = sizeof certified, own_length = sizeof own;
  gnutls_pubkey_t public;
  int code = gnutls_pubkey_init(&public);
  if (code < 0)
    return error_no_memory(err, "a public key");
  code = gnutls_pubkey_import_privkey(public, pair->key, 0, 0);
  if (code == 0)
    code = gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, own, &own_length);
  if (code == 0)
    code = gnutls_pubkey_get_key_id(pair->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, certified, &certified_length);
  gnutls_pubkey_deinit(public);
  if (code == 0 && own_length == certified_length && memcmp(own, certified, own_length) == 0)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "tls_key", "tls_key: %s is not the key of the certificate in %s",
                   config->tls_key, config->tls_certificate);
}

enum status tls_reload(struct tls *tls, const struct config *config, struct error *err) {
  struct pair *pair = calloc(1, sizeof *pair);
  int64_t now = clock_boot_ms();
  if (!pair)
    return error_no_memory(err, "a certificate");
  enum status status = read_chain(pair, config->tls_certificate, err);
  if (!status)
    status = read_key(pair, config->tls_key, err);
  if (!status)
    status = compare(pair, config, err);
  if (status) {
    pair_free(pair);
    return status;
  }
  tls_look_at(config->tls_key);
  if (tls->pairs)
    tls->pairs->replaced_ms = now;
  pair->next = tls->pairs;
  tls->pairs = pair;
  for (struct pair **link = &pair->next; *link;) {
    struct pair *old = *link;
    if (now - old->replaced_ms < HANDSHAKE_MS) {
      link = &old->next;
      continue;
    }
    *link = old->next;
    pair_free(old);
  }
  return STATUS_OK;
}

enum status tls_open(struct tls **out, const struct config *config, struct error *err) {
  struct tls *tls = calloc(1, sizeof *tls);
  *out = NULL;
  if (!tls)
    return error_no_memory(err, "TLS");
  enum status status = tls_reload(tls, config, err);
  if (status) {
    tls_close(tls);
    return status;
  }
  *out = tls;
  return STATUS_OK;
}

void tls_close(struct tls *tls) {
  while (tls && tls->pairs) {
    struct pair *next = tls->pairs->next;
    pair_free(tls->pairs);
    tls->pairs = next;
  }
  free(tls);
}

void tls_pair(struct tls *tls, gnutls_pcert_st **chain, unsigned *count, gnutls_privkey_t *key) {
  *chain = tls->pairs->chain;
  *count = tls->pairs->count;
  *key = tls->pairs->key;
}

void tls_look_at(const char *path) {
  struct stat info;
  if (path && stat(path, &info) == 0 && (info.st_mode & (S_IROTH | S_IWOTH)))
    log_warn("%s can be %s by everybody on this machine (its mode is %03o): chmod 600 it", path,
             info.st_mode & S_IWOTH ? "changed" : "read", (unsigned)info.st_mode & 0777);
}
