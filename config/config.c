/* The option table and its sources. */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/man.h"

static const char *const log_levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error", NULL};
static const char *const matmuls[] = {"auto", "native", "openblas", NULL}; /* job_matmul_names of api/job.h */

static const char *const webhook_targets[] = {"none", "public", "any", NULL}; /* as in api/webhook.h */
static const char *const sandboxes[] = {
    [SANDBOX_AUTO] = "auto", [SANDBOX_REQUIRE] = "require", [SANDBOX_OFF] = "off", NULL};

#define AT(member) offsetof(struct config, member)
static const struct field fields[] = {
    {"data", NULL, FIELD_STRING, AT(data), 0, 1, 800, .initial = "data",
     .doc = "Folder of the database, uploaded files and artifacts; made if it does not exist."},
    {"models", NULL, FIELD_STRING, AT(models), 0, 1, 800, .initial = "models",
     .doc = "Folder of base models: name, org/name, or a Hugging Face cache."},
    {"listen", NULL, FIELD_STRING, AT(listen), 0, 1, 260, .initial = "127.0.0.1:8080",
     .doc = "HOST:PORT to serve HTTP on; [HOST]:PORT for IPv6; port 0: the kernel chooses."},
    {"config", NULL, FIELD_STRING, AT(config), 0, 1, 1000, .doc = "JSON file with any of these options."},
    {"api_key", NULL, FIELD_STRING, AT(api_key), 0, 16, 256,
     .doc = "Key clients must send as bearer token. Better in api_key_file: others can read a command line."},
    {"api_key_file", NULL, FIELD_STRING, AT(api_key_file), 0, 1, 1000, .doc = "File whose first line is the api_key."},
    {"tls_certificate", NULL, FIELD_STRING, AT(tls_certificate), 0, 1, 1000,
     .doc = "PEM file of a certificate, with those that vouch for it: HTTPS is spoken. SIGHUP reads it again."},
    {"tls_key", NULL, FIELD_STRING, AT(tls_key), 0, 1, 1000, .doc = "PEM file of the certificate's private key."},
    {"allowed_hosts", NULL, FIELD_STRING, AT(allowed_hosts), 0, 1, 2000,
     .doc = "Names in the Host header, with commas, of requests without an API key; *: any. Always: localhost, that of "
            "listen, and addresses. A name that a web page bound anew to this address is refused."},
    {"allowed_origins", NULL, FIELD_STRING, AT(allowed_origins), 0, 1, 2000,
     .doc = "Web pages that may use this server, as https://HOST, with commas: CORS. By default only its own."},
    {"workers_max", NULL, FIELD_INT, AT(workers_max), 0, 1, 64, .initial = "1",
     .doc = "Jobs that train at the same time."},
    {"preemption", NULL, FIELD_INT, AT(preemption), 0, 0, 200,
     .doc = "A job that waits makes one that runs with a priority lower by so much or more save its state and wait; "
            "0: never, since whoever submits a job chooses its priority."},
    {"threads", NULL, FIELD_INT, AT(threads), 0, 0, 1024,
     .doc = "Threads of one worker; 0: core_budget divided by workers_max."},
    {"memory_budget_mib", NULL, FIELD_INT, AT(memory_budget_mib), 0, 0, 1 << 30, .unit = "MiB",
     .doc = "Memory that jobs, exports and base models that are held may take together: a job waits until it fits. 0: "
            "the machine's, or the control group's limit, less an eighth (from 512 MiB to 4 GiB) for all else."},
    {"core_budget", NULL, FIELD_INT, AT(core_budget), 0, 0, 1024, .unit = "cores",
     .doc = "Cores that the threads of jobs and exports may take together. 0: those that this process may use, or "
            "workers_max where that is more."},
    {"matmul", NULL, FIELD_CHOICE, AT(matmul), 0, 0, 0, matmuls, "auto",
     .doc = "What multiplies by the base models' weights in jobs that do not say: native, openblas, or auto (native "
            "where it has kernels for this processor)."},
    {"devices", NULL, FIELD_STRING, AT(devices), 0, 1, 200, .initial = "auto",
     .doc = "Devices that jobs may run on, with commas: cpu, opencl:0, cuda:0, or a kind; auto: all that are "
            "found (--list-devices). A GPU runs one job at a time."},
    {"queue_max", NULL, FIELD_INT, AT(queue_max), 0, 1, 1e6, .initial = "10000", .unit = "jobs",
     .doc = "Jobs that may wait; more are refused with 429."},
    {"tenant_queued_max", NULL, FIELD_INT, AT(tenant_queued_max), 0, 0, 1e6, .unit = "jobs",
     .doc = "Jobs of one tenant that may wait, where it has no limit of its own; 0: any number."},
    {"tenant_running_max", NULL, FIELD_INT, AT(tenant_running_max), 0, 0, 1e6, .unit = "jobs",
     .doc = "Jobs of one tenant that train at the same time, where it has no limit of its own; 0: any number."},
    {"tenant_bytes_max", NULL, FIELD_INT, AT(tenant_bytes_max), 0, 0, 1e15, .unit = "bytes",
     .doc = "Bytes of one tenant's uploads, artifacts, checkpoints and training states, where it has no limit of its "
            "own; 0: any number."},
    {"upload_bytes_max", NULL, FIELD_INT, AT(upload_bytes_max), 0, 1, 1099511627776, .initial = "1073741824",
     .unit = "bytes", .doc = "Largest file that can be uploaded."},
    {"upload_expires_s", NULL, FIELD_INT, AT(upload_expires_s), 0, 1, 2592000, .initial = "86400", .unit = "seconds",
     .doc = "Time an upload in parts has to become complete; then its parts are removed."},
    {"body_bytes_max", NULL, FIELD_INT, AT(body_bytes_max), 0, 1024, 67108864, .initial = "1048576", .unit = "bytes",
     .doc = "Largest JSON body of a request."},
    {"bodies_bytes_max", NULL, FIELD_INT, AT(bodies_bytes_max), 0, 1 << 20, 1099511627776, .initial = "67108864",
     .unit = "bytes", .doc = "What the JSON bodies of all requests together may take; more are refused with 503."},
    {"upload_check_wait_ms", NULL, FIELD_INT, AT(upload_check_wait_ms), 0, 0, 60000, .initial = "2000",
     .unit = "milliseconds", .doc = "How long the answer to an upload waits for the check of its content."},
    {"connections_max", NULL, FIELD_INT, AT(connections_max), 0, 1, 65536, .initial = "2048",
     .doc = "Connections open at the same time; one more ends the one that waited longest for a request."},
    {"streams_max", NULL, FIELD_INT, AT(streams_max), 0, 1, 65536, .initial = "1024",
     .doc = "Of them, those that follow a job's events or log; they never take more than three quarters."},
    {"connections_per_address", NULL, FIELD_INT, AT(connections_per_address), 0, 1, 65536, .initial = "256",
     .doc = "Those of one address (of IPv6: a /64 network); loopback may have all. Raise it for a proxy elsewhere."},
    {"header_timeout_s", NULL, FIELD_INT, AT(header_timeout_s), 0, 1, 3600, .initial = "10", .unit = "seconds",
     .doc = "Time a request's header has to arrive."},
    {"request_timeout_s", NULL, FIELD_INT, AT(request_timeout_s), 0, 1, 86400, .initial = "60", .unit = "seconds",
     .doc = "Time a request has to arrive, longer while its body comes with 16 KiB/s, and the next one to begin."},
    {"attempts_max", NULL, FIELD_INT, AT(attempts_max), 0, 1, 1000, .initial = "3",
     .doc = "How often a job whose worker dies is begun without getting further before it has failed."},
    {"shutdown_grace_s", NULL, FIELD_INT, AT(shutdown_grace_s), 0, 0, 3600, .initial = "30", .unit = "seconds",
     .doc = "Time a worker has to leave before it is killed."},
    {"worker_silence_s", NULL, FIELD_INT, AT(worker_silence_s), 0, 1, 86400, .initial = "300", .unit = "seconds",
     .doc = "A worker that says nothing for so long is killed."},
    {"serving_max", NULL, FIELD_INT, AT(serving_max), 0, 0, 64, .initial = "2",
     .doc = "Base models that are held in memory at the same time to be asked (chat, completions, embeddings, "
            "classify); 0: none is."},
    {"serving_idle_s", NULL, FIELD_INT, AT(serving_idle_s), 0, 1, 31536000, .initial = "300", .unit = "seconds",
     .doc = "Time that a base model is held which nobody asks."},
    {"serving_memory_mib", NULL, FIELD_INT, AT(serving_memory_mib), 0, 16, 1 << 24, .initial = "1024", .unit = "MiB",
     .doc = "Memory of each of them for what it is asked: KV caches and adapters, images while they are made."},
    {"serving_queue_max", NULL, FIELD_INT, AT(serving_queue_max), 0, 1, 65536, .initial = "256",
     .doc = "Completions, embeddings, images and the like that may be under way; more are refused with 429."},
    {"insecure_http", NULL, FIELD_BOOL, AT(insecure_http),
     .doc = "Allow `listen` on an address other than loopback: HTTP is not encrypted."},
    {"metrics_open", NULL, FIELD_BOOL, AT(metrics_open), .doc = "Show /metrics without a key, where keys are needed."},
    {"webhook_targets", NULL, FIELD_CHOICE, AT(webhook_targets), 0, 0, 0, webhook_targets, "public",
     .doc = "Addresses that clients may have webhooks sent to: none; those of the public Internet; any, private ones "
            "and this machine's too."},
    {"webhook_http", NULL, FIELD_BOOL, AT(webhook_http), .doc = "Send webhooks to http:// too, unencrypted."},
    {"webhook_retry_s", NULL, FIELD_INT, AT(webhook_retry_s), 0, 0, 604800, .initial = "86400", .unit = "seconds",
     .doc = "How long a webhook that is not taken is sent again, at longer and longer intervals."},
    {"log_level", NULL, FIELD_CHOICE, AT(log_level), 0, 0, 0, log_levels, "info", .doc = "Least level that is logged."},
    {"sandbox", NULL, FIELD_CHOICE, AT(sandbox), 0, 0, 0, sandboxes, "auto",
     .doc = "What workers are kept from: auto: all that this machine can; require: no start without landlock and "
            "seccomp; off: nothing."},
    {"worker_path", NULL, FIELD_STRING, AT(worker_path), 0, 1, 1000,
     .doc = "The worker program; by default reflect-worker beside this one."},
};
#undef AT
const struct field_table config_fields = {.fields = fields, .count = COUNT_OF(fields)};

