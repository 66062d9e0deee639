/* Builds the document top-down. Allocation failures are not tested one by one: jansson's setters
   refuse a NULL value, each is counted by `set`, and a document with a failure is dropped. */
#include "api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "api/endpoint.h"
#include "api/field_schema.h"
#include "api/job_fields.h"

struct builder {
  int bad;
};

static json_t *set(struct builder *b, json_t *object, const char *key, json_t *value) {
  b->bad |= json_object_set_new(object, key, value) != 0;
  return value;
}

static json_t *ref(const char *schema) {
  char path[96];
  snprintf(path, sizeof path, "#/components/schemas/%s", schema);
  return json_pack("{ss}", "$ref", path);
}

/* --- response shapes -------------------------------------------------------------------------- */

/* "name type, name type, ...": the type ends in '?' where null is possible; one with a capital is another shape. */
static const struct {
  const char *name, *object, *members;
} shapes[] = {
    {"File", "file",
     "id string,bytes integer,created_at integer,expires_at integer?,filename string,purpose string,status string,"
     "status_details string?,validation Validation?"},
    {"Upload", "upload",
     "id string,bytes integer,created_at integer,expires_at integer,filename string,purpose string,status string,"
     "bytes_received integer,file File?"},
    {"UploadPart", "upload.part", "id string,upload_id string,created_at integer,bytes integer,sha256 string"},
    {"Validation", NULL, /* of an adapter: peft_type and adapter in place of what follows them */
     "format string,kind string,columns array,peft_type string,adapter object,lines integer,examples integer,"
     "bytes integer,labels object?,text_bytes object?,chat object?,warnings array"},
    {"FileValidation", "file.validation",
     "file_id string,filename string,status string,status_details string?,format string?,kind string?,columns array?,"
     "lines integer?,examples integer,bytes integer,labels object?,label_count integer,label_counts array?,"
     "text_bytes object?,chat object?,tokens object?,tokens_error string?,duplicates object,conflicts object,"
     "overlap object?,errors array,error_count integer,warnings array,warning_count integer"},
    {"Job", "fine_tuning.job",
     "id string,created_at integer,model string,task string,recipe string,organization_id string,status string,"
     "training_file string,"
     "validation_file string?,seed integer,suffix string?,from_checkpoint string?,result_files array,"
     "hyperparameters object,error object?,fine_tuned_model string?,started_at integer?,finished_at integer?,"
     "trained_tokens integer?,estimated_finish integer?,restarts integer,attempts integer,pausing boolean,"
     "device string?,progress object?,integrations array?,"
     "metadata object?,method object,adapter object,dataset object,embedding object,evaluation object,"
     "checkpointing object,early_stopping object,scheduling object,exports array"},
    {"Estimate", "fine_tuning.job.estimate",
     "model string,fits boolean,reason string?,lower array?,suggestion object?,available_memory_bytes integer?,"
     "learns string?,steps integer?,examples integer?,tokens integer?,evaluations integer?,training_examples integer?,"
     "truncated_examples integer?,trainable_parameters integer?,adapted_modules integer?,peak_memory_bytes integer?,"
     "recomputes_activations boolean?,disk_bytes integer?,device string?,threads integer?,duration_seconds object?,"
     "measured object?,queue_wait_seconds number?,warnings array,job object"},
    {"Event", "fine_tuning.job.event",
     "id string,created_at integer,level string,message string,type string,data object?"},
    {"Metrics", "fine_tuning.job.metrics",
     "job_id string,status string,first_step integer?,last_step integer?,has_more boolean,series array"},
    {"Checkpoint", "fine_tuning.job.checkpoint",
     "id string,created_at integer,fine_tuned_model_checkpoint string,fine_tuning_job_id string,step_number integer,"
     "metrics object"},
    {"Model", "model",
     "id string,created integer,owned_by string,format string,usable boolean?,error object?,capabilities object?"},
    {"Capabilities", "capabilities",
     "job array,methods array,tasks array,recipes array,precisions array,exports array,devices array,limits object,"
     "models array"},
    {"Artifact", "fine_tuning.job.artifact",
     "id string,name string,created_at integer,bytes integer,sha256 string,file_id string?"},
    {"Export", "fine_tuning.job.export",
     "id string,job_id string,format string,status string,created_at integer,finished_at integer?,error object?"},
    {"ApiKey", "organization.admin_api_key",
     "id string,name string,tenant string,scope string,redacted_value string,value string?,created_at integer,"
     "expires_at integer?,revoked_at integer?,last_used_at integer?,replaced_by string?,owner object"},
    {"Tenant", "organization.tenant",
     "id string,created_at integer,queued_jobs integer,running_jobs integer,stored_bytes integer,"
     "queued_jobs_max integer?,running_jobs_max integer?,stored_bytes_max integer?"},
    {"AuditLog", "organization.audit_log",
     "id string,type string,effective_at integer,tenant string,actor object,object_id string?,result string,"
     "request_id string?"},
    {"Deleted", NULL, "id string,object string,deleted boolean"},
};

