/* Chat templates: Jinja programs that turn a list of messages into the text a model was trained on,
   rendered as Transformers does (trim_blocks, lstrip_blocks, loop controls, raise_exception,
   strftime_now, {% generation %}). While rendering, every byte remembers which message it came from,
   so what a model must learn is known without tokenising twice. */
#ifndef WORKER_CHAT_CHAT_TEMPLATE_H
#define WORKER_CHAT_CHAT_TEMPLATE_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"
#include "worker/file/gguf.h"

struct chat_template; /* read-only once open */

/* `asked` is a name of the built-in table ("chatml", "llama-2", "llama-3", "mistral", "zephyr", "gemma", "qwen",
   "alpaca", "smollm2"), a template's source (it has "{%" or "{{"), or NULL: the model's own, from
   tokenizer_config.json or chat_template.jinja in the directory `model_path`, or the key
   tokenizer.chat_template of `gguf` (not NULL for a GGUF base). Of a model's named templates "default" is meant, and
   "tool_use" renders conversations with tools. The same files name the texts of the special tokens that templates use
   (bos_token, eos_token, unk_token, pad_token).
   STATUS_MODEL_INVALID when the model has none (the text says to name one in dataset.chat_template);
   STATUS_UNSUPPORTED_VALUE naming line, column and construct for what the interpreter does not know;
   STATUS_INVALID_VALUE (the model's own: STATUS_MODEL_INVALID) for an unknown name or a source that is not Jinja. */
NODISCARD enum status chat_template_open(struct chat_template **out, const char *asked, const char *model_path,
                                         const struct gguf *gguf, struct error *err);
/* The sources of a model's own templates, which chat_template_open finds: a new object with "default" and "tool_use",
   as far as they are there. */
NODISCARD enum status chat_template_sources(json_t **out, const char *model_path, const struct gguf *gguf,
                                            struct error *err);
/* A template from its source; special_tokens is an object like {"bos_token": "<s>", ...}, borrowed for the call. */
NODISCARD enum status chat_template_parse(struct chat_template **out, const char *source, size_t length,
                                          const json_t *special_tokens, struct error *err);
void chat_template_free(struct chat_template *chat);

struct chat_span {
  size_t begin, end; /* bytes of the text */
  size_t said;       /* what is said ends here; the rest, up to `end`, ends the turn */
};

/* What was given and is not to be found in the text. */
enum chat_lost {
  CHAT_LOST_CALL = 1,      /* all of a message's tool calls: never of a text that was made */
  CHAT_LOST_CONTENT = 2,   /* all of a message's content; of an assistant's only where its calls are there */
  CHAT_LOST_REASONING = 4, /* the reasoning of a message */
  CHAT_LOST_TOOLS = 8,
  CHAT_LOST_TURN = 16 /* where a turn begins and ends: only the message's own bytes of it are in the spans */
};

/* Reused from call to call. */
struct chat_text {
  struct str text;
  struct chat_span *spans; /* what the assistant says, in order, not overlapping, not empty */
  size_t span_count, span_size;
  bool has_generation; /* the spans are the template's {% generation %} blocks: what ends a turn is in them */
  unsigned lost;       /* enum chat_lost */
};
void chat_text_init(struct chat_text *text);
void chat_text_done(struct chat_text *text);

/* Renders `messages` (objects with role and content). Where the template has {% generation %} blocks they
   are the spans; else the turns of assistant messages are, from where the model takes over: content, reasoning, tool
   calls, and what the template writes around and after them. Messages that say nothing, or have the weight 0, have
   none. Content that is null reads as empty text, and `is none` holds too. `tools` may be NULL.
   STATUS_DATASET_INVALID for what the template itself refuses (raise_exception: its text) and when an assistant
   message with content, or its tool calls, leave no trace in the text; STATUS_UNSUPPORTED_VALUE for a construct that
   only shows at run time, and for a template that takes more time or memory than it may (it is hostile input too). */
NODISCARD enum status chat_template_render(const struct chat_template *chat, struct chat_text *out,
                                           const json_t *messages, const json_t *tools, bool add_generation_prompt,
                                           struct error *err);

#endif