/* Instead of serving. */
static const struct {
  const char *flag;
  enum config_action action;
  const char *doc;
} config_actions[] = {
    {"--list-devices", CONFIG_LIST_DEVICES, "Print the devices that jobs can run on, and leave."},
    {"--write-example", CONFIG_WRITE_EXAMPLE, "Print a configuration file with every default, and leave."},
    {"--man", CONFIG_MAN, "Print the manual's page, reflectd(8), and leave."},
    {"--man-config", CONFIG_MAN_FILE, "Print the page of the configuration file, reflectd.conf(5), and leave."},
    {"--version", CONFIG_VERSION, "Print the version, and leave."},
    {"--help", CONFIG_HELP, "Print this, and leave."},
};

/* --- the sources ------------------------------------------------------------------------------ */

/* Splits "--name=VALUE"; the name gets underscores. *value is NULL without '='. NULL: no such option. */
static const struct field *flag_field(const char *argument, const char **value) {
  char name[64];
  size_t length = strcspn(argument + 2, "=");
  *value = argument[2 + length] ? argument + 2 + length + 1 : NULL;
  if (length >= sizeof name)
    return NULL;
  for (size_t i = 0; i < length; i++)
    name[i] = argument[2 + i] == '-' ? '_' : argument[2 + i];
  name[length] = '\0';
  return field_find(&config_fields, name);
}

