/* Proves how long a connection may take for what it is doing, and who leaves when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "server/http/client.h"

static struct config config = {.header_timeout_s = 10, .request_timeout_s = 60, .upload_bytes_max = 1000000};

static struct client from(const char *address) {
  struct client client = {.fd = -1};
  struct sockaddr_storage storage = {0};
  struct sockaddr_in *v4 = (void *)&storage;
  struct sockaddr_in6 *v6 = (void *)&storage;
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
    v4->sin_family = AF_INET;
  else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1)
    v6->sin6_family = AF_INET6;
  client_set_address(&client, &storage);
  return client;
}

static void test_addresses(void **state) {
  static const struct {
    const char *left, *right;
    bool same, local; /* of the left */
  } cases[] = {
      {"10.0.0.1", "10.0.0.1", true, false},          {"10.0.0.1", "10.0.0.2", false, false},
      {"127.0.0.1", "127.0.0.2", false, true},        {"::1", "::1", true, true},
      {"2001:db8::1", "2001:db8::2", true, false},    {"2001:db8:0:1::1", "2001:db8:0:2::1", false, false},
      {"::ffff:10.0.0.1", "10.0.0.1", true, false},   {"::ffff:10.0.0.1", "::ffff:10.0.0.2", false, false},
      {"::ffff:127.0.0.1", "127.0.0.1", true, true},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct client left = from(cases[i].left), right = from(cases[i].right);
    char text[CLIENT_ADDRESS_BYTES];
    client_address(text, &left);
    assert_string_equal(text, cases[i].left);
    assert_int_equal(client_same_address(&left, &right), cases[i].same);
    assert_int_equal(client_same_address(&right, &left), cases[i].same);
    assert_int_equal(client_is_local(&left), cases[i].local);
  }
}

static void test_deadlines(void **state) {
  struct request request = {.phase = REQUEST_BODY, .started_ms = 1000};
  struct client client = {.fd = -1, .since_ms = 1000};
  (void)state;
  assert_false(client_late(&client, &config, 11000)); /* silent since it came */
  assert_true(client_late(&client, &config, 11001));
  client.completed = 1; /* kept for the next request */
  assert_false(client_late(&client, &config, 61000));
  assert_true(client_late(&client, &config, 61001));
  assert_int_equal(wire_feed(&client.wire, "GET /", 5), 5); /* its header arrives */
  client.head_ms = 5000;
  assert_true(client_in_head(&client));
  assert_false(client_late(&client, &config, 15000));
  assert_true(client_late(&client, &config, 15001));
  client.away = STATUS_OVERLOADED; /* no room for it */
  assert_true(client_late(&client, &config, 7001));
  client.away = STATUS_OK;
  client.request = &request; /* its body arrives: bytes buy time */
  assert_false(client_late(&client, &config, 61000));
  assert_true(client_late(&client, &config, 61001));
  request.body_bytes = 10 * 16384;
  assert_false(client_late(&client, &config, 71000));
  assert_true(client_late(&client, &config, 71001));
  request.phase = REQUEST_WAITING;
  assert_false(client_late(&client, &config, INT64_MAX));
  client.lingering_ms = 1000; /* answered; what it still sends is thrown away */
  assert_false(client_late(&client, &config, 3000));
  assert_true(client_late(&client, &config, 3001));
  client.discarded = 655360;
  assert_false(client_late(&client, &config, 13000));
  assert_true(client_late(&client, &config, 13001));
  client.discarded = 4000001; /* enough of a body without an end */
  assert_true(client_late(&client, &config, 1001));
}

static void test_victims(void **state) {
  struct request head = {.phase = REQUEST_HEADER}, body = {.phase = REQUEST_BODY};
  enum { KEPT, NEW, OLD, BUSY, LINGERS, COUNT };
  struct client all[COUNT];
  (void)state;
  for (size_t i = 0; i < COUNT; i++) {
    all[i] = from(i == OLD ? "10.0.0.2" : "10.0.0.1");
    all[i].since_ms = (int64_t)(100 - i);
    all[i].next = i + 1 < COUNT ? &all[i + 1] : NULL;
  }
  all[KEPT].completed = 5;
  all[OLD].request = &head;
  all[BUSY].request = &body;
  all[LINGERS].lingering_ms = 50;
  assert_ptr_equal(client_victim(all, NULL), &all[LINGERS]); /* it has its answer */
  all[LINGERS].ended = true;
  assert_ptr_equal(client_victim(all, NULL), &all[OLD]);
  assert_ptr_equal(client_victim(all, &all[BUSY]), &all[NEW]); /* of one address */
  all[NEW].ended = all[OLD].ended = true;
  assert_ptr_equal(client_victim(all, NULL), &all[KEPT]);
  assert_null(client_victim(all, &all[KEPT])); /* not the one that wants room */
  all[KEPT].request = &body;
  assert_null(client_victim(all, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses), cmocka_unit_test(test_deadlines),
                                     cmocka_unit_test(test_victims)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
