/* Proves the client's end of HTTP against a server of canned answers: what is sent, what a refusal, a
   broken connection and a damaged download become, and that a watched job ends with the right status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/download.h"
#include "cli/http.h"
#include "cli/watch.h"

enum { REQUEST_BYTES_MAX = 1 << 16 };

/* Answers one connection after the other with the answers given, then closes. */
struct canned {
  int listener;
  pthread_t thread;
  char url[64];
  const char *const *answers;  /* whole HTTP answers, ended by NULL */
  struct str requests;         /* everything that was received */
};

/* Reads a request until its head and its Content-Length of body are there. */
static void receive(struct canned *canned, int fd) {
  size_t begin = canned->requests.length;
  for (;;) {
    char bytes[4096];
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got <= 0)
      return;
    str_add(&canned->requests, bytes, (size_t)got);
    const char *request = canned->requests.text + begin, *end = strstr(request, "\r\n\r\n");
    if (!end)
      continue;
    const char *field = strstr(request, "Content-Length: ");
    size_t body = field && field < end ? strtoul(field + strlen("Content-Length: "), NULL, 10) : 0;
    if (canned->requests.length - begin >= (size_t)(end + 4 - request) + body)
      return;
  }
}

static void *serve(void *context) {
  struct canned *canned = context;
  for (const char *const *answer = canned->answers; *answer; answer++) {
    int fd = accept(canned->listener, NULL, NULL);
    if (fd < 0)
      return NULL;
    receive(canned, fd);
    size_t length = strlen(*answer);
    if (send(fd, *answer, length, MSG_NOSIGNAL) != (ssize_t)length)
      fprintf(stderr, "canned server: short write\n");
    shutdown(fd, SHUT_WR);
    close(fd);
  }
  return NULL;
}

