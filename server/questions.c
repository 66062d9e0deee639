#include "server/questions.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/str.h"

enum { TEXT_BYTES = 1 << 20, KEY_DIGITS = 40 };

static void forget(struct question *question) {
  json_decref(question->report);
  json_decref(question->warnings);
  free(question->spec);
  free(question);
}

static struct question *find(const struct question_list *list, const char *key) {
  struct question *question = list->first;
  while (question && strcmp(question->key, key) != 0)
    question = question->next;
  return question;
}

/* Drops what is not fresh, and of what is known all but the newest. */
static void make_room(struct question_list *list) {
  int64_t now = clock_boot_ms();
  size_t count = 0;
  for (struct question **link = &list->first; *link;) {
    struct question *question = *link;
    bool known = question->state == QUESTION_KNOWN;
    if (known && (++count >= QUESTIONS_MAX || now - question->known_ms > QUESTION_FRESH_S * 1000)) {
      *link = question->next;
      forget(question);
    } else {
      link = &question->next;
    }
  }
}

static enum status add(struct question **out, struct question_list *list, struct error *err) {
  if (questions_waiting(list) >= QUESTIONS_WAITING_MAX)
    return error_set(err, STATUS_OVERLOADED, NULL, "%d others wait for an estimate or a report; ask again in a moment",
                     QUESTIONS_WAITING_MAX);
  *out = calloc(1, sizeof **out);
  if (!*out || !((*out)->warnings = json_array())) {
    free(*out);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "asking a worker");
  }
  (*out)->next = list->first;
  list->first = *out;
  return STATUS_OK;
}

/* The spec as it is written, and the key of the question about it. False: no memory. */
static bool make_key(char key[QUESTION_KEY], struct str *written, enum task_kind kind, const char *tenant,
                     const struct job_spec *spec, uint64_t version) {
  AUTO(json_release) json_t *document = job_spec_json(spec);
  AUTO(str_done) struct str text;
  char sha256[HASH_HEX];
  str_init(&text, TEXT_BYTES);
  if (!document || !json_append(written, document))
    return false;
  str_printf(&text, "%s\n%d\n%s\n%llx", written->text, (int)kind, tenant, (unsigned long long)version);
  hash_bytes(sha256, text.text, text.length);
  snprintf(key, QUESTION_KEY, "ask-%.*s", KEY_DIGITS, sha256);
  return !text.failed;
}

enum status questions_ask(struct question **out, struct question_list *list, enum task_kind kind, const char *tenant,
                          const struct job_spec *spec, uint64_t version, struct error *err) {
  AUTO(str_done) struct str text;
  char key[QUESTION_KEY];
  str_init(&text, TEXT_BYTES);
  if (!make_key(key, &text, kind, tenant, spec, version))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "asking a worker");
  make_room(list);
  *out = find(list, key);
  if (*out)
    return STATUS_OK;
  enum status status = add(out, list, err);
  if (status)
    return status;
  struct question *question = *out;
  question->kind = kind;
  snprintf(question->key, sizeof question->key, "%s", key);
  snprintf(question->tenant, sizeof question->tenant, "%s", tenant);
  snprintf(question->device, sizeof question->device, "%s", spec->scheduling.device);
  question->spec = strndup(text.text, text.length);
  if (question->spec)
    return STATUS_OK;
  list->first = question->next;
  forget(question);
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "asking a worker");
}

const struct question *questions_known(const struct question_list *list, enum task_kind kind, const char *tenant,
                                       const struct job_spec *spec, uint64_t version) {
  AUTO(str_done) struct str text;
  char key[QUESTION_KEY];
  str_init(&text, TEXT_BYTES);
  if (!list->first || !make_key(key, &text, kind, tenant, spec, version))
    return NULL;
  const struct question *question = find(list, key);
  return question && question->state == QUESTION_KNOWN && question->report ? question : NULL;
}

size_t questions_waiting(const struct question_list *list) {
  size_t count = 0;
  for (const struct question *question = list->first; question; question = question->next)
    count += question->state == QUESTION_WANTED;
  return count;
}

struct question *questions_next(const struct question_list *list) {
  struct question *oldest = NULL;
  for (struct question *question = list->first; question; question = question->next)
    if (question->state == QUESTION_WANTED)
      oldest = question;
  return oldest;
}

void questions_free(struct question_list *list) {
  while (list->first) {
    struct question *question = list->first;
    list->first = question->next;
    forget(question);
  }
}
