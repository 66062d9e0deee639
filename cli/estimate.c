#include "cli/estimate.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/text.h"

static double number(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void add_count(struct str *out, const char *name, const json_t *object, const char *key) {
  str_printf(out, "%-12s ", name);
  text_count(out, (uint64_t)number(object, key));
  str_putc(out, '\n');
}

static void add_bytes(struct str *out, const char *name, const json_t *object, const char *key) {
  str_printf(out, "%-12s ", name);
  text_bytes(out, (uint64_t)number(object, key));
  str_putc(out, '\n');
}

static void add_text(struct str *out, const char *name, const char *text) {
  str_printf(out, "%-12s ", name);
  text_clean(out, text);
  str_putc(out, '\n');
}

static void add_plan(struct str *out, const json_t *estimate) {
  const json_t *duration = json_object_get(estimate, "duration_seconds");
  const json_t *wait = json_object_get(estimate, "queue_wait_seconds");
  add_text(out, "learns", text_member(estimate, "learns", "-"));
  add_count(out, "steps", estimate, "steps");
  add_count(out, "examples", estimate, "examples");
  add_count(out, "tokens", estimate, "tokens");
  add_count(out, "parameters", estimate, "trainable_parameters");
  add_bytes(out, "memory", estimate, "peak_memory_bytes");
  add_bytes(out, "disk", estimate, "disk_bytes");
  str_printf(out, "%-12s ", "duration");
  text_duration(out, number(duration, "low"));
  str_puts(out, " to ");
  text_duration(out, number(duration, "high"));
  str_printf(out, "\n%-12s ", "waits");
  text_duration(out, json_is_number(wait) ? json_number_value(wait) : -1);
  str_putc(out, '\n');
  add_text(out, "device", text_member(estimate, "device", "-"));
}

static void add_advice(struct str *out, const json_t *estimate) {
  const json_t *suggestion = json_object_get(estimate, "suggestion");
  add_text(out, "reason", text_member(estimate, "reason", "-"));
  if (json_is_object(suggestion))
    str_printf(out, "%-12s --batch %lld --accumulation %lld\n", "would fit",
               (long long)number(suggestion, "batch_size"),
               (long long)number(suggestion, "gradient_accumulation_steps"));
}

static void print(const json_t *estimate, bool fits) {
  struct str out;
  const json_t *warning;
  size_t i;
  str_init(&out, 1 << 20);
  add_text(&out, "fits", fits ? "yes" : "no");
  if (fits)
    add_plan(&out, estimate);
  else
    add_advice(&out, estimate);
  fputs(out.text, stdout);
  str_done(&out);
  json_array_foreach(json_object_get(estimate, "warnings"), i, warning)
      cli_note("warning:", json_is_string(warning) ? json_string_value(warning) : "?");
}

enum exit_code estimate_show(struct cli *cli, const json_t *body) {
  AUTO(json_release) json_t *estimate = NULL;
  struct error err;
  if (http_json(&cli->http, &estimate, "POST", "/v1/fine_tuning/estimate", body, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  bool fits = json_is_true(json_object_get(estimate, "fits"));
  if (cli->json)
    cli_print_json(estimate);
  else
    print(estimate, fits);
  return fits ? EXIT_DONE : EXIT_UNSUCCESSFUL;
}
