/* Uploading and waiting for the check. */
#include "cli/upload.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "cli/upload_parts.h"

enum { POLL_FIRST_MS = 50, POLL_MAX_MS = 1000, WARNINGS_MAX = 10 };

static void sleep_ms(long ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Polls until the status is "processed" or "error"; replaces *file. */
static enum status wait_checked(struct cli *cli, json_t **file, struct error *err) {
  struct str path;
  enum status status = STATUS_OK;
  str_init(&path, 1024);
  cli_path(&path, "/v1/files/", text_member(*file, "id", ""), "");
  for (long pause_ms = POLL_FIRST_MS; status == STATUS_OK && !strcmp(text_member(*file, "status", ""), "uploaded");
       pause_ms = pause_ms * 2 < POLL_MAX_MS ? pause_ms * 2 : POLL_MAX_MS) {
    json_t *next = NULL;
    sleep_ms(pause_ms);
    status = http_json(&cli->http, &next, "GET", path.text, NULL, err);
    if (status == STATUS_OK) {
      json_decref(*file);
      *file = next;
    }
  }
  str_done(&path);
  return status;
}

/* Why the server cannot use the file, which it keeps. */
static void print_fault(const char *path, const json_t *file) {
  struct str text;
  str_init(&text, 1 << 16);
  text_clean(&text, path);
  str_puts(&text, ": ");
  text_clean(&text, text_member(file, "status_details", "the server gives no reason"));
  str_puts(&text, " (kept on the server as ");
  text_clean(&text, text_member(file, "id", "?"));
  fprintf(stderr, "reflect: %s)\n", text.text);
  str_done(&text);
}

/* What the check found doubtful: the first few, and how many there are beside. */
static void print_warnings(const char *path, const json_t *file) {
  const json_t *warnings = json_object_get(json_object_get(file, "validation"), "warnings"), *warning;
  size_t index, count = json_array_size(warnings);
  struct str text;
  str_init(&text, 1 << 20);
  json_array_foreach(warnings, index, warning) {
    if (index == WARNINGS_MAX)
      break;
    str_puts(&text, "reflect: warning: ");
    text_clean(&text, path);
    str_puts(&text, ": ");
    if (json_is_string(warning))
      text_clean(&text, json_string_value(warning));
    else
      text_json(&text, warning, 0);
    str_putc(&text, '\n');
  }
  if (count > WARNINGS_MAX)
    str_printf(&text, "reflect: and %zu more warnings\n", count - WARNINGS_MAX);
  fputs(text.text, stderr);
  str_done(&text);
}

enum exit_code upload_file(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait) {
  return upload_file_in_parts(cli, out, path, purpose, wait, UPLOAD_PART_BYTES);
}

enum exit_code upload_file_in_parts(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait,
                                    uint64_t part_bytes) {
  struct screen screen;
  struct error err;
  screen_init(&screen, cli->terminal);
  const struct http_progress progress = {screen_report_bytes, &screen};
  struct stat info;
  bool large = stat(path, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size > part_bytes;
  enum status status = large ? upload_parts(cli, out, path, purpose, part_bytes, &progress, &err)
                             : http_upload(&cli->http, out, path, purpose, &progress, &err);
  if (status == STATUS_OK && wait) {
    struct str line;
    str_init(&line, 64);
    str_puts(&line, "checking the file");
    screen_draw(&screen, &line);
    str_done(&line);
    status = wait_checked(cli, out, &err);
  }
  screen_clear(&screen);
  if (status != STATUS_OK) {
    json_decref(*out);
    *out = NULL;
    return cli_fail(cli, &err);
  }
  if (strcmp(text_member(*out, "status", ""), "error") != 0) {
    print_warnings(path, *out);
    return EXIT_DONE;
  }
  print_fault(path, *out);
  return EXIT_UNSUCCESSFUL;
}
