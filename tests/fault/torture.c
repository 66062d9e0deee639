/* torture MODE [--count N] [--every K] [--from N] [--seed S] [--error NAME] [--work FOLDER]
     kill     the daemon dies at the Nth call that touches a file or a socket, for each N (every Kth)
     fault    such a call fails instead, once and from there on: ENOSPC, EIO, EMFILE (or the one of --error)
     malloc   an allocation fails
     random   COUNT times the daemon is killed at random
     crowd    COUNT times the daemon is killed while many clients submit and cancel at once
     worker   COUNT times a worker is killed at random
     power    COUNT times the power is cut: the file system is copied while it is used, and the copy is judged; every
              other time while many clients are at it
   After each the data folder is checked (fsck), a daemon starts on it undisturbed, everything that was acknowledged is
   there and ends as it should, and a second check finds nothing, no leftovers either. Prints TAP. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"
#include "tests/fault/crowd.h"
#include "tests/fault/image.h"
#include "tests/fault/scenario.h"

enum { ROUNDS_MAX = 1 << 20, CROWD_CLIENTS = 24, CROWD_MS = 800 };

struct torture {
  struct place place;
  long count, every, from;
  unsigned seed;
  size_t points, bad;
  struct crowd *crowd; /* NULL: one client, who does what scenario.h says */
};

static struct scenario scenario;

/* The end of a log, where a crash says what it was. */
static void print_end(const char *path) {
  enum { LINES_BYTES = 3000 };
  char text[LINES_BYTES + 1];
  FILE *log = fopen(path, "r");
  if (!log)
    return;
  size_t length =
      fseek(log, -LINES_BYTES, SEEK_END) == 0 || fseek(log, 0, SEEK_SET) == 0 ? fread(text, 1, LINES_BYTES, log) : 0;
  fclose(log);
  text[length] = '\0';
  for (char *line = text; *line;) {
    int bytes = (int)strcspn(line, "\n");
    printf("#   %.*s\n", bytes, line);
    line += bytes + (line[bytes] == '\n');
  }
}

/* What a daemon has left, and what the next makes of it. */
static void judge(struct torture *t, const char *title) {
  struct daemon daemon;
  bool notes;
  size_t bad = 0;
  t->points++;
  if (place_fsck(&t->place, &notes, false) != 0 && access(t->place.data, F_OK) == 0) {
    struct stat info;
    char db[PLACE_BYTES + 128];
    snprintf(db, sizeof db, "%s/reflectd.db", t->place.data);
    if (stat(db, &info) == 0 && scenario.count > 0) /* else it was never made */
      bad += place_fsck(&t->place, &notes, true) != 0;
  }
  if (!daemon_start(&daemon, &t->place, NULL)) {
    printf("# %s: no daemon starts afterwards\n", title);
    bad++;
  } else {
    scenario.daemon = &daemon;
    daemon_call(&scenario.answer, &daemon, "GET", "/livez", NULL, NULL); /* it serves: SIGTERM is heard from now on */
    bad += t->crowd ? crowd_verify(t->crowd, &daemon, title) : scenario_verify(&scenario, title);
    daemon_stop(&daemon, SIGTERM);
    if (!daemon_ended_well(&daemon)) {
      printf("# %s: the next daemon ended with wait status %x\n", title, (unsigned)daemon.status);
      bad++;
    }
    bad += place_fsck(&t->place, &notes, true) != 0 || notes;
  }
  if (bad)
    printf("# %s: FAILED\n", title);
  t->bad += bad > 0;
  fflush(stdout);
}

static void begin(struct torture *t) {
  char folder[PLACE_BYTES];
  snprintf(folder, sizeof folder, "%s", t->place.work);
  (void)!file_remove_tree(t->place.data, NULL);
  if (t->bad == 0)
    unlink(t->place.log);
  memset(&scenario, 0, sizeof scenario);
}

struct injection {
  const char *calls, *error;
  bool all;   /* from there on */
  bool later; /* calls count once the daemon serves: libuv itself ends a program that can open nothing at its start */
};