/* What an operation answers; one that is not listed answers some JSON object. */
static const struct {
  enum operation op;
  const char *schema; /* NULL: bytes */
  bool list;
} answers[] = {
    {OP_web_page, NULL, false},
    {OP_web_file, NULL, false},
    {OP_capabilities, "Capabilities", false},
    {OP_files_create, "File", false},
    {OP_files_list, "File", true},
    {OP_files_retrieve, "File", false},
    {OP_files_delete, "Deleted", false},
    {OP_files_content, NULL, false},
    {OP_uploads_create, "Upload", false},
    {OP_uploads_list, "Upload", true},
    {OP_uploads_retrieve, "Upload", false},
    {OP_parts_create, "UploadPart", false},
    {OP_parts_list, "UploadPart", true},
    {OP_uploads_complete, "Upload", false},
    {OP_uploads_cancel, "Upload", false},
    {OP_files_validation, "FileValidation", false},
    {OP_jobs_create, "Job", false},
    {OP_jobs_estimate, "Estimate", false},
    {OP_jobs_list, "Job", true},
    {OP_jobs_retrieve, "Job", false},
    {OP_jobs_cancel, "Job", false},
    {OP_jobs_pause, "Job", false},
    {OP_jobs_resume, "Job", false},
    {OP_jobs_checkpoint, "Job", false},
    {OP_jobs_events, "Event", true},
    {OP_jobs_metrics, "Metrics", false},
    {OP_jobs_checkpoints, "Checkpoint", true},
    {OP_jobs_logs, NULL, false},
    {OP_artifacts_list, "Artifact", true},
    {OP_artifacts_content, NULL, false},
    {OP_exports_create, "Export", true},
    {OP_exports_list, "Export", true},
    {OP_models_list, "Model", true},
    {OP_models_retrieve, "Model", false},
    {OP_models_delete, "Deleted", false},
    {OP_keys_list, "ApiKey", true},
    {OP_keys_create, "ApiKey", false},
    {OP_keys_retrieve, "ApiKey", false},
    {OP_keys_delete, "Deleted", false},
    {OP_keys_rotate, "ApiKey", false},
    {OP_tenants_list, "Tenant", true},
    {OP_tenants_retrieve, "Tenant", false},
    {OP_tenants_update, "Tenant", false},
    {OP_audit_list, "AuditLog", true},
};

static json_t *member_schema(const char *type, bool nullable) {
  if (type[0] >= 'A' && type[0] <= 'Z')
    return nullable ? json_pack("{s[o{ss}]}", "anyOf", ref(type), "type", "null") : ref(type);
  return nullable ? json_pack("{s[ss]}", "type", type, "null") : json_pack("{ss}", "type", type);
}

static json_t *shape_schema(struct builder *b, size_t index) {
  json_t *properties = json_object();
  if (shapes[index].object)
    set(b, properties, "object", json_pack("{ss}", "const", shapes[index].object));
  for (const char *at = shapes[index].members; *at;) {
    char name[40], type[16];
    int used = 0;
    CHECK(sscanf(at, "%39[^ ] %15[^,]%n", name, type, &used) == 2);
    bool nullable = type[strlen(type) - 1] == '?';
    if (nullable)
      type[strlen(type) - 1] = '\0';
    set(b, properties, name, member_schema(type, nullable));
    at += used;
    at += *at == ',';
  }
  return json_pack("{ss so}", "type", "object", "properties", properties);
}

