/* sources: base server/http/wire.c */
/* Any bytes, in pieces whose sizes the first byte chooses: the same requests and the same fault as for all at once, and
   of what is malformed nothing is passed on behind the request before it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/http/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t feed(struct wire *wire, const char *bytes, size_t length, size_t piece) {
  size_t good = 0;
  *wire = (struct wire){0};
  for (size_t at = 0; at < length; at += piece) {
    size_t n = length - at < piece ? length - at : piece;
    size_t took = wire_feed(wire, bytes + at, n);
    CHECK(took <= n);
    CHECK(took == n || wire->state == WIRE_BAD || wire->state == WIRE_LAST);
    good += took;
  }
  CHECK(wire->ended <= wire->heads);
  CHECK(wire->heads - wire->ended <= 1);
  CHECK(wire->state != WIRE_BAD || wire->fault.status != STATUS_OK);
  return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct wire whole, pieces, again;
  if (size == 0)
    return 0;
  const char *text = (const char *)bytes + 1;
  size_t good = feed(&whole, text, size - 1, size);
  (void)feed(&pieces, text, size - 1, (size_t)bytes[0] % 17 + 1);
  CHECK(whole.state == pieces.state && whole.heads == pieces.heads && whole.ended == pieces.ended);
  CHECK(whole.left == pieces.left && whole.bytes == pieces.bytes);
  if (whole.state == WIRE_BAD)
    CHECK(whole.fault.status == pieces.fault.status && strcmp(whole.fault.text, pieces.fault.text) == 0);
  /* What was passed on is well-formed, and complete. */
  if (whole.state == WIRE_BAD || whole.state == WIRE_LAST) {
    CHECK(feed(&again, text, good, size) == good);
    CHECK(again.ended == whole.ended && (again.state == WIRE_IDLE || again.state == WIRE_LAST));
  }
  return 0;
}
