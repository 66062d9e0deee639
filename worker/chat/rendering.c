#include "worker/chat/rendering.h"

/* Blocks that are empty go, and what is one message's on both sides of such becomes one. */
static bool make_segments(struct rendering *r) {
  const struct jinja_run *run = &r->run;
  r->segments = jinja_alloc(&r->run, run->span_count + 1, sizeof *r->segments);
  for (size_t i = 0; r->segments && i < run->span_count; i++) {
    size_t begin = run->spans[i].begin, end = i + 1 < run->span_count ? run->spans[i + 1].begin : r->text.length;
    uint32_t message = run->spans[i].origin;
    struct segment *last = r->segment_count ? &r->segments[r->segment_count - 1] : NULL;
    if (begin == end || !message)
      continue;
    if (last && last->message == message && last->end == begin)
      last->end = end;
    else
      r->segments[r->segment_count++] = (struct segment){begin, end, message};
  }
  return r->segments != NULL;
}

enum status rendering_make(struct rendering *out, const struct chat_template *chat, const struct chat *input,
                           struct error *err) {
  *out = (struct rendering){0};
  struct jinja_run *run = &out->run;
  struct jinja_scope *context = jinja_run_init(run, &chat->template, err);
  if (!context || !chat_context_fill(run, context, input) || !jinja_template_render(run, &out->text, &chat->template))
    return run->status;
  return make_segments(out) ? STATUS_OK : run->status;
}

void rendering_done(struct rendering *rendering) {
  jinja_run_done(&rendering->run);
}
