#include "server/attempts.h"

#include <stddef.h>
#include <string.h>

static bool counts(const struct attempt *attempt, const unsigned char *address, int64_t now_ms) {
  return attempt->count > 0 && now_ms - attempt->since_ms < ATTEMPTS_WINDOW_MS &&
         memcmp(attempt->address, address, ADDRESS_KEY_BYTES) == 0;
}

int64_t attempts_wait_ms(const struct attempts *attempts, const unsigned char address[ADDRESS_KEY_BYTES],
                         int64_t now_ms) {
  for (size_t i = 0; i < ATTEMPTS_ADDRESSES; i++)
    if (counts(&attempts->item[i], address, now_ms) && attempts->item[i].count >= ATTEMPTS_MAX)
      return attempts->item[i].since_ms + ATTEMPTS_WINDOW_MS - now_ms;
  return 0;
}

void attempts_note(struct attempts *attempts, const unsigned char address[ADDRESS_KEY_BYTES], int64_t now_ms) {
  struct attempt *oldest = &attempts->item[0];
  for (size_t i = 0; i < ATTEMPTS_ADDRESSES; i++) {
    struct attempt *item = &attempts->item[i];
    if (counts(item, address, now_ms)) {
      item->count++;
      return;
    }
    if (item->count == 0 || (oldest->count > 0 && item->since_ms < oldest->since_ms))
      oldest = item;
  }
  memcpy(oldest->address, address, ADDRESS_KEY_BYTES);
  oldest->count = 1;
  oldest->since_ms = now_ms;
}
