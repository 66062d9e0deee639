/* Builds the document top-down. */
#include "api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "api/body.h"
#include "api/generation_body.h"
#include "api/openapi_parts.h"
#include "api/page.h"

static json_t *set(struct builder *b, json_t *object, const char *key, json_t *value) {
  return openapi_set(b, object, key, value);
}

static json_t *content(const char *media_type, json_t *schema) {
  return json_pack("{s{s{so}}}", "content", media_type, "schema", schema);
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

/* --- what is sent ----------------------------------------------------------------------------- */

/* A multipart body; `file` comes last in a client's, in any place here. */
static json_t *upload_schema(void) {
  return json_pack("{ss s[ss] sb s{s{s[s]} s{ss ss} s{s[s]} s{ss si si}} s{s[s] s[s]}}", "type", "object", "required",
                   "purpose", "file", "additionalProperties", 0, "properties", "purpose", "enum", "fine-tune", "file",
                   "type", "string", "format", "binary", "expires_after[anchor]", "enum", "created_at",
                   "expires_after[seconds]", "type", "integer", "minimum", 3600, "maximum", 2592000,
                   "dependentRequired", "expires_after[anchor]", "expires_after[seconds]", "expires_after[seconds]",
                   "expires_after[anchor]");
}

static json_t *body_schema(struct builder *b, enum operation op, const struct field_table *table) {
  json_t *schema = openapi_table_schema(b, table);
  if (op != OP_uploads_create)
    return schema;
  json_t *after = openapi_table_schema(b, &upload_expiry_fields);
  set(b, after, "type", json_pack("[ss]", "object", "null"));
  set(b, json_object_get(schema, "properties"), "expires_after", after);
  return schema;
}

static json_t *part_schema(void) {
  return json_pack("{ss s[s] sb s{s{ss ss}}}", "type", "object", "required", "data", "additionalProperties", 0,
                   "properties", "data", "type", "string", "format", "binary");
}

/* What may be changed of a job that exists, and of one that is made like it. */
static json_t *update_schema(void) {
  return json_pack("{ss sb s{s{s[ss]} s{s[ss]} s{s[ss]} s{ss sb s{s{ss si si} s{s[ss] ss}}}}}", "type", "object",
                   "additionalProperties", 0, "properties", "display_name", "type", "string", "null", "suffix", "type",
                   "string", "null", "metadata", "type", "object", "null", "scheduling", "type", "object",
                   "additionalProperties", 0, "properties", "priority", "type", "integer", "minimum", -100, "maximum",
                   100, "before", "type", "string", "null", "description",
                   "Id of a queued job of the same priority, or \"all\"; null: behind all.");
}

static json_t *clone_schema(void) {
  return json_pack("{ss ss}", "type", "object", "description",
                   "Members of a JobRequest that differ, as a JSON merge patch.");
}

/* A body whose members may all be absent may be absent itself. */
static json_t *request_body(struct builder *b, enum operation op) {
  const struct field_table *table = body_fields(op);
  bool job = op == OP_jobs_create || op == OP_jobs_estimate;
  bool asks = generation_body_fields(op) != NULL;
  json_t *body = job                      ? content("application/json", openapi_ref("schemas", "JobRequest"))
                 : op == OP_jobs_clone    ? content("application/json", clone_schema())
                 : asks                   ? content("application/json", openapi_generation_schema(b, op))
                 : op == OP_sweeps_create ? content("application/json", openapi_sweep_schema(b))
                 : op == OP_jobs_update || op == OP_jobs_modify ? content("application/json", update_schema())
                 : op == OP_files_create                        ? content("multipart/form-data", upload_schema())
                 : op == OP_parts_create                        ? content("multipart/form-data", part_schema())
                 : table                                        ? content("application/json", body_schema(b, op, table))
                                                                : NULL;
  if (body)
    set(b, body, "required", json_boolean(op != OP_jobs_clone && (!table || body_required(table))));
  return body;
}

/* Of what names in paths can be; any other is a string that is not empty. */
static json_t *path_schema(const char *name) {
  if (strcmp(name, "tenant") == 0)
    return json_pack("{ss ss}", "type", "string", "pattern", "^[a-z0-9][a-z0-9-]{0,62}$");
  return json_pack("{ss si}", "type", "string", "minLength", 1);
}

static void add_parameter(struct builder *b, json_t *list, const char *in, const char *name, json_t *schema,
                          const char *description) {
  json_t *out = openapi_append(b, list, json_pack("{ss ss so}", "name", name, "in", in, "schema", schema));
  if (strcmp(in, "path") == 0)
    set(b, out, "required", json_true());
  if (description)
    set(b, out, "description", json_string(description));
}

/* The next "{name}" of a path: what follows it, or NULL. */
static const char *path_parameter(char name[32], const char *path) {
  const char *at = strchr(path, '{');
  if (!at)
    return NULL;
  snprintf(name, 32, "%.*s", (int)(strcspn(at, "}") - 1), at + 1);
  return strchr(at, '}');
}

static void add_page(struct builder *b, json_t *list, const struct page_rule *rule) {
  json_t *limit =
      json_pack("{ss si si si}", "type", "integer", "minimum", 1, "maximum", rule->limit_max, "default", rule->limit);
  json_t *order = json_pack("{s[s] ss}", "enum", "desc", "default", "desc");
  if (rule->both_orders)
    openapi_append(b, json_object_get(order, "enum"), json_string("asc"));
  add_parameter(b, list, "query", "after", json_pack("{ss}", "type", "string"),
                "Id of the last item of the page before.");
  add_parameter(b, list, "query", "limit", limit, "How many items.");
  add_parameter(b, list, "query", "order", order, "By age: desc has the newest first.");
}

/* What may stand in a query, beside the members of a page. */
static const struct {
  enum operation op;
  const char *name, *type;
  int64_t min, max; /* both 0: any */
  const char *doc;
} queries[] = {
    {OP_files_list, "purpose", "string", 0, 0, "Files of that purpose alone."},
    {OP_jobs_create, "dry_run", "boolean", 0, 0, "Only judge the job and answer with an Estimate; nothing is created."},
    {OP_jobs_list, "sweep", "string", 0, 0, "Jobs of that sweep alone; not together with metadata."},
    {OP_sweeps_create, "dry_run", "boolean", 0, 0,
     "Only judge the jobs and answer with a SweepEstimate; nothing is created."},
    {OP_sweeps_retrieve, "stream", "boolean", 0, 0,
     "Server-sent events: status, the sweep as it stands, whenever something of it has changed, until `end`."},
    {OP_sweeps_delete, "keep_jobs", "boolean", 0, 0, "Delete the sweep alone: its jobs stay, as jobs of no sweep."},
    {OP_sweeps_results, "format", "string", 0, 0, "`json`, `csv` or `markdown`; without it as Accept says."},
    {OP_jobs_events, "stream", "boolean", 0, 0,
     "Server-sent events: all that is stored after `after` or Last-Event-ID, then what comes (metrics, log, checkpoint "
     "with the event's number as id; status, progress: the job as it stands), until `end`."},
    {OP_jobs_logs, "tail", "integer", 0, 10000, "Only so many of the last lines."},
    {OP_jobs_logs, "follow", "boolean", 0, 0, "Goes on with what is written, until the job has ended."},
    {OP_jobs_metrics, "from_step", "integer", 0, INT64_MAX, "The first step."},
    {OP_jobs_metrics, "to_step", "integer", 0, INT64_MAX, "The last step."},
    {OP_jobs_metrics, "names", "string", 0, 0, "Series, separated by commas; without it all."},
    {OP_jobs_metrics, "max_points", "integer", 4, 10000,
     "Of a series; where it has more, its ends and each part's least and greatest stay."},
    {OP_jobs_metrics, "format", "string", 0, 0, "`json` or `csv`; without it as Accept says."},
    {OP_jobs_telemetry, "from_step", "integer", 0, INT64_MAX, "The first step."},
    {OP_files_validation, "model", "string", 0, 0, "Id of a base model whose tokens are counted."},
    {OP_files_validation, "against", "string", 0, 0, "Id of another file, whose texts this one should not have."},
    {OP_files_validation, "max_seq_length", "integer", 4, 131072, "Examples with more tokens are counted."},
    {OP_files_validation, "task", "string", 0, 0,
     "As of a job, like the names of columns: text, text_pair, label, ..."},
    {OP_files_validation, "text", "string", 0, 0, "Column of the text."},
    {OP_files_validation, "label", "string", 0, 0, "Column of the label."},
};

static void add_queries(struct builder *b, json_t *list, enum operation op) {
  for (size_t i = 0; i < COUNT_OF(queries); i++) {
    if (queries[i].op != op)
      continue;
    json_t *schema = json_pack("{ss}", "type", queries[i].type);
    if (op == OP_sweeps_results)
      set(b, schema, "enum", json_pack("[sss]", "json", "csv", "markdown"));
    if (op == OP_jobs_metrics && strcmp(queries[i].name, "format") == 0)
      set(b, schema, "enum", json_pack("[ss]", "json", "csv"));
    if (queries[i].max) {
      set(b, schema, "minimum", json_integer(queries[i].min));
      set(b, schema, "maximum", json_integer(queries[i].max));
    }
    add_parameter(b, list, "query", queries[i].name, schema, queries[i].doc);
  }
}

static json_t *parameters(struct builder *b, enum operation op) {
  json_t *out = json_array();
  char name[32];
  for (const char *at = endpoint_of(op)->path; (at = path_parameter(name, at));)
    add_parameter(b, out, "path", name, path_schema(name), NULL);
  if (endpoint_of(op)->scope != SCOPE_OPEN)
    add_parameter(b, out, "header", "X-Reflectd-Tenant", path_schema("tenant"),
                  "For operators: whose things it is about.");
  if (op == OP_jobs_create || op == OP_jobs_clone || op == OP_sweeps_create || op == OP_files_create)
    add_parameter(b, out, "header", "Idempotency-Key",
                  json_pack("{ss si si}", "type", "string", "minLength", 1, "maxLength", 255),
                  "A repeated request with the same key is answered with what the first one made, for a day; with "
                  "another body it is refused. Of a file the body is its bytes, its name and the other fields.");
  add_queries(b, out, op);
  if (page_rule_of(op))
    add_page(b, out, page_rule_of(op));
  return out;
}

/* --- links ------------------------------------------------------------------------------------ */

/* From what `op` answers to `target`: every parameter of the target's path is in the answer or in the path of `op`, and
   one at least is in the answer. NULL: it does not lead there. */
static json_t *link_to(struct builder *b, enum operation op, enum operation target) {
  json_t *values = json_object();
  char name[32], pointer[32], value[64];
  bool answered = false;
  for (const char *at = endpoint_of(target)->path; values && (at = path_parameter(name, at));) {
    char segment[40];
    snprintf(segment, sizeof segment, "{%s}", name);
    bool here = openapi_answer_names(pointer, op, name);
    if (here)
      snprintf(value, sizeof value, "$response.body#%s", pointer);
    else if (strstr(endpoint_of(op)->path, segment))
      snprintf(value, sizeof value, "$request.path.%s", name);
    else {
      json_decref(values);
      return NULL;
    }
    answered |= here;
    set(b, values, name, json_string(value));
  }
  if (answered)
    return json_pack("{ss so}", "operationId", endpoint_of(target)->operation, "parameters", values);
  json_decref(values);
  return NULL;
}

/* What was made, and the newest of a list, can be used. */
static void add_links(struct builder *b, json_t *answer, enum operation op) {
  json_t *links = json_object();
  for (int target = 0; target < OP_COUNT; target++) {
    json_t *link = target == (int)op ? NULL : link_to(b, op, (enum operation)target);
    if (link)
      set(b, links, endpoint_of((enum operation)target)->operation, link);
  }
  if (json_object_size(links) > 0)
    set(b, answer, "links", links);
  else
    json_decref(links);
}

/* --- failures --------------------------------------------------------------------------------- */

/* When an HTTP status can be that of a failure: all that is named must hold. */
enum { ANY = 0, KEYED = 1, NAMED = 2, BODIED = 4, ORDERED = 8, LIMITED = 16, RANGED = 32 };
static const struct {
  int http;
  unsigned when;
} failures[] = {{400, ANY},    {401, KEYED},  {403, ANY},    {404, KEYED}, {405, ANY},    {408, ANY},    {409, ORDERED},
                {411, BODIED}, {412, RANGED}, {413, BODIED}, {414, ANY},   {415, BODIED}, {416, RANGED}, {422, BODIED},
                {429, ANY},    {431, ANY},    {500, ANY},    {503, ANY},   {505, ANY},    {507, LIMITED}};

static unsigned conditions(const struct endpoint *endpoint, enum operation op, bool body) {
  bool writes = endpoint->method != HTTP_GET, named = strchr(endpoint->path, '{');
  return (endpoint->scope != SCOPE_OPEN ? KEYED : 0) | (named ? NAMED : 0) | (body ? BODIED : 0) |
         (writes && named ? ORDERED : 0) | (writes ? LIMITED : 0) | (openapi_answers_bytes(op) ? RANGED : 0);
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
    json_t *response = set(b, out, name, content("application/json", openapi_ref("schemas", "Error")));
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
      set(b, responses, name, openapi_ref("responses", name));
  }
}

