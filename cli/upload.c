/* Uploading and waiting for the check. */
#include "cli/upload.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/screen.h"
#include "cli/text.h"

enum { POLL_FIRST_MS = 50, POLL_MAX_MS = 1000 };

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

/* Why the server cannot use the file. */
static void print_fault(const char *path, const json_t *file) {
  struct str text;
  str_init(&text, 1 << 16);
  text_clean(&text, path);
  str_puts(&text, ": ");
  text_clean(&text, text_member(file, "status_details", "the server gives no reason"));
  fprintf(stderr, "reflect: %s\n", text.text);
  str_done(&text);
}

enum exit_code upload_file(struct cli *cli, json_t **out, const char *path, const char *purpose, bool wait) {
  struct screen screen;
  struct error err;
  screen_init(&screen, cli->terminal);
  const struct http_progress progress = {screen_report_bytes, &screen};
  enum status status = http_upload(&cli->http, out, path, purpose, &progress, &err);
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
  if (strcmp(text_member(*out, "status", ""), "error") != 0)
    return EXIT_DONE;
  print_fault(path, *out);
  return EXIT_UNSUCCESSFUL;
}
