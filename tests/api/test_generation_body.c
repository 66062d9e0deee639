/* What is asked of a model, as OpenAI's client sends it and with members of our own; what is refused, by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/generation_body.h"
#include "base/json.h"

static struct arena arena;
static json_t *document;
static struct generation_body body;
static struct fault_list faults;

static int start(void **state) {
  (void)state;
  arena_init(&arena, 8 << 20);
  return 0;
}

static int stop(void **state) {
  (void)state;
  json_decref(document);
  document = NULL;
  arena_done(&arena);
  return 0;
}

/* ' for ". */
static void parse(enum operation op, const char *text) {
  char quoted[4096];
  struct error err;
  snprintf(quoted, sizeof quoted, "%s", text);
  for (char *p = quoted; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  json_decref(document);
  faults = (struct fault_list){0};
  assert_int_equal(json_parse(&document, quoted, strlen(quoted), NULL, &err), STATUS_OK);
  generation_body_parse(&body, op, document, &arena, &faults);
}

/* A worker takes it, too. */
static void takes(enum operation op, const char *text) {
  parse(op, text);
  if (faults.count)
    fail_msg("%s: %s", text, faults.item[0].text);
  AUTO(json_release) json_t *read = NULL;
  AUTO(str_done) struct str written;
  struct error err;
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST, .request = body.request}, got;
  str_init(&written, GENERATION_LINE_MAX);
  line.request.id = 1;
  line.request.sampling.seed = 1;
  if (body.input_count) {
    line.request.prompt = body.input[0].text;
    line.request.prompt_ids = body.input[0].ids;
  }
  assert_true(generation_line_write(&written, &line));
  if (generation_line_parse(&got, &read, written.text, written.length - 1, &arena, &err))
    fail_msg("%s: a worker refuses it: %s", text, err.text);
}

/* One fault, of that member, with that code. */
static void refuses(enum operation op, const char *text, const char *param, enum status status) {
  parse(op, text);
  if (faults.count != 1 || strcmp(faults.item[0].param, param) != 0 || faults.item[0].status != status)
    fail_msg("%s: %zu faults, first %s of %s: %s", text, faults.count, status_code(faults.item[0].status),
             faults.item[0].param, faults.item[0].text);
}

#define CHAT(members) "{'model':'m','messages':[{'role':'user','content':'hi'}]" members "}"
#define COMPLETION(members) "{'model':'m','prompt':'Once'" members "}"
#define CALLS(list) "{'model':'m','messages':[{'role':'assistant','tool_calls':" list "}]}"

static void a_chat_has_openai_defaults(void **state) {
  (void)state;
  takes(OP_chat_create, CHAT(""));
  assert_string_equal(body.model, "m");
  assert_int_equal(body.request.kind, GENERATION_CHAT);
  assert_int_equal(json_array_size(body.request.messages), 1);
  assert_null(body.request.tools);
  assert_true(body.request.sampling.temperature == 1 && body.request.sampling.top_p == 1);
  assert_int_equal(body.request.sampling.seed, -1);
  assert_int_equal(body.request.max_tokens, 0);
  assert_int_equal(body.n, 1);
  assert_false(body.stream || body.include_usage || body.request.logprobs);
}

static void a_chat_has_all_its_members(void **state) {
  (void)state;
  takes(OP_chat_create,
        "{'model':'m','messages':[{'role':'developer','content':[{'type':'text','text':'Be short.'}]},"
        "{'role':'assistant','content':null,'tool_calls':[{'id':'c','type':'function','function':{'name':'f',"
        "'arguments':'{}'}}]},{'role':'tool','tool_call_id':'c','content':'4'}],'tools':[{'type':'function',"
        "'function':{'name':'f'}}],'tool_choice':'auto','max_tokens':7,'temperature':0,'top_p':0.5,'n':2,"
        "'stop':'END','seed':5,'logprobs':true,'top_logprobs':3,'logit_bias':{'50256':-100},'presence_penalty':0.5,"
        "'frequency_penalty':-0.5,'stream':true,'stream_options':{'include_usage':true},'user':'u','metadata':{'a':"
        "'b'},'store':false,'service_tier':'auto','parallel_tool_calls':true,'response_format':{'type':'text'},"
        "'modalities':['text'],'audio':null,'top_k':40,'min_p':0.1,'repetition_penalty':1.2}");
  const struct sampling *how = &body.request.sampling;
  assert_int_equal(json_array_size(body.request.tools), 1);
  assert_int_equal(body.request.max_tokens, 7);
  assert_true(how->temperature == 0 && how->top_p == 0.5 && how->min_p == 0.1 && how->repetition_penalty == 1.2);
  assert_true(how->presence_penalty == 0.5 && how->frequency_penalty == -0.5);
  assert_int_equal(how->top_k, 40);
  assert_int_equal(how->seed, 5);
  assert_int_equal(how->logit_bias.count, 1);
  assert_int_equal(body.request.stop.count, 1);
  assert_string_equal(body.request.stop.item[0], "END");
  assert_int_equal(body.request.top_logprobs, 3);
  assert_true(body.stream && body.include_usage);
  assert_int_equal(body.n, 2);
}

