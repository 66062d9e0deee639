#include "worker/train/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/event.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "worker/train/course.h"
#include "worker/train/image_training.h"
#include "worker/train/state.h"
#include "worker/train/training.h"

/* Tensors of a state: these and the name of a parameter, as PyTorch calls AdamW's moments; and two texts. */
enum part { PART_PARAMETER, PART_MEAN, PART_VARIANCE, PART_BEST, PART_COUNT };
static const char *const parts[] = {"parameter/", "exp_avg/", "exp_avg_sq/", "best/"};
static const char *const ends[] = {
    [END_NOT] = "no", [END_PATIENCE] = "patience", [END_RUNTIME] = "max_runtime", [END_COUNT] = NULL};
static const char curve_name[] = "step_metrics.csv", spec_name[] = "spec.json";

#define MEMBER(member, type) .name = #member, .kind = type, .offset = offsetof(struct progress, member)
#define ROW(member, type) MEMBER(member, type), .flags = FIELD_REQUIRED
#define COUNTER(member)                                                                                                \
  { ROW(member, FIELD_INT), .max = 9007199254740992.0 }
#define NUMBER(member)                                                                                                 \
  { ROW(member, FIELD_NUMBER) }
#define SCORE(member, type)                                                                                            \
  { MEMBER(scores.member, type) }
/* Those after `seconds` are absent in states of older builds. */
static const struct field progress_rows[] = {
    COUNTER(step),
    COUNTER(micro_steps),
    COUNTER(tokens),
    COUNTER(examples),
    COUNTER(epoch),
    COUNTER(position),
    NUMBER(train_loss),
    NUMBER(train_accuracy),
    NUMBER(learning_rate),
    NUMBER(grad_norm),
    {ROW(told, FIELD_BOOL)},
    {ROW(ended, FIELD_CHOICE), .choices = ends},
    COUNTER(best_step),
    NUMBER(best),
    COUNTER(stale),
    NUMBER(seconds),
    {MEMBER(last_step, FIELD_INT), .max = 9007199254740992.0},
    {MEMBER(last, FIELD_NUMBER)},
    SCORE(chosen, FIELD_INT),
    SCORE(rejected, FIELD_INT),
    SCORE(pairs, FIELD_INT),
    SCORE(right, FIELD_INT),
    SCORE(chosen_rewards, FIELD_NUMBER),
    SCORE(rejected_rewards, FIELD_NUMBER),
    SCORE(chosen_logps, FIELD_NUMBER),
    SCORE(rejected_logps, FIELD_NUMBER),
};
static const struct field_table progress_fields = {.fields = progress_rows, .count = COUNT_OF(progress_rows)};

/* --- what a state is of --------------------------------------------------------------------------- */

static void add_array(struct hash *hash, const void *array, size_t bytes) {
  uint64_t length = array ? bytes : 0;
  hash_add(hash, &length, sizeof length);
  if (length)
    hash_add(hash, array, bytes);
}

static void add_corpus(struct hash *hash, const struct corpus *c) {
  size_t sequences = c->count * corpus_texts(c), tokens = c->cu_seqlens[sequences];
  add_array(hash, c->cu_seqlens, (sequences + 1) * sizeof *c->cu_seqlens);
  add_array(hash, c->token_ids, tokens * sizeof *c->token_ids);
  add_array(hash, c->token_type_ids, tokens);
  add_array(hash, c->labels, c->count * sizeof *c->labels);
  add_array(hash, c->targets, c->count * sizeof *c->targets);
  add_array(hash, c->loss_mask, tokens);
  if (c->desirable)
    add_array(hash, c->desirable, c->count);
}

