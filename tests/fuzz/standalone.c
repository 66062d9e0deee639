/* main for a fuzz target where libFuzzer is not at hand: runs the files, and those below the folders,
   that the command line names through the target once. */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static size_t inputs;

static int run_one(const char *path, const struct stat *info, int type, struct FTW *place) {
  char *bytes;
  size_t length;
  struct error err;
  (void)info;
  (void)place;
  if (type != FTW_F)
    return 0;
  if (file_read(&bytes, &length, path, (size_t)64 << 20, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
  free(bytes);
  inputs++;
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (nftw(argv[i], run_one, 16, FTW_PHYS) != 0)
      return 1;
  printf("%zu inputs\n", inputs);
  return inputs == 0;
}