static void tools_are_not_shown_where_none_is_to_be_called(void **state) {
  (void)state;
  takes(OP_chat_create, CHAT(",'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'none'"));
  assert_null(body.request.tools);
}

static void what_would_mislead_is_refused_by_its_name(void **state) {
  (void)state;
  static const struct {
    const char *text, *param;
    enum status status;
  } rows[] = {
      {CHAT(",'audio':{'voice':'x'}"), "audio", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'modalities':['text','audio']"), "modalities", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'response_format':{'type':'json_schema','json_schema':{}}"), "response_format", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'function_call':{'name':'f'}"), "function_call", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'tool_choice':'required'"), "tool_choice", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'store':true"), "store", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'temprature':1"), "temprature", STATUS_UNKNOWN_PARAMETER},
      {CHAT(",'temperature':2.5"), "temperature", STATUS_INVALID_VALUE},
      {CHAT(",'top_p':0"), "top_p", STATUS_INVALID_VALUE},
      {CHAT(",'n':0"), "n", STATUS_INVALID_VALUE},
      {CHAT(",'n':17"), "n", STATUS_INVALID_VALUE},
      {CHAT(",'stop':['a','b','c','d','e']"), "stop", STATUS_INVALID_VALUE},
      {CHAT(",'top_logprobs':2"), "top_logprobs", STATUS_INVALID_VALUE},
      {CHAT(",'logit_bias':{'x':1}"), "logit_bias", STATUS_INVALID_VALUE},
      {CHAT(",'stream_options':{'include_usage':true}"), "stream_options", STATUS_INVALID_VALUE},
      {CHAT(",'max_tokens':1,'max_completion_tokens':2"), "max_completion_tokens", STATUS_INVALID_VALUE},
      {CHAT(",'prompt':'x'"), "prompt", STATUS_UNKNOWN_PARAMETER},
      {"{'messages':[{'role':'user','content':'a'}]}", "model", STATUS_MISSING_PARAMETER},
      {"{'model':'m'}", "messages", STATUS_MISSING_PARAMETER},
      {"{'model':'m','messages':[]}", "messages", STATUS_INVALID_VALUE},
      {"{'model':'m','messages':['hi']}", "messages[0]", STATUS_INVALID_VALUE},
      {"{'model':'m','messages':[{'role':'bot','content':'a'}]}", "messages[0].role", STATUS_INVALID_VALUE},
      {"{'model':'m','messages':[{'role':'user','content':5}]}", "messages[0].content", STATUS_INVALID_VALUE},
      {"{'model':'m','messages':[{'role':'user','content':[{'type':'image_url'}]}]}", "messages[0].content[0]",
       STATUS_UNSUPPORTED_VALUE},
      {"{'model':'m','messages':[{'role':'user'}]}", "messages[0].content", STATUS_MISSING_PARAMETER},
      {"{'model':'m','messages':[{'role':'assistant','content':null}]}", "messages[0].content",
       STATUS_MISSING_PARAMETER},
      {CALLS("[1]"), "messages[0].tool_calls[0]", STATUS_INVALID_VALUE},
      {CALLS("[{}]"), "messages[0].tool_calls[0].function", STATUS_MISSING_PARAMETER},
      {CALLS("[{'type':'custom'}]"), "messages[0].tool_calls[0].type", STATUS_UNSUPPORTED_VALUE},
      {CALLS("[{'function':{'name':'f','arguments':5}}]"), "messages[0].tool_calls[0].function.arguments",
       STATUS_INVALID_VALUE},
      {CALLS("[{'function':{'name':'f'}}],'function_call':{'name':'f'}"), "messages[0].function_call",
       STATUS_INVALID_VALUE},
      {"{'model':'m','messages':[{'role':'assistant','function_call':{}}]}", "messages[0].function_call.name",
       STATUS_MISSING_PARAMETER},
      {"{'model':'m','messages':[{'role':'tool','content':'4','tool_call_id':4}]}", "messages[0].tool_call_id",
       STATUS_INVALID_VALUE},
      {CHAT(",'tools':{}"), "tools", STATUS_INVALID_VALUE},
      {CHAT(",'tools':[1]"), "tools[0]", STATUS_INVALID_VALUE},
      {CHAT(",'tools':[{'type':'web_search'}]"), "tools[0].type", STATUS_UNSUPPORTED_VALUE},
      {CHAT(",'tools':[{'type':'function','function':{'name':''}}]"), "tools[0].function.name", STATUS_INVALID_VALUE},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    refuses(OP_chat_create, rows[i].text, rows[i].param, rows[i].status);
}

