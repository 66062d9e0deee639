/* Wrong API keys, counted by address: whoever tries too many within a minute has to wait for its end. Pure. */
#ifndef SERVER_ATTEMPTS_H
#define SERVER_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

enum { ATTEMPTS_MAX = 10, ATTEMPTS_WINDOW_MS = 60000, ATTEMPTS_ADDRESSES = 256, ADDRESS_KEY_BYTES = 16 };

/* All zero: nobody has tried. When it is full, who began to try longest ago is forgotten. */
struct attempts {
  struct attempt {
    unsigned char address[ADDRESS_KEY_BYTES];
    unsigned count;   /* 0: free */
    int64_t since_ms; /* the first of them */
  } item[ATTEMPTS_ADDRESSES];
};

/* How long until the address may try again; 0: now. */
int64_t attempts_wait_ms(const struct attempts *attempts, const unsigned char address[ADDRESS_KEY_BYTES],
                         int64_t now_ms);
void attempts_note(struct attempts *attempts, const unsigned char address[ADDRESS_KEY_BYTES], int64_t now_ms);

#endif
