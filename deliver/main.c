/* reflect-deliver: one webhook and out. What it talks to was chosen by a client and may be hostile, so that this is no
   work for the daemon: whatever becomes of this process, it has no secret but one message and ends in seconds.
   The order comes on standard input (post.h); a line on standard output tells the HTTP status of the answer, or, after
   a dash, why there was none. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "deliver/post.h"

enum { ORDER_BYTES_MAX = 64 << 10, LIFE_S = 30, FILES_MAX = 64, MEMORY_BYTES = 1 << 30 };

/* A sanitizer maps terabytes, and looks at its own process from another. */
static bool confine_memory(void) {
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
  return true;
#else
  const struct rlimit memory = {MEMORY_BYTES, MEMORY_BYTES};
  return prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_DATA, &memory) == 0;
#endif
}

static bool confine(void) {
  const struct rlimit none = {0, 0}, files = {FILES_MAX, FILES_MAX};
  alarm(LIFE_S);
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
         setrlimit(RLIMIT_FSIZE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0 && confine_memory();
}

static enum status read_order(json_t **out, struct error *err) {
  AUTO(str_done) struct str text;
  char chunk[4096];
  ssize_t n;
  str_init(&text, ORDER_BYTES_MAX);
  while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
    if (!str_add(&text, chunk, (size_t)n))
      return error_set(err, STATUS_TOO_LARGE, NULL, "the order has more than %d bytes", ORDER_BYTES_MAX);
  return json_parse(out, text.text, text.length, NULL, err);
}

int main(int argc, char **argv) {
  AUTO(json_release) json_t *order = NULL;
  struct error err;
  int http_status;
  (void)argv;
  if (argc > 1) {
    fputs("reflect-deliver sends a webhook for reflectd, which starts it\n", stderr);
    return EXIT_FAILURE;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!confine()) {
    puts("- the limits of the process cannot be set");
    return EXIT_FAILURE;
  }
  enum status status = read_order(&order, &err);
  if (!status)
    status = post(&http_status, order, &err);
  if (status)
    printf("- %s\n", err.text);
  else
    printf("%d\n", http_status);
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
