#include "server/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/split_file.h"
#include "server/paths.h"
#include "server/process.h"

enum { PROBE_MS = 30000, PROBE_BYTES = 1 << 14 };

static const uint64_t MIB = 1 << 20;
/* A check reads its file line by line; an inspection maps the weights and reads a tokenizer. What needs more is a bomb.
 */
static const uint64_t CHECK_BYTES = (uint64_t)1 << 30;
/* Beside what a job plans: the stack of a thread, and what a library sets apart for it. */
static const uint64_t BASE_BYTES = (uint64_t)256 << 20, THREAD_BYTES = (uint64_t)64 << 20;
/* A model of one bit a weight, merged in fp32, grows by half of this. */
enum { FILE_GROWTH = 64 };
static const uint64_t FILE_BYTES = (uint64_t)1 << 30;

/* ---- what there is ---- */

static bool required(const char *layer) {
  return strcmp(layer, "landlock") == 0 || strcmp(layer, "seccomp") == 0;
}

/* A line of reflect-sandbox --probe: the layer, yes or no, and what of it. */
static bool read_layer(char name[SANDBOX_NAME_BYTES], bool *there, char text[256], const char *line) {
  char answer[4] = "";
  text[0] = '\0';
  int count = sscanf(line, "%23s %3s %255[^\n]", name, answer, text);
  *there = strcmp(answer, "yes") == 0;
  return count >= 2 && (*there || strcmp(answer, "no") == 0);
}

static enum status note_missing(struct sandbox *out, const char *name, const char *why, bool is_required,
                                struct error *err) {
  if (is_required && required(name))
    return error_set(err, STATUS_INVALID_VALUE, "sandbox", "sandbox is required, but this machine lacks %s (%s)", name,
                     why);
  log_warn("the sandbox of workers lacks %s here: %s", name, why);
  if (out->without_count < SANDBOX_LAYERS_MAX)
    snprintf(out->without[out->without_count++], SANDBOX_NAME_BYTES, "%s", name);
  return STATUS_OK;
}

enum status sandbox_open(struct sandbox *out, const struct config *config, struct error *err) {
  AUTO(str_done) struct str text;
  AUTO(str_done) struct str there;
  char *arguments[] = {(char *)(uintptr_t)config->sandbox_path, (char *)(uintptr_t) "--probe", NULL};
  enum status status = STATUS_OK;
  size_t count = 0;
  *out = (struct sandbox){.without_count = 0};
  str_init(&text, PROBE_BYTES);
  str_init(&there, PROBE_BYTES);
  if (config->sandbox == SANDBOX_OFF) {
    log_warn("sandbox is off: what a hostile model or data file makes of a worker can do what this user can");
    snprintf(out->without[out->without_count++], SANDBOX_NAME_BYTES, "all");
    return STATUS_OK;
  }
  status = process_output(&text, arguments, PROBE_MS, err);
  if (status)
    return status;
  for (char *line = text.text, *end; !status && line && (end = strchr(line, '\n')); line = end + 1) {
    char name[SANDBOX_NAME_BYTES], why[256];
    bool has;
    *end = '\0';
    if (!read_layer(name, &has, why, line))
      return error_set(err, STATUS_INVALID_VALUE, "sandbox", "%s says \"%s\"", config->sandbox_path, line);
    if (has)
      str_printf(&there, "%s%s%s%s%s", count++ ? ", " : "", name, why[0] ? " (" : "", why, why[0] ? ")" : "");
    else
      status = note_missing(out, name, why, config->sandbox == SANDBOX_REQUIRE, err);
  }
  if (!status && count == 0)
    return error_set(err, STATUS_INVALID_VALUE, "sandbox", "%s names no layers", config->sandbox_path);
  if (!status)
    log_info("workers run in a sandbox: %s", there.text);
  return status;
}

/* ---- what a task may touch ---- */

static void add(struct sandbox_command *command, const char *argument) {
  CHECK(command->count < SANDBOX_ARGUMENTS_MAX);
  command->argument[command->count++] = argument;
}

static void add_option(struct sandbox_command *command, const char *option, const char *value) {
  if (!value)
    return;
  add(command, option);
  add(command, value);
}

static enum status add_number(struct sandbox_command *command, const char *option, uint64_t value, struct arena *arena,
                              struct error *err) {
  const char *text = arena_format(arena, "%" PRIu64, value);
  add_option(command, option, text);
  return text ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting a worker");
}

