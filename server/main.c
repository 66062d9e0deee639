/* reflectd: configuration, store, recovery, front, loop, and the end in reverse. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/man.h"
#include "base/memory.h"
#include "server/admission.h"
#include "server/backup.h"
#include "server/command.h"
#include "server/data.h"
#include "server/forecast.h"
#include "server/fsck.h"
#include "server/http/front.h"
#include "server/http/shown.h"
#include "server/inspected.h"
#include "server/keys_command.h"
#include "server/listen.h"
#include "server/loop.h"
#include "server/pool.h"
#include "server/process.h"
#include "server/scheduler.h"
#include "server/servings.h"
#include "server/supervisor.h"
#include "server/tenants_command.h"
#include "server/upkeep.h"
#include "server/webhooks.h"
#include "storage/db_key.h"

enum { CONFIG_ARENA_BYTES = 1 << 20, TEXT_BYTES = 1 << 16 };

/* Workers get absolute paths, whatever the current folder is. */
static enum status make_absolute(const char **path, const char *option, struct arena *arena, struct error *err) {
  char full[PATH_MAX];
  if (!realpath(*path, full))
    return error_set_errno(err, STATUS_INVALID_VALUE, option, "%s: %s", option, *path);
  *path = arena_string(arena, full);
  return *path ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the configuration");
}

static enum status prepare(struct config *config, struct arena *arena, struct error *err) {
  enum status status = file_mkdirs(config->data, err);
  if (!status)
    status = make_absolute(&config->data, "data", arena, err);
  if (!status)
    status = make_absolute(&config->models, "models", arena, err);
  if (!status && access(config->worker_path, X_OK) != 0)
    status = error_set_errno(err, STATUS_INVALID_VALUE, "worker_path", "cannot run %s", config->worker_path);
  if (!status && access(config->sandbox_path, X_OK) != 0)
    status = error_set_errno(err, STATUS_INVALID_VALUE, "sandbox", "cannot run %s", config->sandbox_path);
  return status ? status : devices_check(config, err);
}

/* A socket and a file for every connection, and some for workers and the store. */
static void raise_limits(const struct config *config) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  rlim_t want = 2 * (rlim_t)config->connections_max + 256;
  if (limit.rlim_cur >= want)
    return;
  limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
    log_warn("only %llu open files are allowed; %lld connections may not fit", (unsigned long long)limit.rlim_cur,
             (long long)config->connections_max);
}

static enum status open_store(struct server *server, struct error *err) {
  enum status status = data_open_store(server, err);
  if (!status)
    db_reserve(server->db);
  return status ? status : upkeep_recover(server, err);
}

static enum status open_front(struct server *server, struct error *err) {
  char address[ADDRESS_BYTES];
  int fd;
  bool keys = server->config->api_key != NULL;
  enum status status = keys ? STATUS_OK : db_key_any(&keys, server->db, err);
  if (!status)
    status = listen_open(&fd, address, server->config, keys, err);
  if (!status)
    status = front_open(&server->front, server, fd, err);
  if (!status)
    log_info("listening on %s%s", address, server->config->tls_certificate ? " with TLS" : "");
  return status;
}

/* One is to be looked at, or to be held. */
static void on_model_wanted(void *context) {
  struct server *server = context;
  scheduler_wake(server->scheduler);
}

/* Here the parts meet that start after a run ends and those that only run it: jobs and requests that waited for what is
   known now, and whatever waited for the place. */
static void on_run_ended(void *context, const char *known) {
  struct server *server = context;
  struct error err;
  if (known && admission_resume(server, &err)) /* tried again by upkeep_sweep */
    log_error("jobs that wait for %s: %s", known, err.text);
  if (known)
    front_wake(server->front, known);
  scheduler_wake(server->scheduler);
}

