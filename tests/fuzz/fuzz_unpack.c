/* sources: base worker/file/unpack.c worker/file/archive.c */
/* Any bytes as a packed data file: refused with a word, or unpacked to a bounded number of bytes. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/file/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char path[64], name[UNPACK_NAME_MAX], chunk[4096];
  snprintf(path, sizeof path, "/tmp/reflect-fuzz-unpack-%d", (int)getpid());
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
  for (int kind = UNPACK_GZIP; kind <= UNPACK_ZIP; kind++) {
    struct unpack *unpack;
    struct error err = {0};
    size_t length = 1, all = 0;
    enum status status = unpack_open(&unpack, name, fd, (enum unpack_kind)kind, &err);
    CHECK((status == STATUS_OK) == (unpack != NULL));
    while (!status && length > 0 && all < 1 << 20 &&
           !(status = unpack_read(&length, unpack, chunk, sizeof chunk, &err)))
      all += length;
    CHECK(status == STATUS_OK || err.text[0]);
    unpack_close(unpack);
  }
  close(fd);
  unlink(path);
  return 0;
}
