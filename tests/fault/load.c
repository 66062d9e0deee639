/* load idle               memory and start of a daemon that has nothing to do
   load submit [SECONDS]    jobs that 64 clients submit at once, each answered when it is durable
   load stream [SUBSCRIBERS [EVENTS]]
                            clients that follow one job's events, and how late each hears of each
   load queue [JOBS]        a long queue: the time of a claim, of pages of the list and of a look at one job
   Prints what it measured, on the machine as it is, and the processor time that the daemon took for it. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/job.h"
#include "base/attr.h"
#include "base/file.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "tests/fault/load.h"

enum { CLIENTS = 64, SAMPLES_MAX = 1 << 17, CLAIMS = 500, PAGES = 200, ARENA_BYTES = 1 << 20 };

/* Written by all clients. */
struct shared {
  _Atomic long count;
  _Atomic long refused;
  double ms[SAMPLES_MAX];
};

static struct answer answer;

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

void load_times(const char *what, double *ms, size_t count) {
  qsort(ms, count, sizeof *ms, compare);
  if (count)
    printf("%s: %zu, p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", what, count, ms[count / 2], ms[count * 99 / 100],
           ms[count - 1]);
}

void load_memory(pid_t pid, const char *when) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "VmRSS:", 6) == 0)
      printf("memory %s: %.1f MB\n", when, (double)strtol(line + 6, NULL, 10) / 1024);
  if (file)
    fclose(file);
}

void load_start(struct daemon *daemon, const struct place *place) {
  if (daemon_start(daemon, place, NULL))
    return;
  fprintf(stderr, "the daemon does not start: %s\n", place->log);
  exit(1);
}

static void idle(const struct place *place) {
  struct daemon daemon;
  double began = seconds_now();
  load_start(&daemon, place);
  printf("start to serving: %.0f ms\n", 1e3 * (seconds_now() - began));
  sleep_ms(1000);
  load_memory(daemon.pid, "when idle");
  daemon_stop(&daemon, SIGTERM);
}

void load_upload(char id[128], const struct daemon *daemon) {
  if (daemon_call(&answer, daemon, "POST", "/v1/files", "multipart/form-data; boundary=b",
                  "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
                  "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.jsonl\"\r\n\r\n"
                  "{\"text\":\"good\",\"label\":\"a\"}\n\r\n--b--\r\n") != 200)
    exit(1);
  answer_value(id, &answer, "id");
}

static void client(const struct daemon *daemon, struct shared *shared, const char *file, int number, double until) {
  char body[512];
  for (int i = 0; seconds_now() < until; i++) {
    snprintf(body, sizeof body, "{\"model\":\"tiny\",\"training_file\":\"%s\",\"suffix\":\"quiet\",\"seed\":%d}", file,
             number * 1000000 + i);
    double began = seconds_now();
    if (daemon_call(&answer, daemon, "POST", "/v1/fine_tuning/jobs", NULL, body) != 200) {
      shared->refused++;
      continue;
    }
    long n = shared->count++;
    if (n < SAMPLES_MAX)
      shared->ms[n] = 1e3 * (seconds_now() - began);
  }
}

static void submit(const struct place *place, double seconds) {
  struct daemon daemon;
  char file[128];
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  load_start(&daemon, place);
  load_upload(file, &daemon);
  double until = seconds_now() + seconds;
  for (int i = 0; i < CLIENTS; i++)
    if (fork() == 0) {
      client(&daemon, shared, file, i, until);
      _exit(0);
    }
  for (int i = 0; i < CLIENTS; i++)
    wait(NULL);
  printf("durable submissions: %.0f a second by %d clients; %ld not accepted\n", (double)shared->count / seconds,
         CLIENTS, (long)shared->refused);
  load_times("submissions", shared->ms, (size_t)(shared->count < SAMPLES_MAX ? shared->count : SAMPLES_MAX));
  load_memory(daemon.pid, "afterwards");
  daemon_stop(&daemon, SIGTERM);
}

/* So many queued jobs, as submissions would have left them. */
static void fill(struct db *db, long jobs) {
  struct error err;
  struct arena arena;
  struct job_spec spec;
  struct fault_list faults = {0};
  json_t *body = json_pack("{ss ss ss}", "model", "tiny", "training_file", "file-1", "suffix", "quiet");
  static const char *const metadata[] = {NULL, "{\"team\":\"a\"}", "{\"team\":\"b\",\"run\":\"1\"}"};
  arena_init(&arena, ARENA_BYTES);
  job_spec_parse(&spec, body, 1, &arena, &faults);
  json_t *document = job_spec_json(&spec);
  char *text = json_dumps(document, JSON_COMPACT);
  const struct file_row file = {.id = "file-1",
                                .tenant = "default",
                                .created_at = 1,
                                .filename = "f",
                                .bytes = 1,
                                .purpose = "fine-tune",
                                .sha256 = "00",
                                .path = "files/file-1",
                                .status = FILE_PROCESSED};
  CHECK(db_begin(db, &err) == STATUS_OK && db_file_insert(db, &file, &err) == STATUS_OK);
  for (long i = 0; i < jobs; i++) {
    char id[40], model[48], hash[24];
    snprintf(id, sizeof id, "ftjob-%024ld", i);
    snprintf(model, sizeof model, "ft:%ld", i);
    snprintf(hash, sizeof hash, "%ld", i);
    const struct job_row job = {.id = id,
                                .tenant = "default",
                                .created_at = 1,
                                .model = "tiny",
                                .training_file = "file-1",
                                .fine_tuned_model = model,
                                .spec = text,
                                .metadata = metadata[i % 7 % 3],
                                .body_sha256 = hash,
                                .priority = i % 3,
                                .state = JOB_QUEUED};
    CHECK(db_job_insert(db, &job, &err) == STATUS_OK);
  }
  CHECK(db_commit(db, &err) == STATUS_OK);
  free(text);
  json_decref(document);
  json_decref(body);
  arena_done(&arena);
}

