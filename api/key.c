#include "api/key.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"

static const char prefix[] = "rfd_";
static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { LETTERS = sizeof letters - 1, PREFIX = sizeof prefix - 1 };
enum { ID_AT = PREFIX, SECRET_AT = ID_AT + KEY_ID + 1, CHECK_AT = SECRET_AT + KEY_SECRET + 1 };
_Static_assert(CHECK_AT + KEY_CHECK + 1 == KEY_BYTES, "the parts of a key");

static const char *const scopes[] = {
    [SCOPE_OPEN] = "open", [SCOPE_READ] = "read", [SCOPE_SUBMIT] = "submit", [SCOPE_ADMIN] = "admin"};
_Static_assert(COUNT_OF(scopes) == SCOPE_COUNT, "a name for every scope");

const char *scope_name(enum scope scope) {
  CHECK(scope < SCOPE_COUNT);
  return scopes[scope];
}

bool scope_parse(enum scope *out, const char *name) {
  for (*out = SCOPE_READ; *out < SCOPE_COUNT; (*out)++)
    if (strcmp(scopes[*out], name) == 0)
      return true;
  return false;
}

/* CRC-32 as in zip and PNG. */
static uint32_t checksum(const char *text, size_t length) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < length; i++) {
    crc ^= (unsigned char)text[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

static void write_checksum(char out[KEY_CHECK], const char *text) {
  uint32_t crc = checksum(text, CHECK_AT - 1);
  for (int i = KEY_CHECK; i > 0; i--, crc /= LETTERS)
    out[i - 1] = letters[crc % LETTERS];
}

static void write_random(char *out, size_t count) {
  unsigned char bytes[64];
  for (size_t made = 0; made < count;) {
    rng_secret(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes && made < count; i++)
      if (bytes[i] < 256 / LETTERS * LETTERS) /* so that no letter is likelier */
        out[made++] = letters[bytes[i] % LETTERS];
  }
  explicit_bzero(bytes, sizeof bytes);
}

void key_make(char text[KEY_BYTES], char id[KEY_ID_BYTES]) {
  memcpy(text, prefix, PREFIX);
  write_random(text + ID_AT, KEY_ID);
  text[SECRET_AT - 1] = text[CHECK_AT - 1] = '_';
  write_random(text + SECRET_AT, KEY_SECRET);
  write_checksum(text + CHECK_AT, text);
  text[KEY_BYTES - 1] = '\0';
  snprintf(id, KEY_ID_BYTES, "%.*s", KEY_ID, text + ID_AT);
}

static bool all_letters(const char *text, size_t count) {
  return strspn(text, letters) >= count;
}

bool key_parse(char id[KEY_ID_BYTES], const char *text) {
  char check[KEY_CHECK];
  if (strlen(text) != KEY_BYTES - 1 || strncmp(text, prefix, PREFIX) != 0 || !all_letters(text + ID_AT, KEY_ID) ||
      text[SECRET_AT - 1] != '_' || !all_letters(text + SECRET_AT, KEY_SECRET) || text[CHECK_AT - 1] != '_')
    return false;
  write_checksum(check, text);
  if (memcmp(check, text + CHECK_AT, KEY_CHECK) != 0)
    return false;
  snprintf(id, KEY_ID_BYTES, "%.*s", KEY_ID, text + ID_AT);
  return true;
}
