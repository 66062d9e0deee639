#include "deliver/post.h"

#include <curl/curl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/json.h"

enum { ANSWER_BYTES_MAX = 64 << 10, CONNECT_MS = 5000 };

struct transfer {
  bool any;     /* addresses that are not public too */
  bool refused; /* one that is not public was met */
  size_t heard; /* bytes of the answer, its header included */
};

/* Called with the very address that the socket is going to be connected to: what a name meant before, or means to
   others, does not matter. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
  struct transfer *transfer = context;
  (void)purpose;
  if (!transfer->any && !address_public(&address->addr)) {
    transfer->refused = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* What the receiver says is nobody's business: a webhook is no way to read what lies behind an address. */
static size_t swallow(char *bytes, size_t size, size_t count, void *context) {
  struct transfer *transfer = context;
  (void)bytes;
  transfer->heard += size * count;
  return transfer->heard > ANSWER_BYTES_MAX ? 0 : size * count;
}

static bool set_up(CURL *curl, const json_t *order, struct transfer *transfer, struct curl_slist *headers) {
  const char *url = json_string_value(json_object_get(order, "url"));
  const char *body = json_string_value(json_object_get(order, "body"));
  const char *protocols = json_is_true(json_object_get(order, "http")) ? "https,http" : "https";
  long timeout_ms = (long)json_integer_value(json_object_get(order, "timeout_ms"));
  int bad = curl_easy_setopt(curl, CURLOPT_URL, url);
  bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
  bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
  bad |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
  bad |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
  bad |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  bad |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, swallow);
  bad |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
  bad |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  bad |= curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* it would connect where this program cannot look */
  bad |= curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  bad |= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  bad |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS);
  bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
  bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  bad |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "reflectd/" REFLECTD_VERSION);
  return bad == CURLE_OK;
}

static enum status perform(int *http_status, CURL *curl, const struct transfer *transfer, struct error *err) {
  char text[CURL_ERROR_SIZE] = "";
  long code = 0;
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
  CURLcode result = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
  *http_status = (int)code;
  if (result == CURLE_OK || (code >= 200 && transfer->heard > ANSWER_BYTES_MAX))
    return STATUS_OK;
  if (transfer->refused)
    return error_set(err, STATUS_INVALID_VALUE, "url", "its address is not one of the public Internet");
  return error_set(err, STATUS_IO, NULL, "%s", text[0] ? text : curl_easy_strerror(result));
}

enum status post(int *http_status, const json_t *order, struct error *err) {
  struct transfer transfer = {.any = json_is_true(json_object_get(order, "any"))};
  struct curl_slist *headers = NULL, *more;
  const json_t *header;
  size_t i;
  *http_status = 0;
  if (!json_is_string(json_object_get(order, "url")) || !json_is_string(json_object_get(order, "body")))
    return error_set(err, STATUS_INVALID_REQUEST, NULL, "the order has no url or no body");
  CURL *curl = curl_easy_init();
  bool ready = curl != NULL;
  json_array_foreach(json_object_get(order, "headers"), i, header) {
    more = ready ? curl_slist_append(headers, json_string_value(header)) : NULL;
    ready = more != NULL;
    headers = ready ? more : headers;
  }
  ready = ready && set_up(curl, order, &transfer, headers);
  enum status status = ready ? perform(http_status, curl, &transfer, err)
                             : error_set(err, STATUS_IO, NULL, "the request cannot be made");
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return status;
}
