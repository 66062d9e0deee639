/* reflect chat: a talk with a model, line by line in a terminal, or one question from an option or a pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/sse.h"
#include "cli/text.h"

enum { MESSAGE_BYTES_MAX = 1 << 20, REPLY_BYTES_MAX = 16 << 20 };

static const char path[] = "/v1/chat/completions";

struct chat_options {
  const char *system, *message;
};

static const struct option_row chat_rows[] = {
    {"message", OPTION_TEXT, offsetof(struct chat_options, message), NULL, "TEXT",
     "ask this, print the answer and leave; else what comes from a pipe"},
    {"system", OPTION_TEXT, offsetof(struct chat_options, system), NULL, "TEXT", "the system's message"},
    {"temperature", OPTION_NUMBER, 0, "temperature", "T", "0: always the likeliest token; 1 by default"},
    {"top-p", OPTION_NUMBER, 0, "top_p", "P", "only the likeliest tokens that add up to so much"},
    {"top-k", OPTION_INT, 0, "top_k", "N", "only so many of the likeliest tokens"},
    {"max-tokens", OPTION_INT, 0, "max_completion_tokens", "N", "length of an answer at most"},
    {"stop", OPTION_LIST, 0, "stop", "A,B", "texts that end an answer"},
    {"seed", OPTION_INT, 0, "seed", "N", "the same seed gives the same answers"},
};
static const struct option_table chat_table = {chat_rows, COUNT_OF(chat_rows)};

struct talk {
  struct cli *cli;
  json_t *body;      /* borrowed: its messages grow */
  struct sse sse;
  struct str answer; /* the one that comes */
  bool plain;        /* it goes to no terminal: bytes as they are */
};

/* ---- an answer ---- */

/* Lines of others, one by one: what drives a terminal is escaped. */
static void print(const struct talk *talk, const char *text) {
  AUTO(str_done) struct str clean;
  str_init(&clean, REPLY_BYTES_MAX);
  while (!talk->plain && *text) {
    size_t length = strcspn(text, "\n");
    char *line = strndup(text, length);
    text_clean(&clean, line ? line : "");
    free(line);
    text += length;
    if (*text == '\n')
      str_putc(&clean, *text++);
  }
  fputs(talk->plain ? text : clean.text, stdout);
  fflush(stdout);
}

static enum status broken_off(const json_t *problem, struct error *err) {
  const char *code = text_member(problem, "code", "");
  enum status status = status_from_code(code);
  return error_set(err, status == STATUS_COUNT || status == STATUS_OK ? STATUS_INTERNAL : status, NULL, "%s",
                   text_member(problem, "message", "the server broke the answer off"));
}

static enum status take_event(void *context, const struct sse_event *event, struct error *err) {
  struct talk *talk = context;
  AUTO(json_release) json_t *data = NULL;
  const struct json_limits limits = {.bytes_max = REPLY_BYTES_MAX};
  if (strcmp(event->data, "[DONE]") == 0)
    return STATUS_OK;
  enum status status = json_parse(&data, event->data, strlen(event->data), &limits, err);
  if (status) {
    (void)error_prefix(err, "a chunk of the answer");
    return status;
  }
  if (json_object_get(data, "error"))
    return broken_off(json_object_get(data, "error"), err);
  const json_t *choice = json_array_get(json_object_get(data, "choices"), 0);
  const char *text = text_member(json_object_get(choice, "delta"), "content", "");
  print(talk, text);
  return str_puts(&talk->answer, text) ? STATUS_OK
                                       : error_set(err, STATUS_TOO_LARGE, NULL, "the answer is larger than %d bytes",
                                                   REPLY_BYTES_MAX);
}

static enum status take_bytes(void *context, const void *bytes, size_t length, struct error *err) {
  return sse_feed(context, bytes, length, err);
}

static bool add_message(struct talk *talk, const char *role, const char *text) {
  json_t *message = json_pack("{s:s, s:s}", "role", role, "content", text);
  return json_array_append_new(json_object_get(talk->body, "messages"), message) == 0;
}

/* The whole of the answer as the server has it. */
static enum status ask_whole(struct talk *talk, struct error *err) {
  AUTO(json_release) json_t *answer = NULL;
  enum status status = http_json(&talk->cli->http, &answer, "POST", path, talk->body, err);
  if (status)
    return status;
  const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
  str_puts(&talk->answer, text_member(json_object_get(choice, "message"), "content", ""));
  cli_print_json(answer);
  return STATUS_OK;
}

