/* What the assistant says in a rendered conversation, whatever it says: content, reasoning, tool calls and all that the
   template writes around them, from where the model takes over to the end of its turn.

   A template that marks it by {% generation %} is taken at its word. In all others a turn is what a loop over the
   messages wrote for that message, without what a model is given there: the generation prompt, which the template
   writes after the messages before. Where it has none (or writes another one here), the turn's head is what stands
   before a plain answer in its place. Where no loop shows it, the text must go on from the one before the message to
   the one after it. What is found in none of these ways is learnt as far as its bytes came from the message. */
#include <stdlib.h>
#include <string.h>

#include "worker/chat/message.h"
#include "worker/chat/rendering.h"

enum part { PART_OTHER, PART_SAID, PART_TAIL /* what ends a turn, after all that is said */ };

struct finder {
  const struct chat_template *chat;
  const struct chat *input;
  const struct rendering *full;
  uint8_t *parts; /* [full->text.length] enum part */
  unsigned lost;
  uint64_t steps;           /* of renderings of parts; beyond JINJA_STEPS_MAX the last head found serves for the rest */
  size_t head, head_length; /* its place in the text */
};

/* Is it an assistant's that says anything and is to be learnt? */
static bool is_learnt(const json_t *message) {
  return message_is_assistant(message) && message_speaks(message) && message_weighs(message);
}

/* Does the message's content tell where all begins that it says? */
static bool is_plain(const json_t *message) {
  return json_string_length(json_object_get(message, "content")) > 0 && !json_object_get(message, "tool_calls") &&
         !json_object_get(message, "function_call");
}

/* --- places in texts ------------------------------------------------------------------------------ */

static uint32_t number_at(const struct jinja_string *text, size_t i) {
  return jinja_origin(text, i) & ORIGIN_MESSAGE;
}

/* The first byte from .. to that came from the message; `to` when none did. */
static size_t first_said(const struct jinja_string *text, size_t from, size_t to, uint32_t number) {
  while (from < to && number_at(text, from) != number)
    from++;
  return from;
}

/* The end of the last one; `from` when none did. */
static size_t last_said(const struct jinja_string *text, size_t from, size_t to, uint32_t number) {
  while (to > from && number_at(text, to - 1) != number)
    to--;
  return to;
}

static size_t common(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t n = 0;
  while (n < a_length && n < b_length && a[n] == b[n])
    n++;
  return n;
}

/* Two heads that part at `at` share no more than whole words and markers: "<th" of <think> is no part of <tool>. */
static size_t at_boundary(const struct jinja_string *text, size_t from, size_t at) {
  while (at > from && text->bytes[at - 1] != '>' && text->bytes[at - 1] != '\n' && text->bytes[at - 1] != ' ')
    at--;
  return at;
}

/* The segment in which the message's own bytes begin, or else its last one; NULL: it has none. */
static const struct segment *find_segment(const struct rendering *r, uint32_t number) {
  const struct segment *found = NULL;
  for (size_t i = 0; i < r->segment_count; i++) {
    const struct segment *s = &r->segments[i];
    if (s->message != number)
      continue;
    found = s;
    if (first_said(&r->text, s->begin, s->end, number) < s->end)
      break;
  }
  return found;
}

/* --- where a turn begins -------------------------------------------------------------------------- */

/* The first `count` messages, and one more. */
static json_t *first_messages(const json_t *messages, size_t count, json_t *more) {
  json_t *list = json_array();
  bool ok = list != NULL;
  for (size_t i = 0; ok && i < count; i++)
    ok = json_array_append(list, json_array_get(messages, i)) == 0;
  if (more && (!ok || json_array_append(list, more) != 0))
    ok = false;
  json_decref(more);
  if (ok)
    return list;
  json_decref(list);
  return NULL;
}

/* What the template refuses is no fault here: the conversation itself was rendered. */
static enum status render_part(struct rendering *out, struct finder *f, json_t *messages, bool prompt,
                               struct error *err) {
  struct chat input = *f->input;
  input.messages = messages;
  input.add_generation_prompt = prompt;
  *out = (struct rendering){0};
  enum status status = messages ? rendering_make(out, f->chat, &input, err) : error_no_memory(err, "the conversation");
  json_decref(messages);
  f->steps += out->run.steps;
  return status;
}

/* How far the generation prompt after the messages before reaches into the text: beyond `from`, or SIZE_MAX. */
static size_t after_prompt(struct finder *f, uint32_t number, size_t from) {
  const struct jinja_string *text = &f->full->text;
  struct rendering before;
  struct error ignored;
  size_t at = SIZE_MAX;
  json_t *messages = first_messages(f->input->messages, number - 1, NULL);
  if (!render_part(&before, f, messages, true, &ignored)) {
    size_t same = common(text->bytes, text->length, before.text.bytes, before.text.length);
    if (same > from)
      at = same == before.text.length ? same : at_boundary(text, from, same);
  }
  rendering_done(&before);
  return at > from ? at : SIZE_MAX;
}

