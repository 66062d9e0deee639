/* sources: base cli/sse.c */
/* Any stream of events: in one piece and byte by byte it gives the same events, or is refused with a word. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "cli/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct seen {
  struct hash hash;
  size_t count;
};

static enum status take(void *context, const struct sse_event *event, struct error *err) {
  struct seen *seen = context;
  (void)err;
  CHECK(event->name[0]);
  CHECK(!strpbrk(event->name, "\r\n") && !strpbrk(event->id, "\r\n") && !strchr(event->data, '\r'));
  hash_add(&seen->hash, event->name, strlen(event->name) + 1);
  hash_add(&seen->hash, event->id, strlen(event->id) + 1);
  hash_add(&seen->hash, event->data, strlen(event->data) + 1);
  seen->count++;
  return STATUS_OK;
}

static enum status run(char hex[HASH_HEX], size_t *count, const uint8_t *bytes, size_t size, size_t piece) {
  struct sse sse;
  struct seen seen = {.count = 0};
  struct error err = {0};
  enum status status = STATUS_OK;
  hash_init(&seen.hash);
  sse_init(&sse, take, &seen);
  for (size_t at = 0; !status && at < size; at += piece)
    status = sse_feed(&sse, (const char *)bytes + at, piece < size - at ? piece : size - at, &err);
  CHECK(!status || err.text[0]);
  CHECK(sse.retry_ms >= -1);
  sse_done(&sse);
  hash_hex(&seen.hash, hex);
  *count = seen.count;
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char whole[HASH_HEX], cut[HASH_HEX];
  size_t whole_count, cut_count;
  enum status status = run(whole, &whole_count, bytes, size, size ? size : 1);
  CHECK(run(cut, &cut_count, bytes, size, 1) == status);
  CHECK(whole_count == cut_count && strcmp(whole, cut) == 0);
  return 0;
}
