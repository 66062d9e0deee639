/* Proves: which addresses are of the public Internet, at both ends of each network that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/attr.h"

static bool is_public(const char *text) {
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
    return address_public((const struct sockaddr *)&v4);
  assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
  return address_public((const struct sockaddr *)&v6);
}

static const char *const open[] = {
    "1.1.1.1",         "9.255.255.255",   "11.0.0.0",    "100.63.255.255",  "100.128.0.0", "126.255.255.255",
    "128.0.0.0",       "169.253.255.255", "169.255.0.0", "172.15.255.255",  "172.32.0.0",  "192.0.1.255",
    "192.0.3.0",       "192.167.255.255", "192.169.0.0", "198.17.255.255",  "198.20.0.0",  "198.51.99.255",
    "198.51.101.0",    "203.0.112.255",   "203.0.114.0", "223.255.255.255", "2000::",      "2001:200::1",
    "2001:db7:ffff::", "2001:db9::",      "2003::1",     "2606:4700::1111", "3fff:1000::", "3ffe::1"};

static const char *const closed[] = {"0.0.0.0",
                                     "0.255.255.255",
                                     "10.0.0.0",
                                     "10.255.255.255",
                                     "100.64.0.0",
                                     "100.127.255.255",
                                     "127.0.0.1",
                                     "127.255.255.255",
                                     "169.254.0.0",
                                     "169.254.169.254",
                                     "169.254.255.255",
                                     "172.16.0.0",
                                     "172.31.255.255",
                                     "192.0.0.0",
                                     "192.0.0.255",
                                     "192.0.2.1",
                                     "192.88.99.1",
                                     "192.168.0.0",
                                     "192.168.255.255",
                                     "198.18.0.0",
                                     "198.19.255.255",
                                     "198.51.100.7",
                                     "203.0.113.9",
                                     "224.0.0.1",
                                     "239.255.255.255",
                                     "240.0.0.1",
                                     "255.255.255.255",
                                     "::",
                                     "::1",
                                     "::ffff:127.0.0.1",
                                     "::ffff:8.8.8.8",
                                     "64:ff9b::7f00:1",
                                     "64:ff9b:1::1",
                                     "100::1",
                                     "2001::1",
                                     "2001:1ff::1",
                                     "2001:db8::1",
                                     "2002:7f00:1::",
                                     "3fff::1",
                                     "3fff:fff::1",
                                     "fc00::1",
                                     "fd12::1",
                                     "fe80::1",
                                     "fec0::1",
                                     "ff02::1",
                                     "4000::1",
                                     "1fff::1"};

static void networks(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(open); i++)
    if (!is_public(open[i]) || address_text_private(open[i]))
      fail_msg("%s is public", open[i]);
  for (size_t i = 0; i < COUNT_OF(closed); i++)
    if (is_public(closed[i]) || !address_text_private(closed[i]))
      fail_msg("%s is not public", closed[i]);
}

static void no_addresses(void **state) {
  (void)state;
  const struct sockaddr_un local = {.sun_family = AF_UNIX};
  assert_false(address_public((const struct sockaddr *)&local));
  assert_false(address_text_private("example.com")); /* a name: nobody knows */
  assert_false(address_text_private(""));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(networks), cmocka_unit_test(no_addresses)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
