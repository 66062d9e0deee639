/* A chat template is found where it is: in the built-in table, in each of the files in which models
   bring theirs, or in a GGUF file; and the special tokens with it. What is missing or broken is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/worker/model_directory.h"
#include "worker/chat/chat_template.h"
#include "worker/file/gguf.h"

/* Opens and renders one question and answer; the text, or the error's. */
static enum status open_and_render(char *out, size_t size, const char *asked, const struct gguf *gguf,
                                   const char *tools_text) {
  struct chat_template *template;
  struct chat_text text;
  struct error err = {0};
  json_t *messages = json_loads("[{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": "
                                "\"a\"}]", 0, NULL);
  chat_text_init(&text);
  enum status status = chat_template_open(&template, asked, gguf ? NULL : directory, gguf, &err);
  if (!status) {
    AUTO(json_release) json_t *tools = json_loads(tools_text, 0, NULL);
    status = chat_template_render(template, &text, messages, tools, false, &err);
    chat_template_free(template);
  }
  snprintf(out, size, "%s", status ? err.text : text.text.text);
  chat_text_done(&text);
  json_decref(messages);
  return status;
}

static void expect(const char *asked, enum status status, const char *text) {
  char got[ERROR_TEXT];
  enum status is = open_and_render(got, sizeof got, asked, NULL, "[]");
  if (is != status || strcmp(got, text) != 0)
    fail_msg("%s: %s", status_code(is), got);
}

static void built_in_templates_use_the_models_tokens(void **state) {
  (void)state;
  put("tokenizer_config.json", "{\"bos_token\": \"<B>\", \"eos_token\": \"old\", \"model_max_length\": 1e30}");
  put("special_tokens_map.json", "{\"eos_token\": {\"content\": \"<E>\"}, \"pad_token\": null}");
  expect("chatml", STATUS_OK, "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n");
  expect("smollm2", STATUS_OK, "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
         "Face<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n");
  expect("llama-2", STATUS_OK, "<B>[INST] q [/INST] a <E>");
  expect("llama-3", STATUS_OK, "<B><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\na<|eot_id|>");
  expect("mistral", STATUS_OK, "<B>[INST] q [/INST]a<E>");
  expect("zephyr", STATUS_OK, "<|user|>\nq<E>\n<|assistant|>\na<E>\n");
  expect("gemma", STATUS_OK, "<B><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n");
  expect("qwen", STATUS_OK, "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
         "<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n");
  expect("alpaca", STATUS_OK, "Below is an instruction that describes a task. Write a response that appropriately "
         "completes the request.\n\n### Instruction:\nq\n\n### Response:\na<E>");
  expect("{{ bos_token }}{{ messages[1].content }}{{ eos_token }}{{ pad_token }}", STATUS_OK, "<B>a<E>");
  expect("chat-ml", STATUS_INVALID_VALUE, "there is no chat template named \"chat-ml\"; there are chatml, smollm2, "
         "llama-2, llama-3, mistral, zephyr, gemma, qwen, alpaca, or give the source of one");
  expect("{{ x | nope }}", STATUS_UNSUPPORTED_VALUE, "line 1, column 8: the filter \"nope\" is not supported");
}

