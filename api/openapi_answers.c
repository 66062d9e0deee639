/* What each operation answers. */
#include "api/openapi_parts.h"

#include <stdio.h>
#include <string.h>

#include "api/job_state.h"

/* "name type, name type, ...": the type ends in '?' where null is possible; one with a capital is another schema.
   Members are always there, but for those whose names end in '*'. */
static const struct {
  const char *name, *object, *members;
} shapes[] = {
    {"File", "file",
     "id string,bytes integer,created_at integer,expires_at integer?,filename string,purpose string,status string,"
     "status_details string?,validation Validation?"},
    {"FileValidation", "file.validation",
     "file_id string,filename string,status string,status_details string?,format string?,kind string?,columns "
     "array?,lines integer?,examples integer,bytes integer,labels object?,label_count integer,label_counts "
     "array?,text_bytes object?,chat object?,tokens object?,tokens_error string?,duplicates object,conflicts "
     "object,overlap object?,errors array,error_count integer,warnings array,warning_count integer"},
    {"Upload", "upload",
     "id string,bytes integer,created_at integer,expires_at integer,filename string,purpose string,status string,"
     "bytes_received integer,file File?"},
    {"UploadPart", "upload.part", "id string,upload_id string,created_at integer,bytes integer,sha256 string"},
    {"Validation", NULL, /* of an adapter: peft_type and adapter in place of what follows them */
     "format string,kind* string,columns* array,peft_type* string,adapter* object,lines* integer,examples* integer,"
     "bytes* integer,labels* object?,text_bytes* object?,chat* object?,images* object,warnings* array"},
    {"Job", "fine_tuning.job",
     "id string,created_at integer,model string,task string,recipe string,organization_id string,status JobStatus,"
     "training_file string,"
     "validation_file string?,seed integer,suffix string?,from_checkpoint string?,result_files array,"
     "hyperparameters object,error object?,fine_tuned_model string?,started_at integer?,finished_at integer?,"
     "trained_tokens integer?,estimated_finish integer?,restarts integer,attempts integer,pausing boolean,"
     "waiting_for string?,device string?,progress object?,estimate object?,actual object?,integrations array?,"
     "display_name string?,cloned_from string?,sweep object?,"
     "metadata object?,method object,adapter object,dataset object,embedding object,image object,evaluation object,"
     "checkpointing object,early_stopping object,scheduling object,exports array"},
    {"Sweep", "fine_tuning.sweep",
     "id string,created_at integer,name string?,status string,metric string,goal string,fields array,job_count "
     "integer,job_counts object,best object?,jobs array,request object?"},
    {"SweepResults", "fine_tuning.sweep.results",
     "sweep_id string,name string?,metric string,goal string,fields array,data array"},
    {"SweepEstimate", "fine_tuning.sweep.estimate",
     "name string?,metric string,goal string,fields array,job_count integer,fits boolean,duration_seconds object?,"
     "jobs array,warnings array"},
    {"QueueEntry", "queue.entry",
     "id string,status JobStatus,model string,display_name string?,suffix string?,priority integer,"
     "queue_position integer?,jobs_of_others_ahead integer?,expected_start integer?,created_at integer,"
     "started_at integer?,estimated_finish integer?,device string?,device_wanted string,waiting_for string?"},
    {"Event", "fine_tuning.job.event",
     "id string,created_at integer,level string,message string,type string,data object?"},
    {"Checkpoint", "fine_tuning.job.checkpoint",
     "id string,created_at integer,fine_tuned_model_checkpoint string,fine_tuning_job_id string,step_number integer,"
     "metrics object"},
    {"Model", "model",
     "id string,created integer,owned_by string,format string,usable boolean?,error object?,capabilities object?"},
    {"Capabilities", "capabilities",
     "job array,methods array,objectives array,tasks array,recipes array,precisions array,exports array,sweep object,"
     "devices array,limits object,caller object,models array"},
    {"ChatCompletion", "chat.completion",
     "id string,created integer,model string,choices array,usage object,system_fingerprint string"},
    {"Completion", "text_completion",
     "id string,created integer,model string,choices array,usage object,system_fingerprint string"},
    {"Embeddings", "list", "model string,data array,usage object"},
    {"Classifications", "list", "model string,data array,usage object"},
    {"Images", NULL,
     "created integer,background string,output_format string,quality string,size string,data array"},
    {"Artifact", "fine_tuning.job.artifact",
     "id string,name string,created_at integer,bytes integer,sha256 string,file_id string?"},
    {"Metrics", "fine_tuning.job.metrics",
     "job_id string,status string,first_step integer?,last_step integer?,has_more boolean,series array"},
    {"Telemetry", "fine_tuning.job.telemetry",
     "job_id string,status string,has_more boolean,steps array,modules array"},
    {"Estimate", "fine_tuning.job.estimate",
     "model string,fits boolean,reason string?,lower array?,suggestion object?,available_memory_bytes integer?,"
     "learns string?,steps integer?,examples integer?,tokens integer?,evaluations integer?,training_examples integer?,"
     "truncated_examples integer?,trainable_parameters integer?,adapted_modules integer?,peak_memory_bytes integer?,"
     "recomputes_activations boolean?,disk_bytes integer?,device string?,threads integer?,duration_seconds object?,"
     "measured object?,queue_wait_seconds number?,warnings array,job object"},
    {"Export", "fine_tuning.job.export",
     "id string,job_id string,format string,status string,created_at integer,finished_at integer?,error object?"},
    {"ApiKey", "organization.admin_api_key",
     "id string,name string,tenant string,scope string,redacted_value string,value* string?,created_at integer,"
     "expires_at integer?,revoked_at integer?,last_used_at integer?,replaced_by string?,owner object"},
    {"Tenant", "organization.tenant",
     "id string,created_at integer,queued_jobs integer,running_jobs integer,stored_bytes integer,"
     "queued_jobs_max integer?,running_jobs_max integer?,stored_bytes_max integer?"},
    {"AuditLog", "organization.audit_log",
     "id string,type string,effective_at integer,tenant string,actor object,object_id string?,result string,"
     "request_id string?"},
    {"WebhookEndpoint", "webhook_endpoint",
     "id string,created_at integer,updated_at integer,name string,url string,event_types array,"
     "signing_secret_hint string,signing_secret* string"},
    {"WebhookTest", "webhook_endpoint.test",
     "event_type string,status_code integer,success boolean,webhook_endpoint_id string"},
    {"WebhookDelivery", "webhook_endpoint.delivery",
     "id string,webhook_endpoint_id string,event_id string,event_type string,job_id string,created_at integer,"
     "status string,attempts integer,next_attempt_at integer?,status_code integer?,error string?,finished_at integer?"},
    {"Deleted", NULL, "id string,object string,deleted boolean"},
};