/* Data are what is learnt from them: token ids, loss mask, classes in their order. */
static void identify(struct training *t) {
  const struct model *model = t->learner->model;
  struct hash hash;
  if (t->resume.data[0])
    return;
  hash_init(&hash);
  add_corpus(&hash, t->training);
  if (t->validation)
    add_corpus(&hash, t->validation);
  if (t->images)
    image_training_identify(&hash, t->images);
  for (size_t i = 0; i < model->num_labels && model->label_names; i++)
    add_array(&hash, model->label_names[i], strlen(model->label_names[i]));
  hash_hex(&hash, t->resume.data);
  checkpoint_fingerprint(t->resume.model, &model->checkpoint);
}

/* --- writing -------------------------------------------------------------------------------------- */

/* A state being put together. */
struct making {
  struct training *t;
  size_t count;
  struct st_tensor *tensors;
  struct arena arena; /* names */
  float *moments;     /* copies of a backend's that has its own memory; else NULL */
};

static enum status add_text(struct making *m, const char *name, const char *text, size_t length) {
  m->tensors[m->count++] = (struct st_tensor){.name = name,
                                              .dtype = ST_U8,
                                              .rank = 1,
                                              .shape = {(int64_t)length},
                                              .bytes = (const unsigned char *)text,
                                              .length = length};
  return STATUS_OK;
}

static enum status add_floats(struct making *m, enum part part, const struct parameter *p, const float *data,
                              struct error *err) {
  const char *name = arena_format(&m->arena, "%s%s", parts[part], p->key);
  if (!name)
    return error_no_memory(err, "a training state");
  m->tensors[m->count++] = (struct st_tensor){.name = name,
                                              .dtype = ST_F32,
                                              .rank = p->rank,
                                              .shape = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]},
                                              .bytes = (const unsigned char *)data,
                                              .length = p->count * sizeof(float)};
  return STATUS_OK;
}

/* The optimiser's moments on the host, in m->moments where they are not there already. What is frozen has none. */
static enum status fetch_moments(struct making *m, struct error *err) {
  const struct adamw *adamw = &m->t->learner->adamw;
  struct backend *backend = adamw->buffers.backend;
  if (backend->ops->host_memory)
    return STATUS_OK;
  m->moments = malloc((2 * parameter_trained(&m->t->learner->model->parameters) + 1) * sizeof *m->moments);
  if (!m->moments)
    return error_no_memory(err, "a training state");
  float *to = m->moments;
  for (size_t i = 0; i < adamw->slice_count; i++) {
    const struct adamw_slice *s = &adamw->slices[i];
    backend->ops->read(backend, to, s->m, s->count * sizeof *to);
    backend->ops->read(backend, to + s->count, s->v, s->count * sizeof *to);
    to += 2 * s->count;
  }
  return backend->ops->synchronise(backend, err);
}

static enum status add_parameters(struct making *m, struct error *err) {
  const struct parameter_list *list = &m->t->learner->model->parameters;
  const struct adamw *adamw = &m->t->learner->adamw;
  const float *moments = m->moments, *best = m->t->progress.best_step ? m->t->best : NULL;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < list->count; i++) {
    const struct parameter *p = list->item[i];
    const struct adamw_slice *s = &adamw->slices[i];
    status = add_floats(m, PART_PARAMETER, p, p->data, err);
    if (!status && s->count)
      status = add_floats(m, PART_MEAN, p, moments ? moments : place_floats(s->m), err);
    if (!status && s->count)
      status = add_floats(m, PART_VARIANCE, p, moments ? moments + s->count : place_floats(s->v), err);
    if (!status && best)
      status = add_floats(m, PART_BEST, p, best, err);
    moments = moments ? moments + 2 * s->count : NULL;
    best = best ? best + p->count : NULL;
  }
  return status;
}

static json_t *make_numbers(struct training *t) {
  struct progress progress = t->progress;
  progress.seconds = training_seconds(t);
  json_t *written = field_write(&progress_fields, &progress), *checkpoints = json_array();
  for (size_t i = 0; i < t->checkpoint_count; i++)
    json_array_append_new(checkpoints, json_integer(t->checkpoints[i]));
  identify(t);
  return json_pack("{s:s s:s s:s s:I s:o s:o s:o s:O?}", "job", t->task->job_id, "data", t->resume.data, "model",
                   t->resume.model, "total_steps", (json_int_t)t->total_steps, "progress", written, "checkpoints",
                   checkpoints, "engine", training_engine(t), "earlier_engines", t->resume.engines);
}

