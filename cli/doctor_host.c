/* What a daemon finds on this machine. The programs beside this one are asked where they know: devices and kernels
   (reflect-worker), layers (reflect-sandbox), the data folder (reflectd fsck). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "api/device.h"
#include "base/cpu.h"
#include "base/disk.h"
#include "base/memory.h"
#include "cli/findings.h"
#include "cli/layers.h"
#include "cli/program.h"
#include "cli/text.h"

enum {
  SAID_BYTES = 1 << 20,
  ASK_SECONDS = 30,
  FSCK_SECONDS = 3600, /* every byte is hashed */
  FAULTS_SHOWN = 5,
  OPEN_FILES = 2 * 2048 + 256, /* what a daemon with its default of connections wants */
};
static const size_t MEMORY_LOW = (size_t)2 << 30;
static const uint64_t DISK_LOW = (uint64_t)2 << 30;

/* Asks a program that lies beside this one. False: it could not be asked, which is a finding. */
static bool ask(struct findings *findings, const char *check, struct str *said, int *code, const char *program,
                const char *const *arguments, int seconds) {
  char path[PATH_MAX];
  const char *all[2 * LAYERS_MAX + 8] = {path};
  struct error err;
  for (size_t i = 0; arguments[i]; i++)
    all[i + 1] = arguments[i];
  if (!program_find(path, program)) {
    finding(findings, FINDING_FAIL, check, "install all programs of one version into one folder",
            "%s is not beside this program", program);
    return false;
  }
  if (program_run(said, code, all, seconds, &err) == STATUS_OK)
    return true;
  finding(findings, FINDING_FAIL, check, NULL, "%s", err.text);
  return false;
}

/* ---- processor, devices ---- */

static void look_at_device(struct findings *findings, const struct device_info *device) {
  AUTO(str_done) struct str memory;
  str_init(&memory, 100);
  if (strcmp(device->name, "cpu") != 0) {
    text_bytes(&memory, (uint64_t)device->memory);
    finding(findings, FINDING_OK, "device", NULL, "%s: %s, %s", device->name, device->processor, memory.text);
    return;
  }
  bool plain = strcmp(device->processor, "generic") == 0;
  finding(findings, plain ? FINDING_WARN : FINDING_OK, "kernels",
          plain ? "a processor with AVX2, AVX-512 or AMX trains many times faster (is REFLECT_ISA set?)" : NULL,
          "%s: the kernels that train on this processor", device->processor);
}

static void look_at_devices(struct findings *findings) {
  AUTO(str_done) struct str said;
  int code;
  size_t others = 0, all = 0;
  struct error err;
  str_init(&said, SAID_BYTES);
  if (!ask(findings, "kernels", &said, &code, "reflect-worker", (const char *const[]){"--list-devices", NULL},
           ASK_SECONDS))
    return;
  char *rest = said.text;
  for (char *line; (line = program_line(&rest));) {
    struct device_info device;
    /* Drivers' own words, and the log, come between. */
    if (strncmp(line, "{\"name\":", 8) != 0 || device_info_parse(&device, line, strlen(line), &err) != STATUS_OK)
      continue;
    look_at_device(findings, &device);
    all++;
    others += strcmp(device.name, "cpu") != 0;
  }
  if (code != 0 || all == 0)
    finding(findings, FINDING_FAIL, "kernels", "run reflect-worker --list-devices by hand: is a library missing?",
            "reflect-worker lists no device (exit status %d)", code);
  else if (others == 0)
    finding(findings, FINDING_OK, "device", NULL, "no GPU was found: jobs run on the processor");
}

static void look_at_resources(struct findings *findings) {
  AUTO(str_done) struct str memory;
  struct rlimit files;
  int cores = cpu_allowed();
  size_t bytes = memory_available();
  str_init(&memory, 100);
  text_bytes(&memory, bytes);
  finding(findings, cores > 1 ? FINDING_OK : FINDING_WARN, "cores",
          cores > 1 ? NULL : "training uses all that it is given: raise the quota of this container or machine",
          "%d that this process may use", cores);
  bool little = bytes > 0 && bytes < MEMORY_LOW;
  finding(findings, little ? FINDING_WARN : FINDING_OK, "memory",
          little ? "small models fit; `reflect jobs estimate` says what a job needs" : NULL, "%s available",
          bytes ? memory.text : "an unknown amount");
  if (getrlimit(RLIMIT_NOFILE, &files) != 0)
    return;
  bool few = files.rlim_max < OPEN_FILES;
  finding(findings, few ? FINDING_WARN : FINDING_OK, "files",
          few ? "raise it (ulimit -Hn, LimitNOFILE=), or lower connections_max" : NULL,
          "%llu may be open at once; a daemon of 2048 connections takes %d", (unsigned long long)files.rlim_max,
          OPEN_FILES);
}

/* ---- the sandbox ---- */