/* What an operation answers; one that is not listed answers some JSON object. */
static const struct {
  enum operation op;
  const char *schema; /* NULL: bytes */
  bool list;
} answers[] = {
    {OP_web_page, NULL, false},
    {OP_web_docs, NULL, false},
    {OP_web_file, NULL, false},
    {OP_metrics, NULL, false},
    {OP_capabilities, "Capabilities", false},
    {OP_files_create, "File", false},
    {OP_files_list, "File", true},
    {OP_files_retrieve, "File", false},
    {OP_files_delete, "Deleted", false},
    {OP_files_validation, "FileValidation", false},
    {OP_files_content, NULL, false},
    {OP_uploads_create, "Upload", false},
    {OP_uploads_list, "Upload", true},
    {OP_uploads_retrieve, "Upload", false},
    {OP_parts_create, "UploadPart", false},
    {OP_parts_list, "UploadPart", true},
    {OP_uploads_complete, "Upload", false},
    {OP_uploads_cancel, "Upload", false},
    {OP_jobs_create, "Job", false},
    {OP_jobs_estimate, "Estimate", false},
    {OP_jobs_list, "Job", true},
    {OP_jobs_retrieve, "Job", false},
    {OP_jobs_update, "Job", false},
    {OP_jobs_modify, "Job", false},
    {OP_jobs_clone, "Job", false},
    {OP_jobs_delete, "Deleted", false},
    {OP_sweeps_create, "Sweep", false},
    {OP_sweeps_list, "Sweep", true},
    {OP_sweeps_retrieve, "Sweep", false},
    {OP_sweeps_delete, "Deleted", false},
    {OP_sweeps_results, "SweepResults", false},
    {OP_sweeps_cancel, "Sweep", false},
    {OP_queue_list, "QueueEntry", true},
    {OP_jobs_cancel, "Job", false},
    {OP_jobs_pause, "Job", false},
    {OP_jobs_resume, "Job", false},
    {OP_jobs_checkpoint, "Job", false},
    {OP_jobs_events, "Event", true},
    {OP_jobs_metrics, "Metrics", false},
    {OP_jobs_telemetry, "Telemetry", false},
    {OP_jobs_checkpoints, "Checkpoint", true},
    {OP_jobs_logs, NULL, false},
    {OP_artifacts_list, "Artifact", true},
    {OP_artifacts_content, NULL, false},
    {OP_exports_create, "Export", true},
    {OP_exports_list, "Export", true},
    {OP_models_list, "Model", true},
    {OP_models_retrieve, "Model", false},
    {OP_models_delete, "Deleted", false},
    {OP_chat_create, "ChatCompletion", false},
    {OP_completions_create, "Completion", false},
    {OP_embeddings_create, "Embeddings", false},
    {OP_classify_create, "Classifications", false},
    {OP_images_generate, "Images", false},
    {OP_keys_list, "ApiKey", true},
    {OP_keys_create, "ApiKey", false},
    {OP_keys_retrieve, "ApiKey", false},
    {OP_keys_delete, "Deleted", false},
    {OP_keys_rotate, "ApiKey", false},
    {OP_tenants_list, "Tenant", true},
    {OP_tenants_retrieve, "Tenant", false},
    {OP_tenants_update, "Tenant", false},
    {OP_webhooks_create, "WebhookEndpoint", false},
    {OP_webhooks_list, "WebhookEndpoint", true},
    {OP_webhooks_retrieve, "WebhookEndpoint", false},
    {OP_webhooks_update, "WebhookEndpoint", false},
    {OP_webhooks_delete, "Deleted", false},
    {OP_webhooks_test, "WebhookTest", false},
    {OP_webhooks_rotate_secret, "WebhookEndpoint", false},
    {OP_webhooks_deliveries, "WebhookDelivery", true},
    {OP_audit_list, "AuditLog", true},
};

