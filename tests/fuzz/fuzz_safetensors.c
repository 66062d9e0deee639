/* sources: base worker/file/bad.c worker/file/safetensors.c worker/file/stand_in.c */
/* Any bytes are either refused or a table whose every tensor lies within them, so that reading all of
   its bytes and converting it is safe. */
#include <stdlib.h>

#include "worker/file/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void use(const struct st_tensor *tensor) {
  struct error err;
  size_t count = (size_t)st_elements(tensor);
  unsigned sum = 0;
  for (size_t i = 0; i < tensor->length; i++)
    sum += tensor->bytes[i];
  float *out = calloc(count + 1, sizeof *out);
  if (out && st_to_f32(out, tensor, &err) == STATUS_OK && count)
    sum += out[0] > 0;
  free(out);
  CHECK(sum < UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct safetensors file;
  struct error err = {0};
  size_t total = 0;
  enum status status = safetensors_parse(&file, bytes, length, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  for (size_t i = 0; i < file.count; i++) {
    const struct st_tensor *tensor = &file.tensors[i];
    CHECK(tensor->bytes >= bytes && tensor->length <= length);
    CHECK((size_t)(tensor->bytes - bytes) <= length - tensor->length);
    CHECK(safetensors_find(&file, tensor->name) == tensor);
    use(tensor);
    total += tensor->length;
  }
  CHECK(total < length || (status && total == 0));
  safetensors_close(&file);
  return 0;
}
