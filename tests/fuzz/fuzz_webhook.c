/* sources: base api/webhook.c */
/* Any text as the address of a webhook: where it is accepted, the library that sends reads the same host, and no
   private address. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/webhook.h"
#include "base/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The host as curl has it, where `url` is one to it. */
static char *host_of(const char *url) {
  char *host = NULL;
  CURLU *parsed = curl_url();
  CHECK(parsed);
  CHECK(curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK);
  CHECK(curl_url_get(parsed, CURLUPART_HOST, &host, CURLU_URLDECODE) == CURLUE_OK);
  curl_url_cleanup(parsed);
  return host;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct error err = {0};
  char *url = malloc(size + 1);
  CHECK(url);
  memcpy(url, bytes, size);
  url[size] = '\0';
  if (webhook_check_url(url, true, WEBHOOK_PUBLIC, &err)) {
    CHECK(err.text[0] && strcmp(err.param, "url") == 0);
  } else {
    char *host = host_of(url), *bare = host;
    size_t length = strlen(host);
    if (host[0] == '[') {
      bare++;
      host[length - 1] = '\0';
    }
    /* A number or an address of zeros is written otherwise there. */
    CHECK(strcasestr(url, bare) || address_text_v6(bare) || inet_pton(AF_INET, bare, &(struct in_addr){0}) == 1);
    CHECK(!address_text_private(bare) && strcasecmp(bare, "localhost") != 0);
    curl_free(host);
  }
  free(url);
  return 0;
}
