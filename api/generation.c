#include "api/generation.h"

#include <string.h>

#include "base/json.h"

static const char *const kinds[] = {
    [GENERATION_CHAT] = "chat",           [GENERATION_COMPLETION] = "completion",
    [GENERATION_EMBEDDING] = "embedding", [GENERATION_CLASSIFICATION] = "classification",
    [GENERATION_IMAGE] = "image",         NULL};

const char *const generation_prompt_names[] = {[GENERATION_CHAT] = "messages",
                                               [GENERATION_COMPLETION] = "prompt",
                                               [GENERATION_EMBEDDING] = "input",
                                               [GENERATION_CLASSIFICATION] = "input",
                                               [GENERATION_IMAGE] = "prompt"};
const char *const generation_finish_names[] = {[FINISH_STOP] = "stop",
                                               [FINISH_LENGTH] = "length",
                                               [FINISH_CANCELLED] = "cancelled",
                                               [FINISH_TOOL_CALLS] = "tool_calls",
                                               NULL};

const char *const image_scheduler_names[] = {[IMAGE_SCHEDULER_AUTO] = "auto",
                                             [IMAGE_SCHEDULER_DDIM] = "DDIMScheduler",
                                             [IMAGE_SCHEDULER_DPM] = "DPMSolverMultistepScheduler",
                                             [IMAGE_SCHEDULER_PNDM] = "PNDMScheduler",
                                             [IMAGE_SCHEDULER_EULER] = "EulerDiscreteScheduler",
                                             NULL};

enum { NAME_BYTES = 128, TEXT_BYTES = GENERATION_LINE_MAX };

/* --- lines to the worker -------------------------------------------------------------------------- */

#define AT(member) offsetof(struct generation_request, member)
#define HOW(member) offsetof(struct generation_request, sampling.member)
static const struct field request_rows[] = {
    {"id", NULL, FIELD_INT, AT(id), FIELD_REQUIRED, .min = 1, .max = 0x1p53},
    {"kind", NULL, FIELD_CHOICE, AT(kind), FIELD_REQUIRED, .choices = kinds},
    {"adapter", NULL, FIELD_STRING, AT(adapter), .min = 1, .max = NAME_BYTES},
    {"chat_template", NULL, FIELD_STRING, AT(chat_template), .min = 1, .max = 1 << 18},
    {"prompt", NULL, FIELD_STRING, AT(prompt), .max = TEXT_BYTES},
    {"prompt_pair", NULL, FIELD_STRING, AT(prompt_pair), .max = TEXT_BYTES},
    {"prompt_ids", NULL, FIELD_INT_LIST, AT(prompt_ids), .max = TEXT_BYTES},
    {"pooling", NULL, FIELD_CHOICE, AT(pooling), .choices = job_pooling_names, .initial = "auto"},
    {"max_tokens", NULL, FIELD_INT, AT(max_tokens), .max = 1 << 24},
    {"stop", NULL, FIELD_STRING_LIST, AT(stop), .max = GENERATION_STOP_MAX},
    {"temperature", NULL, FIELD_NUMBER, HOW(temperature), .max = 2, .initial = "1"},
    {"top_p", NULL, FIELD_NUMBER, HOW(top_p), FIELD_EXCLUSIVE, .max = 1, .initial = "1"},
    {"top_k", NULL, FIELD_INT, HOW(top_k), .max = 1 << 24},
    {"min_p", NULL, FIELD_NUMBER, HOW(min_p), .max = 1},
    {"repetition_penalty", NULL, FIELD_NUMBER, HOW(repetition_penalty), FIELD_EXCLUSIVE, .max = 10, .initial = "1"},
    {"presence_penalty", NULL, FIELD_NUMBER, HOW(presence_penalty), .min = -2, .max = 2},
    {"frequency_penalty", NULL, FIELD_NUMBER, HOW(frequency_penalty), .min = -2, .max = 2},
    {"logit_bias", NULL, FIELD_NUMBER_MAP, HOW(logit_bias), .min = -100, .max = 100},
    {"seed", NULL, FIELD_INT, HOW(seed), .max = 0x1p53},
    {"negative_prompt", NULL, FIELD_STRING, AT(image.negative_prompt), .max = TEXT_BYTES},
    {"conditioning_image", NULL, FIELD_STRING, AT(image.conditioning_image), .max = GENERATION_HINT_BYTES},
    {"width", NULL, FIELD_INT, AT(image.width), .max = GENERATION_IMAGE_SIDE_MAX},
    {"height", NULL, FIELD_INT, AT(image.height), .max = GENERATION_IMAGE_SIDE_MAX},
    {"num_inference_steps", NULL, FIELD_INT, AT(image.num_inference_steps), .max = GENERATION_STEPS_MAX},
    {"guidance_scale", NULL, FIELD_NUMBER, AT(image.guidance_scale), .max = 1000},
    {"scheduler", NULL, FIELD_CHOICE, AT(image.scheduler), .choices = image_scheduler_names},
    {"logprobs", NULL, FIELD_BOOL, AT(logprobs), .initial = "false"},
    {"top_logprobs", NULL, FIELD_INT, AT(top_logprobs), .max = GENERATION_TOP_LOGPROBS_MAX},
};
#undef HOW
#undef AT
static const struct field_table request_fields = {.fields = request_rows, .count = COUNT_OF(request_rows)};

