/* Options come from defaults, file, environment and flags, the later the stronger; wrong ones are
   refused by name; the example file is current. Run from the project's root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "config/config.h"

static struct arena arena;
static struct config config;
static enum config_action action;
static struct error err;
static char file[64];

static int start(void **state) {
  (void)state;
  arena_init(&arena, 1 << 20);
  snprintf(file, sizeof file, "/tmp/test_config_XXXXXX");
  int fd = mkstemp(file);
  return fd < 0 ? -1 : close(fd);
}

static int stop(void **state) {
  (void)state;
  arena_done(&arena);
  return unlink(file);
}

enum { WORDS = 8 };

/* Flags and environment as lists ended by NULL. */
static enum status load(const char *const flags[WORDS], const char *const environment[WORDS]) {
  char *argv[WORDS + 2] = {(char[]){"reflectd"}}, *variables[WORDS + 1] = {0};
  int argc = 1;
  for (; flags && flags[argc - 1]; argc++)
    argv[argc] = arena_string(&arena, flags[argc - 1]);
  for (size_t i = 0; environment && environment[i]; i++)
    variables[i] = arena_string(&arena, environment[i]);
  return config_load(&config, &action, argc, argv, variables, &arena, &err);
}

#define FLAGS(...) ((const char *const[WORDS]){__VA_ARGS__})

static void accepted(enum status status) {
  if (status)
    fail_msg("%s: %s", err.param, err.text);
}

static void refused(enum status status, const char *param, const char *says) {
  if (!status || strcmp(err.param, param) != 0 || !strstr(err.text, says))
    fail_msg("%d %s: %s", (int)status, err.param, err.text);
}

static void starts_with_defaults(void **state) {
  (void)state;
  accepted(load(NULL, NULL));
  assert_int_equal(action, CONFIG_RUN);
  assert_string_equal(config.listen, "127.0.0.1:8080");
  assert_string_equal(config.host, "127.0.0.1");
  assert_int_equal(config.port, 8080);
  assert_true(config.workers_max == 1 && config.queue_max == 10000 && config.upload_bytes_max == 1 << 30);
  assert_true(config.request_timeout_s == 60 && !config.insecure_http && config.log_level == LOG_INFO);
  assert_null(config.api_key);
  assert_string_equal(strrchr(config.worker_path, '/'), "/reflect-worker");
}

static void later_sources_win(void **state) {
  (void)state;
  static const char text[] = "{\"workers_max\": 2, \"queue_max\": 20, \"threads\": 2, \"data\": \"/from/file\"}";
  assert_int_equal(file_put(file, text, strlen(text), NULL), STATUS_OK);
  char flag[128];
  snprintf(flag, sizeof flag, "--config=%s", file);
  accepted(load(FLAGS("--workers-max", "4", flag),
                FLAGS("HOME=/root", "REFLECTD_WORKERS_MAX=3", "REFLECTD_QUEUE_MAX=30", "REFLECTD_CONFIG=/nowhere")));
  assert_int_equal(config.workers_max, 4);
  assert_int_equal(config.queue_max, 30);
  assert_int_equal(config.threads, 2);
  assert_string_equal(config.data, "/from/file");
  assert_string_equal(config.config, file);
}

static void flags_have_two_forms(void **state) {
  (void)state;
  accepted(load(FLAGS("--data", "/d", "--models=/m", "--insecure-http", "--log-level", "debug"), NULL));
  assert_string_equal(config.data, "/d");
  assert_string_equal(config.models, "/m");
  assert_true(config.insecure_http);
  assert_int_equal(config.log_level, LOG_DEBUG);
  accepted(load(FLAGS("--insecure-http=false", "--queue_max=5"), NULL));
  assert_true(!config.insecure_http && config.queue_max == 5);
}