/* Of a file, and where it is split of all its parts. */
static uint64_t file_bytes(const char *path) {
  struct split_walk walk;
  struct stat info;
  uint64_t sum = 0;
  split_walk_begin(&walk, path);
  while (split_walk_next(&walk))
    if (stat(walk.path, &info) == 0)
      sum += (uint64_t)info.st_size;
  return sum;
}

static uint64_t folder_bytes(const char *path) {
  struct stat info;
  uint64_t sum = 0;
  DIR *dir = opendir(path);
  if (!dir)
    return file_bytes(path);
  for (struct dirent *entry; (entry = readdir(dir));)
    if (fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
      sum += (uint64_t)info.st_size;
  closedir(dir);
  return sum;
}

/* Of a diffusion pipeline the weights are in its components' folders; what else lies there is not read. */
uint64_t sandbox_model_bytes(const char *path) {
  static const char *const components[] = {"text_encoder", "unet", "vae"};
  char part[PATH_BYTES];
  uint64_t sum = folder_bytes(path);
  if (path_format(part, NULL, "%s/model_index.json", path) || access(part, F_OK) != 0)
    return sum;
  for (size_t i = 0; i < COUNT_OF(components); i++)
    if (!path_format(part, NULL, "%s/%s", path, components[i]))
      sum += folder_bytes(part);
  return sum;
}

static bool on_device(const struct task *task) {
  return task->device && strcmp(task->device, "cpu") != 0;
}

/* A job's own limit, or what the machine has left: a bomb then meets its limit, and not the machine its end. */
static uint64_t memory_of(const struct task *task) {
  if (task->kind == TASK_CHECK || task->kind == TASK_INSPECT)
    return CHECK_BYTES;
  if (on_device(task))
    return 0; /* drivers reserve more than they use */
  uint64_t threads = (uint64_t)(task->threads ? task->threads : cpu_allowed());
  uint64_t limit = (uint64_t)task->spec.scheduling.memory_limit * MIB;
  uint64_t most = limit ? limit : memory_available();
  return most ? most + BASE_BYTES + threads * THREAD_BYTES : 0;
}

uint64_t sandbox_memory(const struct task *task) {
  uint64_t bytes = memory_of(task);
  return bytes && task->model_dir ? bytes + sandbox_model_bytes(task->model_dir) : bytes;
}

static bool writes(const struct task *task) {
  bool asks = task->kind == TASK_ESTIMATE || task->kind == TASK_PLAN;
  return task->kind == TASK_TRAIN || task->kind == TASK_EXPORT || (asks && task->output_dir);
}

/* "opencl" of "opencl:0": what its driver needs is opened too. */
static const char *device_of(const struct task *task, struct arena *arena) {
  const char *device = task->device ? task->device : "cpu";
  bool known = strncmp(device, "opencl", 6) == 0 || strncmp(device, "cuda", 4) == 0;
  return known ? arena_format(arena, "%.*s", (int)strcspn(device, ":"), device) : "cpu";
}

enum status sandbox_command(struct sandbox_command *out, const struct sandbox *sandbox, const struct config *config,
                            const struct task *task, const char *cgroup, struct arena *arena, struct error *err) {
  *out = (struct sandbox_command){.count = 0};
  add(out, config->sandbox_path);
  add_option(out, "--model", task->model_dir);
  add_option(out, "--read", task->training.path);
  add_option(out, "--read", task->validation.path);
  add_option(out, "--read", task->start);
  add_option(out, "--read", task->clip_dir);
  add_option(out, "--read", task->dino_dir);
  for (size_t i = 0; i < task->resume.count; i++)
    add_option(out, "--read", task->resume.item[i]);
  if (writes(task) || task->kind == TASK_GENERATE) /* which adapters are put into while it runs */
    add_option(out, writes(task) ? "--write" : "--read", task->output_dir);
  add_option(out, "--device", device_of(task, arena));
  if (task->output_dir && on_device(task))
    add_option(out, "--scratch", arena_format(arena, "%s/%s", task->output_dir, SANDBOX_SCRATCH));
  for (size_t i = 0; i < sandbox->without_count; i++)
    add_option(out, "--without", sandbox->without[i]);
  add_option(out, "--cgroup", cgroup[0] ? cgroup : NULL);
  uint64_t file_bytes = writes(task) ? sandbox_model_bytes(task->model_dir) * FILE_GROWTH + FILE_BYTES : 0;
  enum status status = add_number(out, "--parent", (uint64_t)getpid(), arena, err);
  status = status ? status : add_number(out, "--memory", memory_of(task), arena, err);
  status = status ? status : add_number(out, "--file-bytes", file_bytes, arena, err);
  add(out, "--");
  add(out, config->worker_path);
  return status;
}