static json_t *request_json(const struct generation_request *request) {
  json_t *out = field_write(&request_fields, request);
  bool bad = request->messages && json_object_set(out, "messages", request->messages);
  bad |= request->tools && json_object_set(out, "tools", request->tools);
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}

static json_t *line_json(const struct generation_line *line) {
  switch (line->kind) {
  case GENERATION_LINE_REQUEST: return json_pack("{so}", "request", request_json(&line->request));
  case GENERATION_LINE_CANCEL: return json_pack("{sI}", "cancel", (json_int_t)line->id);
  case GENERATION_LINE_FORGET: return json_pack("{ss}", "forget", line->adapter);
  }
  CHECK(!"a kind of line");
}

bool generation_line_write(struct str *out, const struct generation_line *line) {
  AUTO(json_release) json_t *object = line_json(line);
  AUTO(str_done) struct str text;
  str_init(&text, GENERATION_LINE_MAX);
  return object && json_append(&text, object) && str_putc(&text, '\n') && str_add(out, text.text, text.length);
}

/* The name of one folder: an adapter's. */
static bool is_folder(const char *name) {
  return name[0] && name[0] != '.' && strlen(name) <= NAME_BYTES && !strchr(name, '/');
}

/* What is asked, and what of it belongs to its kind. */
static void check_request(const struct generation_request *request, struct fault_list *faults) {
  const struct image_options *image = &request->image;
  if (request->kind == GENERATION_IMAGE && (image->num_inference_steps < 1 || !request->prompt))
    fault_add(faults, STATUS_MISSING_PARAMETER, "prompt", "an image needs prompt and num_inference_steps");
  if (image->width * image->height > GENERATION_IMAGE_PIXELS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "size", "an image has at most %d pixels", GENERATION_IMAGE_PIXELS_MAX);
  bool chat = request->kind == GENERATION_CHAT, ids = request->prompt_ids.count > 0;
  if (request->adapter && !is_folder(request->adapter))
    fault_add(faults, STATUS_INVALID_VALUE, "adapter", "adapter must be the name of a folder");
  if (chat && json_array_size(request->messages) == 0)
    fault_add(faults, STATUS_MISSING_PARAMETER, "messages", "messages is required, an array that is not empty");
  if (!chat && !request->prompt == !ids)
    fault_add(faults, STATUS_MISSING_PARAMETER, "prompt", "one of prompt and prompt_ids is required");
  if (request->tools && !json_is_array(request->tools))
    fault_add(faults, STATUS_INVALID_VALUE, "tools", "tools must be an array, not %s", json_kind(request->tools));
  for (size_t i = 0; i < request->stop.count; i++)
    if (strlen(request->stop.item[i]) < 1 || strlen(request->stop.item[i]) > GENERATION_STOP_BYTES)
      fault_add(faults, STATUS_INVALID_VALUE, "stop", "stop[%zu] must have 1 to %d bytes", i, GENERATION_STOP_BYTES);
  if (request->sampling.logit_bias.count > GENERATION_LOGIT_BIAS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "logit_bias", "logit_bias must have at most %d members",
              GENERATION_LOGIT_BIAS_MAX);
}

