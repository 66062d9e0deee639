#include "worker/file/event_file.h"

#include <string.h>

enum { RECORD_MAX = 1 << 16, PENDING_MAX = 1 << 17 };

uint32_t event_file_crc32c(const void *bytes, size_t length) {
  const unsigned char *at = bytes;
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < length; i++) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
  }
  return ~crc;
}

static void put_le(struct str *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    str_putc(out, (char)((value >> (8 * i)) & 255));
}

/* --- protocol buffers ----------------------------------------------------------------------------- */

/* Fields of Event, Summary and Summary.Value. */
enum { EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };
enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void put_varint(struct str *out, uint64_t value) {
  for (; value > 127; value >>= 7)
    str_putc(out, (char)((value & 127) | 128));
  str_putc(out, (char)value);
}

static void put_key(struct str *out, unsigned field, enum wire wire) {
  put_varint(out, field << 3 | (unsigned)wire);
}

static void put_bytes(struct str *out, unsigned field, const char *bytes, size_t length) {
  put_key(out, field, WIRE_BYTES);
  put_varint(out, length);
  str_add(out, bytes, length);
}

static void put_scalar(struct str *summary, const struct scalar *scalar) {
  AUTO(str_done) struct str value;
  uint32_t bits;
  str_init(&value, RECORD_MAX);
  memcpy(&bits, &scalar->value, sizeof bits);
  put_bytes(&value, VALUE_TAG, scalar->tag, strlen(scalar->tag));
  put_key(&value, VALUE_SIMPLE, WIRE_FIXED32);
  put_le(&value, bits, 4);
  put_bytes(summary, SUMMARY_VALUE, value.text, value.length);
  summary->failed |= value.failed;
}

/* --- records -------------------------------------------------------------------------------------- */

/* A CRC of bytes that hold CRCs says little: so it is turned, and a constant added. */
static uint32_t masked(const char *bytes, size_t length) {
  uint32_t crc = event_file_crc32c(bytes, length);
  return ((crc >> 15) | (crc << 17)) + UINT32_C(0xa282ead8);
}

static enum status flush(struct event_file *f, struct error *err) {
  enum status status = file_write(&f->file, f->pending.text, f->pending.length, err);
  str_clear(&f->pending);
  return status;
}

static enum status put_record(struct event_file *f, const struct str *event, struct error *err) {
  struct str *out = &f->pending;
  size_t at = out->length;
  if (event->failed)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "an event of TensorBoard has become too long");
  put_le(out, event->length, 8);
  if (!out->failed)
    put_le(out, masked(out->text + at, 8), 4);
  str_add(out, event->text, event->length);
  put_le(out, masked(event->text, event->length), 4);
  if (out->failed)
    return error_no_memory(err, "events of TensorBoard");
  return out->length >= PENDING_MAX - RECORD_MAX - 16 ? flush(f, err) : STATUS_OK;
}

enum status event_file_create(struct event_file *f, const char *path, struct error *err) {
  static const char version[] = "brain.Event:2";
  AUTO(str_done) struct str event;
  str_init(&event, RECORD_MAX);
  str_init(&f->pending, PENDING_MAX);
  put_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
  enum status status = file_create(&f->file, path, err);
  return status ? status : put_record(f, &event, err);
}

enum status event_file_add(struct event_file *f, int64_t step, const struct scalar *scalars, size_t count,
                           struct error *err) {
  AUTO(str_done) struct str event, summary;
  str_init(&event, RECORD_MAX);
  str_init(&summary, RECORD_MAX);
  for (size_t i = 0; i < count; i++)
    put_scalar(&summary, &scalars[i]);
  if (step) { /* 0 is what is left out */
    put_key(&event, EVENT_STEP, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
  }
  put_bytes(&event, EVENT_SUMMARY, summary.text, summary.length);
  event.failed |= summary.failed;
  return put_record(f, &event, err);
}

enum status event_file_publish(struct event_file *f, struct error *err) {
  enum status status = flush(f, err);
  if (!status)
    status = file_publish(&f->file, NULL, err);
  str_done(&f->pending);
  return status;
}

void event_file_discard(struct event_file *f) {
  file_discard(&f->file);
  str_done(&f->pending);
}