static enum status serve(struct server *server, struct error *err) {
  struct serving_list servings;
  int lock;
  enum status status = data_lock(&lock, server->config, err);
  if (status)
    return status;
  status = open_store(server, err);
  if (!status)
    status = sandbox_open(&server->sandbox, server->config, err);
  if (!status && server->config->sandbox != SANDBOX_OFF)
    cgroups_open(&server->cgroups, "/proc/self/cgroup", "/sys/fs/cgroup", getpid());
  if (!status)
    devices_find(&server->devices, server->config);
  server->budget = budget_of(server->config, memory_total(), cpu_allowed());
  log_info("jobs may take %lld MiB of memory and %lld cores together", (long long)server->budget.memory_mib,
           (long long)server->budget.cores);
  if (!status)
    status = scheduler_new(&server->scheduler, server, err);
  if (!status)
    status = supervisor_new(&server->supervisor, server, on_run_ended, server, err);
  if (!status)
    status = inspected_new(&server->inspected, server->config, on_model_wanted, server, err);
  server->servings = &servings;
  if (!status)
    status = servings_open(&servings, server, on_model_wanted, server, err);
  if (!status)
    status = webhooks_new(&server->webhooks, server, err);
  if (!status)
    status = admission_resume(server, err);
  if (!status)
    status = open_front(server, err);
  if (!status)
    status = loop_run(server, err);
  front_close(server->front);
  supervisor_free(server->supervisor);
  inspected_free(server->inspected);
  shown_free(server->shown);
  questions_free(&server->questions);
  forecast_free(server->forecaster);
  scheduler_close(server->scheduler);
  webhooks_close(server->webhooks);
  uv_run(server->uv, UV_RUN_NOWAIT); /* lets what was closed end */
  webhooks_free(server->webhooks);
  db_close(server->db);
  close(lock);
  return status;
}

static int run(struct config *config, struct arena *arena) {
  struct error err;
  uv_loop_t uv;
  struct server server = {.config = config, .uv = &uv};
  AUTO(str_done) struct str text;
  str_init(&text, TEXT_BYTES);
  log_setup("reflectd", (enum log_level)config->log_level);
  signal(SIGPIPE, SIG_IGN);
  enum status status = prepare(config, arena, &err);
  if (status) {
    log_error("%s", err.text);
    return COMMAND_USAGE;
  }
  raise_limits(config);
  config_describe(&text, config);
  log_info("reflectd %s starts with %s", REFLECTD_VERSION, text.text);
  int code = uv_loop_init(&uv);
  if (code) {
    log_error("the event loop cannot be made: %s", uv_strerror(code));
    return COMMAND_FAILED;
  }
  status = pool_start(&uv, &err);
  if (!status)
    status = serve(&server, &err);
  if (uv_loop_close(&uv) != 0)
    log_warn("something is left in the event loop");
  if (status) {
    log_error("%s", err.text);
    return status_http(status) < 500 ? COMMAND_USAGE : EXIT_FAILURE;
  }
  log_info("stopped");
  return EXIT_SUCCESS;
}

