#include "worker/export/artifact.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "worker/file/tar.h"

enum status export_announce(const struct export *e, const char *name, const char *path, bool result_file,
                            struct error *err) {
  char full[1024], sha256[HASH_HEX];
  uint64_t bytes;
  snprintf(full, sizeof full, "%s/%s", e->output_dir, path);
  enum status status = file_hash(sha256, &bytes, full, err);
  if (status)
    return status;
  if (e->announced && json_array_append_new(e->announced, json_pack("{s:s s:I s:s}", "name", name, "bytes",
                                                                    (json_int_t)bytes, "sha256", sha256)))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "announcing %s", name);
  report_data(e->report, EVENT_ARTIFACT, "",
              json_pack("{s:s s:s s:I s:s s:b}", "name", name, "path", path, "bytes", (json_int_t)bytes, "sha256",
                        sha256, "result_file", result_file));
  return STATUS_OK;
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

/* What is packed: names relative to a folder. */
struct packing {
  struct arena arena;
  const char *names[64];
  size_t count;
};

/* The files of `path`, whose names begin with `within`; and those of the folders in it. */
static enum status list_files(struct packing *p, const char *path, const char *within, struct error *err) {
  struct dirent **entries;
  enum status status = STATUS_OK;
  int count = scandir(path, &entries, visible, alphasort);
  if (count < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot read %s", path);
  for (int i = 0; i < count; i++) {
    char inner[1400], *name = arena_format(&p->arena, "%s%s", within, entries[i]->d_name);
    struct stat info;
    snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
    bool folder = stat(inner, &info) == 0 && S_ISDIR(info.st_mode);
    if (!status && (!name || p->count == COUNT_OF(p->names)))
      status = error_no_memory(err, "the names of files");
    if (!status && folder)
      status = list_files(p, inner, arena_format(&p->arena, "%s/", name), err);
    else if (!status)
      p->names[p->count++] = name;
    free(entries[i]);
  }
  free(entries);
  return status;
}

enum status export_pack(const struct export *e, const char *folder, struct error *err) {
  char path[1024], name[300], packed[1100];
  struct packing packing = {0};
  snprintf(path, sizeof path, "%s/%s", e->output_dir, folder);
  snprintf(name, sizeof name, "%s.tar", folder);
  snprintf(packed, sizeof packed, "%s/%s", e->output_dir, name);
  arena_init(&packing.arena, 1 << 20);
  enum status status = list_files(&packing, path, "", err);
  status = status ? status : tar_pack(packed, path, packing.names, packing.count, NULL, NULL, err);
  arena_done(&packing.arena);
  status = status ? status : file_remove_tree(path, err);
  return status ? status : export_announce(e, name, name, false, err);
}
