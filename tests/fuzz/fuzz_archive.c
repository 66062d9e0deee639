/* sources: base worker/file/archive.c */
/* Any bytes as an uploaded archive: refused with a word and nothing kept, or no member is larger than it may be. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/file/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char path[64];
  struct error err = {0};
  struct archive_member members[] = {{.name = "adapter_config.json", .bytes_max = 1 << 10},
                                     {.name = "adapter_model.safetensors", .bytes_max = 1 << 14},
                                     {.name = "labels.json", .bytes_max = 8}};
  snprintf(path, sizeof path, "/tmp/reflect-fuzz-archive-%d", (int)getpid());
  FILE *file = fopen(path, "wb");
  CHECK(file && fwrite(bytes, 1, size, file) == size);
  fclose(file);
  enum status status = archive_read(members, COUNT_OF(members), path, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  for (size_t i = 0; i < COUNT_OF(members); i++) {
    CHECK(!status || !members[i].bytes);
    CHECK(!members[i].bytes || (members[i].length <= members[i].bytes_max && !members[i].bytes[members[i].length]));
  }
  archive_free_members(members, COUNT_OF(members));
  unlink(path);
  return 0;
}
