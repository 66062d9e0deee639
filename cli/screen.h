/* The last line of the terminal, redrawn in place. On anything that is no terminal it draws nothing. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct screen {
  bool active;      /* standard error is a terminal */
  bool drawn;       /* a line stands there */
  double started;   /* clock_seconds of the first report */
};

void screen_init(struct screen *screen, bool terminal);
/* Columns a line may take. */
size_t screen_columns(void);
/* Replaces the line. */
void screen_draw(struct screen *screen, const struct str *line);
/* Removes it, so that ordinary output can follow. */
void screen_clear(struct screen *screen);
/* For struct http_progress: `context` is a struct screen. */
void screen_report_bytes(void *context, uint64_t done, uint64_t total);

#endif
