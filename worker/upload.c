#include "worker/upload.h"

#include <string.h>
#include <strings.h>

#include "worker/data/check.h"
#include "worker/data/image_folder.h"
#include "worker/file/archive.h"
#include "worker/peft/peft_source.h"

/* An archive is an adapter or has pictures; a zip may have a data file in it as well. */
enum status upload_check(json_t **report, const struct task_file *file, struct error *err) {
  size_t length = strlen(file->filename);
  bool zip = length > 4 && strcasecmp(file->filename + length - 4, ".zip") == 0;
  bool archive = archive_named(file->filename), adapter = archive && archive_has(file->path, "adapter_config.json");
  if (archive && !adapter && image_folder_is(file->path))
    return image_folder_check(report, file->path, file->filename, err);
  return adapter || (archive && !zip) ? peft_source_check(report, file->path, err)
                                      : check_file(report, file->path, file->filename, err);
}