static json_t *list_schema(const char *schema) {
  return json_pack("{ss s[sss] s{s{ss} s{ss so} s{s[ss]} s{s[ss]} s{ss}}}", "type", "object", "required", "object",
                   "data", "has_more", "properties", "object", "const", "list", "data", "type", "array", "items",
                   ref(schema), "first_id", "type", "string", "null", "last_id", "type", "string", "null", "has_more",
                   "type", "boolean");
}

static json_t *error_schema(void) {
  json_t *codes = json_array();
  for (int i = STATUS_OK + 1; i < STATUS_COUNT; i++)
    json_array_append_new(codes, json_string(status_code((enum status)i)));
  return json_pack("{ss s[s] s{s{ss s[ssss] s{s{ss} s{ss} s{s[ss]} s{so}}}}}", "type", "object", "required", "error",
                   "properties", "error", "type", "object", "required", "message", "type", "param", "code",
                   "properties", "message", "type", "string", "type", "type", "string", "param", "type", "string",
                   "null", "code", "enum", codes);
}

/* --- the job's body --------------------------------------------------------------------------- */

static void add_choices(struct builder *b, json_t *schema, const struct field *field) {
  json_t *names = set(b, schema, "enum", json_array());
  bool words = field->flags & FIELD_BOOL_WORDS;
  for (const char *const *name = field->choices; *name; name++) {
    bool truth = strcmp(*name, "true") == 0, word = words && (truth || strcmp(*name, "false") == 0);
    b->bad |= json_array_append_new(names, word ? json_boolean(truth) : json_string(*name)) != 0;
  }
  b->bad |= json_array_append_new(names, json_null()) != 0;
  if (words)
    set(b, schema, "type", json_pack("[sss]", "string", "boolean", "null"));
}

static json_t *field_schema(struct builder *b, const struct field *field) {
  bool required = field->flags & FIELD_REQUIRED;
  const char *type = field_schema_type(field->kind);
  json_t *schema = required ? json_pack("{ss}", "type", type) : json_pack("{s[ss]}", "type", type, "null");
  b->bad |= !field_schema_bounds(schema, field);
  if (field->kind == FIELD_STRING_LIST || field->kind == FIELD_INT_LIST)
    set(b, schema, "items", json_pack("{ss}", "type", field->kind == FIELD_INT_LIST ? "integer" : "string"));
  if (field->kind == FIELD_NUMBER_MAP)
    set(b, schema, "additionalProperties",
        json_pack("{ss sf sf}", "type", "number", "minimum", field->min, "maximum", field->max));
  if (field->kind == FIELD_CHOICE)
    add_choices(b, schema, field);
  if (field->flags & FIELD_AUTO)
    schema = json_pack("{s[oo]}", "anyOf", json_pack("{ss}", "const", "auto"), schema);
  if (!required)
    set(b, schema, "default", field_default_json(field));
  char doc[512];
  snprintf(doc, sizeof doc, "%s%s%s%s", field->doc, field->unit ? " In " : "", field->unit ? field->unit : "",
           field->unit ? "." : "");
  set(b, schema, "description", json_string(doc));
  return schema;
}

static json_t *table_schema(struct builder *b, const struct field_table *table) {
  json_t *properties = json_object(), *required = json_array();
  for (size_t i = 0; i < table->count; i++) {
    const struct field *field = &table->fields[i];
    set(b, properties, field->name, field_schema(b, field));
    if (field->flags & FIELD_REQUIRED)
      b->bad |= json_array_append_new(required, json_string(field->name)) != 0;
  }
  return json_pack("{ss sb so so}", "type", "object", "additionalProperties", 0, "required", required, "properties",
                   properties);
}