static enum status write_state(struct making *m, const char *path, char sha256[HASH_HEX], uint64_t *bytes,
                               struct error *err) {
  struct training *t = m->t;
  const struct parameter_list *list = &t->learner->model->parameters;
  AUTO(json_release) json_t *numbers = make_numbers(t);
  AUTO(json_release) json_t *spec = job_spec_json(&t->task->spec);
  char *spec_text = json_dumps(spec, JSON_COMPACT);
  m->tensors = calloc(PART_COUNT * list->count + 2, sizeof *m->tensors);
  enum status status = numbers && spec_text && m->tensors ? STATUS_OK : error_no_memory(err, "a training state");
  status = status ? status : parameter_download(list, err);
  status = status ? status : fetch_moments(m, err);
  status = status ? status : add_parameters(m, err);
  status = status ? status : add_text(m, curve_name, t->csv.text, t->csv.length);
  status = status ? status : add_text(m, spec_name, spec_text, strlen(spec_text));
  status = status ? status : state_write(path, m->tensors, m->count, numbers, sha256, bytes, err);
  free(spec_text);
  return status;
}

static void state_name(char out[64], int64_t step) {
  snprintf(out, 64, EVENT_STATE_FILE, step);
}

/* The newest RESUME_KEPT of this run stay. */
static void forget_old(struct training *t) {
  struct resume *r = &t->resume;
  char name[64], path[1100];
  if (r->kept_count && r->kept[r->kept_count - 1] == t->progress.step) /* written over */
    return;
  r->kept[r->kept_count++] = t->progress.step;
  if (r->kept_count <= RESUME_KEPT)
    return;
  state_name(name, r->kept[0]);
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, name);
  if (unlink(path) != 0)
    log_warn("%s cannot be deleted", path);
  memmove(r->kept, r->kept + 1, --r->kept_count * sizeof r->kept[0]);
}

bool resume_due(const struct training *t, bool with_checkpoint) {
  enum { SHARE = 100 };
  double since = clock_seconds() - t->resume.last, every = (double)t->task->spec.checkpointing.every_seconds;
  return since >= SHARE * t->resume.cost && (with_checkpoint || (every > 0 && since >= every));
}

void resume_save(struct training *t) {
  struct making m = {.t = t};
  struct resume *r = &t->resume;
  struct error err;
  char name[64], path[1100], sha256[HASH_HEX];
  uint64_t bytes = 0;
  if (t->progress.step == 0 || (r->step == t->progress.step && r->told == t->progress.told))
    return;
  identify(t); /* once, and no part of the cost */
  double start = clock_seconds();
  arena_init(&m.arena, (size_t)64 << 20);
  state_name(name, t->progress.step);
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, name);
  enum status status = write_state(&m, path, sha256, &bytes, &err);
  free(m.tensors);
  free(m.moments);
  arena_done(&m.arena);
  r->last = clock_seconds();
  r->cost = r->last - start;
  if (status) {
    report_message(t->report, LOG_WARN, "the training's state after step %" PRId64 " was not written: %s",
                   t->progress.step, err.text);
    return;
  }
  r->step = t->progress.step;
  r->told = t->progress.told;
  log_info("state after step %" PRId64 ": %" PRIu64 " bytes in %.1f ms", r->step, bytes, 1e3 * r->cost);
  report_data(t->report, EVENT_STATE, "",
              json_pack("{s:I s:s s:I s:s}", "step", (json_int_t)r->step, "path", name, "bytes", (json_int_t)bytes,
                        "sha256", sha256));
  forget_old(t);
}

