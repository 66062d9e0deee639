/* Writes TensorBoard's event files: TFRecords (length, bytes, and a masked CRC32C of each) of Event messages. Only
   scalars, and no times: an event's wall_time is left at 0, so that the same numbers are the same bytes. */
#ifndef WORKER_FILE_EVENT_FILE_H
#define WORKER_FILE_EVENT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/str.h"

/* TensorBoard takes what has "tfevents" in its name; the rest is TensorFlow's pattern, with time 0 and us as the host.
 */
#define EVENT_FILE_NAME "events.out.tfevents.0.reflectd"

struct scalar {
  const char *tag; /* "train/loss" */
  float value;
};

/* On its way to being published; as of struct file_new, exactly one of publish and discard ends its life. */
struct event_file {
  struct file_new file;
  struct str pending; /* records that are not written yet */
};
NODISCARD enum status event_file_create(struct event_file *file, const char *path, struct error *err);
/* One event of that step. After an error only event_file_discard is left. */
NODISCARD enum status event_file_add(struct event_file *file, int64_t step, const struct scalar *scalars, size_t count,
                                     struct error *err);
NODISCARD enum status event_file_publish(struct event_file *file, struct error *err);
void event_file_discard(struct event_file *file);

/* CRC-32 with Castagnoli's polynomial. */
uint32_t event_file_crc32c(const void *bytes, size_t length);

#endif
