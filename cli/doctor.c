/* reflect doctor: what stands between this machine and a trained adapter. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/findings.h"
#include "cli/text.h"

static const char *const level_names[FINDING_COUNT] = {"ok", "skipped", "warn", "fail"};

void finding(struct findings *findings, enum finding_level level, const char *check, const char *advice,
             const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  AUTO(str_done) struct str clean;
  str_init(&clean, 1 << 16);
  text_clean(&clean, length < 0 ? "out of memory" : text);
  free(text);
  findings->count[level]++;
  json_array_append_new(findings->checks, json_pack("{ss ss ss ss?}", "check", check, "status", level_names[level],
                                                    "message", clean.text, "advice", advice));
  if (findings->quiet)
    return;
  printf("%-8s%-11s%s\n", level_names[level], check, clean.text);
  if (advice)
    printf("%-19s-> %s\n", "", advice);
  fflush(stdout);
}

static const struct option_row rows[] = {
    {"data", OPTION_TEXT, offsetof(struct doctor_options, data), NULL, "DIR",
     "the data folder of a daemon on this machine; else $REFLECTD_DATA"},
};
static const struct option_table table = {rows, COUNT_OF(rows)};

static enum exit_code doctor(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)document;
  struct doctor_options options = *(const struct doctor_options *)values;
  struct findings findings = {.checks = json_array(), .quiet = cli->json};
  const char *data = getenv("REFLECTD_DATA");
  if (!options.data && data && *data)
    options.data = data;
  doctor_host(&findings, &options);
  doctor_server(&findings, cli);
  size_t failed = findings.count[FINDING_FAIL], warned = findings.count[FINDING_WARN];
  AUTO(json_release) json_t *out = json_pack("{so sb}", "checks", findings.checks, "healthy", failed == 0);
  if (cli->json)
    cli_print_json(out);
  else
    printf("%zu ok, %zu to look at, %zu failed\n", findings.count[FINDING_OK], warned, failed);
  return failed ? EXIT_UNSUCCESSFUL : EXIT_DONE;
}

static const struct command commands[] = {
    {
        .verb = "run",
        .operands = "",
        .doc = "Check this machine, the server, the key and the models, and say what to do",
        .options = &table,
        .values_bytes = sizeof(struct doctor_options),
        .run = doctor,
    },
};

const struct noun doctor_noun = {"doctor", "Does everything work?", commands, COUNT_OF(commands),
                                 .verb_optional = true};