/* --- reading -------------------------------------------------------------------------------------- */

/* What a state has, checked; the tensors are looked at where they are. */
struct loading {
  struct state state;
  struct progress progress;
  int64_t checkpoints[COUNT_OF(((struct training *)0)->checkpoints)];
  size_t checkpoint_count;
};

static enum status refuse(struct error *err, const char *why) {
  return error_set(err, STATUS_DAMAGED, NULL, "%s", why);
}

static enum status check_numbers(struct loading *l, const struct training *t, struct error *err) {
  const json_t *numbers = l->state.numbers, *progress = json_object_get(numbers, "progress");
  struct fault_list faults = {0};
  struct progress *p = &l->progress;
  int64_t total;
  enum status status = json_get_int(&total, numbers, "total_steps", 0, 0, INT64_MAX, err);
  if (status)
    return error_prefix(err, "its numbers");
  if (total != t->total_steps)
    return refuse(err, "it is of a run of another number of steps");
  field_read(&progress_fields, p, progress, "progress", NULL, NULL, &faults);
  if (faults.count)
    return refuse(err, faults.item[0].text);
  if (p->step < 1 || p->step > total || p->epoch < 1 || p->epoch > p->step ||
      (size_t)p->position > t->training->count || p->best_step > p->step || p->last_step > p->step)
    return refuse(err, "its numbers do not fit this job");
  return STATUS_OK;
}

static enum status check_checkpoints(struct loading *l, struct error *err) {
  const json_t *list = json_object_get(l->state.numbers, "checkpoints"), *step;
  size_t i;
  if (!json_is_array(list) || json_array_size(list) >= COUNT_OF(l->checkpoints))
    return refuse(err, "its checkpoints are no list, or too many");
  json_array_foreach(list, i, step) {
    int64_t n = json_integer_value(step);
    if (n < 1 || n > l->progress.step || (i && n <= l->checkpoints[i - 1]))
      return refuse(err, "its checkpoints are no steps in order");
    l->checkpoints[i] = n;
  }
  l->checkpoint_count = json_array_size(list);
  return STATUS_OK;
}

/* What may be changed of a job that has begun, and nothing of its training depends on. */
static void forget_changeable(json_t *spec) {
  static const char *const members[] = {"metadata", "display_name", "suffix"};
  for (size_t i = 0; i < COUNT_OF(members); i++)
    json_object_del(spec, members[i]);
  json_object_del(json_object_get(spec, "scheduling"), "priority");
}

/* The spec as this build would write it: a newer one has more members, at their defaults. */
static enum status check_spec(const struct loading *l, const struct training *t, struct error *err) {
  const struct st_tensor *tensor = state_tensor(&l->state, spec_name, ST_U8);
  AUTO(json_release) json_t *now = job_spec_json(&t->task->spec);
  AUTO(json_release) json_t *then = NULL;
  AUTO(json_release) json_t *document = NULL;
  AUTO(arena_done) struct arena arena;
  struct job_spec spec;
  arena_init(&arena, (size_t)16 << 20);
  char *text = tensor ? strndup((const char *)tensor->bytes, tensor->length) : NULL;
  if (!text)
    return refuse(err, "it does not say which job it is of");
  enum status status = job_spec_restore(&spec, &document, text, &arena, err);
  free(text);
  if (status)
    return error_prefix(err, "the job it is of");
  then = job_spec_json(&spec);
  forget_changeable(now);
  forget_changeable(then);
  const char *member;
  json_t *value;
  json_object_foreach(now, member, value) if (!json_equal(value, json_object_get(then, member))) return error_set(
      err, STATUS_DAMAGED, NULL, "it is of a job with another %s", member);
  return STATUS_OK;
}