static json_t *adapter_schema(struct builder *b, enum peft_type type) {
  struct field rows[JOB_ADAPTER_ROWS];
  struct field_table table = job_adapter_fields(rows, method_of(type));
  json_t *schema = table_schema(b, &table), *properties = json_object_get(schema, "properties");
  static const char *const modules[] = {"target_modules", "exclude_modules"};
  json_t *name = set(b, properties, "peft_type", json_pack("{ss}", "const", method_of(type)->peft_type));
  if (type == PEFT_HRA)
    set(b, name, "default", json_string("HRA"));
  else
    b->bad |= json_array_append_new(json_object_get(schema, "required"), json_string("peft_type")) != 0;
  for (size_t i = 0; i < COUNT_OF(modules); i++)
    set(b, properties, modules[i],
        json_pack("{s[sss] s{ss} ss}", "type", "string", "array", "null", "items", "type", "string", "description",
                  "Names of modules (a suffix of the path is enough), a regular expression for the whole path, or "
                  "\"all-linear\"."));
  for (const struct method_fixed *fixed = method_of(type)->fixed; fixed->name; fixed++) {
    json_t *values = set(b, set(b, properties, fixed->name, json_object()), "enum", json_pack("[n]"));
    if (strcmp(fixed->value, "null") != 0)
      b->bad |= json_array_append_new(values, json_loads(fixed->value, JSON_DECODE_ANY, NULL)) != 0;
  }
  return schema;
}

static json_t *job_schema(struct builder *b) {
  json_t *schema = table_schema(b, &job_fields), *properties = json_object_get(schema, "properties");
  json_t *adapters = json_array();
  for (int i = 0; i < PEFT_COUNT; i++)
    b->bad |= json_array_append_new(adapters, adapter_schema(b, (enum peft_type)i)) != 0;
  set(b, properties, "method",
      json_pack("{ss s[s] s{s{ss} s{ss s{so}}}}", "type", "object", "required", "type", "properties", "type", "const",
                "supervised", "supervised", "type", "object", "properties", "hyperparameters",
                table_schema(b, &job_hyper_fields)));
  set(b, properties, "adapter", json_pack("{so}", "oneOf", adapters));
  for (size_t i = 0; i < JOB_SECTION_COUNT; i++)
    set(b, properties, job_sections[i].name, table_schema(b, &job_sections[i].fields));
  set(b, properties, "metadata",
      json_pack("{s[ss] si s{ss si}}", "type", "object", "null", "maxProperties", 16, "additionalProperties", "type",
                "string", "maxLength", 512));
  return schema;
}

/* --- operations ------------------------------------------------------------------------------- */

static json_t *content(const char *media_type, json_t *schema) {
  return json_pack("{s{s{so}}}", "content", media_type, "schema", schema);
}

/* Of answers that are bytes. */
static const char *media_type(enum operation op) {
  return op == OP_web_page ? "text/html" : op == OP_web_file ? "*/*" : "application/octet-stream";
}
/* The same in another form. */
static const struct {
  enum operation op;
  const char *media_type;
} forms[] = {{OP_jobs_events, "text/event-stream"}, {OP_jobs_metrics, "text/csv"}, {OP_jobs_logs, "text/plain"}};

static json_t *answer(enum operation op) {
  json_t *out = NULL;
  for (size_t i = 0; i < COUNT_OF(answers) && !out; i++)
    if (answers[i].op == op)
      out = !answers[i].schema ? content(media_type(op), json_object())
                               : content("application/json",
                                         answers[i].list ? list_schema(answers[i].schema) : ref(answers[i].schema));
  if (op == OP_metrics)
    out = content("text/plain", json_pack("{ss}", "type", "string"));
  if (!out)
    out = content("application/json", json_pack("{ss}", "type", "object"));
  for (size_t i = 0; i < COUNT_OF(forms); i++)
    if (forms[i].op == op)
      json_object_set_new(json_object_get(out, "content"), forms[i].media_type,
                          json_pack("{s{ss}}", "schema", "type", "string"));
  json_object_set_new(out, "description", json_string("Success"));
  return out;
}