static enum status unknown_flag(const char *argument, struct error *err) {
  char name[64], near[96] = "";
  snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
  if (strncmp(argument, "--", 2) == 0) {
    for (char *c = name; *c; c++)
      *c = *c == '-' ? '_' : *c;
    field_suggest(near, sizeof near, &config_fields, NULL, name + 2);
    for (char *c = near; *c; c++)
      *c = *c == '_' ? '-' : *c;
  }
  return error_set(err, STATUS_UNKNOWN_PARAMETER, argument, "%s is not an option%s", argument, near);
}

/* Walks the flags. With `only` set, every other option is checked for its form and then skipped. */
static enum status read_flags(struct config *out, int argc, char **argv, const char *only, struct arena *arena,
                              struct error *err) {
  for (int i = 1; i < argc; i++) {
    const char *value;
    if (strcmp(argv[i], "--list-devices") == 0)
      continue; /* an action */
    const struct field *field = strncmp(argv[i], "--", 2) == 0 ? flag_field(argv[i], &value) : NULL;
    if (!field)
      return unknown_flag(argv[i], err);
    bool alone = field->kind == FIELD_BOOL && !value; /* "--insecure-http" alone means true */
    if (!value)
      value = alone ? "true" : argv[++i];
    if (!value)
      return error_set(err, STATUS_MISSING_PARAMETER, field->name, "%s needs a value", argv[i - 1]);
    if (only && strcmp(field->name, only) != 0)
      continue;
    enum status status = field_set_text(field, out, value, arena, err);
    if (status)
      return error_prefix(err, "command line");
  }
  return STATUS_OK;
}