static void wrong_options_are_refused(void **state) {
  (void)state;
  refused(load(FLAGS("--queue-mx", "5"), NULL), "--queue-mx", "did you mean queue-max?");
  refused(load(FLAGS("queue"), NULL), "queue", "not an option");
  refused(load(FLAGS("--queue-max"), NULL), "queue_max", "--queue-max needs a value");
  refused(load(FLAGS("--queue-max", "0"), NULL), "queue_max", "command line: queue_max is 0");
  refused(load(NULL, FLAGS("REFLECTD_QUEUE_MAX=many")), "queue_max", "environment: queue_max must be an integer");
  refused(load(NULL, FLAGS("REFLECTD_QUEUEMAX=3")), "queuemax", "did you mean queue_max?");
  accepted(load(NULL, FLAGS("REFLECTD_PORT_80_TCP=tcp://10.0.0.1:80")));
  refused(load(FLAGS("--config", "/nowhere/x.json"), NULL), "", "/nowhere/x.json");
  static const char text[] = "{\"queue\": 1}";
  assert_int_equal(file_put(file, text, strlen(text), NULL), STATUS_OK);
  refused(load(FLAGS("--config", file), NULL), "queue", "not a known parameter");
}

static void listen_is_taken_apart(void **state) {
  (void)state;
  accepted(load(FLAGS("--listen", "[::1]:0"), NULL));
  assert_string_equal(config.host, "::1");
  assert_int_equal(config.port, 0);
  accepted(load(FLAGS("--listen", "localhost:65535"), NULL));
  assert_int_equal(config.port, 65535);
  refused(load(FLAGS("--listen", "8080"), NULL), "listen", "HOST:PORT");
  refused(load(FLAGS("--listen", ":8080"), NULL), "listen", "HOST:PORT");
  refused(load(FLAGS("--listen", "::1:80"), NULL), "listen", "[::1]:80");
  refused(load(FLAGS("--listen", "[]:80"), NULL), "listen", "0 bytes");
  refused(load(FLAGS("--listen", "127.0.0.1:65536"), NULL), "listen", "65535");
  refused(load(FLAGS("--listen", "127.0.0.1:"), NULL), "listen", "number");
  refused(load(FLAGS("--listen", "127.0.0.1:80x"), NULL), "listen", "number");
  refused(load(FLAGS("--listen", "127.0.0.1:+80"), NULL), "listen", "number");
}

static void other_addresses_need_consent(void **state) {
  (void)state;
  static const char *const outside[] = {"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "127.evil.example:80",
                                        "example.org:80"};
  for (size_t i = 0; i < COUNT_OF(outside); i++) {
    refused(load(FLAGS("--listen", outside[i]), NULL), "listen", "not a loopback address");
    accepted(load(FLAGS("--listen", outside[i], "--insecure-http"), NULL));
  }
}

static void keys_come_from_files_too(void **state) {
  (void)state;
  static const char text[] = "0123456789abcdef-key\r\nsecond line\n";
  assert_int_equal(file_put(file, text, strlen(text), NULL), STATUS_OK);
  accepted(load(FLAGS("--api-key-file", file), NULL));
  assert_string_equal(config.api_key, "0123456789abcdef-key");
  refused(load(FLAGS("--api-key-file", file, "--api-key", "0123456789abcdef"), NULL), "api_key_file", "both set");
  refused(load(FLAGS("--api-key-file", "/nowhere/key"), NULL), "api_key_file", "/nowhere/key");
  refused(load(FLAGS("--api-key", "short"), NULL), "api_key", "at least 16");
  refused(load(FLAGS("--api-key", "0123456789abcdef with space"), NULL), "api_key", "printable");
  refused(load(FLAGS("--api-key", "0123456789abcdef\xC3\xA9"), NULL), "api_key", "printable");
  assert_int_equal(file_put(file, "\n", 1, NULL), STATUS_OK);
  refused(load(FLAGS("--api-key-file", file), NULL), "api_key_file", "at least 16");
}

