#include "server/http/job_fit.h"

#include <math.h>
#include <string.h>

#include "api/job_task.h"
#include "server/http/wait.h"
#include "server/inspected.h"
#include "server/needs.h"
#include "server/scheduler.h"

static const double MIB = 1 << 20, OWN_MIB = 64; /* of a worker that trains nothing yet */

double job_fit_bound(int64_t parameters, int64_t layers, int64_t tokens) {
  enum { KEPT_WIDTHS = 64, WIDTHS_SQUARED = 12 }; /* of one layer: what a token leaves, and the weights */
  double fixed = OWN_MIB * MIB + 2 * (double)parameters * sizeof(float);
  if (layers <= 0)
    return fixed;
  double width = sqrt((double)parameters / (WIDTHS_SQUARED * (double)layers));
  return fixed + (double)tokens * (double)layers * KEPT_WIDTHS * width * sizeof(float);
}

/* MiB that it may have at most; 0: no limit. */
static int64_t limit_of(const struct server *server, const struct job_spec *spec) {
  int64_t budget = server->budget.memory_mib, own = spec->scheduling.memory_limit;
  return own && (!budget || own < budget) ? own : budget;
}

/* On a GPU, whose memory is its own, it may fit. */
static bool may_use_gpu(const struct devices *devices, const struct job_spec *spec) {
  for (size_t i = 0; i < devices->count; i++)
    if (devices->other[i].gpu && device_takes(&devices->other[i], spec->scheduling.device))
      return true;
  return false;
}

static bool may_exceed(const struct server *server, const struct job_draft *draft, const json_t *model) {
  const struct job_spec *spec = &draft->spec;
  int64_t limit = limit_of(server, spec), longest = spec->hyperparameters.max_seq_length;
  int64_t positions = json_integer_value(json_object_get(model, "max_seq_length"));
  if (!longest || (positions && positions < longest))
    longest = positions;
  double bound = job_fit_bound(json_integer_value(json_object_get(model, "parameters")),
                               json_integer_value(json_object_get(model, "layers")),
                               spec->hyperparameters.batch_size * longest);
  return limit > 0 && !may_use_gpu(&server->devices, spec) && bound > (double)limit * MIB;
}

/* Whole paths of modules, patterns of them, layers and rows: the report of a model has the last parts of names alone.
   "all-linear" and those are judged without a worker. */
static bool names_modules(const struct adapter_spec *adapter) {
  const struct module_match *targets = &adapter->target_modules;
  bool paths = targets->pattern && strcmp(targets->pattern, "all-linear") != 0;
  for (size_t i = 0; !paths && i < targets->names.count; i++)
    paths = strchr(targets->names.item[i], '.') != NULL;
  const struct lora_spec *lora = adapter->peft_type == PEFT_LORA ? &adapter->lora : NULL;
  return paths || adapter->exclude_modules.pattern || adapter->exclude_modules.names.count ||
         adapter->layers_to_transform.count || adapter->layers_pattern.count || adapter->modules_to_save.count ||
         (lora && (lora->rank_pattern.count || lora->alpha_pattern.count || lora->trainable_token_indices.count));
}

/* Must ranks or blocks suit the weights' shapes? LoRA and HRA as they are go on any. */
static bool needs_shapes(const struct adapter_spec *adapter) {
  switch (adapter->peft_type) {
  case PEFT_HRA: return adapter->hra.apply_GS;
  case PEFT_LORA: return adapter->lora.use_dora || lora_init_of_weight(adapter->lora.init_lora_weights);
  default: return true;
  }
}

/* Does the job name what neither the report of its model nor the checks of its files tell? Of an adapter to start from
   that is whether its tensors and classes fit, of embeddings what the model's folder says of pooling, of images how
   long their prompts are for the model. */
static bool is_for_worker(const struct job_spec *spec) {
  return names_modules(&spec->adapter) || needs_shapes(&spec->adapter) || spec->from_checkpoint ||
         spec->generate.present || spec->task == JOB_TASK_EMBEDDING || spec->embedding.pooling != EMBEDDING_AUTO ||
         job_task_images(spec->task);
}

/* The question for its plan, new or asked before; NULL: none is needed, or it cannot be asked now. */
static struct question *ask_plan(struct request *request, const struct job_draft *draft) {
  struct server *server = request->server;
  const struct inspected *inspected = inspected_of(server->inspected, &draft->model);
  struct question *question;
  struct error err;
  if (draft->pending || !inspected || !inspected->report || server->draining || server->hold.why.status)
    return NULL;
  if (!may_exceed(server, draft, inspected->report) && !is_for_worker(&draft->spec))
    return NULL;
  return needs_plan(&question, server, request->tenant, &draft->spec, &draft->model, &err) ? NULL : question;
}

bool job_fit_wait(struct request *request, const struct job_draft *drafts, size_t count) {
  static const char asked[] = "ask-";
  const struct question *last = NULL;
  if (request->server->config->upload_check_wait_ms <= 0 ||
      (request->waited && strncmp(request->wait_key, asked, strlen(asked)) == 0))
    return false;
  for (size_t i = 0; i < count; i++) {
    const struct question *question = ask_plan(request, &drafts[i]);
    if (question && question->state != QUESTION_KNOWN)
      last = question; /* they are answered in the order in which they are asked */
  }
  if (!last)
    return false;
  scheduler_wake(request->server->scheduler);
  wait_for(request, last->key, request->server->config->upload_check_wait_ms);
  return true;
}

void job_fit_judge(struct request *request, const struct job_draft *draft, struct fault_list *faults) {
  const struct question *question = ask_plan(request, draft);
  const struct hyperparameters *h = &draft->spec.hyperparameters;
  int64_t budget = request->server->budget.memory_mib;
  if (!question || question->state != QUESTION_KNOWN)
    return;
  int64_t takes = budget_mib(json_integer_value(json_object_get(question->report, "peak_memory_bytes")));
  const struct error *why = &question->error;
  if (why->status == STATUS_OUT_OF_MEMORY && strcmp(why->param, "scheduling.memory_limit") == 0)
    fault_add(faults, STATUS_INVALID_VALUE, why->param, "%s", why->text);
  else if (why->status && status_http(why->status) < 500) /* of the job itself: it would fail with the same */
    fault_add(faults, why->status, why->param[0] ? why->param : NULL, "%s", why->text);
  else if (budget && takes > budget)
    fault_add(faults, STATUS_INVALID_VALUE, "batch_size",
              "the job takes %lld MiB of memory, and this server's memory_budget_mib is %lld MiB. A batch_size smaller "
              "than %lld or a smaller max_seq_length needs less.",
              (long long)takes, (long long)budget, (long long)h->batch_size);
}