static enum status parse_request(struct generation_request *out, const json_t *object, struct arena *arena,
                                 struct error *err) {
  static const char *const elsewhere[] = {"messages", "tools", NULL};
  struct fault_list faults = {0};
  field_read(&request_fields, out, object, "", elsewhere, arena, &faults);
  out->messages = json_object_get(object, "messages");
  out->tools = json_object_get(object, "tools");
  check_request(out, &faults);
  if (faults.count == 0)
    return STATUS_OK;
  return error_set(err, faults.item[0].status, faults.item[0].param, "%s", faults.item[0].text);
}

enum status generation_line_parse(struct generation_line *out, json_t **document, const char *text, size_t length,
                                  struct arena *arena, struct error *err) {
  static const struct json_limits limits = {.bytes_max = GENERATION_LINE_MAX, .values_max = 1 << 20};
  *out = (struct generation_line){0};
  enum status status = json_parse(document, text, length, &limits, err);
  if (status)
    return status;
  const json_t *request = json_object_get(*document, "request"), *forget = json_object_get(*document, "forget");
  if (request)
    return parse_request(&out->request, request, arena, err);
  if (forget) {
    out->kind = GENERATION_LINE_FORGET;
    out->adapter = json_string_value(forget);
    if (!out->adapter || !is_folder(out->adapter))
      return error_set(err, STATUS_INVALID_VALUE, "forget", "forget must be the name of a folder");
    out->adapter = arena_string(arena, out->adapter);
    return out->adapter ? STATUS_OK : error_no_memory(err, "a line");
  }
  out->kind = GENERATION_LINE_CANCEL;
  return json_get_int(&out->id, *document, "cancel", 0, 1, INT64_MAX, err);
}

/* --- answers -------------------------------------------------------------------------------------- */

static const char *const types[] = {
    [GENERATION_STARTED] = "started", [GENERATION_DELTA] = "delta",   [GENERATION_FINISHED] = "finished",
    [GENERATION_VECTOR] = "vector",   [GENERATION_SCORES] = "scores", [GENERATION_FAILED] = "failed"};

json_t *generation_event_json(const struct generation_event *event) {
  json_t *out = json_pack("{sI ss}", "id", (json_int_t)event->id, "type", types[event->type]);
  json_t *more = NULL;
  switch (event->type) {
  case GENERATION_STARTED: more = json_pack("{sI}", "prompt_tokens", (json_int_t)event->prompt_tokens); break;
  case GENERATION_DELTA:
    more = json_pack("{ss sI sO* sO*}", "text", event->text, "tokens", (json_int_t)event->tokens, "tool_calls",
                     event->tool_calls, "logprobs", event->logprobs);
    break;
  case GENERATION_FINISHED:
    more = json_pack("{ss sI}", "finish_reason", generation_finish_names[event->finish_reason], "tokens",
                     (json_int_t)event->tokens);
    break;
  case GENERATION_VECTOR:
    more = json_pack("{ss sI}", "vector", event->vector, "prompt_tokens", (json_int_t)event->prompt_tokens);
    break;
  case GENERATION_SCORES:
    more = json_pack("{sO sI}", "scores", event->scores, "prompt_tokens", (json_int_t)event->prompt_tokens);
    break;
  case GENERATION_FAILED:
    more = json_pack("{ss ss? ss}", "code", status_code(event->code), "param", event->param, "message", event->message);
    break;
  case GENERATION_EVENT_COUNT: CHECK(!"a type of event");
  }
  if (out && more && json_object_update_missing(out, more) == 0) {
    json_decref(more);
    return out;
  }
  json_decref(more);
  json_decref(out);
  return NULL;
}