static json_t *request_body(enum operation op) {
  json_t *body;
  if (op == OP_jobs_create || op == OP_jobs_estimate)
    body = content("application/json", ref("JobRequest"));
  else if (op == OP_exports_create)
    body = content("application/json", json_pack("{ss s[s] s{s{ss s{ss}}}}", "type", "object", "required", "exports",
                                                 "properties", "exports", "type", "array", "items", "type", "string"));
  else if (op == OP_files_create)
    body = content("multipart/form-data",
                   json_pack("{ss s[ss] s{s{ss} s{ss ss}}}", "type", "object", "required", "purpose", "file",
                             "properties", "purpose", "type", "string", "file", "type", "string", "format", "binary"));
  else if (op == OP_uploads_create)
    body = content("application/json",
                   json_pack("{ss s[sss] s{s{ss si} s{ss si si} s{ss} s{s[ss]} s{ss s[ss] s{s{ss} s{ss si si}}}}}",
                             "type", "object", "required", "bytes", "filename", "purpose", "properties", "bytes",
                             "type", "integer", "minimum", 0, "filename", "type", "string", "minLength", 1, "maxLength",
                             255, "purpose", "const", "fine-tune", "mime_type", "type", "string", "null",
                             "expires_after", "type", "object", "required", "anchor", "seconds", "properties", "anchor",
                             "const", "created_at", "seconds", "type", "integer", "minimum", 3600, "maximum", 2592000));
  else if (op == OP_parts_create)
    body = content("multipart/form-data", json_pack("{ss s[s] s{s{ss ss}}}", "type", "object", "required", "data",
                                                    "properties", "data", "type", "string", "format", "binary"));
  else if (op == OP_uploads_complete)
    body = content("application/json",
                   json_pack("{ss s[s] s{s{ss s{ss} si} s{s[ss] ss}}}", "type", "object", "required", "part_ids",
                             "properties", "part_ids", "type", "array", "items", "type", "string", "maxItems", 100000,
                             "md5", "type", "string", "null", "pattern", "^[0-9a-fA-F]{32}$"));
  else if (op == OP_keys_create)
    body = content("application/json",
                   json_pack("{ss s[s] s{s{ss} s{ss s[sss] ss} s{ss si}}}", "type", "object", "required", "name",
                             "properties", "name", "type", "string", "scope", "type", "string", "enum", "read",
                             "submit", "admin", "default", "submit", "expires_in_s", "type", "integer", "minimum", 0));
  else if (op == OP_tenants_update)
    body =
        content("application/json", json_pack("{ss s{s{s[ss]} s{s[ss]} s{s[ss]}}}", "type", "object", "properties",
                                              "queued_jobs_max", "type", "integer", "null", "running_jobs_max", "type",
                                              "integer", "null", "stored_bytes_max", "type", "integer", "null"));
  else
    return NULL;
  json_object_set_new(body, "required", json_true());
  return body;
}

static bool answers_list(enum operation op) {
  for (size_t i = 0; i < COUNT_OF(answers); i++)
    if (answers[i].op == op)
      return answers[i].list;
  return false;
}

/* Of the query, beside those that all lists have. `min` and `max` 0: any. */
static const struct {
  enum operation op;
  const char *name, *type;
  int64_t min, max;
  const char *doc;
} queries[] = {
    {OP_jobs_events, "stream", "boolean", 0, 0,
     "Server-sent events: all that is stored after `after` or Last-Event-ID, then what comes (metrics, log, checkpoint "
     "with the event's number as id; status, progress: the job as it stands), until `end`."},
    {OP_jobs_metrics, "from_step", "integer", 0, INT64_MAX, "The first step."},
    {OP_jobs_metrics, "to_step", "integer", 0, INT64_MAX, "The last step."},
    {OP_jobs_metrics, "names", "string", 0, 0, "Series, separated by commas; without it all."},
    {OP_jobs_metrics, "max_points", "integer", 4, 10000,
     "Of a series; where it has more, its ends and each part's least and greatest stay."},
    {OP_jobs_metrics, "format", "string", 0, 0, "`json` or `csv`; without it as Accept says."},
};

