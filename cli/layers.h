/* What of the workers' sandbox this machine has, as reflect-sandbox finds it. */
#ifndef CLI_LAYERS_H
#define CLI_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { LAYERS_MAX = 16 };

struct layers {
  size_t count;
  struct layer {
    char name[32];
    bool there;
    char detail[200]; /* "ABI 7", or why it is not there; "" */
  } item[LAYERS_MAX];
};

/* STATUS_UNAVAILABLE: reflect-sandbox is not beside this program, or says nothing. */
NODISCARD enum status layers_probe(struct layers *out, struct error *err);
/* "--without NAME" for each that is not there, appended to arguments[*count]. */
void layers_without(const struct layers *layers, const char **arguments, size_t *count);

#endif