static enum status check_identity(const struct loading *l, struct training *t, struct error *err) {
  const struct {
    const char *member, *own, *what;
  } rows[] = {{"job", t->task->job_id, "it is of another job"},
              {"data", t->resume.data, "it is of other training data, or of another tokenizer"},
              {"model", t->resume.model, "it is of another base model"}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const char *text = json_string_value(json_object_get(l->state.numbers, rows[i].member));
    if (!text || strcmp(text, rows[i].own) != 0)
      return refuse(err, rows[i].what);
  }
  return check_spec(l, t, err);
}

static const struct st_tensor *find_floats(const struct loading *l, enum part part, const struct parameter *p) {
  char name[ST_NAME_MAX + 1];
  snprintf(name, sizeof name, "%s%s", parts[part], p->key);
  const struct st_tensor *tensor = state_tensor(&l->state, name, ST_F32);
  bool same = tensor && tensor->rank == p->rank && tensor->length == p->count * sizeof(float);
  for (int i = 0; same && i < p->rank; i++)
    same = tensor->shape[i] == p->shape[i];
  return same ? tensor : NULL;
}

/* Columns that the state's curve has not yet, since an older build wrote it; -1: it has others than this one. Before
   the first step t->csv is its first line. */
static int columns_missing(const struct st_tensor *curve, const struct training *t) {
  const char *end = curve->length ? memchr(curve->bytes, '\n', curve->length) : NULL, *rest;
  size_t length = end ? (size_t)(end - (const char *)curve->bytes) : 0;
  if (length == 0 || length >= t->csv.length || memcmp(curve->bytes, t->csv.text, length) != 0 ||
      !strchr(",\n", t->csv.text[length]))
    return -1;
  int missing = 0;
  for (rest = t->csv.text + length; (rest = strchr(rest, ',')); rest++)
    missing++;
  return missing;
}

static enum status check_tensors(const struct loading *l, const struct training *t, struct error *err) {
  const struct parameter_list *list = &t->learner->model->parameters;
  enum { MOST_CURVE = 64 << 20 };
  const struct st_tensor *curve = state_tensor(&l->state, curve_name, ST_U8);
  enum part last = t->best && l->progress.best_step ? PART_BEST : PART_VARIANCE;
  for (size_t i = 0; i < list->count; i++)
    for (int part = 0; part <= (int)last; part++) {
      bool moment = part == PART_MEAN || part == PART_VARIANCE;
      if (!(moment && list->item[i]->frozen) && !find_floats(l, (enum part)part, list->item[i]))
        return error_set(err, STATUS_DAMAGED, NULL, "it has no %s%.120s of this job's shape", parts[part],
                         list->item[i]->key);
    }
  if (!curve || curve->length > MOST_CURVE)
    return refuse(err, "it has no step_metrics.csv");
  return columns_missing(curve, t) < 0 ? refuse(err, "its step_metrics.csv has other columns") : STATUS_OK;
}

static enum status check(struct loading *l, struct training *t, struct error *err) {
  enum status status = check_identity(l, t, err);
  status = status ? status : check_numbers(l, t, err);
  status = status ? status : check_checkpoints(l, err);
  return status ? status : check_tensors(l, t, err);
}

static enum status take_parameters(struct training *t, const struct loading *l, struct error *err) {
  const struct parameter_list *list = &t->learner->model->parameters;
  struct adamw *adamw = &t->learner->adamw;
  struct backend *backend = adamw->buffers.backend;
  float *best = t->best;
  for (size_t i = 0; i < list->count; i++) {
    struct parameter *p = list->item[i];
    size_t bytes = p->count * sizeof(float);
    memcpy(p->data, find_floats(l, PART_PARAMETER, p)->bytes, bytes);
    if (!p->frozen) {
      backend->ops->write(backend, adamw->slices[i].m, find_floats(l, PART_MEAN, p)->bytes, bytes);
      backend->ops->write(backend, adamw->slices[i].v, find_floats(l, PART_VARIANCE, p)->bytes, bytes);
    }
    if (best && l->progress.best_step) {
      memcpy(best, find_floats(l, PART_BEST, p)->bytes, bytes);
      best += p->count;
    }
  }
  adamw->steps = l->progress.step;
  learner_changed(t->learner);
  return backend->ops->synchronise(backend, err);
}