static void prompts_are_texts_or_ids(void **state) {
  (void)state;
  takes(OP_completions_create, COMPLETION(""));
  assert_int_equal(body.request.max_tokens, 16);
  assert_int_equal(body.input_count, 1);
  assert_string_equal(body.input[0].text, "Once");
  assert_false(body.request.logprobs);
  takes(OP_completions_create, "{'model':'m','prompt':['a','b'],'logprobs':2,'n':3,'best_of':3}");
  assert_int_equal(body.input_count, 2);
  assert_string_equal(body.input[1].text, "b");
  assert_true(body.request.logprobs);
  assert_int_equal(body.request.top_logprobs, 2);
  takes(OP_completions_create, "{'model':'m','prompt':[5,6,7]}");
  assert_int_equal(body.input_count, 1);
  assert_int_equal(body.input[0].ids.count, 3);
  takes(OP_completions_create, "{'model':'m','prompt':[[5],[6,7]]}");
  assert_int_equal(body.input_count, 2);
  assert_int_equal(body.input[1].ids.item[1], 7);
  refuses(OP_completions_create, COMPLETION(",'suffix':'end'"), "suffix", STATUS_UNSUPPORTED_VALUE);
  refuses(OP_completions_create, COMPLETION(",'best_of':2"), "best_of", STATUS_UNSUPPORTED_VALUE);
  refuses(OP_completions_create, COMPLETION(",'echo':true,'logprobs':0"), "echo", STATUS_UNSUPPORTED_VALUE);
  refuses(OP_completions_create, COMPLETION(",'logprobs':6"), "logprobs", STATUS_INVALID_VALUE);
  refuses(OP_completions_create, "{'model':'m','prompt':[5],'echo':true}", "echo", STATUS_UNSUPPORTED_VALUE);
  refuses(OP_completions_create, "{'model':'m','prompt':''}", "prompt", STATUS_INVALID_VALUE);
  refuses(OP_completions_create, "{'model':'m','prompt':[1,-2]}", "prompt", STATUS_INVALID_VALUE);
  refuses(OP_completions_create, "{'model':'m','prompt':['a',5]}", "prompt[1]", STATUS_INVALID_VALUE);
  refuses(OP_completions_create, "{'model':'m'}", "prompt", STATUS_MISSING_PARAMETER);
}

static void embeddings_are_as_the_client_asks(void **state) {
  (void)state;
  takes(OP_embeddings_create, "{'model':'m','input':'a','encoding_format':'base64'}");
  assert_true(body.base64);
  takes(OP_embeddings_create, "{'model':'m','input':[[1,2],[3]],'dimensions':384,'user':'u'}");
  assert_false(body.base64);
  assert_int_equal(body.input_count, 2);
  assert_int_equal(body.dimensions, 384);
  refuses(OP_embeddings_create, "{'model':'m','input':[]}", "input", STATUS_INVALID_VALUE);
  refuses(OP_embeddings_create, "{'model':'m','input':['a','']}", "input[1]", STATUS_INVALID_VALUE);
  refuses(OP_embeddings_create, "{'model':'m','input':'a','encoding_format':'int8'}", "encoding_format",
          STATUS_UNSUPPORTED_VALUE);
  refuses(OP_embeddings_create, "{'model':'m','input':'a','dimensions':0}", "dimensions", STATUS_INVALID_VALUE);
}

static void classifiers_judge_texts_and_pairs(void **state) {
  (void)state;
  takes(OP_classify_create, "{'model':'m','input':['a','b']}");
  assert_int_equal(body.input_count, 2);
  assert_null(body.input[0].pair);
  takes(OP_classify_create, "{'model':'m','input':[['a','b'],'c']}");
  assert_string_equal(body.input[0].pair, "b");
  refuses(OP_classify_create, "{'model':'m','input':[['a','b','c']]}", "input[0]", STATUS_INVALID_VALUE);
  refuses(OP_classify_create, "{'model':'m','input':[5]}", "input[0]", STATUS_INVALID_VALUE);
  refuses(OP_classify_create, "{'model':'m','input':'a','stream':true}", "stream", STATUS_UNKNOWN_PARAMETER);
}

