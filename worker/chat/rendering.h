/* One run of a template, inside of worker/chat: its text with what is known of each byte. */
#ifndef WORKER_CHAT_RENDERING_H
#define WORKER_CHAT_RENDERING_H

#include "worker/chat/chat_template.h"
#include "worker/chat/context.h"
#include "worker/jinja/template.h"

struct chat_template {
  struct jinja_template template;
  json_t *special_tokens;
  struct chat_template *tool_use; /* for conversations with tools; NULL: this one is */
};

/* Whose bytes begin .. end of a text are: a loop over the messages was at the message of that number. */
struct segment {
  size_t begin, end;
  uint32_t message;
};

struct rendering {
  struct jinja_run run;
  struct jinja_string text; /* in the run's memory */
  struct segment *segments; /* in order, not empty, none of nobody */
  size_t segment_count;
};

/* Release with rendering_done, whatever comes back. */
NODISCARD enum status rendering_make(struct rendering *out, const struct chat_template *chat, const struct chat *input,
                                     struct error *err);
void rendering_done(struct rendering *rendering);

/* Finds what the assistant says in a rendering of `input` and puts the spans in `out`. */
NODISCARD enum status chat_find_turns(struct chat_text *out, const struct chat_template *chat, const struct chat *input,
                                      const struct rendering *rendering, struct error *err);

#endif