static enum status ask_stream(struct talk *talk, struct error *err) {
  const struct http_sink sink = {take_bytes, &talk->sse};
  sse_begin(&talk->sse);
  json_object_set_new(talk->body, "stream", json_true());
  enum status status = http_stream(&talk->cli->http, path, talk->body, &sink, err);
  if (talk->answer.length || !status)
    putchar('\n');
  return status;
}

/* Asks, and keeps question and answer; a question that was not answered is forgotten. */
static enum status ask(struct talk *talk, const char *question, struct error *err) {
  json_t *messages = json_object_get(talk->body, "messages");
  str_clear(&talk->answer);
  if (!add_message(talk, "user", question))
    return error_set(err, STATUS_INVALID_VALUE, "message", "the message is not UTF-8");
  enum status status = talk->cli->json ? ask_whole(talk, err) : ask_stream(talk, err);
  if (status)
    json_array_remove(messages, json_array_size(messages) - 1);
  else if (!add_message(talk, "assistant", talk->answer.text))
    return error_set(err, STATUS_INTERNAL, NULL, "the answer is not UTF-8");
  return status;
}

/* ---- a talk ---- */

/* Until the input ends. What the server refuses is told, and the talk goes on. */
static enum exit_code converse(struct talk *talk) {
  char *line = NULL;
  size_t size = 0;
  ssize_t length;
  enum exit_code code = EXIT_DONE;
  fputs("A line is a message; Ctrl-D ends the talk.\n", stderr);
  while (fputs("> ", stderr), (length = getline(&line, &size, stdin)) >= 0) {
    struct error err;
    line[strcspn(line, "\n")] = '\0';
    code = EXIT_DONE;
    if (*line && ask(talk, line, &err))
      code = cli_fail(talk->cli, &err);
    if (code == EXIT_UNREACHABLE)
      break;
  }
  fputc('\n', stderr);
  free(line);
  return code;
}

static enum status read_pipe(struct str *out, struct error *err) {
  char part[4096];
  size_t length;
  while ((length = fread(part, 1, sizeof part, stdin)) > 0)
    if (!str_add(out, part, length))
      return error_set(err, STATUS_TOO_LARGE, NULL, "the message is larger than %d bytes", MESSAGE_BYTES_MAX);
  if (ferror(stdin))
    return error_set_errno(err, STATUS_IO, NULL, "standard input");
  while (out->length && out->text[out->length - 1] == '\n')
    out->text[--out->length] = '\0';
  return out->length ? STATUS_OK : error_set(err, STATUS_MISSING_PARAMETER, "message", "there is no message");
}

static enum exit_code one_question(struct talk *talk, const char *message) {
  AUTO(str_done) struct str text;
  struct error err;
  str_init(&text, MESSAGE_BYTES_MAX);
  enum status status = message ? STATUS_OK : read_pipe(&text, &err);
  status = status ? status : ask(talk, message ? message : text.text, &err);
  return status ? cli_fail(talk->cli, &err) : EXIT_DONE;
}

static enum exit_code chat(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct chat_options *options = values;
  struct talk talk = {.cli = cli, .body = document, .plain = !isatty(STDOUT_FILENO)};
  cli->http.patient = true;
  json_object_set_new(document, "model", json_string(operands[0]));
  json_object_set_new(document, "messages", json_array());
  if (options->system)
    add_message(&talk, "system", options->system);
  sse_init(&talk.sse, take_event, &talk);
  str_init(&talk.answer, REPLY_BYTES_MAX);
  enum exit_code code =
      options->message || !isatty(STDIN_FILENO) ? one_question(&talk, options->message) : converse(&talk);
  str_done(&talk.answer);
  sse_done(&talk.sse);
  return code;
}

static const struct command commands[] = {
    {
        .verb = "with",
        .operands = "MODEL",
        .operand_count = 1,
        .doc = "Talk with a model: a base model, a fine-tuned one or a checkpoint",
        .options = &chat_table,
        .values_bytes = sizeof(struct chat_options),
        .run = chat,
    },
};

const struct noun chat_noun = {"chat", "Ask a model something", commands, COUNT_OF(commands), .verb_optional = true};