/* The same for what a template writes before a plain answer: SIZE_MAX when it refuses one there. */
static size_t after_head(struct finder *f, uint32_t number, const struct segment *segment) {
  const struct jinja_string *text = &f->full->text;
  struct rendering plain;
  struct error ignored;
  size_t at = SIZE_MAX;
  json_t *answer = json_pack("{s:s, s:s}", "role", "assistant", "content", "x");
  json_t *messages = answer ? first_messages(f->input->messages, number - 1, answer) : NULL;
  if (!render_part(&plain, f, messages, false, &ignored)) {
    const struct segment *own = find_segment(&plain, number);
    size_t head = own ? first_said(&plain.text, own->begin, own->end, number) - own->begin : 0;
    const char *bytes = own ? plain.text.bytes + own->begin : "";
    at = segment->begin + common(bytes, head, text->bytes + segment->begin, segment->end - segment->begin);
    at = at == segment->begin + head ? at : at_boundary(text, segment->begin, at);
  }
  rendering_done(&plain);
  return at;
}

/* In conversations of very many turns: after the same head as before. */
static size_t after_same_head(const struct finder *f, const struct segment *segment) {
  const char *bytes = f->full->text.bytes;
  bool same = f->head_length && f->head_length <= segment->end - segment->begin &&
              memcmp(bytes + f->head, bytes + segment->begin, f->head_length) == 0;
  return same ? segment->begin + f->head_length : SIZE_MAX;
}

/* Where the model takes over in the message's segment. */
static size_t find_begin(struct finder *f, uint32_t number, const struct segment *segment) {
  size_t said = first_said(&f->full->text, segment->begin, segment->end, number), at;
  if (said == segment->begin)
    return said;
  if (f->steps > JINJA_STEPS_MAX)
    at = after_same_head(f, segment);
  else if ((at = after_prompt(f, number, segment->begin)) == SIZE_MAX)
    at = after_head(f, number, segment);
  if (at == SIZE_MAX && !is_plain(json_array_get(f->input->messages, number - 1)))
    f->lost |= CHAT_LOST_TURN;
  if (at > said)
    return said;
  f->head = segment->begin;
  f->head_length = at - segment->begin;
  return at;
}

/* --- turns ---------------------------------------------------------------------------------------- */

/* Bytes begin .. end are said; those after `said` end the turn. */
static void take(struct finder *f, size_t begin, size_t said, size_t end) {
  said = said > begin ? said : begin;
  memset(f->parts + begin, PART_SAID, said - begin);
  memset(f->parts + said, PART_TAIL, end - said);
}

/* The message's own bytes, wherever they are. */
static void take_own(struct finder *f, uint32_t number, bool content_only) {
  const struct jinja_string *text = &f->full->text;
  for (size_t i = 0; i < text->length; i++)
    if (number_at(text, i) == number && (!content_only || !(jinja_origin(text, i) & (ORIGIN_CALL | ORIGIN_REASONING))))
      f->parts[i] = PART_SAID;
}

/* Some templates write what answers a message into its turn: tool results. What is the turn's own is what stands there
   as well when nothing follows the message; `said` is where the message's own bytes end. */
static void drop_answers(struct finder *f, uint32_t number, const struct segment *segment, size_t said) {
  const struct jinja_string *text = &f->full->text;
  const char *bytes = text->bytes + segment->begin;
  size_t length = segment->end - segment->begin, head = 0, tail = 0;
  struct rendering alone;
  struct error ignored;
  if (!render_part(&alone, f, first_messages(f->input->messages, number, NULL), false, &ignored)) {
    const struct segment *own = find_segment(&alone, number);
    size_t own_length = own ? own->end - own->begin : 0;
    const char *own_bytes = own ? alone.text.bytes + own->begin : "";
    head = at_boundary(text, segment->begin, segment->begin + common(bytes, length, own_bytes, own_length)) -
           segment->begin;
    while (tail < length - head && tail < own_length - head &&
           bytes[length - 1 - tail] == own_bytes[own_length - 1 - tail])
      tail++;
  }
  rendering_done(&alone);
  if (head == 0) { /* it does not show: what stands between the foreign bytes is not the turn's either */
    head = said - segment->begin;
    f->lost |= CHAT_LOST_TURN;
  }
  memset(f->parts + segment->begin + head, PART_OTHER, length - head - tail);
}

/* Is there a byte of another message? */
static bool has_foreign(const struct jinja_string *text, size_t begin, size_t end, uint32_t number) {
  for (size_t i = begin; i < end; i++)
    if (number_at(text, i) && number_at(text, i) != number && number_at(text, i) != ORIGIN_TOOLS)
      return true;
  return false;
}

