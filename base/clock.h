/* Time: wall clock for people, boot clock for deadlines (it never jumps). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_unix(void);      /* seconds since 1970, for display and created_at */
int64_t clock_unix_ms(void);
int64_t clock_boot_ms(void);   /* milliseconds since boot, suspend included */
double clock_seconds(void);    /* monotonic, for measuring intervals */

#endif