static void add_queries(struct builder *b, json_t *out, enum operation op) {
  for (size_t i = 0; i < COUNT_OF(queries); i++) {
    if (queries[i].op != op)
      continue;
    json_t *schema = json_pack("{ss}", "type", queries[i].type);
    if (queries[i].max) {
      set(b, schema, "minimum", json_integer(queries[i].min));
      set(b, schema, "maximum", json_integer(queries[i].max));
    }
    b->bad |= json_array_append_new(out, json_pack("{ss ss so ss}", "name", queries[i].name, "in", "query", "schema",
                                                   schema, "description", queries[i].doc)) != 0;
  }
}

static json_t *parameters(struct builder *b, enum operation op) {
  json_t *out = json_array();
  char name[32];
  for (const char *at = endpoint_of(op)->path; (at = strchr(at, '{')); at++) {
    snprintf(name, sizeof name, "%.*s", (int)(strcspn(at, "}") - 1), at + 1);
    b->bad |= json_array_append_new(out, json_pack("{ss ss sb s{ss}}", "name", name, "in", "path", "required", 1,
                                                   "schema", "type", "string")) != 0;
  }
  if (endpoint_of(op)->scope != SCOPE_OPEN)
    b->bad |= json_array_append_new(out, json_pack("{ss ss s{ss} ss}", "name", "X-Reflectd-Tenant", "in", "header",
                                                   "schema", "type", "string", "description",
                                                   "For operators: whose things it is about.")) != 0;
  if (op == OP_jobs_create)
    b->bad |= json_array_append_new(out, json_pack("{ss ss s{ss sb} ss}", "name", "dry_run", "in", "query", "schema",
                                                   "type", "boolean", "default", 0, "description",
                                                   "Only judge the job and answer with an Estimate; nothing is "
                                                   "created.")) != 0;
  static const struct {
    const char *name, *type, *doc;
  } surveyed[] = {{"model", "string", "Id of a base model whose tokens are counted."},
                  {"against", "string", "Id of another file, whose texts this one should not have."},
                  {"max_seq_length", "integer", "Examples with more tokens are counted."},
                  {"task", "string", "As of a job, like the names of columns: text, text_pair, label, labels, ..."},
                  {"text", "string", "Column of the text."},
                  {"label", "string", "Column of the label."}};
  for (size_t i = 0; op == OP_files_validation && i < COUNT_OF(surveyed); i++)
    b->bad |=
        json_array_append_new(out, json_pack("{ss ss s{ss} ss}", "name", surveyed[i].name, "in", "query", "schema",
                                             "type", surveyed[i].type, "description", surveyed[i].doc)) != 0;
  if (answers_list(op) && op != OP_models_list && op != OP_tenants_list && op != OP_artifacts_list &&
      op != OP_exports_list && op != OP_exports_create) {
    b->bad |=
        json_array_append_new(out, json_pack("{ss ss s{ss} ss}", "name", "after", "in", "query", "schema", "type",
                                             "string", "description", "Id of the last item of the page before.")) != 0;
    b->bad |= json_array_append_new(out, json_pack("{ss ss s{ss si}}", "name", "limit", "in", "query", "schema", "type",
                                                   "integer", "minimum", 1)) != 0;
  }
  add_queries(b, out, op);
  return out;
}

/* --- failures --------------------------------------------------------------------------------- */

/* When an HTTP status can be that of a failure: all that is named must hold. */
enum { ANY = 0, KEYED = 1, NAMED = 2, BODIED = 4, ORDERED = 8, LIMITED = 16, RANGED = 32 };
static const struct {
  int http;
  unsigned when;
} failures[] = {{400, ANY},    {401, KEYED},  {403, ANY}, {404, NAMED},  {405, ANY},    {408, ANY},    {409, ORDERED},
                {411, BODIED}, {413, BODIED}, {414, ANY}, {415, BODIED}, {416, RANGED}, {422, BODIED}, {429, ANY},
                {431, ANY},    {500, ANY},    {503, ANY}, {505, ANY},    {507, LIMITED}};

static unsigned conditions(const struct endpoint *endpoint, enum operation op, bool body) {
  bool writes = endpoint->method != HTTP_GET, named = strchr(endpoint->path, '{');
  bool bytes = op == OP_files_content || op == OP_artifacts_content || op == OP_jobs_logs;
  return (endpoint->scope != SCOPE_OPEN ? KEYED : 0) | (named ? NAMED : 0) | (body ? BODIED : 0) |
         (writes && named ? ORDERED : 0) | (writes ? LIMITED : 0) | (bytes ? RANGED : 0);
}