static void take_segments(struct finder *f, uint32_t number, const struct segment *first) {
  const struct rendering *r = f->full;
  const struct segment *end = r->segments + r->segment_count;
  size_t begin = find_begin(f, number, first), said = begin;
  for (const struct segment *s = first; s < end; s++) {
    size_t last = s->message == number ? last_said(&r->text, s->begin, s->end, number) : 0;
    said = last > s->begin ? last : said;
  }
  for (const struct segment *s = first; s < end; s++)
    if (s->message == number)
      take(f, s == first ? begin : s->begin, said < s->end ? said : s->end, s->end);
  if (has_foreign(&r->text, begin, first->end, number))
    drop_answers(f, number, first, said < first->end ? said : first->end);
}

/* Is the whole text of bytes begin .. end the message's, as far as they tell? */
static bool is_own(const struct jinja_string *text, size_t begin, size_t end, uint32_t number) {
  size_t own = 0;
  for (size_t i = begin; i < end; i++) {
    if (number_at(text, i) && number_at(text, i) != number)
      return false;
    own += number_at(text, i) == number;
  }
  return own > 0;
}

/* No loop shows it: the text before the message, with the prompt, and the one after must be the beginning of this. */
static bool take_between(struct finder *f, uint32_t number) {
  const struct jinja_string *text = &f->full->text;
  struct rendering after = {0};
  struct error ignored;
  size_t begin = f->steps > JINJA_STEPS_MAX ? SIZE_MAX : after_prompt(f, number, 0), end = text->length;
  bool whole = begin != SIZE_MAX && f->steps <= JINJA_STEPS_MAX;
  if (whole && number < json_array_size(f->input->messages)) {
    whole = !render_part(&after, f, first_messages(f->input->messages, number, NULL), false, &ignored);
    end = after.text.length;
    whole = whole && common(text->bytes, text->length, after.text.bytes, end) == end;
    rendering_done(&after);
  }
  if (!whole || begin >= end || !is_own(text, begin, end, number))
    return false;
  take(f, begin, last_said(text, begin, end, number), end);
  return true;
}

static void take_turn(struct finder *f, uint32_t number) {
  const struct segment *first = find_segment(f->full, number);
  if (first && first_said(&f->full->text, first->begin, first->end, number) < first->end) {
    take_segments(f, number, first);
    take_own(f, number, true);
  } else if (!take_between(f, number)) {
    take_own(f, number, false);
    if (!is_plain(json_array_get(f->input->messages, number - 1)))
      f->lost |= CHAT_LOST_TURN;
  }
}

/* The template's {% generation %} blocks, but for messages that weigh nothing. */
static void take_generated(struct finder *f) {
  const struct rendering *r = f->full;
  for (size_t i = 0; i < r->text.length; i++)
    f->parts[i] = jinja_origin(&r->text, i) & JINJA_GENERATED ? PART_SAID : PART_OTHER;
  for (size_t i = 0; i < r->segment_count; i++) {
    const struct segment *s = &r->segments[i];
    if (!message_weighs(json_array_get(f->input->messages, s->message - 1)))
      memset(f->parts + s->begin, PART_OTHER, s->end - s->begin);
  }
  for (size_t i = 0; i < r->text.length; i++) {
    uint32_t number = number_at(&r->text, i);
    if (number && number <= json_array_size(f->input->messages) &&
        !message_weighs(json_array_get(f->input->messages, number - 1)))
      f->parts[i] = PART_OTHER;
  }
}

/* --- spans ---------------------------------------------------------------------------------------- */

static bool add_span(struct chat_text *out, size_t begin, size_t said, size_t end) {
  if (out->span_count == out->span_size) {
    size_t size = out->span_size ? out->span_size * 2 : 16;
    struct chat_span *spans = realloc(out->spans, size * sizeof *spans);
    if (!spans)
      return false;
    out->spans = spans;
    out->span_size = size;
  }
  out->spans[out->span_count++] = (struct chat_span){begin, end, said};
  return true;
}

static bool add_spans(struct chat_text *out, const uint8_t *parts, size_t length) {
  for (size_t i = 0; i < length;) {
    size_t begin = i, said;
    while (i < length && parts[i] == PART_SAID)
      i++;
    said = i;
    while (i < length && parts[i] == PART_TAIL)
      i++;
    if (begin < i && !add_span(out, begin, said, i))
      return false;
    i += begin == i;
  }
  return true;
}

enum status chat_find_turns(struct chat_text *out, const struct chat_template *chat, const struct chat *input,
                            const struct rendering *rendering, struct error *err) {
  size_t length = rendering->text.length;
  struct finder f = {.chat = chat, .input = input, .full = rendering, .parts = calloc(length + 1, 1)};
  bool ok = f.parts != NULL;
  if (ok && chat->template.tree.has_generation)
    take_generated(&f);
  for (size_t i = 0; ok && !chat->template.tree.has_generation && i < json_array_size(input->messages); i++)
    if (is_learnt(json_array_get(input->messages, i)))
      take_turn(&f, (uint32_t)i + 1);
  ok = ok && add_spans(out, f.parts, length);
  free(f.parts);
  out->lost |= f.lost;
  return ok ? STATUS_OK : error_no_memory(err, "the conversation's text");
}
