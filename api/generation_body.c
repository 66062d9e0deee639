#include "api/generation_body.h"

#include <stdio.h>
#include <string.h>

#include "api/chat_message.h"
#include "base/json.h"

enum { NAME_BYTES = 512, USER_BYTES = 512, METADATA_MAX = 16, PROMPT_BYTES = 32000 };

#define TABLE(rows)                                                                                                    \
  { .fields = (rows), .count = COUNT_OF(rows) }
#define AT(member) offsetof(struct generation_body, member)
#define HOW(member) offsetof(struct generation_body, request.sampling.member)

#define MODEL                                                                                                          \
  {"model", NULL, FIELD_STRING, AT(model), FIELD_REQUIRED, 1, NAME_BYTES,                                              \
   .doc = "Id of a base model, name of a fine-tuned model, or of a checkpoint."}
#define USER                                                                                                           \
  {"user", NULL, FIELD_STRING, AT(user), 0, 0, USER_BYTES, .doc = "Not used."},                                        \
      {"safety_identifier", NULL, FIELD_STRING, AT(user), 0, 0, USER_BYTES, .doc = "Not used."},                       \
      {"prompt_cache_key", NULL, FIELD_STRING, AT(user), 0, 0, USER_BYTES, .doc = "Not used."}
/* What completions of both kinds have. */
#define COMPLETION                                                                                                     \
  {"n", NULL, FIELD_INT, AT(n), 0, 1, GENERATION_CHOICES_MAX, .initial = "1",                                          \
   .doc = "Choices; each has the seed after that of the one before."},                                                 \
      {"temperature", NULL, FIELD_NUMBER, HOW(temperature), 0, 0, 2, .initial = "1",                                   \
       .doc = "What logits are divided by; 0: always the likeliest token."},                                           \
      {"top_p", NULL, FIELD_NUMBER, HOW(top_p), FIELD_EXCLUSIVE, 0, 1, .initial = "1",                                 \
       .doc = "Only the likeliest tokens whose probabilities add up to so much."},                                     \
      {"top_k", NULL, FIELD_INT, HOW(top_k), 0, 0, 1 << 24, .doc = "Only so many of the likeliest tokens; 0: all."},   \
      {"min_p", NULL, FIELD_NUMBER, HOW(min_p), 0, 0, 1,                                                               \
       .doc = "Only tokens that are at least so likely, compared with the likeliest."},                                \
      {"repetition_penalty", NULL, FIELD_NUMBER, HOW(repetition_penalty), FIELD_EXCLUSIVE, 0, 10, .initial = "1",      \
       .doc = "Tokens that prompt or completion has already are less likely by this factor of their logits."},         \
      {"presence_penalty", NULL, FIELD_NUMBER, HOW(presence_penalty), 0, -2, 2,                                        \
       .doc = "Taken from the logits of tokens that the completion has already."},                                     \
      {"frequency_penalty", NULL, FIELD_NUMBER, HOW(frequency_penalty), 0, -2, 2,                                      \
       .doc = "The same, as often as it has them."},                                                                   \
      {"logit_bias", NULL, FIELD_NUMBER_MAP, HOW(logit_bias), 0, -100, 100,                                            \
       .doc = "Added to the logits of the tokens with these ids."},                                                    \
      {"stop", NULL, FIELD_STRING_LIST, AT(request.stop), 0, 0, GENERATION_STOP_MAX,                                   \
       .doc = "Texts that end the completion, and are no part of it."},                                                \
      {"seed", NULL, FIELD_INT, HOW(seed), FIELD_NULLABLE, 0, 0x1p52, .initial = "-1",                                 \
       .doc = "The same seed gives the same tokens, whatever else runs; absent: another one each time."},              \
      {"stream", NULL, FIELD_BOOL, AT(stream), .doc = "Server-sent events: what is generated, as it is."}

