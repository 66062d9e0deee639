#include "worker/notes.h"

#include <string.h>
#include <strings.h>

#include "worker/peft/peft.h"

void notes_tell(const struct corpus *c, const char *what, size_t max, struct report *report) {
  static const char *const notes[NOTE_COUNT] = {
      [NOTE_UNTAUGHT] = "were left out: there is nothing to learn in them",
      [NOTE_CUT_OFF] = "were left out: cut to max_seq_length they have nothing left to learn",
      [NOTE_REASONING] = "have reasoning that the chat template leaves out",
      [NOTE_CONTENT] = "have a message whose content the chat template leaves out",
      [NOTE_TOOLS] = "have tools that the chat template leaves out",
      [NOTE_TURN] =
          "have a turn whose beginning or end the chat template does not show: of it only the assistant's own "
          "words are learnt"};
  size_t examples = c->count + c->notes[NOTE_UNTAUGHT].count + c->notes[NOTE_CUT_OFF].count;
  if (c->truncated)
    report_message(report, LOG_WARN, "%zu of %zu %s examples were cut to %zu tokens", c->truncated, examples, what,
                   max);
  for (size_t i = 0; i < NOTE_COUNT; i++)
    if (c->notes[i].count)
      report_message(report, LOG_WARN, "%zu of %zu %s examples, the first in line %zu, %s", c->notes[i].count, examples,
                     what, c->notes[i].line, notes[i]);
}

/* "HuggingFaceTB/SmolLM2-135M" and "smollm2-135m" are one model in two places. */
static bool same_model(const char *a, const char *b) {
  const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
  return strcasecmp(slash_a ? slash_a + 1 : a, slash_b ? slash_b + 1 : b) == 0;
}

void notes_tell_start(const struct task *task, struct report *report) {
  AUTO(arena_done) struct arena arena;
  const char *base = NULL;
  struct error err;
  arena_init(&arena, 1 << 16);
  if (task->start && !peft_read_base(&base, task->start, &arena, &err) && base && !same_model(base, task->spec.model))
    report_message(report, LOG_WARN,
                   "the adapter that the job starts from was trained on %.200s, the job's model is %.200s: where these "
                   "are not the same weights it does not fit them",
                   base, task->spec.model);
}
