/* sources: base worker/file worker/train/state.c */
/* Any bytes are either refused or a state all of whose tensors can be read. */
#include <stdlib.h>

#include "worker/train/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct state state;
  struct error err = {0};
  unsigned sum = 0;
  enum status status = state_parse(&state, bytes, length, &err);
  CHECK(status == STATUS_OK ? json_is_object(state.numbers) : err.text[0] && !state.numbers && !state.file.count);
  for (size_t i = 0; i < state.file.count; i++) {
    const struct st_tensor *tensor = &state.file.tensors[i];
    CHECK(state_tensor(&state, tensor->name, tensor->dtype) == tensor);
    for (size_t b = 0; b < tensor->length; b++)
      sum += tensor->bytes[b];
  }
  CHECK(sum < UINT32_MAX);
  state_close(&state);
  return 0;
}