static json_t *failure_ref(int http) {
  char path[48];
  snprintf(path, sizeof path, "#/components/responses/%d", http);
  return json_pack("{ss}", "$ref", path);
}

/* Each names the codes that come with it. */
static json_t *failure_responses(struct builder *b) {
  json_t *out = json_object();
  for (size_t i = 0; i < COUNT_OF(failures); i++) {
    char name[8], text[1024] = "";
    for (int s = STATUS_OK + 1; s < STATUS_COUNT; s++)
      if (status_http((enum status)s) == failures[i].http)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s`%s`", text[0] ? ", " : "",
                 status_code((enum status)s));
    snprintf(name, sizeof name, "%d", failures[i].http);
    json_t *response = set(b, out, name, content("application/json", ref("Error")));
    set(b, response, "description", json_string(text));
    if (failures[i].http == 429 || failures[i].http == 503)
      set(b, response, "headers",
          json_pack("{s{ss s{ss}}}", "Retry-After", "description", "Seconds to wait, where waiting helps", "schema",
                    "type", "integer"));
  }
  return out;
}

static void add_failures(struct builder *b, json_t *responses, unsigned when) {
  for (size_t i = 0; i < COUNT_OF(failures); i++) {
    char name[8];
    snprintf(name, sizeof name, "%d", failures[i].http);
    if ((failures[i].when & when) == failures[i].when)
      set(b, responses, name, failure_ref(failures[i].http));
  }
}

static json_t *operation(struct builder *b, enum operation op) {
  const struct endpoint *endpoint = endpoint_of(op);
  json_t *out = json_pack("{ss ss so so s{so so}}", "operationId", endpoint->operation, "summary", endpoint->summary,
                          "parameters", parameters(b, op), "security", json_array(), "responses", "200", answer(op),
                          "default", content("application/json", ref("Error")));
  json_object_set_new(json_object_get(json_object_get(out, "responses"), "default"), "description",
                      json_string("Any failure"));
  if (endpoint->scope != SCOPE_OPEN)
    b->bad |= json_array_append_new(json_object_get(out, "security"),
                                    json_pack("{s[s]}", "bearer", scope_name(endpoint->scope))) != 0;
  json_t *body = request_body(op);
  if (body)
    set(b, out, "requestBody", body);
  add_failures(b, json_object_get(out, "responses"), conditions(endpoint, op, body != NULL));
  return out;
}

static json_t *paths(struct builder *b) {
  json_t *out = json_object();
  for (int op = 0; op < OP_COUNT; op++) {
    const struct endpoint *endpoint = endpoint_of((enum operation)op);
    char method[8] = "";
    const char *upper = http_method_name(endpoint->method);
    for (size_t i = 0; upper[i] && i + 1 < sizeof method; i++)
      method[i] = (char)(upper[i] | 0x20);
    json_t *item = json_object_get(out, endpoint->path);
    if (!item)
      item = set(b, out, endpoint->path, json_object());
    set(b, item, method, operation(b, (enum operation)op));
  }
  return out;
}

json_t *openapi_document(void) {
  struct builder b = {0};
  json_t *schemas = json_pack("{so so}", "Error", error_schema(), "JobRequest", job_schema(&b));
  for (size_t i = 0; i < COUNT_OF(shapes); i++)
    set(&b, schemas, shapes[i].name, shape_schema(&b, i));
  json_t *out = json_pack("{ss s{ss ss ss} so s{so so s{s{ss ss}}}}", "openapi", "3.1.0", "info", "title", "reflectd",
                          "version", REFLECTD_VERSION, "description", "Fine-tuning jobs, OpenAI-shaped.", "paths",
                          paths(&b), "components", "schemas", schemas, "responses", failure_responses(&b),
                          "securitySchemes", "bearer", "type", "http", "scheme", "bearer");
  if (out && !b.bad)
    return out;
  json_decref(out);
  return NULL;
}