static const struct field chat_rows[] = {
    MODEL,
    {"max_completion_tokens", "max_tokens", FIELD_INT, AT(request.max_tokens), FIELD_NULLABLE, 1, 1 << 24,
     .unit = "tokens", .doc = "Length of a completion at most; absent: what the context has room for."},
    COMPLETION,
    {"logprobs", NULL, FIELD_BOOL, AT(request.logprobs), .doc = "Tell the log-probability of each token."},
    {"top_logprobs", NULL, FIELD_INT, AT(request.top_logprobs), 0, 0, GENERATION_TOP_LOGPROBS_MAX,
     .doc = "And of so many of the likeliest; needs logprobs."},
    {"parallel_tool_calls", NULL, FIELD_BOOL, AT(parallel_tool_calls), .doc = "Not used."},
    USER,
};
static const struct field completion_rows[] = {
    MODEL,
    {"max_tokens", NULL, FIELD_INT, AT(request.max_tokens), 0, 1, 1 << 24, .initial = "16", .unit = "tokens",
     .doc = "Length of a completion at most."},
    COMPLETION,
    {"logprobs", NULL, FIELD_INT, AT(completion_logprobs), FIELD_NULLABLE, 0, GENERATION_COMPLETION_LOGPROBS_MAX,
     .initial = "-1", .doc = "Tell the log-probability of each token, and of so many of the likeliest."},
    {"echo", NULL, FIELD_BOOL, AT(echo), .doc = "The prompt comes first; not beside logprobs."},
    {"best_of", NULL, FIELD_INT, AT(best_of), FIELD_NULLABLE, 1, GENERATION_CHOICES_MAX,
     .doc = "Choices that are made to choose n of: only n."},
    USER,
};
static const char *const encodings[] = {"float", "base64", NULL};
static const struct field embedding_rows[] = {
    MODEL,
    {"encoding_format", NULL, FIELD_CHOICE, AT(base64), 0, 0, 0, encodings, "float",
     .doc = "How a vector is written: as numbers, or as base64 of little-endian fp32."},
    {"dimensions", NULL, FIELD_INT, AT(dimensions), FIELD_NULLABLE, 1, 1 << 20,
     .doc = "Of a vector: as many as the model gives, and no others."},
    {"user", NULL, FIELD_STRING, AT(user), 0, 0, USER_BYTES, .doc = "Not used."},
};
static const struct field classify_rows[] = {MODEL};
#define IMAGE(member) offsetof(struct generation_body, request.image.member)
static const struct field image_rows[] = {
    {"model", NULL, FIELD_STRING, AT(model), FIELD_REQUIRED, 1, NAME_BYTES,
     .doc = "Id of a diffusion pipeline, name of a fine-tuned model of one, or of a checkpoint."},
    {"prompt", NULL, FIELD_STRING, AT(request.prompt), FIELD_REQUIRED, 1, PROMPT_BYTES,
     .doc = "What the image shows; as many tokens as the model's text encoder reads."},
    {"n", NULL, FIELD_INT, AT(n), 0, 1, GENERATION_IMAGES_MAX, .initial = "1",
     .doc = "Images; each has the seed after that of the one before."},
    {"size", NULL, FIELD_STRING, AT(size), 0, 1, 16,
     .doc = "WIDTHxHEIGHT in pixels, or auto: the conditioning image's, or what the model was trained at."},
    {"negative_prompt", NULL, FIELD_STRING, IMAGE(negative_prompt), 0, 0, PROMPT_BYTES,
     .doc = "What the guidance leads away from."},
    {"conditioning_image", NULL, FIELD_STRING, IMAGE(conditioning_image), 0, 1, GENERATION_HINT_BYTES,
     .doc = "Of a model of the task controllable: its hint, a PNG, JPEG or WebP in base64, of the image's size."},
    {"num_inference_steps", NULL, FIELD_INT, IMAGE(num_inference_steps), 0, 1, GENERATION_STEPS_MAX, .initial = "50",
     .doc = "Steps of the sampler."},
    {"guidance_scale", NULL, FIELD_NUMBER, IMAGE(guidance_scale), 0, 0, 100, .initial = "7.5",
     .doc = "Of classifier-free guidance; 1 and less: there is none."},
    {"scheduler", NULL, FIELD_CHOICE, IMAGE(scheduler), 0, 0, 0, image_scheduler_names, "auto",
     .doc = "The sampler, as diffusers calls it; auto: the model's; of others DPMSolverMultistepScheduler."},
    {"seed", NULL, FIELD_INT, HOW(seed), FIELD_NULLABLE, 0, 0x1p52, .initial = "-1",
     .doc = "The same seed gives the same image, whatever else runs; absent: another one each time."},
    {"user", NULL, FIELD_STRING, AT(user), 0, 0, USER_BYTES, .doc = "Not used."},
};
#undef IMAGE
static const struct field stream_rows[] = {
    {"include_usage", NULL, FIELD_BOOL, AT(include_usage), .doc = "Tell the numbers of tokens in a last chunk."},
    {"include_obfuscation", NULL, FIELD_BOOL, AT(include_obfuscation), .doc = "Not used."},
};
#undef HOW
#undef AT
const struct field_table generation_stream_fields = TABLE(stream_rows);

