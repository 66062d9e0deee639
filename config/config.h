/* The daemon's options. One table (config.c) describes each; precedence is defaults, then the file
   named by --config or REFLECTD_CONFIG (a JSON object), then environment REFLECTD_<NAME>, then
   command line flags --name. Where none of them says so, keys are files in $CREDENTIALS_DIRECTORY
   (systemd's LoadCredential). An unknown member or flag is an error; an unknown REFLECTD_ variable is
   one only if it is nearly an option's name. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field.h"
#include "base/log.h"
#include "base/str.h"

/* Of workers. AUTO: every layer that this machine has; REQUIRE: AUTO, and no start without landlock and seccomp. */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_REQUIRE, SANDBOX_OFF };

/* Strings live in the arena that config_load got. No member is NULL unless it says so. */
struct config {
  const char *data;               /* folder of the database, files and artifacts */
  const char *models;             /* folder of base models */
  const char *listen;             /* "HOST:PORT" as given; host and port below are its parts */
  const char *config;             /* the configuration file, or NULL */
  const char *api_key;            /* bearer key clients must send; NULL: none. Set from api_key_file too */
  const char *api_key_file;       /* NULL: none */
  const char *tls_certificate;    /* PEM files; NULL: no TLS */
  const char *tls_key;
  const char *allowed_hosts;      /* names that the server has, with commas; "*": any; NULL: see origin.h */
  const char *allowed_origins;    /* of pages that may use it, with commas; NULL: none but its own */
  int64_t workers_max;            /* jobs that train at the same time */
  int64_t preemption;             /* difference of priorities from which a job makes another leave; 0: never */
  int64_t threads;                /* of one worker; 0: core_budget divided by workers_max */
  int64_t memory_budget_mib;      /* that jobs and what serves models may take together; 0: see server/budget.h */
  int64_t core_budget;            /* of jobs together; 0: see there */
  int matmul;                     /* of jobs that do not say: enum matmul_library of api/job.h */
  const char *devices;            /* "auto", or devices that jobs may run on, with commas (api/device.h) */
  int64_t queue_max;              /* jobs that may wait */
  int64_t tenant_queued_max;      /* limits of a tenant that has none of its own; 0: none */
  int64_t tenant_running_max;
  int64_t tenant_bytes_max;
  int64_t upload_bytes_max;
  int64_t upload_expires_s;       /* of one that comes in parts */
  int64_t body_bytes_max;         /* of a JSON request */
  int64_t bodies_bytes_max;       /* of all JSON requests that are being received */
  int64_t upload_check_wait_ms;   /* how long an upload's answer waits for the check of its content */
  int64_t connections_max;
  int64_t streams_max;
  int64_t connections_per_address; /* of one that is not loopback */
  int64_t header_timeout_s;       /* deadline for a request's header to arrive */
  int64_t request_timeout_s;      /* deadline for a request's header and body to arrive */
  int64_t attempts_max;           /* of a job whose worker dies, since training last got further */
  int64_t shutdown_grace_s;       /* from SIGTERM to a worker until it is killed */
  int64_t worker_silence_s;       /* a worker that says nothing for so long is killed */
  int64_t serving_max;            /* base models that are held to be asked at the same time; 0: none is */
  int64_t serving_idle_s;         /* how long one is held that nobody asks */
  int64_t serving_memory_mib;     /* of each for what it is asked: KV caches and adapters */
  int64_t serving_queue_max;      /* completions, vectors and the like that are not there yet */
  bool insecure_http;             /* needed to listen on an address other than loopback */
  bool metrics_open;              /* /metrics needs no key */
  int webhook_targets;            /* enum webhook_targets of api/webhook.h */
  bool webhook_http;              /* they may be http:// */
  int64_t webhook_retry_s;        /* how long one that is not taken is sent again */
  int log_level;                  /* enum log_level */
  int sandbox;                    /* enum sandbox_mode */
  const char *worker_path;        /* reflect-worker; default: beside this program */

  const char *sandbox_path;       /* reflect-sandbox and reflect-deliver, beside this program */
  const char *deliver_path;
  char host[256];                 /* from `listen`: name or address, without the brackets of IPv6 */
  uint16_t port;                  /* 0: the kernel chooses */
};

/* What the command line asks for. */
enum config_action {
  CONFIG_RUN,
  CONFIG_HELP,
  CONFIG_VERSION,
  CONFIG_WRITE_EXAMPLE,
  CONFIG_LIST_DEVICES,
  CONFIG_MAN,
  CONFIG_MAN_FILE,
};

/* Reads everything and checks it. argv[0] is the program's name and is skipped; `environment` is
   environ or a test's stand-in. With --list-devices *action says so and everything is read; with any other action
   (--help, --version, ...) nothing else is. On failure err->param is the option's name and *out
   is unspecified. */
NODISCARD enum status config_load(struct config *out, enum config_action *action, int argc, char **argv,
                                  char *const *environment, struct arena *arena, struct error *err);

/* Does `listen` name an address that only this machine reaches? */
bool config_is_loopback(const struct config *config);
/* May the server be reached from where `listen` says? From other machines only with TLS and where it has `keys`, unless
   insecure_http says otherwise. STATUS_INVALID_VALUE. config_load has asked it as if there were keys. */
NODISCARD enum status config_check_exposure(const struct config *config, bool keys, struct error *err);

/* The text of --help, made from the table; appended. */
void config_help(struct str *out);
/* Of the manual, from the same table; appended: the options of reflectd(8), and all of reflectd.conf(5). */
void config_manual_options(struct str *out);
void config_manual_file(struct str *out);
/* config/example.json: every option at its default; appended. */
void config_example(struct str *out);
/* The options in force as one JSON object, with api_key masked: for the log; appended. */
void config_describe(struct str *out, const struct config *config);

/* The option table, for tests. */
extern const struct field_table config_fields;

#endif