/* "FAULT_ARM=...": a file that is not there yet; armed: it is. */
static const char *arm_word(char out[PLACE_BYTES + 128], const struct torture *t, const struct injection *what) {
  snprintf(out, PLACE_BYTES + 128, "FAULT_ARM=%s/armed", t->place.work);
  unlink(out + strlen("FAULT_ARM="));
  return what->later ? out : NULL;
}

static void arm(const char *word) {
  if (word)
    CHECK(file_put(word + strlen("FAULT_ARM="), "", 0, NULL) == STATUS_OK);
}

/* The calls of a run that nothing disturbs. */
static long count_calls(struct torture *t, const struct injection *what) {
  char path[PLACE_BYTES + 64], wanted[64], file[PLACE_BYTES + 128], arm_text[PLACE_BYTES + 128], *text;
  struct daemon daemon;
  size_t length;
  begin(t);
  snprintf(path, sizeof path, "%s/count", t->place.work);
  snprintf(wanted, sizeof wanted, "FAULT_CALLS=%s", what->calls);
  snprintf(file, sizeof file, "FAULT_COUNT=%s", path);
  const char *armed = arm_word(arm_text, t, what);
  const char *const environment[] = {wanted, file, armed, NULL};
  if (!daemon_start(&daemon, &t->place, environment))
    return 0;
  arm(armed);
  scenario.daemon = &daemon;
  scenario_run(&scenario);
  daemon_stop(&daemon, SIGTERM);
  if (file_read(&text, &length, path, 64, NULL))
    return 0;
  long n = strtol(text, NULL, 10);
  free(text);
  return n;
}

static void inject(struct torture *t, const struct injection *what, long n) {
  char at[32], calls[64], error[32], title[128], arm_text[PLACE_BYTES + 128];
  struct daemon daemon;
  begin(t);
  snprintf(title, sizeof title, "%s at %s call %ld%s", what->error, what->calls, n, what->all ? " and on" : "");
  snprintf(at, sizeof at, "FAULT_AT=%ld", n);
  snprintf(calls, sizeof calls, "FAULT_CALLS=%s", what->calls);
  snprintf(error, sizeof error, "FAULT_ERROR=%s", what->error);
  const char *words[6] = {at, calls, error};
  size_t count = 3;
  const char *armed = arm_word(arm_text, t, what);
  if (what->all)
    words[count++] = "FAULT_LAST=all";
  if (armed)
    words[count++] = armed;
  if (daemon_start(&daemon, &t->place, words)) {
    arm(armed);
    scenario.daemon = &daemon;
    scenario_run(&scenario);
    daemon_stop(&daemon, SIGTERM);
  }
  if (strcmp(what->error, "KILL") != 0 && !daemon_ended_well(&daemon)) {
    printf("# %s: the daemon ended with wait status %x\n", title, (unsigned)daemon.status);
    print_end(t->place.log);
    t->bad++;
  }
  judge(t, title);
}

static void each_call(struct torture *t, const char *calls, const char *error, bool all) {
  const struct injection what = {calls, error, all, strcmp(error, "EMFILE") == 0};
  size_t before = t->points, bad = t->bad;
  long total = count_calls(t, &what);
  if (total == 0)
    t->bad++;
  for (long n = t->from; n <= total && (t->count == 0 || (long)(t->points - before) < t->count); n += t->every)
    inject(t, &what, n);
  printf("%s - %s at each of %ld %s calls%s: %zu points\n", t->bad > bad ? "not ok" : "ok", error, total, calls,
         all ? ", and from there on" : "", t->points - before);
}

static double fraction(struct torture *t) {
  return (double)(rand_r(&t->seed) % 10000) / 10000;
}

/* The moment of a random kill: after so many answers. */
struct moment {
  struct torture *torture;
  long answers_left;
  bool workers;
};

/* Kills each process whose parent is the daemon. */
static void kill_workers(pid_t daemon) {
  DIR *proc = opendir("/proc");
  CHECK(proc);
  for (struct dirent *entry; (entry = readdir(proc));) {
    char path[300], text[512], *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (*end || pid <= 1)
      continue;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
      fclose(file);
    text[length] = '\0';
    const char *rest = strrchr(text, ')');
    int parent = 0;
    if (rest && sscanf(rest, ") %*c %d", &parent) == 1 && parent == daemon)
      kill((pid_t)pid, SIGKILL);
  }
  closedir(proc);
}