static json_t *member_schema(const char *type, bool nullable) {
  if (type[0] >= 'A' && type[0] <= 'Z')
    return nullable ? json_pack("{s[o{ss}]}", "anyOf", openapi_ref("schemas", type), "type", "null")
                    : openapi_ref("schemas", type);
  return nullable ? json_pack("{s[ss]}", "type", type, "null") : json_pack("{ss}", "type", type);
}

static json_t *shape_schema(struct builder *b, size_t index) {
  json_t *properties = json_object(), *required = json_array();
  if (shapes[index].object) {
    openapi_set(b, properties, "object", json_pack("{ss}", "const", shapes[index].object));
    openapi_append(b, required, json_string("object"));
  }
  for (const char *at = shapes[index].members; *at;) {
    char name[40], type[16];
    int used = 0;
    CHECK(sscanf(at, "%39[^ ] %15[^,]%n", name, type, &used) == 2);
    char *null = strchr(type, '?'), *absent = strchr(name, '*');
    if (null)
      *null = '\0';
    if (absent)
      *absent = '\0';
    else
      openapi_append(b, required, json_string(name));
    openapi_set(b, properties, name, member_schema(type, null != NULL));
    at += used;
    at += *at == ',';
  }
  return json_pack("{ss so so}", "type", "object", "required", required, "properties", properties);
}

static json_t *status_schema(struct builder *b) {
  json_t *names = json_array();
  for (int i = 0; i < JOB_STATE_COUNT; i++)
    openapi_append(b, names, json_string(job_state_name((enum job_state)i)));
  return json_pack("{ss so}", "type", "string", "enum", names);
}

