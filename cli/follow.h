/* Following something to its end: its stream of server-sent events tells all of it as it happens; where that cannot be
   had, which is told, it is asked for again and again. A server that cannot be reached is asked again, ever more
   slowly. The first Ctrl-C ends the following in order, a second one at once. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/command.h"
#include "cli/sse.h"

struct follow {
  struct cli *cli;
  const char *path;             /* of its stream */
  const struct str *last_event; /* id after which the stream is to go on; NULL: always at its beginning */
  int64_t patience_seconds;
  /* An event of the stream, whose data is JSON. *ended: it was the last. */
  enum status (*take)(void *context, const char *name, json_t *data, bool *ended, struct error *err);
  /* Asks once. */
  enum status (*look)(void *context, bool *ended, struct error *err);
  /* Something that is said about the following itself. */
  void (*note)(void *context, const char *what, const char *foreign);
  void *context;
};

/* Until it has ended, and `look` has seen it so. */
NODISCARD enum status follow_to_end(const struct follow *follow, struct error *err);
bool follow_interrupted(void);
/* Ends the program as an interrupted one ends, where it was. */
void follow_end_interrupted(void);

enum { FOLLOW_PATIENCE_SECONDS = 600 };

#endif
