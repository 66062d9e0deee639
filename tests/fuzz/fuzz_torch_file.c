/* sources: base worker/file */
/* Any bytes are either refused or a table whose every tensor lies within them. Bytes that are no zip are a pickle. */
#include <stdlib.h>

#include "worker/file/pickle.h"
#include "worker/file/torch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_pickle(const uint8_t *bytes, size_t length) {
  struct arena arena;
  struct pickle pickle;
  struct error err = {0};
  arena_init(&arena, 256 << 20);
  enum status status = pickle_parse(&pickle, bytes, length, &arena, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  for (size_t i = 0; !status && i < pickle.count; i++)
    CHECK(pickle.tensors[i].name && pickle.tensors[i].storage && pickle.tensors[i].rank <= ST_RANK_MAX);
  arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct safetensors file;
  struct error err = {0};
  unsigned sum = 0;
  if (length < 2 || bytes[0] != 'P')
    read_pickle(bytes, length);
  enum status status = torch_file_parse(&file, bytes, length, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  for (size_t i = 0; i < file.count; i++) {
    const struct st_tensor *tensor = &file.tensors[i];
    CHECK(tensor->bytes >= bytes && tensor->length <= length);
    CHECK((size_t)(tensor->bytes - bytes) <= length - tensor->length);
    CHECK((size_t)st_elements(tensor) * st_dtype_size(tensor->dtype) == tensor->length);
    for (size_t k = 0; k < tensor->length && k < 4096; k++)
      sum += tensor->bytes[k];
  }
  CHECK(sum < UINT32_MAX);
  safetensors_close(&file);
  return 0;
}