static const struct field_table chat_fields = TABLE(chat_rows), completion_fields = TABLE(completion_rows),
                                embedding_fields = TABLE(embedding_rows), classify_fields = TABLE(classify_rows),
                                image_fields = TABLE(image_rows);

static const struct inert_member chat_inert[] = {
    {"audio", {NULL}, CHAT_TEXT_ALONE},
    {"modalities", {"[\"text\"]"}, CHAT_TEXT_ALONE},
    {"response_format", {"{\"type\":\"text\"}"}, "what a model writes is not forced into a form here"},
    {"tool_choice", {"\"auto\"", "\"none\""}, "no call can be forced: the model decides by what it was trained on"},
    {"functions", {"[]"}, "the older form of tools; write tools"},
    {"function_call", {"\"auto\"", "\"none\""}, "the older form of tool_choice, and no call can be forced"},
    {"prediction", {NULL}, "no predicted output is used here"},
    {"web_search_options", {NULL}, "this server searches nothing"},
    {"moderation", {NULL}, "this server moderates nothing"},
    {"reasoning_effort", {"\"none\""}, "how long a model reasons follows from its training"},
    {"verbosity", {"\"medium\""}, "how much a model writes follows from its training"},
    {"store", {"false"}, "no completion is stored here"},
    {"service_tier", {"\"auto\"", "\"default\""}, "this server has one tier of service"},
    {"prompt_cache_retention", {"\"in-memory\"", "\"in_memory\""}, "no prompt is kept here after its request"},
    {.name = NULL},
};
static const struct inert_member completion_inert[] = {
    {"suffix", {"\"\""}, "a text is only gone on with here, not filled in"},
    {.name = NULL},
};
static const struct inert_member image_inert[] = {
    {"response_format",
     {"\"b64_json\""},
     "images are answered in base64 alone, and kept behind no URL: ask for b64_json"},
    {"output_format", {"\"png\""}, "images are PNG files here"},
    {"output_compression", {"100"}, "PNG loses nothing"},
    {"quality", {"\"auto\"", "\"standard\""}, "how much work an image is says num_inference_steps"},
    {"style", {NULL}, "an image's style follows from prompt and training"},
    {"background", {"\"auto\"", "\"opaque\""}, "no image has a transparent background here"},
    {"moderation", {"\"auto\"", "\"low\""}, "this server moderates nothing"},
    {"stream", {"false"}, "images are answered whole"},
    {"partial_images", {"0"}, "images are answered whole"},
    {.name = NULL},
};
static const struct inert_member no_inert[] = {{.name = NULL}};

static const struct {
  enum generation_kind kind;
  const struct field_table *fields;
  const struct inert_member *inert;
} bodies[OP_COUNT] = {
    [OP_chat_create] = {GENERATION_CHAT, &chat_fields, chat_inert},
    [OP_completions_create] = {GENERATION_COMPLETION, &completion_fields, completion_inert},
    [OP_embeddings_create] = {GENERATION_EMBEDDING, &embedding_fields, no_inert},
    [OP_classify_create] = {GENERATION_CLASSIFICATION, &classify_fields, no_inert},
    [OP_images_generate] = {GENERATION_IMAGE, &image_fields, image_inert},
};

const struct field_table *generation_body_fields(enum operation op) {
  return op < OP_COUNT ? bodies[op].fields : NULL;
}

const struct inert_member *generation_body_inert(enum operation op) {
  return op < OP_COUNT ? bodies[op].inert : NULL;
}

/* --- a chat's messages ---------------------------------------------------------------------------- */

static void read_messages(struct generation_body *out, const json_t *body, struct fault_list *faults) {
  json_t *messages = json_object_get(body, "messages"), *tools = json_object_get(body, "tools");
  const char *choice = json_string_value(json_object_get(body, "tool_choice"));
  if (!messages || json_is_null(messages))
    fault_add(faults, STATUS_MISSING_PARAMETER, "messages", "messages is required");
  else if (!json_is_array(messages) || json_array_size(messages) == 0)
    fault_add(faults, STATUS_INVALID_VALUE, "messages", "messages must be a list of one message or more");
  else
    chat_messages_check(messages, faults);
  chat_tools_check(tools, faults);
  out->request.messages = messages;
  if (json_array_size(tools) > 0 && !(choice && strcmp(choice, "none") == 0))
    out->request.tools = tools;
}

