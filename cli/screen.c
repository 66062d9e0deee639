/* One progress line on the terminal. */
#include "cli/screen.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/progress.h"

void screen_init(struct screen *screen, bool terminal) {
  *screen = (struct screen){.active = terminal, .started = clock_seconds()};
}

size_t screen_columns(void) {
  struct winsize size;
  /* One column stays free: a character in the last one would wrap the line on some terminals. */
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1U : 79;
}

void screen_draw(struct screen *screen, const struct str *line) {
  if (!screen->active)
    return;
  fflush(stdout);
  fprintf(stderr, "\r%s\x1b[K", line->text);
  fflush(stderr);
  screen->drawn = true;
}

void screen_clear(struct screen *screen) {
  if (!screen->drawn)
    return;
  fputs("\r\x1b[K", stderr);
  fflush(stderr);
  screen->drawn = false;
}

void screen_report_bytes(void *context, uint64_t done, uint64_t total) {
  struct screen *screen = context;
  struct str line;
  str_init(&line, 400);
  progress_bytes(&line, done, total, clock_seconds() - screen->started, screen_columns());
  screen_draw(screen, &line);
  str_done(&line);
}