static double own_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `durable`: each is on the disk before the next; else it is the store's work alone. */
static void claims(struct db *db, bool durable) {
  static double ms[CLAIMS], cpu[CLAIMS];
  const struct job_place place = {.free_bytes = INT64_MAX, .devices = "[]", .others = true, .now_ms = INT64_MAX};
  struct error err;
  if (!durable)
    CHECK(db_begin(db, &err) == STATUS_OK);
  for (int i = 0; i < CLAIMS; i++) {
    struct arena arena;
    struct job_row row;
    bool found, held;
    arena_init(&arena, ARENA_BYTES);
    double began = seconds_now(), spent = own_seconds();
    CHECK(db_job_claim(&row, &found, db, &place, 1, &arena, &err) == STATUS_OK && found);
    ms[i] = 1e3 * (seconds_now() - began);
    cpu[i] = 1e3 * (own_seconds() - spent);
    const struct lease lease = {row.id, row.lease_token};
    CHECK(db_job_release(db, &lease, JOB_CANCELLED, NULL, 1, &held, &err) == STATUS_OK);
    arena_done(&arena);
  }
  if (!durable)
    db_rollback(db);
  load_times(durable ? "durable claims" : "claims without the disk", ms, CLAIMS);
  load_times("  their processor time", cpu, CLAIMS);
}

double load_processor(pid_t pid) {
  char path[64], text[1024];
  unsigned long user = 0, system = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file)
    fclose(file);
  text[length] = '\0';
  const char *rest = strrchr(text, ')');
  if (rest)
    sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Asks for `target` again and again; where it ends with "ftjob-", of another job each time. */
static void look(const char *what, const struct daemon *daemon, const char *target, long jobs) {
  static double ms[PAGES];
  double before = load_processor(daemon->pid);
  bool any = target[strlen(target) - 1] == '-';
  for (int i = 0; i < PAGES; i++) {
    char full[200], number[32];
    snprintf(number, sizeof number, "%024ld", 101 + (jobs - 101) * (long)i / PAGES);
    snprintf(full, sizeof full, "%s%s", target, any ? number : "");
    double began = seconds_now();
    CHECK(daemon_call(&answer, daemon, "GET", full, NULL, NULL) == 200);
    ms[i] = 1e3 * (seconds_now() - began);
  }
  load_times(what, ms, PAGES);
  printf("  processor: %.2f ms each\n", 1e3 * (load_processor(daemon->pid) - before) / PAGES);
}

static void queue(const struct place *place, long jobs) {
  struct daemon daemon;
  struct db *db;
  struct error err;
  char path[PLACE_BYTES + 128];
  load_start(&daemon, place);
  daemon_stop(&daemon, SIGTERM);
  snprintf(path, sizeof path, "%s/reflectd.db", place->data);
  if (db_open(&db, path, false, &err)) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  fill(db, jobs);
  claims(db, false);
  claims(db, true);
  db_close(db);
  double began = seconds_now();
  load_start(&daemon, place);
  printf("start to serving with %ld queued: %.0f ms\n", jobs, 1e3 * (seconds_now() - began));
  look("pages of 20 jobs", &daemon, "/v1/fine_tuning/jobs?limit=20", jobs);
  look("pages of 100 jobs", &daemon, "/v1/fine_tuning/jobs?limit=100", jobs);
  look("pages of 100 jobs from anywhere", &daemon, "/v1/fine_tuning/jobs?limit=100&after=ftjob-", jobs);
  look("pages of 100 jobs with metadata", &daemon, "/v1/fine_tuning/jobs?limit=100&metadata[team]=b&after=ftjob-",
       jobs);
  look("pages of 100 jobs without metadata", &daemon, "/v1/fine_tuning/jobs?limit=100&metadata=null&after=ftjob-",
       jobs);
  look("looks at one job", &daemon, "/v1/fine_tuning/jobs/ftjob-", jobs);
  load_memory(daemon.pid, "afterwards");
  daemon_stop(&daemon, SIGTERM);
}

int main(int argc, char **argv) {
  char folder[128], self[PLACE_BYTES];
  struct place place;
  bool right = true;
  const char *mode = argc > 1 ? argv[1] : "";
  snprintf(self, sizeof self, "%s", argv[0]); /* BUILD/tests/fault/load */
  for (int i = 0; i < 3; i++) {
    char *slash = strrchr(self, '/');
    if (slash)
      *slash = '\0';
  }
  snprintf(folder, sizeof folder, "/tmp/load-%d", (int)getpid());
  place_make(&place, folder, realpath(self, NULL));
  if (strcmp(mode, "idle") == 0)
    idle(&place);
  else if (strcmp(mode, "submit") == 0)
    submit(&place, argc > 2 ? strtod(argv[2], NULL) : 10);
  else if (strcmp(mode, "queue") == 0)
    queue(&place, argc > 2 ? strtol(argv[2], NULL, 10) : 100000);
  else if (strcmp(mode, "stream") == 0)
    right =
        load_stream(&place, argc > 2 ? strtol(argv[2], NULL, 10) : 1000, argc > 3 ? strtol(argv[3], NULL, 10) : 100);
  else
    fprintf(stderr, "usage: load idle | submit [SECONDS] | stream [SUBSCRIBERS [EVENTS]] | queue [JOBS]\n");
  place_remove(&place);
  return right ? 0 : 1;
}
