#include "worker/notes.h"

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