static enum status bad(struct error *err, const char *name, const char *want) {
  return error_set(err, STATUS_INVALID_VALUE, name, "%s must be %s", name, want);
}

static enum status get_count(int64_t *out, const json_t *data, const char *name, struct error *err) {
  return json_object_get(data, name) ? json_get_int(out, data, name, 0, 0, INT32_MAX, err) : bad(err, name, "given");
}

static enum status get_text(const char **out, const json_t *data, const char *name, struct error *err) {
  enum status status = json_get_string(out, data, name, NULL, err);
  return !status && !*out ? bad(err, name, "a string") : status;
}

static enum status get_array(json_t **out, const json_t *data, const char *name, struct error *err) {
  *out = json_object_get(data, name);
  return json_is_array(*out) ? STATUS_OK : bad(err, name, "an array");
}

static enum status read_finish(struct generation_event *out, const json_t *data, struct error *err) {
  int reason = str_index(generation_finish_names, FINISH_REASON_COUNT,
                         json_string_value(json_object_get(data, "finish_reason")));
  if (reason < 0)
    return bad(err, "finish_reason", "the name of one");
  out->finish_reason = (enum finish_reason)reason;
  return get_count(&out->tokens, data, "tokens", err);
}

static enum status read_failure(struct generation_event *out, const json_t *data, struct error *err) {
  const char *code = json_string_value(json_object_get(data, "code"));
  out->code = code ? status_from_code(code) : STATUS_COUNT;
  if (out->code == STATUS_OK || out->code == STATUS_COUNT)
    return bad(err, "code", "an error code");
  enum status status = json_get_string(&out->param, data, "param", NULL, err);
  return status ? status : get_text(&out->message, data, "message", err);
}

enum status generation_event_parse(struct generation_event *out, const json_t *data, struct error *err) {
  *out = (struct generation_event){0};
  int type = str_index(types, GENERATION_EVENT_COUNT, json_string_value(json_object_get(data, "type")));
  if (type < 0)
    return bad(err, "type", "the name of one");
  out->type = (enum generation_event_type)type;
  if (!json_object_get(data, "id"))
    return bad(err, "id", "given");
  enum status status = json_get_int(&out->id, data, "id", 0, 1, INT64_MAX, err);
  if (status)
    return status;
  switch (out->type) {
  case GENERATION_STARTED: return get_count(&out->prompt_tokens, data, "prompt_tokens", err);
  case GENERATION_DELTA:
    status = get_text(&out->text, data, "text", err);
    status = status ? status : get_count(&out->tokens, data, "tokens", err);
    if (!status && json_object_get(data, "tool_calls"))
      status = get_array(&out->tool_calls, data, "tool_calls", err);
    return status || !json_object_get(data, "logprobs") ? status : get_array(&out->logprobs, data, "logprobs", err);
  case GENERATION_FINISHED: return read_finish(out, data, err);
  case GENERATION_VECTOR:
    status = get_text(&out->vector, data, "vector", err);
    return status ? status : get_count(&out->prompt_tokens, data, "prompt_tokens", err);
  case GENERATION_SCORES:
    status = get_array(&out->scores, data, "scores", err);
    return status ? status : get_count(&out->prompt_tokens, data, "prompt_tokens", err);
  case GENERATION_FAILED: return read_failure(out, data, err);
  case GENERATION_EVENT_COUNT: break;
  }
  CHECK(!"a type of event");
}
