/* split_gguf FILE.gguf STEM COUNT: writes the parts STEM-00001-of-0000N.gguf, ... of a GGUF file. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/worker/file/split_gguf.h"

int main(int argc, char **argv) {
  size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
  if (count < 1 || count > 99999) {
    fprintf(stderr, "usage: split_gguf FILE.gguf STEM COUNT\n");
    return 2;
  }
  return split_gguf(argv[1], argv[2], count) ? 0 : 1;
}