static void on_answer(void *context) {
  struct moment *moment = context;
  if (moment->answers_left-- != 0)
    return;
  sleep_ms((int)(8 * fraction(moment->torture)));
  if (moment->workers)
    kill_workers(scenario.daemon->pid);
  else
    kill(scenario.daemon->pid, SIGKILL);
}

static void at_random(struct torture *t, bool workers) {
  size_t bad = t->bad;
  for (long i = 0; i < t->count; i++) {
    char title[64];
    struct daemon daemon;
    struct moment moment = {.torture = t, .workers = workers, .answers_left = (long)(60 * fraction(t))};
    begin(t);
    snprintf(title, sizeof title, "%s kill %ld", workers ? "worker" : "daemon", i);
    if (!daemon_start(&daemon, &t->place, NULL))
      exit(2);
    scenario.daemon = &daemon;
    scenario.tick = on_answer;
    scenario.context = &moment;
    scenario_run(&scenario);
    daemon_stop(&daemon, workers ? SIGTERM : SIGKILL);
    judge(t, title);
  }
  printf("%s - %ld random kills of %s\n", t->bad > bad ? "not ok" : "ok", t->count, workers ? "workers" : "the daemon");
}

/* They come, and are at it for a while. */
static void gather_crowd(struct torture *t, const struct daemon *daemon) {
  char file[128];
  if (daemon_call(&scenario.answer, daemon, "POST", "/v1/files", "multipart/form-data; boundary=b",
                  "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
                  "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.jsonl\"\r\n\r\n"
                  "{\"text\":\"good\",\"label\":\"a\"}\n\r\n--b--\r\n") != 200)
    exit(2);
  crowd_come(t->crowd, daemon, answer_value(file, &scenario.answer, "id"), CROWD_CLIENTS);
  sleep_ms((int)(CROWD_MS * fraction(t)));
}

static void crowded(struct torture *t) {
  size_t bad = t->bad, acknowledged = 0;
  t->crowd = crowd_new();
  for (long i = 0; i < t->count; i++) {
    char title[64];
    struct daemon daemon;
    begin(t);
    snprintf(title, sizeof title, "crowd %ld", i);
    if (!daemon_start(&daemon, &t->place, NULL))
      exit(2);
    gather_crowd(t, &daemon);
    daemon_stop(&daemon, SIGKILL);
    acknowledged += crowd_leave(t->crowd);
    judge(t, title);
  }
  t->crowd = NULL;
  printf("%s - %ld kills among %d clients, %zu jobs acknowledged\n",
         t->bad > bad || acknowledged == 0 ? "not ok" : "ok", t->count, CROWD_CLIENTS, acknowledged);
}

/* ---- power cuts ---- */

struct cut {
  struct torture *torture;
  char image[PLACE_BYTES + 64], copy[PLACE_BYTES + 64], after[PLACE_BYTES + 64];
  long left; /* answers until then */
};

/* Everything stands still, and what the disk has now is what there will be. */
static void on_cut(void *context) {
  struct cut *cut = context;
  if (cut->left-- != 0)
    return;
  sleep_ms((int)(8 * fraction(cut->torture)));
  kill(scenario.daemon->pid, SIGSTOP);
  image_copy(cut->image, cut->copy);
  kill(scenario.daemon->pid, SIGKILL);
}

/* Before an answer is read the daemon may have done more than was acknowledged, never less. */
static void one_cut(struct torture *t, struct cut *cut, const char *title) {
  struct daemon daemon;
  struct place place = t->place;
  begin(t);
  cut->left = (long)(60 * fraction(t));
  unlink(cut->copy);
  if (!daemon_start(&daemon, &t->place, NULL))
    exit(2);
  scenario.daemon = &daemon;
  scenario.tick = t->crowd ? NULL : on_cut;
  scenario.context = cut;
  if (t->crowd)
    gather_crowd(t, &daemon);
  else
    scenario_run(&scenario);
  for (cut->left = t->crowd || cut->left >= 0 ? 0 : -1; cut->left == 0;) /* the scenario was over before */
    on_cut(cut);
  if (t->crowd)
    crowd_leave(t->crowd);
  daemon_stop(&daemon, SIGKILL);
  snprintf(t->place.data, sizeof t->place.data, "%.*s/data", PLACE_BYTES, cut->after);
  if (image_mount(cut->copy, cut->after))
    judge(t, title);
  else
    t->bad++;
  image_unmount(cut->after);
  t->place = place;
}

