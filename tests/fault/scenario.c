#include "tests/fault/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"

enum { STEP_MS = 3, PATIENT_MS = 20000, HASTY_MS = 1500, ARTIFACT_BYTES = 3000 };

static int call(struct scenario *s, const char *method, const char *target, const char *type, const char *body) {
  int status = daemon_call(&s->answer, s->daemon, method, target, type, body);
  if (s->tick)
    s->tick(s->context);
  return status;
}

static struct item *add(struct scenario *s, int kind, const char *text) {
  char id[128];
  CHECK(s->count < ITEMS_MAX);
  struct item *item = &s->item[s->count++];
  *item = (struct item){.kind = kind};
  snprintf(item->id, sizeof item->id, "%.60s", answer_value(id, &s->answer, "id"));
  snprintf(item->text, sizeof item->text, "%s", text);
  return item;
}

static struct item *upload(struct scenario *s) {
  char body[512], text[64];
  snprintf(text, sizeof text, "{\"text\":\"good %zu\",\"label\":\"a\"}\n", s->serial++);
  snprintf(body, sizeof body,
           "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
           "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.jsonl\"\r\n\r\n%s\r\n--b--\r\n",
           text);
  return call(s, "POST", "/v1/files", "multipart/form-data; boundary=b", body) == 200 ? add(s, ITEM_FILE, text) : NULL;
}

static struct item *submit(struct scenario *s, const struct item *file, const char *suffix) {
  char body[512];
  if (!file)
    return NULL;
  snprintf(body, sizeof body, "{\"model\":\"tiny\",\"training_file\":\"%s\",\"suffix\":\"%s\",\"seed\":%zu}", file->id,
           suffix, s->serial++);
  return call(s, "POST", "/v1/fine_tuning/jobs", NULL, body) == 200 ? add(s, ITEM_JOB, suffix) : NULL;
}

static int job_call(struct scenario *s, const char *method, const struct item *job, const char *what) {
  char target[256];
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s%s", job->id, what);
  return call(s, method, target, NULL, NULL);
}

static bool terminal(const char *state) {
  return strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
}

/* Until the job is in that state, or (NULL) in one that it does not leave; what it is in then. */
static const char *await(struct scenario *s, struct item *job, const char *state, char found[128]) {
  found[0] = '\0';
  double until = seconds_now() + (s->patient ? PATIENT_MS : HASTY_MS) / 1000.0;
  while (job && seconds_now() < until && daemon_alive(s->daemon)) {
    if (job_call(s, "GET", job, "") == 200) {
      answer_value(found, &s->answer, "status");
      job->seen_succeeded |= strcmp(found, "succeeded") == 0;
      if (terminal(found) || (state && strcmp(found, state) == 0))
        break;
    }
    sleep_ms(STEP_MS);
  }
  return found;
}

static void cancel(struct scenario *s, struct item *job) {
  if (!job)
    return;
  job->cancel_tried = true;
  job->cancelled |= job_call(s, "POST", job, "/cancel") == 200;
}

static void delete_file(struct scenario *s, struct item *file) {
  char target[256];
  if (!file)
    return;
  snprintf(target, sizeof target, "/v1/files/%s", file->id);
  file->delete_tried = true;
  file->deleted = call(s, "DELETE", target, NULL, NULL) == 200;
}

static void delete_model(struct scenario *s, struct item *job) {
  char target[256], model[128];
  if (!job || job_call(s, "GET", job, "") != 200)
    return;
  snprintf(target, sizeof target, "/v1/models/%s", answer_value(model, &s->answer, "fine_tuned_model"));
  job->delete_tried = true;
  job->deleted = model[0] && call(s, "DELETE", target, NULL, NULL) == 200;
}

void scenario_run(struct scenario *s) {
  char state[128];
  struct item *file = upload(s), *other = upload(s);
  struct item *first = submit(s, file, "ok");
  await(s, first, NULL, state);
  struct item *second = submit(s, file, "wait"), *third = submit(s, file, "ok");
  await(s, second, "running", state);
  call(s, "GET", "/v1/fine_tuning/jobs?limit=20", NULL, NULL);
  cancel(s, second);
  await(s, second, NULL, state);
  await(s, third, NULL, state);
  struct item *fourth = submit(s, file, "fail");
  await(s, fourth, NULL, state);
  if (first)
    job_call(s, "GET", first, "/artifacts/adapter_model.safetensors");
  if (first)
    job_call(s, "GET", first, "/events?limit=100");
  delete_model(s, third);
  delete_file(s, other);
  submit(s, file, "wait"); /* runs as the daemon ends */
}

/* ---- afterwards ---- */

static size_t complain(const char *title, const struct item *item, const char *what, const char *seen) {
  printf("# %s: %s (%.20s): %s: %.200s\n", title, item->id, item->text, what, seen);
  return 1;
}

static size_t verify_file(struct scenario *s, const struct item *file, const char *title) {
  char target[256];
  snprintf(target, sizeof target, "/v1/files/%s/content", file->id);
  int status = call(s, "GET", target, NULL, NULL);
  if (file->deleted)
    return status == 404 ? 0 : complain(title, file, "a deleted file is back", s->answer.body);
  if (status == 404 && file->delete_tried)
    return 0;
  return status == 200 && strcmp(s->answer.body, file->text) == 0
             ? 0
             : complain(title, file, "a file is lost", s->answer.body);
}

static size_t verify_artifact(struct scenario *s, const struct item *job, const char *title) {
  int status = job_call(s, "GET", job, "/artifacts/adapter_model.safetensors");
  if (status == 404 && job->delete_tried)
    return 0;
  if (job->deleted)
    return complain(title, job, "a deleted model is back", "");
  return status == 200 && s->answer.length == ARTIFACT_BYTES ? 0 : complain(title, job, "no adapter", s->answer.body);
}

static size_t verify_job(struct scenario *s, struct item *job, const char *title) {
  char state[128];
  bool waits = strcmp(job->text, "wait") == 0;
  if (job_call(s, "GET", job, "") != 200)
    return complain(title, job, "a job is lost", s->answer.body);
  if (waits && !job->cancelled) { /* it goes on for ever: it runs now, and is ended here */
    await(s, job, "running", state);
    if (!terminal(state) && strcmp(state, "running") != 0)
      return complain(title, job, "does not run", state);
    cancel(s, job);
  }
  await(s, job, NULL, state);
  if (!terminal(state))
    return complain(title, job, "does not end", state);
  const char *want = waits ? "cancelled" : strcmp(job->text, "fail") == 0 ? "failed" : "succeeded";
  if (job->seen_succeeded && strcmp(state, "succeeded") != 0)
    return complain(title, job, "had succeeded and is", state);
  const char *why = strstr(s->answer.body, "\"error\":{");
  if (strcmp(state, want) != 0)
    return complain(title, job, state, why ? why : s->answer.body);
  return strcmp(want, "succeeded") == 0 ? verify_artifact(s, job, title) : 0;
}

size_t scenario_verify(struct scenario *s, const char *title) {
  size_t bad = 0;
  s->patient = true;
  s->tick = NULL;
  for (size_t i = 0; i < s->count; i++)
    bad += s->item[i].kind == ITEM_FILE ? verify_file(s, &s->item[i], title) : verify_job(s, &s->item[i], title);
  return bad;
}
