#include "server/servings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/paths.h"
#include "server/worker.h"

enum { BYTES_MAX = 64 << 20 }; /* of lines that are not sent */

enum status servings_open(struct serving_list *list, struct server *server, servings_wanted *wanted, void *context,
                          struct error *err) {
  char path[PATH_BYTES];
  *list = (struct serving_list){.server = server, .wanted = wanted, .context = context};
  enum status status = path_format(path, err, "%s/" PATH_SERVING, server->config->data);
  return status ? status : file_remove_tree(path, err);
}

/* --- adapters ------------------------------------------------------------------------------------- */

/* What a worker reads of an adapter; those from the third on have some adapters only. */
static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors", "labels.json",
                                            "conditioning_embedding.safetensors"};
enum { ADAPTER_FILES_ALWAYS = 2 };

static enum status link_files(const char *folder, const char *source, struct error *err) {
  char from[PATH_BYTES], to[PATH_BYTES];
  enum status status = file_mkdirs(folder, err);
  for (size_t i = 0; !status && i < COUNT_OF(adapter_files); i++) {
    status = path_format(from, err, "%s/%s", source, adapter_files[i]);
    status = status ? status : path_format(to, err, "%s/%s", folder, adapter_files[i]);
    bool may_lack = i >= ADAPTER_FILES_ALWAYS;
    if (!status && link(from, to) != 0 && errno != EEXIST && !(errno == ENOENT && may_lack))
      status = error_set_errno(err, STATUS_IO, "model", "cannot link %s of the adapter", adapter_files[i]);
  }
  return status;
}

static void drop_adapter(struct served_adapter *adapter) {
  free(adapter->name);
  free(adapter->source);
  free(adapter);
}

static void remove_folder(const struct serving *serving, const char *adapter) {
  char path[PATH_BYTES];
  struct error err;
  enum status status = path_format(path, &err, "%s%s%s", serving->folder, adapter ? "/" : "", adapter ? adapter : "");
  if (status || file_remove_tree(path, &err))
    log_warn("%s", err.text);
}

/* Its files are where the worker sees them. */
static enum status add_adapter(struct serving *serving, const struct served *model, struct error *err) {
  char path[PATH_BYTES];
  struct served_adapter *adapter = serving->adapters;
  while (adapter && strcmp(adapter->name, model->adapter) != 0)
    adapter = adapter->next;
  if (adapter)
    return STATUS_OK;
  adapter = calloc(1, sizeof *adapter);
  if (!adapter || !(adapter->name = strdup(model->adapter)) || !(adapter->source = strdup(model->adapter_folder))) {
    if (adapter)
      drop_adapter(adapter);
    return error_no_memory(err, "an adapter");
  }
  enum status status = path_format(path, err, "%s/%s", serving->folder, model->adapter);
  status = status ? status : link_files(path, model->adapter_folder, err);
  if (status) {
    remove_folder(serving, adapter->name);
    drop_adapter(adapter);
    return status;
  }
  adapter->next = serving->adapters;
  serving->adapters = adapter;
  return STATUS_OK;
}

/* False: it does not listen, and is about to end. */
static bool tell(const struct serving *serving, const struct generation_line *line) {
  AUTO(str_done) struct str text;
  str_init(&text, GENERATION_LINE_MAX);
  return generation_line_write(&text, line) && worker_send(serving->worker, text.text, text.length);
}

void servings_sweep(struct serving *serving) {
  for (struct served_adapter **link = &serving->adapters; *link;) {
    struct served_adapter *adapter = *link;
    struct stat info;
    if (stat(adapter->source, &info) == 0) {
      link = &adapter->next;
      continue;
    }
    if (serving->state == SERVING_READY)
      tell(serving, &(struct generation_line){.kind = GENERATION_LINE_FORGET, .adapter = adapter->name});
    remove_folder(serving, adapter->name);
    *link = adapter->next;
    drop_adapter(adapter);
  }
}

/* --- base models ---------------------------------------------------------------------------------- */