static enum status read_environment(struct config *out, char *const *environment, const char *only, struct arena *arena,
                                    struct error *err) {
  static const char prefix[] = "REFLECTD_";
  for (; *environment; environment++) {
    const char *equals = strchr(*environment, '=');
    if (strncmp(*environment, prefix, sizeof prefix - 1) != 0 || !equals)
      continue;
    char name[64] = "";
    const char *from = *environment + sizeof prefix - 1;
    for (size_t i = 0; from + i < equals && i + 1 < sizeof name; i++)
      name[i] = (char)tolower((unsigned char)from[i]);
    const struct field *field = field_find(&config_fields, name);
    if (!field) {
      /* A typing error is refused; other names belong to others (Kubernetes sets REFLECTD_PORT_80_TCP=...
         for a service of that name). */
      char near[96];
      field_suggest(near, sizeof near, &config_fields, NULL, name);
      if (near[0])
        return error_set(err, STATUS_UNKNOWN_PARAMETER, name, "REFLECTD_%.*s in the environment is not an option%s",
                         (int)(equals - from), from, near);
      continue;
    }
    if (only && strcmp(field->name, only) != 0)
      continue;
    enum status status = field_set_text(field, out, equals + 1, arena, err);
    if (status)
      return error_prefix(err, "environment");
  }
  return STATUS_OK;
}

static enum status read_file(struct config *out, const char *path, struct arena *arena, struct error *err) {
  AUTO(json_release) json_t *object = NULL;
  struct fault_list faults = {0};
  enum status status = json_parse_file(&object, path, NULL, err);
  if (status)
    return status;
  field_read(&config_fields, out, object, "", NULL, arena, &faults);
  if (faults.count == 0)
    return STATUS_OK;
  error_set(err, faults.item[0].status, faults.item[0].param, "%s", faults.item[0].text);
  return error_prefix(err, "%s", path);
}

/* Files that a service manager keeps for this program alone (systemd's LoadCredential): each is the value of the option
   of its name, where nobody else gave one. api_key has its file's. */
static enum status read_credentials(struct config *config, char *const *environment, struct arena *arena,
                                    struct error *err) {
  static const char prefix[] = "CREDENTIALS_DIRECTORY=";
  const struct {
    const char *name, **option;
    bool given;
  } credentials[] = {{"api_key", &config->api_key_file, config->api_key || config->api_key_file},
                     {"tls_certificate", &config->tls_certificate, config->tls_certificate},
                     {"tls_key", &config->tls_key, config->tls_key}};
  while (*environment && strncmp(*environment, prefix, sizeof prefix - 1) != 0)
    environment++;
  for (size_t i = 0; *environment && i < COUNT_OF(credentials); i++) {
    const char *path = arena_format(arena, "%s/%s", *environment + sizeof prefix - 1, credentials[i].name);
    if (!path)
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the credentials");
    if (!credentials[i].given && access(path, F_OK) == 0)
      *credentials[i].option = path;
  }
  return STATUS_OK;
}