static void credentials_are_options_that_nobody_gave(void **state) {
  char folder[] = "/tmp/test_config_XXXXXX", variable[80], path[3][64];
  static const char *const names[] = {"api_key", "tls_certificate", "tls_key"};
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(variable, sizeof variable, "CREDENTIALS_DIRECTORY=%s", folder);
  accepted(load(NULL, FLAGS(variable)));
  assert_null(config.api_key);
  assert_null(config.tls_certificate);
  for (int i = 0; i < 3; i++) {
    snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
    assert_int_equal(file_put(path[i], "a-key-from-a-credential\n", 24, &err), STATUS_OK);
  }
  accepted(load(NULL, FLAGS(variable)));
  assert_string_equal(config.api_key, "a-key-from-a-credential");
  assert_string_equal(config.api_key_file, path[0]);
  assert_string_equal(config.tls_certificate, path[1]);
  assert_string_equal(config.tls_key, path[2]);
  accepted(load(FLAGS("--tls-key", "other.pem"), FLAGS(variable, "REFLECTD_API_KEY=a-key-of-the-environment")));
  assert_string_equal(config.api_key, "a-key-of-the-environment");
  assert_null(config.api_key_file);
  assert_string_equal(config.tls_key, "other.pem");
  assert_int_equal(unlink(path[2]), 0);
  refused(load(NULL, FLAGS(variable)), "tls_key", "is needed beside tls_certificate");
  assert_int_equal(unlink(path[1]), 0);
  assert_int_equal(file_put(path[0], "short\n", 6, &err), STATUS_OK);
  refused(load(NULL, FLAGS(variable)), "api_key_file", "16");
  assert_int_equal(unlink(path[0]), 0);
  assert_int_equal(rmdir(folder), 0);
}

static void descriptions_hide_the_key(void **state) {
  (void)state;
  struct str text;
  str_init(&text, 10000);
  accepted(load(FLAGS("--api-key", "0123456789abcdef"), NULL));
  config_describe(&text, &config);
  assert_non_null(strstr(text.text, "\"api_key\":\"***\""));
  assert_null(strstr(text.text, "0123456789abcdef"));
  assert_non_null(strstr(text.text, "\"queue_max\":10000"));
  str_done(&text);
}

static void help_names_every_option(void **state) {
  (void)state;
  struct str text;
  str_init(&text, 20000);
  config_help(&text);
  assert_false(text.failed);
  for (size_t i = 0; i < config_fields.count; i++) {
    char flag[64];
    snprintf(flag, sizeof flag, "--%s", config_fields.fields[i].name);
    for (char *c = flag; *c; c++)
      *c = *c == '_' ? '-' : *c;
    assert_non_null(strstr(text.text, flag));
    assert_non_null(strstr(text.text, config_fields.fields[i].doc));
  }
  str_done(&text);
}

static void some_flags_ask_for_texts(void **state) {
  (void)state;
  accepted(load(FLAGS("--help", "--nonsense"), NULL));
  assert_int_equal(action, CONFIG_HELP);
  accepted(load(FLAGS("--version"), NULL));
  assert_int_equal(action, CONFIG_VERSION);
  accepted(load(FLAGS("--write-example"), NULL));
  assert_int_equal(action, CONFIG_WRITE_EXAMPLE);
}

static void example_is_current_and_loads(void **state) {
  (void)state;
  struct str text;
  char *kept;
  size_t length;
  str_init(&text, 20000);
  config_example(&text);
  if (file_read(&kept, &length, "config/example.json", 1 << 20, &err))
    fail_msg("%s", err.text);
  if (strcmp(kept, text.text) != 0)
    fail_msg("config/example.json is not current: build/reflectd --write-example > config/example.json");
  free(kept);
  str_done(&text);
  accepted(load(FLAGS("--config", "config/example.json"), NULL));
  assert_int_equal(config.queue_max, 10000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_with_defaults),      cmocka_unit_test(later_sources_win),
      cmocka_unit_test(flags_have_two_forms),      cmocka_unit_test(wrong_options_are_refused),
      cmocka_unit_test(listen_is_taken_apart),     cmocka_unit_test(other_addresses_need_consent),
      cmocka_unit_test(keys_come_from_files_too),  cmocka_unit_test(credentials_are_options_that_nobody_gave),
      cmocka_unit_test(descriptions_hide_the_key), cmocka_unit_test(help_names_every_option),
      cmocka_unit_test(some_flags_ask_for_texts),  cmocka_unit_test(example_is_current_and_loads)};
  return cmocka_run_group_tests(tests, start, stop);
}