void openapi_add_shapes(struct builder *b, json_t *schemas) {
  for (size_t i = 0; i < COUNT_OF(shapes); i++)
    openapi_set(b, schemas, shapes[i].name, shape_schema(b, i));
  openapi_set(b, schemas, "JobStatus", status_schema(b));
}

static json_t *list_schema(const char *schema) {
  return json_pack("{ss s[sssss] s{s{ss} s{ss so} s{s[ss]} s{s[ss]} s{ss}}}", "type", "object", "required", "object",
                   "data", "first_id", "last_id", "has_more", "properties", "object", "const", "list", "data", "type",
                   "array", "items", openapi_ref("schemas", schema), "first_id", "type", "string", "null", "last_id",
                   "type", "string", "null", "has_more", "type", "boolean");
}

static long row_of(enum operation op) {
  for (size_t i = 0; i < COUNT_OF(answers); i++)
    if (answers[i].op == op)
      return (long)i;
  return -1;
}

/* Of answers that are bytes. */
static const char *media_type(enum operation op) {
  return op == OP_web_page || op == OP_web_docs   ? "text/html"
         : op == OP_web_file                      ? "*/*"
         : op == OP_metrics || op == OP_jobs_logs ? "text/plain"
                                                  : "application/octet-stream";
}

/* The same in another form. */
static const struct {
  enum operation op;
  const char *media_type;
} forms[] = {{OP_jobs_events, "text/event-stream"},
             {OP_chat_create, "text/event-stream"},
             {OP_completions_create, "text/event-stream"},
             {OP_jobs_metrics, "text/csv"},
             {OP_jobs_logs, "text/plain"},
             {OP_sweeps_retrieve, "text/event-stream"},
             {OP_sweeps_results, "text/csv"},
             {OP_sweeps_results, "text/markdown"}};

json_t *openapi_answer(struct builder *b, enum operation op) {
  long row = row_of(op);
  const char *schema = row < 0 ? NULL : answers[row].schema;
  json_t *out = json_object(), *types = openapi_set(b, out, "content", json_object());
  json_t *content = openapi_set(b, types, row >= 0 && !schema ? media_type(op) : "application/json", json_object());
  openapi_set(b, content, "schema",
              row < 0                  ? json_pack("{ss}", "type", "object")
              : !schema                ? json_object()
              : answers[row].list      ? list_schema(schema)
              : op == OP_sweeps_create ? json_pack("{s[oo]}", "anyOf", openapi_ref("schemas", schema),
                                                   openapi_ref("schemas", "SweepEstimate"))
              : op == OP_jobs_create
                  ? json_pack("{s[oo]}", "anyOf", openapi_ref("schemas", schema), openapi_ref("schemas", "Estimate"))
                  : openapi_ref("schemas", schema));
  for (size_t i = 0; i < COUNT_OF(forms); i++)
    if (forms[i].op == op)
      openapi_set(b, types, forms[i].media_type, json_pack("{s{ss}}", "schema", "type", "string"));
  return out;
}

bool openapi_answers_bytes(enum operation op) {
  long row = row_of(op);
  return row >= 0 && !answers[row].schema;
}

bool openapi_answer_names(char pointer[32], enum operation op, const char *parameter) {
  static const struct {
    const char *parameter, *schema, *member;
  } named[] = {
      {"file_id", "File", "id"},    {"job_id", "Job", "id"},       {"model", "Model", "id"},
      {"name", "Artifact", "name"}, {"upload_id", "Upload", "id"}, {"key_id", "ApiKey", "id"},
      {"tenant", "Tenant", "id"},   {"sweep_id", "Sweep", "id"},   {"webhook_endpoint_id", "WebhookEndpoint", "id"}};
  long row = row_of(op);
  for (size_t i = 0; row >= 0 && answers[row].schema && i < COUNT_OF(named); i++) {
    if (strcmp(named[i].schema, answers[row].schema) != 0 || strcmp(named[i].parameter, parameter) != 0)
      continue;
    snprintf(pointer, 32, "%s/%s", answers[row].list ? "/data/0" : "", named[i].member);
    return true;
  }
  return false;
}