static int print(struct str *text) {
  bool ok = !text->failed && fputs(text->text, stdout) >= 0 && fflush(stdout) == 0;
  str_done(text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- commands ---- */

static int healthcheck(int argc, char **argv) {
  AUTO(arena_done) struct arena arena;
  struct config config;
  struct error err;
  arena_init(&arena, CONFIG_ARENA_BYTES);
  enum status status = command_config(&config, argc, argv, &arena, &err);
  if (!status)
    status = listen_healthcheck(&config, &err);
  return status ? command_fault(&err) : COMMAND_OK;
}

static const struct command commands[] = {
    {"healthcheck", "", "Ask the daemon that listens there whether it is alive.", healthcheck},
    {"fsck", "", "Check the data folder: the database, and every file that it names. Changes nothing.", fsck_command},
    {"backup", "--to FOLDER", "Copy the data folder, also while a daemon uses it, and check the copy.", backup_command},
    {"restore", "--from FOLDER", "Make a new data folder of a backup, and check it.", backup_restore},
    {"keys", "create --name NAME | list | revoke ID | rotate ID",
     "API keys: --tenant NAME, --scope read|submit|admin, --expires-in 90d; of rotate: --grace 24h.", keys_command},
    {"tenants", "list | set NAME", "Tenants and their limits: --queued-max, --running-max, --bytes-max N.",
     tenants_command},
};

static const struct command *find_command(const char *name) {
  for (size_t i = 0; i < COUNT_OF(commands); i++)
    if (strcmp(commands[i].name, name) == 0)
      return &commands[i];
  return NULL;
}

static void help(struct str *out) {
  config_help(out);
  str_puts(out, "\nCommands, which take the options above too: reflectd COMMAND\n");
  for (size_t i = 0; i < COUNT_OF(commands); i++) {
    const struct command *command = &commands[i];
    char name[80];
    snprintf(name, sizeof name, "%s%s%s", command->name, command->takes[0] ? " " : "", command->takes);
    str_printf(out, "  %-30s %s\n", name, command->does);
  }
}

static void manual(struct str *out) {
  man_begin(out, "REFLECTD", "reflectd", 8, "a fine-tuning service over HTTP");
  man_section(out, "SYNOPSIS");
  man_term(out, "reflectd", "[--OPTION VALUE]...");
  str_puts(out, ".br\n");
  man_term(out, "reflectd", "COMMAND [--OPTION VALUE]...");
  man_section(out, "DESCRIPTION");
  man_text(out,
           "reflectd takes data and jobs over HTTP, keeps them in its data folder, and trains each job in a process "
           "of its own. It stays in the foreground and writes its log, a JSON object a line, to standard error.");
  man_paragraph(out);
  man_text(out,
           "SIGTERM lets running jobs write down where they are, and ends it; a second one ends it at once. SIGHUP "
           "reads the certificate again.");
  man_section(out, "OPTIONS");
  man_text(out, "Each can also be set in the environment (REFLECTD_QUEUE_MAX=50) and, by its name with underscores, in "
                "the file that --config names. Flags win over the environment, the environment over the file.");
  config_manual_options(out);
  man_section(out, "COMMANDS");
  man_text(out, "They take the options above too.");
  for (size_t i = 0; i < COUNT_OF(commands); i++) {
    man_item(out, commands[i].name, commands[i].takes);
    man_text(out, commands[i].does);
  }
  man_section(out, "EXIT STATUS");
  man_text(out, "0: it was told to end, or the command is done. 1: it failed, or fsck found a fault. 2: wrong usage or "
                "configuration.");
  man_section(out, "SEE ALSO");
  str_puts(out, ".BR reflect (1),\n.BR reflectd.conf (5)\n");
}

int main(int argc, char **argv) {
  AUTO(arena_done) struct arena arena;
  struct config config;
  enum config_action action;
  struct error err;
  struct str text;
  umask(0077);
  arena_init(&arena, CONFIG_ARENA_BYTES);
  process_hide();
  const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
  if (command && !(argc > 2 && strcmp(argv[2], "--help") == 0))
    return command->run(argc - 1, argv + 1);
  str_init(&text, TEXT_BYTES);
  if (config_load(&config, &action, argc - !!command, argv + !!command, environ, &arena, &err))
    return command_fault(&err);
  switch (action) {
  case CONFIG_HELP: help(&text); return print(&text);
  case CONFIG_WRITE_EXAMPLE: config_example(&text); return print(&text);
  case CONFIG_MAN: manual(&text); return print(&text);
  case CONFIG_MAN_FILE: config_manual_file(&text); return print(&text);
  case CONFIG_VERSION: str_printf(&text, "reflectd %s\n", REFLECTD_VERSION); return print(&text);
  case CONFIG_LIST_DEVICES: return devices_print(&text, &config, &err) ? command_fault(&err) : print(&text);
  case CONFIG_RUN: break;
  }
  return run(&config, &arena);
}