/* --- what follows from the options ------------------------------------------------------------ */

static enum status split_listen(struct config *config, struct error *err) {
  const char *text = config->listen, *colon = strrchr(text, ':'), *host_end = colon;
  if (!colon || colon == text)
    return error_set(err, STATUS_INVALID_VALUE, "listen", "listen must be HOST:PORT, not %s", text);
  if (text[0] == '[') {
    if (colon[-1] != ']')
      return error_set(err, STATUS_INVALID_VALUE, "listen", "listen must be [HOST]:PORT for IPv6, not %s", text);
    text++;
    host_end--;
  } else if (memchr(text, ':', (size_t)(colon - text))) {
    return error_set(err, STATUS_INVALID_VALUE, "listen", "an IPv6 address in listen needs brackets: [%.*s]%s",
                     (int)(colon - text), text, colon);
  }
  char *end;
  long port = isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &end, 10) : -1;
  if (port < 0 || port > 65535 || *end)
    return error_set(err, STATUS_INVALID_VALUE, "listen",
                     "the port of listen must be a number of at most 65535, not %s", colon + 1);
  size_t length = (size_t)(host_end - text);
  if (length == 0 || length >= sizeof config->host)
    return error_set(err, STATUS_INVALID_VALUE, "listen", "the host of listen has %zu bytes", length);
  memcpy(config->host, text, length);
  config->host[length] = '\0';
  config->port = (uint16_t)port;
  return STATUS_OK;
}

static bool dotted(const char *host) {
  return host[strspn(host, "0123456789.")] == '\0';
}

bool config_is_loopback(const struct config *config) {
  const char *host = config->host;
  return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || (strncmp(host, "127.", 4) == 0 && dotted(host));
}

enum status config_check_exposure(const struct config *config, bool keys, struct error *err) {
  if (config_is_loopback(config) || config->insecure_http)
    return STATUS_OK;
  if (!config->tls_certificate)
    return error_set(err, STATUS_INVALID_VALUE, "listen",
                     "%s is not a loopback address, and HTTP is not encrypted: set tls_certificate and tls_key, or put "
                     "a TLS proxy in front and listen on 127.0.0.1, or set insecure_http",
                     config->host);
  if (!keys)
    return error_set(err, STATUS_INVALID_VALUE, "listen",
                     "%s is not a loopback address, and nobody needs a key: make one (reflectd keys create, "
                     "api_key_file), or set insecure_http if everybody there may use this server",
                     config->host);
  return STATUS_OK;
}

static enum status check_tls(const struct config *config, struct error *err) {
  if (!config->tls_certificate == !config->tls_key)
    return STATUS_OK;
  return error_set(err, STATUS_MISSING_PARAMETER, config->tls_key ? "tls_certificate" : "tls_key",
                   "%s is needed beside %s", config->tls_key ? "tls_certificate" : "tls_key",
                   config->tls_key ? "tls_key" : "tls_certificate");
}

static enum status read_key(struct config *config, struct arena *arena, struct error *err) {
  enum { KEY_FILE_MAX = 4096 };
  char *text;
  size_t length;
  if (!config->api_key_file)
    return STATUS_OK;
  if (config->api_key)
    return error_set(err, STATUS_INVALID_VALUE, "api_key_file", "api_key and api_key_file are both set");
  enum status status = file_read(&text, &length, config->api_key_file, KEY_FILE_MAX, err);
  if (status) {
    snprintf(err->param, sizeof err->param, "api_key_file");
    return status;
  }
  text[strcspn(text, "\r\n")] = '\0';
  status = field_set_text(field_find(&config_fields, "api_key"), config, text, arena, err);
  explicit_bzero(text, length);
  free(text);
  if (!status)
    return STATUS_OK;
  snprintf(err->param, sizeof err->param, "api_key_file");
  return error_prefix(err, "%s", config->api_key_file);
}