static void each_file_is_looked_at(void **state) {
  (void)state;
  expect(NULL, STATUS_MODEL_INVALID, "the model has no chat template: name one by chat_template (chatml, smollm2, "
         "llama-2, llama-3, mistral, zephyr, gemma, qwen, alpaca)");
  put("tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
  put("chat_template.json", "{\"chat_template\": \"processor {{ messages[1].content }}\"}");
  expect(NULL, STATUS_OK, "processor a");
  put("tokenizer_config.json", "{\"chat_template\": \"config {{ messages[1].content }}\"}");
  expect(NULL, STATUS_OK, "config a");
  put("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, "
      "{\"name\": \"default\", \"template\": \"default {{ messages[1].content }}\"}]}");
  expect(NULL, STATUS_OK, "default a");
  put("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"t\"}]}");
  expect(NULL, STATUS_MODEL_INVALID, "tokenizer_config.json: none of its chat templates is named \"default\"");
  put("tokenizer_config.json", "{\"chat_template\": 5}");
  expect(NULL, STATUS_MODEL_INVALID, "tokenizer_config.json: chat_template is an integer, not a string");
  put("tokenizer_config.json", "{\"chat_template\": \"\\n{% if %}\"}");
  expect(NULL, STATUS_MODEL_INVALID, "the model's chat template: line 2, column 7: expected an expression, got \"%}\"");
  put("tokenizer_config.json", "{\"chat_template\": \"{{ x | nope }}\"}");
  expect(NULL, STATUS_UNSUPPORTED_VALUE,
         "the model's chat template: line 1, column 8: the filter \"nope\" is not supported");
  put("chat_template.jinja", "file {{ messages[1].content }}");
  expect(NULL, STATUS_OK, "file a");
  put("tokenizer_config.json", "[]");
  char fault[200];
  snprintf(fault, sizeof fault, "%s/tokenizer_config.json: this is an array, not an object", directory);
  expect(NULL, STATUS_MODEL_INVALID, fault);
}

#define TOOLS "[{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]"

static void expect_with_tools(const char *text) {
  char got[ERROR_TEXT];
  if (open_and_render(got, sizeof got, NULL, NULL, TOOLS) || strcmp(got, text) != 0)
    fail_msg("%s, not %s", got, text);
}

static void conversations_with_tools_have_a_template_of_their_own(void **state) {
  (void)state;
  put("tokenizer_config.json",
      "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"tools {{ messages[1].content "
      "}}\"}, {\"name\": \"default\", \"template\": \"plain {{ messages[1].content }}\"}]}");
  expect(NULL, STATUS_OK, "plain a");
  expect_with_tools("tools a");
  put("tokenizer_config.json", "{\"chat_template\": {\"tool_use\": \"object {{ messages[1].content }}\", \"default\": "
                               "\"plain {{ messages[1].content }}\"}}");
  expect(NULL, STATUS_OK, "plain a");
  expect_with_tools("object a");
  put("chat_template.jinja", "file {{ messages[1].content }}");
  expect_with_tools("file a");
  char path[128];
  snprintf(path, sizeof path, "%s/additional_chat_templates", directory);
  assert_int_equal(mkdir(path, 0700), 0);
  put("additional_chat_templates/tool_use.jinja", "more {{ messages[1].content }}");
  expect(NULL, STATUS_OK, "file a");
  expect_with_tools("more a");
  put("additional_chat_templates/tool_use.jinja", "{% if %}");
  expect(NULL, STATUS_MODEL_INVALID, "the model's chat template: line 1, column 7: expected an expression, got \"%}\"");
}

static void write_gguf(const char *path, const char *template, uint32_t bos) {
  static const struct gguf_string tokens[] = {{"<B>", 3}, {"<E>", 3}, {"x", 1}};
  struct gguf_writer *writer;
  struct error err;
  const float one = 1;
  const int64_t shape[] = {1};
  if (gguf_writer_open(&writer, path, &err))
    fail_msg("%s", err.text);
  gguf_writer_strings(writer, "tokenizer.ggml.tokens", tokens, COUNT_OF(tokens));
  gguf_writer_u32(writer, "tokenizer.ggml.bos_token_id", bos);
  gguf_writer_u32(writer, "tokenizer.ggml.eos_token_id", 1);
  if (template)
    gguf_writer_string(writer, "tokenizer.chat_template", template, strlen(template));
  static const char tool_use[] = "tools {{ messages[1].content }}";
  if (template)
    gguf_writer_string(writer, "tokenizer.chat_template.tool_use", tool_use, strlen(tool_use));
  gguf_writer_tensor(writer, "t", GGML_F32, 1, shape);
  gguf_writer_data(writer, &one, 1);
  if (gguf_writer_finish(writer, NULL, NULL, &err))
    fail_msg("%s", err.text);
}

static void gguf_files_bring_both(void **state) {
  static const struct {
    const char *template;
    uint32_t bos;
    enum status status;
    const char *text;
  } rows[] = {
      {"{{ bos_token }}{{ messages[1].content }}{{ eos_token }}{{ unk_token }}", 0, STATUS_OK, "<B>a<E>"},
      {NULL, 0, STATUS_MODEL_INVALID, "the model has no chat template"},
      {"x", 3, STATUS_MODEL_INVALID, "tokenizer.ggml.bos_token_id: there is no token 3"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char path[128], got[ERROR_TEXT], got_with[ERROR_TEXT];
    struct gguf gguf;
    struct error err;
    snprintf(path, sizeof path, "%s/model.gguf", directory);
    write_gguf(path, rows[i].template, rows[i].bos);
    if (gguf_open(&gguf, path, &err))
      fail_msg("%s", err.text);
    enum status status = open_and_render(got, sizeof got, NULL, &gguf, "[]");
    if (!status && (open_and_render(got_with, sizeof got_with, NULL, &gguf, TOOLS) || strcmp(got_with, "tools a") != 0))
      fail_msg("%s", got_with);
    gguf_close(&gguf);
    if (status != rows[i].status || strncmp(got, rows[i].text, strlen(rows[i].text)) != 0)
      fail_msg("%s: %s", status_code(status), got);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(built_in_templates_use_the_models_tokens, make_directory, remove_directory),
      cmocka_unit_test_setup_teardown(each_file_is_looked_at, make_directory, remove_directory),
      cmocka_unit_test_setup_teardown(conversations_with_tools_have_a_template_of_their_own, make_directory,
                                      remove_directory),
      cmocka_unit_test_setup_teardown(gguf_files_bring_both, make_directory, remove_directory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