/* Does a hostile worker stay in, with the layers that there are? */
static void try_escapes(struct findings *findings, const char *const *arguments, bool all_layers) {
  AUTO(str_done) struct str said;
  int code;
  const char *last = "nothing";
  str_init(&said, SAID_BYTES);
  if (!ask(findings, "sandbox", &said, &code, "reflect-worker", arguments, ASK_SECONDS))
    return;
  char *rest = said.text;
  for (char *line; (line = program_line(&rest));)
    last = line;
  if (code == 0)
    finding(findings, FINDING_OK, "sandbox", NULL, "%s", last);
  else
    finding(findings, all_layers ? FINDING_FAIL : FINDING_WARN, "sandbox",
            "run reflect-worker --sandbox-test by hand; until then train data and models of people whom you trust",
            "%s (exit status %d)", last, code);
}

static void look_at_sandbox(struct findings *findings) {
  AUTO(str_done) struct str there;
  struct layers layers;
  struct error err;
  const char *arguments[2 * LAYERS_MAX + 2] = {"--sandbox-test"};
  size_t count = 1;
  str_init(&there, SAID_BYTES);
  if (layers_probe(&layers, &err) != STATUS_OK) {
    finding(findings, FINDING_FAIL, "layers", "install all programs of one version into one folder", "%s", err.text);
    return;
  }
  for (size_t i = 0; i < layers.count; i++) {
    const struct layer *layer = &layers.item[i];
    if (!layer->there)
      finding(
          findings, FINDING_WARN, "layers",
          "a newer kernel, or a container that allows it; the daemon leaves it out, sandbox=require refuses to start",
          "%s: %s", layer->name, layer->detail);
    else
      str_printf(&there, "%s%s%s%s%s", there.length ? ", " : "", layer->name, layer->detail[0] ? " (" : "",
                 layer->detail, layer->detail[0] ? ")" : "");
  }
  finding(findings, FINDING_OK, "layers", NULL, "%s", there.text);
  layers_without(&layers, arguments, &count);
  try_escapes(findings, arguments, count == 1);
  bool groups = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  finding(findings, groups ? FINDING_OK : FINDING_WARN, "cgroup",
          groups ? NULL : "without it a worker's mapped model does not count against its limit of memory",
          groups ? "version 2; a unit with Delegate=memory bounds each worker's memory"
                 : "no control groups of version 2 at /sys/fs/cgroup");
}

/* ---- the data folder ---- */

static void look_at_disk(struct findings *findings, const char *data) {
  AUTO(str_done) struct str free_bytes;
  struct statvfs room;
  struct statfs disk;
  str_init(&free_bytes, 100);
  if (statvfs(data, &room) != 0 || statfs(data, &disk) != 0) {
    finding(findings, FINDING_FAIL, "disk", "name the data folder with --data, as the daemon has it", "%s: %s", data,
            strerror(errno));
    return;
  }
  uint64_t bytes = (uint64_t)room.f_bavail * room.f_frsize;
  text_bytes(&free_bytes, bytes);
  bool full = bytes < DISK_LOW || (room.f_files > 0 && room.f_favail == 0);
  finding(findings, full ? FINDING_WARN : FINDING_OK, "disk",
          full ? "jobs wait while the disk is full: delete jobs (`reflect jobs delete`), or take a larger one" : NULL,
          "%s free for %s", free_bytes.text, data);
  const char *network = disk_network_name((int64_t)disk.f_type), *local = disk_local_name((int64_t)disk.f_type);
  bool gone = local && (strcmp(local, "tmpfs") == 0 || strcmp(local, "ramfs") == 0);
  if (network)
    finding(findings, FINDING_WARN, "disk", "use a disk of this machine",
            "%s is a network file system: a crash may "
            "damage the database there",
            network);
  else
    finding(findings, gone ? FINDING_WARN : FINDING_OK, "disk", gone ? "use a disk: this is memory" : NULL, "%s%s",
            local ? local : "a file system that is not known here", gone ? " forgets all when the machine stops" : "");
}

static void look_at_data(struct findings *findings, const char *data) {
  AUTO(str_done) struct str said;
  int code;
  size_t shown = 0;
  const char *last = "";
  str_init(&said, SAID_BYTES);
  if (!ask(findings, "data", &said, &code, "reflectd", (const char *const[]){"fsck", "--data", data, NULL},
           FSCK_SECONDS))
    return;
  char *rest = said.text;
  for (char *line; (line = program_line(&rest)); last = line)
    if (code != 0 && *rest && shown++ < FAULTS_SHOWN)
      finding(findings, FINDING_FAIL, "data", NULL, "%s", line);
  finding(findings, code == 0 ? FINDING_OK : FINDING_FAIL, "data",
          code == 0   ? NULL
          : code == 1 ? "`reflectd fsck` lists all; `reflectd restore` makes a new folder of a backup"
                      : "is it the data folder, and may this user read it?",
          "%s", last);
}

void doctor_host(struct findings *findings, const struct doctor_options *options) {
  char path[PATH_MAX];
  if (program_find(path, "reflectd") || program_find(path, "reflect-worker")) {
    look_at_resources(findings);
    look_at_devices(findings);
    look_at_sandbox(findings);
  } else {
    finding(findings, FINDING_SKIPPED, "host", "run `reflect doctor` where reflectd is installed",
            "only the client is installed on this machine");
  }
  if (options->data) {
    look_at_disk(findings, options->data);
    look_at_data(findings, options->data);
  } else {
    finding(findings, FINDING_SKIPPED, "data", "name the data folder of a daemon on this machine: --data DIR",
            "the disk and the data folder were not looked at");
  }
}