/* --- what else is read ---------------------------------------------------------------------------- */

static bool read_ids(struct int_list *out, const json_t *list, struct arena *arena) {
  *out = (struct int_list){.count = json_array_size(list)};
  out->item = out->count ? arena_array(arena, out->count, sizeof *out->item) : NULL;
  for (size_t i = 0; out->item && i < out->count; i++) {
    const json_t *id = json_array_get(list, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
      return false;
    out->item[i] = json_integer_value(id);
  }
  return out->item != NULL;
}

static bool read_text(const char **out, const json_t *value, struct arena *arena) {
  *out = json_is_string(value) && json_string_length(value) > 0 ? arena_string(arena, json_string_value(value)) : NULL;
  return *out != NULL;
}

/* One of them: a text, for a classification a pair of texts, else a list of token ids. */
static bool read_input(struct generation_input *out, const json_t *value, enum generation_kind kind,
                       struct arena *arena) {
  *out = (struct generation_input){0};
  if (json_is_string(value))
    return read_text(&out->text, value, arena);
  if (kind != GENERATION_CLASSIFICATION)
    return json_is_array(value) && read_ids(&out->ids, value, arena);
  return json_array_size(value) == 2 && read_text(&out->text, json_array_get(value, 0), arena) &&
         read_text(&out->pair, json_array_get(value, 1), arena);
}

static void read_inputs(struct generation_body *out, const json_t *body, const char *name, struct arena *arena,
                        struct fault_list *faults) {
  enum generation_kind kind = out->request.kind;
  const json_t *value = json_object_get(body, name);
  bool ids = kind != GENERATION_CLASSIFICATION && json_is_integer(json_array_get(value, 0));
  bool one = ids || !json_is_array(value);
  const char *want = kind == GENERATION_CLASSIFICATION ? "a text, a list of texts, or a list of pairs of texts"
                                                       : "a text, a list of texts, or token ids";
  if (!value || json_is_null(value)) {
    fault_add(faults, STATUS_MISSING_PARAMETER, name, "%s is required", name);
    return;
  }
  size_t count = one ? 1 : json_array_size(value);
  if (count < 1 || count > GENERATION_INPUTS_MAX) {
    fault_add(faults, STATUS_INVALID_VALUE, name, "%s must have 1 to %d items", name, GENERATION_INPUTS_MAX);
    return;
  }
  out->input = arena_array(arena, count, sizeof *out->input);
  if (!out->input) {
    fault_add(faults, STATUS_OUT_OF_MEMORY, name, "%s does not fit into memory", name);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    char path[48];
    snprintf(path, sizeof path, one ? "%s" : "%s[%zu]", name, i);
    if (!read_input(&out->input[i], one ? value : json_array_get(value, i), kind, arena))
      fault_add(faults, STATUS_INVALID_VALUE, path, "%s must be %s, none of them empty", path,
                one || kind != GENERATION_CLASSIFICATION ? want : "a text or a pair of texts");
  }
  out->input_count = count;
}

static void read_metadata(const json_t *body, struct fault_list *faults) {
  const json_t *metadata = json_object_get(body, "metadata");
  if (metadata && !json_is_null(metadata) && (!json_is_object(metadata) || json_object_size(metadata) > METADATA_MAX))
    fault_add(faults, STATUS_INVALID_VALUE, "metadata", "metadata must be an object of at most %d members",
              METADATA_MAX);
}

static void read_stream(struct generation_body *out, const json_t *body, struct arena *arena,
                        struct fault_list *faults) {
  const json_t *options = json_object_get(body, "stream_options");
  if (!options || json_is_null(options))
    return;
  field_read(&generation_stream_fields, out, options, "stream_options", NULL, arena, faults);
  if (!out->stream)
    fault_add(faults, STATUS_INVALID_VALUE, "stream_options", "stream_options is for stream: true");
}

static void check_sampling(const struct generation_body *body, struct fault_list *faults) {
  const struct number_map *bias = &body->request.sampling.logit_bias;
  for (size_t i = 0; i < bias->count; i++)
    if (!bias->item[i].key[0] || bias->item[i].key[strspn(bias->item[i].key, "0123456789")])
      fault_add(faults, STATUS_INVALID_VALUE, "logit_bias", "logit_bias[\"%.32s\"] is no token id", bias->item[i].key);
  if (bias->count > GENERATION_LOGIT_BIAS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "logit_bias", "logit_bias must have at most %d members",
              GENERATION_LOGIT_BIAS_MAX);
  for (size_t i = 0; i < body->request.stop.count; i++)
    if (strlen(body->request.stop.item[i]) > GENERATION_STOP_BYTES)
      fault_add(faults, STATUS_INVALID_VALUE, "stop", "stop[%zu] has more than %d bytes", i, GENERATION_STOP_BYTES);
  if (body->request.top_logprobs && !body->request.logprobs)
    fault_add(faults, STATUS_INVALID_VALUE, "top_logprobs", "top_logprobs needs logprobs: true");
}

static void check_completion(struct generation_body *body, struct fault_list *faults) {
  body->request.logprobs = body->completion_logprobs >= 0;
  body->request.top_logprobs = body->request.logprobs ? body->completion_logprobs : 0;
  if (body->best_of && body->best_of != body->n)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "best_of", "best_of: no choices are made to be thrown away; only n");
  if (body->echo && body->request.logprobs)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "echo", "echo: a prompt's log-probabilities are not told");
  for (size_t i = 0; body->echo && i < body->input_count; i++)
    if (!body->input[i].text)
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, "echo", "echo: a prompt of token ids is not told as text");
  if (body->input_count * (size_t)body->n > GENERATION_INPUTS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "n", "n choices of each prompt are more than %d", GENERATION_INPUTS_MAX);
}

