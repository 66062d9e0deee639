/* reflect-sandbox: takes from itself all that a worker does not need, and becomes the worker. What is set here, before
   the worker is executed, holds for every thread that its libraries start when they are loaded. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/layers.h"
#include "sandbox/options.h"

/* As a shell has it: the worker was not executed. */
enum { EXIT_NOT_STARTED = 126, EXIT_NOT_EXECUTED = 127, EXIT_USAGE = 2 };

/* A line a layer: its name, yes or no, and what of it. A layer is tried on this process, so the later ones are tried
   under the earlier. */
static _Noreturn void probe(void) {
  struct plan plan = {.file_bytes = UINT64_MAX, .command = (char *[]){NULL}};
  struct error err;
  char detail[LAYER_DETAIL_BYTES];
  for (int i = 0; i < LAYER_COUNT; i++) {
    bool there = layer_set((enum layer)i, &plan, detail, &err) == STATUS_OK;
    printf("%s %s %s\n", layer_name((enum layer)i), there ? "yes" : "no", there ? detail : err.text);
    fflush(stdout);
  }
  _exit(EXIT_SUCCESS); /* within the layers nothing can be looked up at the exit, as sanitizers do */
}

int main(int argc, char **argv) {
  struct plan plan;
  struct error err;
  bool probing;
  if (argc == 2 && strcmp(argv[1], "--help") == 0)
    return fputs(options_help(), stdout) < 0;
  if (options_parse(&plan, &probing, argc, argv, &err)) {
    fprintf(stderr, "reflect-sandbox: %s\n", err.text);
    return EXIT_USAGE;
  }
  if (probing)
    probe();
  if (layers_set(&plan, &err)) {
    fprintf(stderr, "reflect-sandbox: %s\n", err.text);
    return EXIT_NOT_STARTED;
  }
  execv(plan.command[0], plan.command);
  fprintf(stderr, "reflect-sandbox: cannot execute %s: %s\n", plan.command[0], strerror(errno));
  return EXIT_NOT_EXECUTED;
}
