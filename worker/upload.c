#include "worker/upload.h"

#include <string.h>
#include <strings.h>

#include "worker/data/check.h"
#include "worker/data/image_folder.h"
#include "worker/file/archive.h"
#include "worker/peft/peft_source.h"

/* The daemon hears that the worker is alive. */
static enum status beat(void *with, struct error *err) {
  struct report *report = with;
  report_phase(report, "check");
  return report_poll(report, err);
}

/* An archive is an adapter or has pictures; a zip may have a data file in it as well. */
enum status upload_check(json_t **found, const struct task_file *file, struct report *report, struct error *err) {
  size_t length = strlen(file->filename);
  bool zip = length > 4 && strcasecmp(file->filename + length - 4, ".zip") == 0;
  bool archive = archive_named(file->filename), adapter = archive && archive_has(file->path, "adapter_config.json");
  if (archive && !adapter && image_folder_is(file->path))
    return image_folder_check(found, file->path, file->filename, beat, report, err);
  return adapter || (archive && !zip) ? peft_source_check(found, file->path, err)
                                      : check_file(found, file->path, file->filename, err);
}