static void canned_start(struct canned *canned, const char *const *answers) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  *canned = (struct canned){.listener = socket(AF_INET, SOCK_STREAM, 0), .answers = answers};
  str_init(&canned->requests, REQUEST_BYTES_MAX);
  assert_int_equal(bind(canned->listener, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(canned->listener, 8), 0);
  assert_int_equal(getsockname(canned->listener, (struct sockaddr *)&address, &size), 0);
  snprintf(canned->url, sizeof canned->url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
  assert_int_equal(pthread_create(&canned->thread, NULL, serve, canned), 0);
}

/* Waits until every answer is given; requests stay readable. */
static void canned_join(struct canned *canned) {
  pthread_join(canned->thread, NULL);
  close(canned->listener);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_request_has_the_key_and_the_body(void **state) {
  struct canned server;
  struct http http;
  struct error err;
  json_t *answer = NULL, *body = json_pack("{s:i}", "r", 8);
  (void)state;
  canned_start(&server, ANSWERS(OK_HEAD "{\"id\": \"ftjob-1\"}"));
  assert_int_equal(http_open(&http, server.url, "sekret", &err), STATUS_OK);
  assert_int_equal(http_json(&http, &answer, "POST", "/v1/fine_tuning/jobs", body, &err), STATUS_OK);
  assert_string_equal(json_string_value(json_object_get(answer, "id")), "ftjob-1");
  http_close(&http);
  canned_join(&server);
  assert_ptr_equal(strstr(server.requests.text, "POST /v1/fine_tuning/jobs HTTP/1.1\r\n"), server.requests.text);
  assert_non_null(strstr(server.requests.text, "\r\nAuthorization: Bearer sekret\r\n"));
  assert_non_null(strstr(server.requests.text, "\r\nContent-Type: application/json\r\n"));
  assert_non_null(strstr(server.requests.text, "\r\n\r\n{\"r\":8}"));
  assert_null(strstr(server.requests.text, "Expect:"));
  str_done(&server.requests);
  json_decref(answer);
  json_decref(body);
}

/* The hash of its body, by which the server knows a repetition; other requests have none. */
static void a_body_that_counts_once_is_named_by_its_hash(void **state) {
  struct canned server;
  struct http http;
  struct error err;
  json_t *answer = NULL, *body = json_pack("{s:i}", "r", 8);
  (void)state;
  canned_start(&server, ANSWERS(OK_HEAD "{\"id\": \"ftjob-1\"}", OK_HEAD "{\"id\": \"ftjob-1\"}"));
  assert_int_equal(http_open(&http, server.url, NULL, &err), STATUS_OK);
  assert_int_equal(http_json(&http, &answer, "POST", "/v1/fine_tuning/jobs", body, &err), STATUS_OK);
  json_decref(answer);
  assert_null(strstr(server.requests.text, "Idempotency-Key"));
  assert_int_equal(http_json_once(&http, &answer, "/v1/fine_tuning/jobs", body, &err), STATUS_OK);
  http_close(&http);
  canned_join(&server);
  assert_non_null(strstr(server.requests.text, "\r\nIdempotency-Key: "
                                               "08b2338301c6deb070d1133fa41900b14c0f62c7c87ba4edf0b3cf123942a1a9\r\n"));
  str_done(&server.requests);
  json_decref(answer);
  json_decref(body);
}

static void a_file_is_sent_as_a_form(void **state) {
  struct canned server;
  struct http http;
  struct error err;
  json_t *answer = NULL;
  char path[] = "/tmp/reflect-upload-XXXXXX";
  (void)state;
  close(mkstemp(path));
  assert_int_equal(file_put(path, "text,label\na,b\n", 15, &err), STATUS_OK);
  canned_start(&server, ANSWERS(OK_HEAD "{\"id\": \"file-1\"}"));
  assert_int_equal(http_open(&http, server.url, NULL, &err), STATUS_OK);
  assert_int_equal(http_upload(&http, &answer, path, "fine-tune", NULL, &err), STATUS_OK);
  http_close(&http);
  canned_join(&server);
  const char *purpose = strstr(server.requests.text, "name=\"purpose\"\r\n\r\nfine-tune\r\n");
  const char *file = strstr(server.requests.text, "name=\"file\"; filename=\"reflect-upload-");
  assert_non_null(purpose);
  assert_non_null(file);
  assert_true(purpose < file);
  assert_non_null(strstr(file, "\r\n\r\ntext,label\na,b\n\r\n--"));
  assert_null(strstr(server.requests.text, "Authorization"));
  str_done(&server.requests);
  json_decref(answer);
  unlink(path);
}

static void refusals_keep_the_servers_words(void **state) {
  static const struct {
    const char *answer;
    enum status status;
    enum http_outcome outcome;
    const char *param, *text;
  } cases[] = {
    {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{\"error\": {\"message\": \"r must be even\", "
     "\"type\": \"invalid_request_error\", \"param\": \"adapter.r\", \"code\": \"invalid_value\"}}",
     STATUS_INVALID_VALUE, HTTP_REFUSED, "adapter.r", "r must be even"},
    {"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<html>", STATUS_INVALID_REQUEST, HTTP_REFUSED, "",
     "GET /v1/models: the server answered HTTP 404 without saying why"},
    {"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n{\"error\": {\"message\": \"draining\", \"code\": \"draining\"}}",
     STATUS_DRAINING, HTTP_BROKEN, "", "draining"},
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n", STATUS_INTERNAL, HTTP_BROKEN,
     "", "GET /v1/models: HTTP 302 is no answer of this interface; is --url right?"},
    {OK_HEAD "[1]", STATUS_INVALID_JSON, HTTP_BROKEN, "", "the server's answer: expected an object"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct canned server;
    struct http http;
    struct error err;
    json_t *answer = NULL;
    canned_start(&server, ANSWERS(cases[i].answer));
    assert_int_equal(http_open(&http, server.url, NULL, &err), STATUS_OK);
    assert_int_equal(http_json(&http, &answer, "GET", "/v1/models", NULL, &err), cases[i].status);
    assert_null(answer);
    assert_int_equal(http.outcome, cases[i].outcome);
    assert_string_equal(err.param, cases[i].param);
    assert_string_equal(err.text, cases[i].text);
    http_close(&http);
    canned_join(&server);
    str_done(&server.requests);
  }
}

static void a_cut_answer_is_broken(void **state) {
  struct canned server;
  struct http http;
  struct error err;
  json_t *answer = NULL;
  (void)state;
  canned_start(&server, ANSWERS("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\""));
  assert_int_equal(http_open(&http, server.url, NULL, &err), STATUS_OK);
  assert_int_equal(http_json(&http, &answer, "GET", "/v1/models", NULL, &err), STATUS_IO);
  assert_int_equal(http.outcome, HTTP_BROKEN);
  canned_join(&server);
  str_done(&server.requests);
  /* Nobody listens there any more. */
  assert_int_equal(http_json(&http, &answer, "GET", "/v1/models", NULL, &err), STATUS_IO);
  assert_int_equal(http.outcome, HTTP_BROKEN);
  assert_ptr_equal(strstr(err.text, "no server at http://127.0.0.1:"), err.text);
  http_close(&http);
}

static void addresses_are_checked_and_ids_encoded(void **state) {
  struct http http;
  struct error err;
  struct str text;
  (void)state;
  assert_int_equal(http_open(&http, "ftp://host", NULL, &err), STATUS_INVALID_VALUE);
  http_close(&http);
  str_init(&text, 100);
  http_escape(&text, "ft:base:o/x y%\xc3\xa9");
  assert_string_equal(text.text, "ft%3Abase%3Ao%2Fx%20y%25%C3%A9");
  str_done(&text);
}

static void a_damaged_download_leaves_nothing(void **state) {
  struct canned server;
  struct cli cli = {0};
  struct error err;
  char folder[] = "/tmp/reflect-download-XXXXXX", target[64];
  char *text = NULL;
  size_t length = 0;
  /* SHA-256 of "hello". */
  static const char hash[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(target, sizeof target, "%s/a.bin", folder);
  canned_start(&server, ANSWERS(OK_HEAD "hellO", "HTTP/1.1 404 No\r\nConnection: close\r\n\r\nhello", OK_HEAD "hello"));
  assert_int_equal(http_open(&cli.http, server.url, NULL, &err), STATUS_OK);
  assert_int_equal(download_to_file(&cli, "/a", target, hash, &err), STATUS_IO);
  assert_non_null(strstr(err.text, "came damaged"));
  assert_int_equal(cli_fail(&cli, &err), EXIT_LOCAL);
  assert_int_equal(download_to_file(&cli, "/a", target, hash, &err), STATUS_INVALID_REQUEST);
  assert_int_equal(cli_fail(&cli, &err), EXIT_REFUSED);
  assert_int_not_equal(access(target, F_OK), 0);
  assert_int_equal(download_to_file(&cli, "/a", target, hash, &err), STATUS_OK);
  assert_int_equal(file_read(&text, &length, target, 100, &err), STATUS_OK);
  assert_string_equal(text, "hello");
  free(text);
  unlink(target);
  assert_int_equal(rmdir(folder), 0);  /* no temporary file is left */
  http_close(&cli.http);
  canned_join(&server);
  str_done(&server.requests);
}

/* Where the outputs of a command go while it runs here. */
static int quiet_begin(void) {
  fflush(stdout);
  int saved = dup(STDOUT_FILENO);
  assert_non_null(freopen("/dev/null", "w", stdout));
  return saved;
}
static void quiet_end(int saved) {
  fflush(stdout);
  dup2(saved, STDOUT_FILENO);
  close(saved);
}

#define NO_EVENTS OK_HEAD "{\"object\": \"list\", \"data\": [], \"has_more\": false}"
#define RUNNING OK_HEAD "{\"id\": \"j\", \"status\": \"running\"}"
#define ENDED(status) OK_HEAD "{\"id\": \"j\", \"status\": \"" status "\", \"error\": null}"
#define BUSY "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n"
#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nretry: 10\n\n"
#define SAYS_RUNNING "event: status\ndata: {\"id\": \"j\", \"status\": \"running\"}\n\n"
#define SAYS(id) \
  "id: " id "\nevent: log\ndata: {\"id\": \"ftevent-" id "\", \"message\": \"m\", \"type\": \"message\"}\n\n"
#define SAYS_END "id: end\nevent: end\ndata: {\"job_id\": \"j\", \"status\": \"succeeded\"}\n\n"
#define FULL \
  "HTTP/1.1 503 Full\r\nConnection: close\r\n\r\n{\"error\": {\"message\": \"full\", \"code\": \"server_overloaded\"}}"

static void watching_ends_as_the_job_does(void **state) {
  static const struct {
    const char *answers[8];
    enum exit_code code;
    const char *asked; /* once, of all that was asked; NULL: nothing is looked for */
  } cases[] = {
    /* The stream goes on where it was cut. */
    {{STREAM SAYS_RUNNING SAYS("7"), STREAM SAYS("8") SAYS_END, ENDED("succeeded"), NO_EVENTS}, EXIT_DONE,
     "Last-Event-ID: ftevent-7\r\n"},
    {{BUSY, STREAM SAYS_END, ENDED("failed"), NO_EVENTS}, EXIT_UNSUCCESSFUL, NULL},
    {{"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", ENDED("cancelled"), NO_EVENTS}, EXIT_UNSUCCESSFUL, NULL},
    /* There is no stream: it is asked. */
    {{NO_EVENTS, RUNNING, NO_EVENTS, BUSY, ENDED("succeeded"), NO_EVENTS}, EXIT_DONE, "stream=true"},
    {{FULL, ENDED("succeeded"), NO_EVENTS}, EXIT_DONE, "stream=true"},
    {{STREAM, ENDED("succeeded"), NO_EVENTS}, EXIT_DONE, "stream=true"},
    {{STREAM "event: log\ndata: {\"id\n\n", ENDED("succeeded"), NO_EVENTS}, EXIT_DONE, "stream=true"},
    {{"HTTP/1.1 406 No\r\nConnection: close\r\n\r\n", ENDED("failed"), NO_EVENTS}, EXIT_UNSUCCESSFUL, NULL},
    {{"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n{\"error\": {\"message\": \"no\", \"code\": \"job_not_found\"}}"},
     EXIT_REFUSED, "stream=true"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct canned server;
    struct cli cli = {0};
    struct error err;
    canned_start(&server, cases[i].answers);
    assert_int_equal(http_open(&cli.http, server.url, NULL, &err), STATUS_OK);
    int saved = quiet_begin();
    enum exit_code code = watch_job(&cli, "j", 60);
    quiet_end(saved);
    assert_int_equal(code, cases[i].code);
    http_close(&cli.http);
    canned_join(&server);
    if (cases[i].asked) {
      const char *found = strstr(server.requests.text, cases[i].asked);
      assert_non_null(found);
      assert_null(strstr(found + 1, cases[i].asked));
    }
    str_done(&server.requests);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_request_has_the_key_and_the_body),
    cmocka_unit_test(a_body_that_counts_once_is_named_by_its_hash),
    cmocka_unit_test(a_file_is_sent_as_a_form),
    cmocka_unit_test(refusals_keep_the_servers_words),
    cmocka_unit_test(a_cut_answer_is_broken),
    cmocka_unit_test(addresses_are_checked_and_ids_encoded),
    cmocka_unit_test(a_damaged_download_leaves_nothing),
    cmocka_unit_test(watching_ends_as_the_job_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