static void power(struct torture *t) {
  struct cut cut = {.torture = t};
  struct crowd *crowd = crowd_new();
  char mounted[PLACE_BYTES + 64];
  size_t bad = t->bad;
  snprintf(cut.image, sizeof cut.image, "%s/image", t->place.work);
  snprintf(cut.copy, sizeof cut.copy, "%s/copy", t->place.work);
  snprintf(cut.after, sizeof cut.after, "%s/after", t->place.work);
  snprintf(mounted, sizeof mounted, "%s/disk", t->place.work);
  if (!image_make(cut.image, mounted)) {
    printf("ok - power cuts # SKIP no file system can be mounted from a file here\n");
    return;
  }
  snprintf(t->place.data, sizeof t->place.data, "%.*s/data", PLACE_BYTES, mounted);
  for (long i = 0; i < t->count; i++) {
    char title[64];
    t->crowd = i % 2 ? crowd : NULL;
    snprintf(title, sizeof title, "power cut %ld%s", i, t->crowd ? " of a crowd" : "");
    one_cut(t, &cut, title);
  }
  image_unmount(mounted);
  printf("%s - %ld power cuts\n", t->bad > bad ? "not ok" : "ok", t->count);
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 2; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0)
      return argv[i + 1];
  return otherwise;
}

/* `only`: one of the errors of `fault`; "": all. */
static void run(struct torture *t, const char *mode, const char *only) {
  static const char *const errors[] = {"ENOSPC", "EIO", "EMFILE"};
  if (strcmp(mode, "kill") == 0)
    each_call(t, "file,socket", "KILL", false);
  else if (strcmp(mode, "fault") == 0)
    for (size_t i = 0; i < 2 * COUNT_OF(errors); i++) {
      if (!only[0] || strcmp(only, errors[i / 2]) == 0)
        each_call(t, i / 2 == 2 ? "open,pipe,socketpair" : "file", errors[i / 2], i % 2);
    }
  else if (strcmp(mode, "malloc") == 0)
    for (int all = 0; all < 2; all++)
      each_call(t, "malloc", "ENOMEM", all);
  else if (strcmp(mode, "random") == 0 || strcmp(mode, "worker") == 0)
    at_random(t, mode[0] == 'w');
  else if (strcmp(mode, "crowd") == 0)
    crowded(t);
  else if (strcmp(mode, "power") == 0)
    power(t);
  else {
    fprintf(stderr, "torture: there is no mode %s\n", mode);
    exit(2);
  }
}

int main(int argc, char **argv) {
  char folder[128], self[PLACE_BYTES];
  struct torture t = {0};
  if (argc < 2)
    return fprintf(stderr, "usage: torture kill|fault|malloc|random|crowd|worker|power [--count N] [--every K]"
                           " [--from N] [--error ENOSPC|EIO|EMFILE]\n"),
           2;
  snprintf(self, sizeof self, "%s", argv[0]); /* BUILD/tests/fault/torture */
  for (int i = 0; i < 3; i++) {
    char *slash = strrchr(self, '/');
    if (slash)
      *slash = '\0';
  }
  snprintf(folder, sizeof folder, "%s/torture-%d", option(argc, argv, "--work", "/tmp"), (int)getpid());
  place_make(&t.place, folder, realpath(self, NULL));
  t.count = strtol(option(argc, argv, "--count", "0"), NULL, 10);
  t.every = strtol(option(argc, argv, "--every", "1"), NULL, 10);
  t.from = strtol(option(argc, argv, "--from", "1"), NULL, 10);
  t.seed = (unsigned)strtol(option(argc, argv, "--seed", "1"), NULL, 10);
  if (t.every < 1 || t.from < 1)
    return 2;
  run(&t, argv[1], option(argc, argv, "--error", ""));
  if (t.bad)
    printf("# the daemons' log: %s\n", t.place.log);
  else
    place_remove(&t.place);
  return t.bad > 0;
}