static void serving_free(struct serving *serving) {
  struct serving **link = &serving->list->first;
  while (*link && *link != serving)
    link = &(*link)->next;
  if (*link)
    *link = serving->next;
  while (serving->adapters) {
    struct served_adapter *adapter = serving->adapters;
    serving->adapters = adapter->next;
    drop_adapter(adapter);
  }
  if (serving->folder)
    remove_folder(serving, NULL);
  free(serving->model);
  free(serving->path);
  free(serving->folder);
  free(serving);
}

static enum status find(struct serving **out, struct serving_list *list, const struct base_model *base,
                        struct error *err) {
  char folder[PATH_BYTES];
  for (*out = list->first; *out; *out = (*out)->next)
    if (strcmp((*out)->path, base->path) == 0)
      return STATUS_OK;
  struct serving *serving = calloc(1, sizeof *serving);
  if (!serving)
    return error_no_memory(err, "a model");
  serving->list = list;
  enum status status = path_format(folder, err, "%s/" PATH_SERVING_MODEL, list->server->config->data,
                                   (unsigned long long)++list->folders);
  status = status ? status : file_mkdirs(folder, err);
  serving->model = strdup(base->id);
  serving->path = strdup(base->path);
  serving->folder = status ? NULL : strdup(folder);
  if (!status && (!serving->model || !serving->path || !serving->folder))
    status = error_no_memory(err, "a model");
  if (status) {
    serving_free(serving);
    return status;
  }
  serving->next = list->first;
  list->first = serving;
  *out = serving;
  return STATUS_OK;
}

size_t servings_waiting(const struct serving_list *list) {
  size_t count = 0;
  for (const struct serving *serving = list->first; serving; serving = serving->next)
    count += serving->state == SERVING_WANTED && serving->count > 0;
  return count;
}

/* The one that was asked first. */
struct serving *servings_next(const struct serving_list *list) {
  struct serving *next = NULL;
  for (struct serving *serving = list->first; serving; serving = serving->next)
    if (serving->state == SERVING_WANTED && serving->count > 0 &&
        (!next || serving->generations->id < next->generations->id))
      next = serving;
  return next;
}

size_t servings_ready(const struct serving_list *list) {
  size_t count = 0;
  for (const struct serving *serving = list->first; serving; serving = serving->next)
    count += serving->state == SERVING_READY;
  return count;
}

/* --- generations ---------------------------------------------------------------------------------- */

static void drop_line(struct generation *generation) {
  if (generation->line)
    generation->serving->list->bytes -= generation->length;
  free(generation->line);
  generation->line = NULL;
}

static void remove_generation(struct generation *generation) {
  struct serving *serving = generation->serving;
  struct generation **link = &serving->generations;
  while (*link != generation)
    link = &(*link)->next;
  *link = generation->next;
  serving->list->count--;
  if (--serving->count == 0) {
    serving->idle_ms = clock_boot_ms();
    if (serving->worker)
      worker_rest(serving->worker, true);
    if (servings_waiting(serving->list) > 0)
      serving->list->wanted(serving->list->context);
  }
  drop_line(generation);
  free(generation);
}

/* The worker has it now. */
static void send_line(struct generation *generation) {
  worker_rest(generation->serving->worker, false);
  worker_send(generation->serving->worker, generation->line, generation->length);
  drop_line(generation);
}

static enum status write_line(struct generation *generation, const struct served *model,
                              const struct generation_request *what, struct error *err) {
  struct serving_list *list = generation->serving->list;
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST, .request = *what};
  struct str text;
  line.request.id = generation->id;
  line.request.adapter = model->adapter;
  str_init(&text, GENERATION_LINE_MAX);
  if (!generation_line_write(&text, &line)) {
    str_done(&text);
    return error_set(err, STATUS_TOO_LARGE, NULL, "a request for a model has at most %d bytes", GENERATION_LINE_MAX);
  }
  generation->line = str_take(&text, &generation->length);
  if (!generation->line)
    return error_no_memory(err, "the request");
  list->bytes += generation->length;
  return STATUS_OK;
}