static void images_are_as_the_client_asks(void **state) {
  (void)state;
  takes(OP_images_generate, "{'model':'m','prompt':'a dog'}");
  assert_int_equal(body.request.kind, GENERATION_IMAGE);
  assert_string_equal(body.request.prompt, "a dog");
  assert_true(body.n == 1 && body.request.image.width == 0 && body.request.image.num_inference_steps == 50);
  assert_true(body.request.image.guidance_scale == 7.5 && body.request.sampling.seed == -1);
  assert_int_equal(body.request.image.scheduler, IMAGE_SCHEDULER_AUTO);
  takes(OP_images_generate, "{'model':'m','prompt':'a','n':10,'size':'512x768','seed':3,'negative_prompt':'b',"
                            "'user':'u','num_inference_steps':20,'guidance_scale':0,'scheduler':'DDIMScheduler',"
                            "'response_format':'b64_json','quality':'auto','background':'opaque','style':null,"
                            "'output_format':'png','output_compression':100,'moderation':'low','stream':false}");
  assert_true(body.n == 10 && body.request.image.width == 512 && body.request.image.height == 768);
  assert_true(body.request.image.num_inference_steps == 20 && body.request.image.guidance_scale == 0);
  assert_int_equal(body.request.image.scheduler, IMAGE_SCHEDULER_DDIM);
  assert_string_equal(body.request.image.negative_prompt, "b");
  assert_null(body.request.image.conditioning_image);
  takes(OP_images_generate, "{'model':'m','prompt':'a','conditioning_image':'aGVsbG8='}");
  assert_string_equal(body.request.image.conditioning_image, "aGVsbG8=");
  takes(OP_images_generate, "{'model':'m','prompt':'a','n':null,'size':null,'seed':null}");
  takes(OP_images_generate, "{'model':'m','prompt':'a','size':'auto'}");
  static const struct {
    const char *more, *param;
    enum status status;
  } rows[] = {
      {"'n':11", "n", STATUS_INVALID_VALUE},
      {"'size':'512'", "size", STATUS_INVALID_VALUE},
      {"'size':'512x'", "size", STATUS_INVALID_VALUE},
      {"'size':'512x512x3'", "size", STATUS_INVALID_VALUE},
      {"'size':'0x512'", "size", STATUS_INVALID_VALUE},
      {"'size':'-8x8'", "size", STATUS_INVALID_VALUE},
      {"'size':'99999x8'", "size", STATUS_INVALID_VALUE},
      {"'size':'1025x1024'", "size", STATUS_INVALID_VALUE},
      {"'num_inference_steps':0", "num_inference_steps", STATUS_INVALID_VALUE},
      {"'guidance_scale':-1", "guidance_scale", STATUS_INVALID_VALUE},
      {"'response_format':'url'", "response_format", STATUS_UNSUPPORTED_VALUE},
      {"'quality':'hd'", "quality", STATUS_UNSUPPORTED_VALUE},
      {"'style':'vivid'", "style", STATUS_UNSUPPORTED_VALUE},
      {"'background':'transparent'", "background", STATUS_UNSUPPORTED_VALUE},
      {"'output_format':'webp'", "output_format", STATUS_UNSUPPORTED_VALUE},
      {"'stream':true", "stream", STATUS_UNSUPPORTED_VALUE},
      {"'temperature':1", "temperature", STATUS_UNKNOWN_PARAMETER},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char text[120];
    snprintf(text, sizeof text, "{'model':'m','prompt':'a',%s}", rows[i].more);
    refuses(OP_images_generate, text, rows[i].param, rows[i].status);
  }
  refuses(OP_images_generate, "{'model':'m'}", "prompt", STATUS_MISSING_PARAMETER);
  refuses(OP_images_generate, "{'model':'m','prompt':['a']}", "prompt", STATUS_INVALID_VALUE);
  refuses(OP_images_generate, "{'model':'m','prompt':''}", "prompt", STATUS_INVALID_VALUE);
  refuses(OP_images_generate, "{'model':'m','prompt':'a','conditioning_image':3}", "conditioning_image",
          STATUS_INVALID_VALUE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_chat_has_openai_defaults, start, stop),
      cmocka_unit_test_setup_teardown(a_chat_has_all_its_members, start, stop),
      cmocka_unit_test_setup_teardown(tools_are_not_shown_where_none_is_to_be_called, start, stop),
      cmocka_unit_test_setup_teardown(what_would_mislead_is_refused_by_its_name, start, stop),
      cmocka_unit_test_setup_teardown(prompts_are_texts_or_ids, start, stop),
      cmocka_unit_test_setup_teardown(embeddings_are_as_the_client_asks, start, stop),
      cmocka_unit_test_setup_teardown(classifiers_judge_texts_and_pairs, start, stop),
      cmocka_unit_test_setup_teardown(images_are_as_the_client_asks, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