/* A header's value: printable ASCII without spaces. */
static enum status check_key(const struct config *config, struct error *err) {
  for (const char *c = config->api_key; c && *c; c++)
    if (*c <= 0x20 || *c >= 0x7F)
      return error_set(err, STATUS_INVALID_VALUE, config->api_key_file ? "api_key_file" : "api_key",
                       "the api_key may have printable ASCII without spaces only");
  return STATUS_OK;
}

/* The program of that name that lies beside this one. */
static enum status find_beside(const char **out, const char *name, struct arena *arena, struct error *err) {
  char self[1024];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot find this program's folder");
  self[length] = '\0';
  char *slash = strrchr(self, '/');
  *out = arena_format(arena, "%.*s/%s", (int)(slash ? slash - self : 0), self, name);
  return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "%s does not fit into memory", name);
}

static enum status find_programs(struct config *config, struct arena *arena, struct error *err) {
  enum status status = find_beside(&config->sandbox_path, "reflect-sandbox", arena, err);
  if (!status)
    status = find_beside(&config->deliver_path, "reflect-deliver", arena, err);
  return status || config->worker_path ? status : find_beside(&config->worker_path, "reflect-worker", arena, err);
}

static enum config_action action_of(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "-h") == 0)
      return CONFIG_HELP;
    for (size_t a = 0; a < COUNT_OF(config_actions); a++)
      if (strcmp(argv[i], config_actions[a].flag) == 0)
        return config_actions[a].action;
  }
  return CONFIG_RUN;
}

enum status config_load(struct config *out, enum config_action *action, int argc, char **argv, char *const *environment,
                        struct arena *arena, struct error *err) {
  *out = (struct config){0};
  field_defaults(&config_fields, out);
  *action = action_of(argc, argv);
  if (*action != CONFIG_RUN && *action != CONFIG_LIST_DEVICES)
    return STATUS_OK;
  /* The file's name comes from the two stronger sources, so these are read before and after it. */
  enum status status = read_environment(out, environment, "config", arena, err);
  if (!status)
    status = read_flags(out, argc, argv, "config", arena, err);
  const char *file = out->config;
  if (!status && file)
    status = read_file(out, file, arena, err);
  if (!status)
    status = read_environment(out, environment, NULL, arena, err);
  if (!status)
    status = read_flags(out, argc, argv, NULL, arena, err);
  out->config = file;
  if (!status)
    status = read_credentials(out, environment, arena, err);
  if (!status)
    status = split_listen(out, err);
  if (!status)
    status = check_tls(out, err);
  if (!status)
    status = config_check_exposure(out, true, err);
  if (!status)
    status = read_key(out, arena, err);
  if (!status)
    status = check_key(out, err);
  return status ? status : find_programs(out, arena, err);
}

/* --- texts ------------------------------------------------------------------------------------ */

static void dashed(char out[64], const char *name) {
  snprintf(out, 64, "%s", name);
  for (char *c = out; *c; c++)
    *c = *c == '_' ? '-' : *c;
}

static void help_line(struct str *out, const struct field *field) {
  char name[64], flag[96];
  dashed(name, field->name);
  snprintf(flag, sizeof flag, "--%s%s", name,
           field->kind == FIELD_BOOL  ? ""
           : field->kind == FIELD_INT ? " N"
                                      : " TEXT");
  str_printf(out, "  %-30s %s", flag, field->doc);
  if (field->initial)
    str_printf(out, " Default: %s%s%s.", field->initial, field->unit ? " " : "", field->unit ? field->unit : "");
  str_putc(out, '\n');
  for (const char *const *choice = field->choices; choice && *choice; choice++)
    str_printf(out, "%s%s", choice == field->choices ? "                                 One of: " : ", ", *choice);
  if (field->choices)
    str_puts(out, ".\n");
}