/* "512x768"; what a model cannot make of it is the worker's to say. */
static void read_size(struct generation_body *out, struct fault_list *faults) {
  struct image_options *image = &out->request.image;
  int width, height, end = 0;
  if (!out->size || strcmp(out->size, "auto") == 0)
    return;
  bool digits = out->size[strspn(out->size, "0123456789x")] == '\0';
  if (!digits || sscanf(out->size, "%5dx%5d%n", &width, &height, &end) != 2 || out->size[end] || width < 1 ||
      height < 1 || width > GENERATION_IMAGE_SIDE_MAX || height > GENERATION_IMAGE_SIDE_MAX) {
    fault_add(faults, STATUS_INVALID_VALUE, "size", "size must be auto or WIDTHxHEIGHT, each from 1 to %d",
              GENERATION_IMAGE_SIDE_MAX);
    return;
  }
  if (width * height > GENERATION_IMAGE_PIXELS_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "size", "size is %dx%d; an image has at most %d pixels (1024x1024)", width,
              height, GENERATION_IMAGE_PIXELS_MAX);
  image->width = width;
  image->height = height;
}

void generation_body_parse(struct generation_body *out, enum operation op, const json_t *body, struct arena *arena,
                           struct fault_list *faults) {
  static const char *const of_chat[] = {"messages", "tools", "stream_options", "metadata", NULL};
  static const char *const of_completion[] = {"prompt", "stream_options", NULL};
  static const char *const of_input[] = {"input", NULL}, *const of_image[] = {NULL};
  const enum generation_kind kind = bodies[op].kind;
  const char *const *others = kind == GENERATION_CHAT         ? of_chat
                              : kind == GENERATION_COMPLETION ? of_completion
                              : kind == GENERATION_IMAGE      ? of_image
                                                              : of_input;
  /* What the table has no rows for leaves everything as it is. */
  *out = (struct generation_body){
      .n = 1, .request = {.kind = kind, .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}}};
  AUTO(json_release) json_t *rest = inert_without(body, bodies[op].inert, "", faults);
  if (!rest)
    return;
  field_read(bodies[op].fields, out, rest, "", others, arena, faults);
  out->request.kind = kind;
  if (kind == GENERATION_IMAGE)
    read_size(out, faults);
  else if (kind == GENERATION_CHAT)
    read_messages(out, body, faults);
  else
    read_inputs(out, body, kind == GENERATION_COMPLETION ? "prompt" : "input", arena, faults);
  if (kind == GENERATION_CHAT || kind == GENERATION_COMPLETION) {
    read_stream(out, body, arena, faults);
    check_sampling(out, faults);
  }
  if (kind == GENERATION_CHAT)
    read_metadata(body, faults);
  if (kind == GENERATION_COMPLETION)
    check_completion(out, faults);
}