static json_t *operation(struct builder *b, enum operation op) {
  const struct endpoint *endpoint = endpoint_of(op);
  json_t *answer = openapi_answer(b, op), *any = content("application/json", openapi_ref("schemas", "Error"));
  set(b, answer, "description", json_string("Success"));
  add_links(b, answer, op);
  set(b, any, "description", json_string("Any failure"));
  json_t *out =
      json_pack("{ss ss so so s{so so}}", "operationId", endpoint->operation, "summary", endpoint->summary,
                "parameters", parameters(b, op), "security", json_array(), "responses", "200", answer, "default", any);
  if (endpoint->scope != SCOPE_OPEN)
    openapi_append(b, json_object_get(out, "security"), json_pack("{s[s]}", "bearer", scope_name(endpoint->scope)));
  json_t *body = request_body(b, op);
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
  json_t *schemas = json_pack("{so so}", "Error", error_schema(), "JobRequest", openapi_job_schema(&b));
  openapi_add_shapes(&b, schemas);
  json_t *out = json_pack("{ss s{ss ss ss} so s{so so s{s{ss ss}}}}", "openapi", "3.1.0", "info", "title", "reflectd",
                          "version", REFLECTD_VERSION, "description", "Fine-tuning jobs, OpenAI-shaped.", "paths",
                          paths(&b), "components", "schemas", schemas, "responses", failure_responses(&b),
                          "securitySchemes", "bearer", "type", "http", "scheme", "bearer");
  if (out && !b.bad)
    return out;
  json_decref(out);
  return NULL;
}