/* A state of another engine serves, but the results are then not those of a run in one piece. */
static void compare_engines(struct training *t, const struct loading *l) {
  json_t *then = json_object_get(l->state.numbers, "engine");
  json_t *earlier = json_object_get(l->state.numbers, "earlier_engines");
  AUTO(json_release) json_t *now = training_engine(t);
  char text[400] = "";
  const char *member;
  json_t *value;
  if (json_is_array(earlier))
    t->resume.engines = json_deep_copy(earlier);
  json_object_foreach(now, member, value) {
    const char *old = json_string_value(json_object_get(then, member));
    size_t used = strlen(text);
    if (!old || strcmp(old, json_string_value(value)) != 0)
      snprintf(text + used, sizeof text - used, "%s%s %.48s, not %.48s", used ? ", " : "", member,
               old ? old : "unknown", json_string_value(value));
  }
  if (!text[0])
    return;
  report_message(t->report, LOG_WARN,
                 "the steps so far were computed by another engine (%s): the results will differ in the last bits from "
                 "those of a run in one piece",
                 text);
  AUTO(json_release) json_t *entry = json_is_object(then) ? json_copy(then) : json_object();
  json_object_set_new(entry, "until_step", json_integer(l->progress.step));
  if (!t->resume.engines)
    t->resume.engines = json_array();
  json_array_append(t->resume.engines, entry);
}

static void take_curve(struct training *t, const struct st_tensor *curve) {
  const char *at = (const char *)curve->bytes, *end = at + curve->length, *line;
  int missing = columns_missing(curve, t);
  at = (const char *)memchr(at, '\n', curve->length) + 1;
  for (; at < end && (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1) {
    str_add(&t->csv, at, (size_t)(line - at));
    for (int i = 0; i < missing; i++)
      str_putc(&t->csv, ',');
    str_putc(&t->csv, '\n');
  }
}

static enum status take(struct training *t, const struct loading *l, struct error *err) {
  int64_t position = l->progress.position;
  while (t->progress.epoch < l->progress.epoch)
    course_next_epoch(t);
  t->progress = l->progress;
  t->progress.position = position;
  memcpy(t->checkpoints, l->checkpoints, sizeof t->checkpoints);
  t->checkpoint_count = l->checkpoint_count;
  take_curve(t, state_tensor(&l->state, curve_name, ST_U8));
  t->resume.step = t->progress.step;
  t->resume.told = t->progress.told;
  compare_engines(t, l);
  return take_parameters(t, l, err);
}

enum status resume_load(struct training *t, struct error *err) {
  const struct string_list *paths = &t->task->resume;
  if (paths->count)
    identify(t);
  for (size_t i = 0; i < paths->count; i++) {
    struct loading l = {0};
    struct error why;
    enum status status = state_open(&l.state, paths->item[i], &why);
    if (!status && !(status = check(&l, t, &why))) {
      report_message(t->report, LOG_INFO, "Training goes on after step %" PRId64 " of %" PRId64, l.progress.step,
                     t->total_steps);
      status = take(t, &l, err);
      state_close(&l.state);
      return status;
    }
    state_close(&l.state);
    if (status == STATUS_OUT_OF_MEMORY || status == STATUS_UNAVAILABLE) { /* of the machine: it may be good */
      *err = why;
      return status;
    }
    const char *name = strrchr(paths->item[i], '/');
    report_message(t->report, LOG_WARN, "%s cannot be used: %s", name ? name + 1 : paths->item[i], why.text);
  }
  if (paths->count)
    report_message(t->report, LOG_WARN, "none of the job's %zu states can be used: training starts anew", paths->count);
  return STATUS_OK;
}

void resume_done(struct training *t) {
  json_decref(t->resume.engines);
  t->resume.engines = NULL;
}