static enum status check_room(const struct serving_list *list, struct error *err) {
  const struct config *config = list->server->config;
  if (list->server->draining)
    return error_set(err, STATUS_DRAINING, NULL, "the server is shutting down");
  if (config->serving_max == 0)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model", "this server holds no models: serving_max is 0");
  if (list->count >= (size_t)config->serving_queue_max || list->bytes > BYTES_MAX)
    return error_set(err, STATUS_MODEL_OVERLOADED, NULL, "%zu requests are under way, as many as may be", list->count);
  return STATUS_OK;
}

static void append(struct generation *generation) {
  struct serving *serving = generation->serving;
  struct generation **link = &serving->generations;
  while (*link)
    link = &(*link)->next;
  *link = generation;
  serving->count++;
  serving->list->count++;
}

enum status servings_ask(struct generation **out, struct serving_list *list, const struct served *model,
                         const struct generation_request *what, generation_call *call, void *context,
                         struct error *err) {
  struct serving *serving = NULL;
  *out = NULL;
  enum status status = check_room(list, err);
  status = status ? status : find(&serving, list, &model->base, err);
  if (!status && model->adapter)
    status = add_adapter(serving, model, err);
  struct generation *generation = status ? NULL : calloc(1, sizeof *generation);
  if (!status && !generation)
    status = error_no_memory(err, "the request");
  if (generation) {
    *generation = (struct generation){.serving = serving, .id = ++list->last_id, .call = call, .context = context};
    status = write_line(generation, model, what, err);
  }
  if (status) {
    free(generation);
    if (serving && serving->count == 0 && serving->state == SERVING_WANTED)
      serving_free(serving);
    return status;
  }
  append(generation);
  if (serving->state == SERVING_READY)
    send_line(generation);
  else if (serving->state == SERVING_WANTED)
    list->wanted(list->context);
  *out = generation;
  return STATUS_OK;
}

void servings_cancel(struct generation *generation) {
  struct serving *serving = generation->serving;
  generation->call = NULL;
  if (serving->state == SERVING_READY) {
    tell(serving, &(struct generation_line){.kind = GENERATION_LINE_CANCEL, .id = generation->id});
    return;
  }
  if (!generation->line)
    return; /* its worker is about to end */
  remove_generation(generation);
  if (serving->count == 0 && serving->state == SERVING_WANTED)
    serving_free(serving);
}

/* --- its worker ----------------------------------------------------------------------------------- */

void servings_loaded(struct serving *serving, struct worker *worker) {
  serving->state = SERVING_READY;
  serving->worker = worker;
  serving->idle_ms = clock_boot_ms();
  for (struct generation *generation = serving->generations; generation; generation = generation->next)
    send_line(generation);
  if (serving->count == 0)
    worker_rest(worker, true);
}

static bool is_last(const struct generation_event *event) {
  return event->type != GENERATION_STARTED && event->type != GENERATION_DELTA;
}

enum status servings_event(struct serving *serving, const struct generation_event *event, struct error *err) {
  struct generation *generation = serving->generations;
  while (generation && generation->id != event->id)
    generation = generation->next;
  if (!generation || generation->line)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "an answer to what it was not asked");
  if (generation->call)
    generation->call(generation->context, event);
  if (is_last(event))
    remove_generation(generation);
  return STATUS_OK;
}

static void fail(struct generation *generation, const struct error *why) {
  const struct generation_event event = {.type = GENERATION_FAILED,
                                         .id = generation->id,
                                         .code = why->status,
                                         .param = why->param[0] ? why->param : NULL,
                                         .message = why->text};
  if (generation->call)
    generation->call(generation->context, &event);
  remove_generation(generation);
}

void servings_ended(struct serving *serving, const struct error *why) {
  bool told = serving->state == SERVING_LEAVING && why->status != STATUS_DRAINING;
  serving->worker = NULL;
  for (struct generation *generation = serving->generations, *next; generation; generation = next) {
    next = generation->next;
    if (!told || !generation->line)
      fail(generation, why);
  }
  serving->state = SERVING_WANTED;
  if (serving->count == 0)
    serving_free(serving);
}
