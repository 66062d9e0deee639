#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

/* IANA's registry of special-purpose IPv4 addresses, and multicast: first address and bits of the network. */
static const struct {
  uint32_t first;
  int bits;
} special_v4[] = {
    {0x00000000, 8},  /* this network */
    {0x0A000000, 8},  /* private */
    {0x64400000, 10}, /* shared by carriers */
    {0x7F000000, 8},  /* loopback */
    {0xA9FE0000, 16}, /* link-local, where clouds answer with secrets */
    {0xAC100000, 12}, /* private */
    {0xC0000000, 24}, /* protocols */
    {0xC0000200, 24}, /* documentation */
    {0xC0586300, 24}, /* relays of 6to4 */
    {0xC0A80000, 16}, /* private */
    {0xC6120000, 15}, /* measurements */
    {0xC6336400, 24}, /* documentation */
    {0xCB007100, 24}, /* documentation */
    {0xE0000000, 3},  /* multicast, reserved, broadcast */
};

static bool public_v4(uint32_t address) {
  for (size_t i = 0; i < COUNT_OF(special_v4); i++)
    if ((address ^ special_v4[i].first) >> (32 - special_v4[i].bits) == 0)
      return false;
  return true;
}

/* Global unicast is 2000::/3; what lies outside is loopback, link-local, unique local, multicast, and the forms that
   carry an IPv4 address (mapped, NAT64). Inside, these are not of the Internet either. */
static const struct {
  unsigned char first[6];
  int bits;
} special_v6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* protocols: Teredo, measurements, ORCHID */
    {{0x20, 0x01, 0x0D, 0xB8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4 carries an IPv4 address */
    {{0x3F, 0xFF, 0x00}, 20},       /* documentation */
};

static bool in_network(const unsigned char *address, const unsigned char *first, int bits) {
  int whole = bits / 8, rest = bits % 8;
  return memcmp(address, first, (size_t)whole) == 0 &&
         (rest == 0 || (address[whole] ^ first[whole]) >> (8 - rest) == 0);
}

static bool public_v6(const unsigned char address[16]) {
  if (address[0] >> 5 != 1)
    return false;
  for (size_t i = 0; i < COUNT_OF(special_v6); i++)
    if (in_network(address, special_v6[i].first, special_v6[i].bits))
      return false;
  return true;
}

bool address_public(const struct sockaddr *address) {
  if (address->sa_family == AF_INET)
    return public_v4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
  if (address->sa_family == AF_INET6)
    return public_v6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
  return false;
}

bool address_text_v6(const char *host) {
  struct in6_addr v6;
  return inet_pton(AF_INET6, host, &v6) == 1;
}

bool address_text_private(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_aton(host, &v4))
    return !public_v4(ntohl(v4.s_addr));
  return inet_pton(AF_INET6, host, &v6) == 1 && !public_v6(v6.s6_addr);
}