void config_help(struct str *out) {
  str_puts(
      out,
      "Usage: reflectd [--OPTION VALUE]...\n\n"
      "A fine-tuning service over HTTP. Each option can also be set as REFLECTD_<OPTION> in the environment\n"
      "(REFLECTD_QUEUE_MAX=50) or in the JSON file that --config names (\"queue_max\": 50). Flags win over the\n"
      "environment, the environment over the file. What none of them sets of api_key, tls_certificate and tls_key\n"
      "may be a file of that name in $CREDENTIALS_DIRECTORY, where systemd puts credentials.\n\n");
  for (size_t i = 0; i < config_fields.count; i++)
    help_line(out, &config_fields.fields[i]);
  for (size_t i = 0; i < COUNT_OF(config_actions); i++)
    str_printf(out, "  %-30s %s\n", config_actions[i].flag, config_actions[i].doc);
}

/* A row's sentence, with its default and its choices. */
static void manual_row(struct str *out, const struct field *field) {
  AUTO(str_done) struct str text;
  str_init(&text, 4096);
  str_puts(&text, field->doc);
  if (field->initial)
    str_printf(&text, " Default: %s%s%s.", field->initial, field->unit ? " " : "", field->unit ? field->unit : "");
  for (const char *const *choice = field->choices; choice && *choice; choice++)
    str_printf(&text, "%s%s", choice == field->choices ? " One of: " : ", ", *choice);
  if (field->choices)
    str_putc(&text, '.');
  man_text(out, text.text);
}

void config_manual_options(struct str *out) {
  for (size_t i = 0; i < config_fields.count; i++) {
    const struct field *field = &config_fields.fields[i];
    char name[64], flag[80];
    dashed(name, field->name);
    snprintf(flag, sizeof flag, "--%s", name);
    man_item(out, flag, field->kind == FIELD_BOOL ? "" : field->kind == FIELD_INT ? "N" : "TEXT");
    manual_row(out, field);
  }
  for (size_t i = 0; i < COUNT_OF(config_actions); i++) {
    man_item(out, config_actions[i].flag, "");
    man_text(out, config_actions[i].doc);
  }
}

void config_manual_file(struct str *out) {
  man_begin(out, "REFLECTD.CONF", "reflectd.conf", 5, "the configuration file of the fine-tuning service reflectd");
  man_section(out, "DESCRIPTION");
  man_text(out, "The file that --config or REFLECTD_CONFIG names is one JSON object. Every member may be left out; one "
                "that is unknown, or that is not of its kind, keeps the daemon from starting, with its name. The "
                "environment (REFLECTD_LISTEN=...) goes before the file, and the command line (--listen ...) before "
                "both. reflectd --write-example prints a file with every default.");
  man_section(out, "MEMBERS");
  for (size_t i = 0; i < config_fields.count; i++) {
    const struct field *field = &config_fields.fields[i];
    if (strcmp(field->name, "config") == 0) /* a file cannot name another one */
      continue;
    man_item(out, field->name,
             field->kind == FIELD_BOOL  ? "true or false"
             : field->kind == FIELD_INT ? "a whole number"
                                        : "a string");
    manual_row(out, field);
    if (field->kind == FIELD_INT && field->max > field->min) {
      char bounds[100];
      snprintf(bounds, sizeof bounds, "From %.0f to %.0f.", field->min, field->max);
      man_text(out, bounds);
    }
  }
  man_section(out, "SEE ALSO");
  str_puts(out, ".BR reflectd (8)\n");
}

/* A file cannot name another one; a key belongs into a file of its own. */
static const char *const not_in_example[] = {"config", "api_key"};

void config_example(struct str *out) {
  struct config config;
  field_defaults(&config_fields, &config);
  json_t *object = field_write(&config_fields, &config);
  for (size_t i = 0; i < COUNT_OF(not_in_example); i++)
    json_object_del(object, not_in_example[i]);
  char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
  if (text)
    str_printf(out, "%s\n", text);
  else
    out->failed = true;
  free(text);
  json_decref(object);
}

void config_describe(struct str *out, const struct config *config) {
  json_t *object = field_write(&config_fields, config);
  if (config->api_key)
    json_object_set_new(object, "api_key", json_string("***"));
  if (!object || !json_append(out, object))
    out->failed = true;
  json_decref(object);
}
